"""Whether earlier runs of a workload left something in a mirror that Lens does not have.

Looked at once by a job that goes on in the same place, in bounded time however large the files are: at both ends of the
ledger and at the last lines of the mirror. Whoever was cut off, or had no Lens, left such lines unacknowledged.
"""

import io
import os
from typing import Set

from .commands.json_lines import read_objects
from .commands.ledger import Ledger, WriterKey
from .commands.writer_lock import WriterLock
from .identity import Identity
from .owned_files import OwnedFiles
from .records import Run, convert
from .sinks.delivery_ledger import path_of_ledger
from .sinks.jsonl import MARKER

_LEDGER_BYTES = 256 * 1024
_MIRROR_BYTES = 64 * 1024


def count_leftovers(files: OwnedFiles, mirror_path: str, run: Run, lock: WriterLock) -> int:
    """How many runs of the run's workload have ended and may have left something; raises OSError.

    ``lock`` is what was seen before this process took its own.
    """
    ledger = Ledger(io.BytesIO(_ends_of(files, path_of_ledger(mirror_path), _LEDGER_BYTES, _LEDGER_BYTES)))
    left: Set[str] = set()
    for line in read_objects(io.BytesIO(_ends_of(files, mirror_path, 0, _MIRROR_BYTES))):
        key: WriterKey = (line.get("writer"), line.get("run_id")) if line else ("", "")  # type: ignore[assignment]
        introduction = ledger.introductions.get(key) if all(isinstance(part, str) for part in key) else None
        if not line or introduction is None or key[0] == run.writer or not _has_metrics(line):
            continue
        if ledger.has(key, line["sequence"]) or not _is_same_workload(introduction.identity, run.identity):
            continue
        if not lock.is_held_for(introduction.host, introduction.pid):
            left.add(key[1])
    return len(left)


def _has_metrics(line: "dict[str, object]") -> bool:
    """Whether Lens should have something of it; calls of text alone are never acknowledged."""
    data, sequence = line.get("data"), line.get("sequence")
    if type(sequence) is not int or not isinstance(data, dict) or line.get("step") is None:
        return False
    metrics, _ = convert(
        {name: value for name, value in data.items() if name != MARKER and not isinstance(value, dict)}
    )
    return bool(metrics)


def _is_same_workload(one: Identity, other: Identity) -> bool:
    if one.workload_uid or other.workload_uid:
        return one.workload_uid == other.workload_uid
    return bool(one.pod_name) and one.pod_name == other.pod_name


def _ends_of(files: OwnedFiles, path: str, first_bytes: int, last_bytes: int) -> bytes:
    """The first and the last lines of a file, as far as they fit into so many bytes."""
    with os.fdopen(files.open(path, os.O_RDONLY), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size <= first_bytes + last_bytes:
            return file.read(size)
        head = file.read(first_bytes)
        file.seek(size - last_bytes)
        tail = file.read(last_bytes)
    # What was cut in two is left out.
    return head[: head.rfind(b"\n") + 1] + tail[tail.find(b"\n") + 1 :]
