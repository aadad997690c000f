"""Mirrors every log call into a JSON Lines file per node and rank.

One line is ``{"timestamp", "step", "data", "run_id", "writer", "sequence"}``: strict JSON, with NaN and infinities as
the strings "NaN", "Infinity", "-Infinity", which is how wandb writes them. A call that wandb dropped, because its
step was older than the run's, has ``"step": null``; so has one whose step only wandb's service knows, with
``"counted_by": "wandb"``. Values of the run's summary have ``"summary": true``. ``writer`` and ``sequence`` name the
call among all processes that share the file; what was read from wandb's own file has that file's folder as its writer.
"""

import errno
import json
import math
import os
import shlex
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Deque, Dict, List, NamedTuple, Optional, Set, Tuple

from .. import diagnostics, fork_safety
from ..identity import Place
from ..owned_files import OwnedFiles, RefusedError, ends_in_half_a_line, is_stale
from ..records import SUMMARY, UNCOUNTED, MetricsRecord, Record, Run
from ..redaction import redact_value
from .delivery_ledger import DeliveryLedger, path_of_ledger

if TYPE_CHECKING:
    from ..commands.writer_lock import WriterLock

FILE_NAME = "wandb_metrics.jsonl"
# Tells the file's readers that the exporter wrote it; it goes nowhere else.
MARKER = "_primus_lens_enabled"
# What a line holds was made by `records.convert`, so it contains itself nowhere.
_encode = json.JSONEncoder(allow_nan=False, check_circular=False).encode
# The kernel appends one write as a whole, so lines of several processes do not mix; smaller ones do so everywhere.
_LARGEST_WRITE = 64 * 1024
# A full disk may have room again.
_FULL = (errno.ENOSPC, errno.EDQUOT)
_RETRY_S = 1.0
# How often it looks whether somebody removed its files: each look lets go of the interpreter, and training may hold it
# for a while then.
LOOK_AGAIN_S = 0.2


def path_of(output_path: str, place: Place) -> str:
    return os.path.join(output_path, "node_%d" % place.node_rank, "rank_%d" % place.local_rank, FILE_NAME)


class _Chunk(NamedTuple):
    """Whole lines for one file."""

    path: str
    lines: bytes
    calls: int


class JsonlSink:
    """Appends to the files below one folder; an unwritable one is one warning, and the job goes on."""

    name = "jsonl"
    is_prompt = True

    def __init__(
        self, files: OwnedFiles, capacity_bytes: float, ledger: DeliveryLedger, reports_to_lens: bool = False
    ) -> None:
        self._files = files
        self._reports_to_lens = reports_to_lens
        self._looked_at: "set[str]" = set()
        # Files in which others stand, with what was seen of their lock.
        self._others: "Dict[str, Tuple[Run, WriterLock]]" = {}
        self._ledger = ledger
        self._capacity_bytes = capacity_bytes
        self.delivered = 0
        self.rejected = 0
        self.dropped = 0
        self._descriptors: Dict[str, int] = {}
        self._torn: "set[str]" = set()
        self._unwritten: Deque[_Chunk] = deque()
        self._look_again_at = 0.0
        # What may have to be introduced once more, where somebody removed the ledger.
        self._mentioned: "Set[Tuple[str, Run]]" = set()

    def destination(self, run: Run) -> str:
        return path_of(self._files.root, run.place)

    def takes_run(self, run: Run) -> bool:
        return True

    def weigh(self, record: Record) -> Optional[int]:
        return 1 if isinstance(record, MetricsRecord) else None

    def accept(self, records: List[Record]) -> None:
        lines: List[bytes] = []
        path, size = "", 0
        run: Optional[Run] = None
        for record in records:
            assert isinstance(record, MetricsRecord)
            line = encode_line(record)
            record_path = path_of(self._files.root, record.run.place)
            if record.run is not run:
                run = record.run
                self._look_at_others(record_path, run)
                self._ledger.introduce(record_path, run)
                self._mentioned.add((record_path, run))
            if lines and (record_path != path or size + len(line) > _LARGEST_WRITE):
                self._unwritten.append(_Chunk(path, b"".join(lines), len(lines)))
                lines, size = [], 0
            path = record_path
            lines.append(line)
            size += len(line)
        if lines:
            self._unwritten.append(_Chunk(path, b"".join(lines), len(lines)))

    def _look_at_others(self, path: str, run: Run) -> None:
        """Once for each file, before this process stands in its ledger: whether somebody else who does lives."""
        if path in self._looked_at:
            return
        self._looked_at.add(path)
        if not (self._reports_to_lens and run.identity.is_known and os.path.lexists(path_of_ledger(path))):
            return
        try:
            with fork_safety.importing():
                from ..commands.writer_lock import look_at_lock
            self._others[path] = run, look_at_lock(self._files, path)
        except Exception as error:  # the lines matter more
            diagnostics.report_failure("looking for earlier runs", error)

    def _say_what_others_left(self) -> None:
        """After the first lines are written: nobody waits for this."""
        path, (run, lock) = self._others.popitem()
        try:
            with fork_safety.importing():
                from ..leftovers import count_leftovers
            count = count_leftovers(self._files, path, run, lock)
        except OSError:
            # Where these files cannot be opened, that is said when they are written.
            return
        except Exception as error:  # the lines matter more
            diagnostics.report_failure("looking for what earlier runs left", error)
            return
        if count:
            diagnostics.warn_once(
                ("leftovers", path),
                "%d earlier run(s) of this workload in %s left metrics that Lens may not have: "
                "primus-lens-wandb sync %s",
                count,
                path,
                shlex.quote(path),
            )

    def work(self, urgent: bool, time_limit_s: Optional[float] = None) -> Optional[float]:
        if not self._unwritten:
            return None
        looks = urgent or time.monotonic() >= self._look_again_at
        if looks:
            self._forget_stale_files()
        delay = self._write_all()
        if looks:
            # Last of all: the lines matter more.
            self._look_again_at = time.monotonic() + LOOK_AGAIN_S
            while self._mentioned:
                self._ledger.introduce_again(*self._mentioned.pop())
        while self._others:
            self._say_what_others_left()
        return delay

    def _forget_stale_files(self) -> None:
        for path, descriptor in list(self._descriptors.items()):
            if is_stale(descriptor, path):
                self._forget(path)

    def _forget(self, path: str) -> None:
        descriptor = self._descriptors.pop(path, None)
        if descriptor is not None:
            os.close(descriptor)

    def _write_all(self) -> Optional[float]:
        while self._unwritten:
            chunk = self._unwritten[0]
            try:
                self._write(chunk)
            except OSError as error:
                if error.errno in _FULL:
                    diagnostics.warn_once(
                        ("jsonl", "full"), "%s: %s; lines wait in memory for room", chunk.path, error.strerror
                    )
                    self._drop_oldest()
                    return _RETRY_S
                diagnostics.warn_once(
                    ("jsonl", chunk.path),
                    "%s is not written: %s. Training goes on without it; %s PRIMUS_LENS_WANDB_OUTPUT_PATH=%s",
                    chunk.path,
                    error,
                    "use a folder of your own instead of" if isinstance(error, RefusedError) else "check",
                    self._files.root,
                )
                self.dropped += chunk.calls
                self._forget(chunk.path)
            else:
                self.delivered += chunk.calls
            self._unwritten.popleft()
        return None

    def _write(self, chunk: _Chunk) -> None:
        descriptor = self._descriptors.get(chunk.path)
        if descriptor is None:
            descriptor = self._open(chunk.path)
        lines = b"\n" + chunk.lines if chunk.path in self._torn else chunk.lines
        written = os.write(descriptor, lines)
        self._torn.discard(chunk.path)
        if written < len(lines):
            # The rest cannot follow as it is: another process may have written in between.
            self._torn.add(chunk.path)
            whole = lines.rfind(b"\n", 0, written) + 1
            rest = _Chunk(chunk.path, lines[whole:], chunk.calls)
            self._unwritten[0] = rest
            self._write(rest)

    def _open(self, path: str) -> int:
        descriptor = self._files.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        self._descriptors[path] = descriptor
        if ends_in_half_a_line(descriptor):
            self._torn.add(path)
        return descriptor

    def _drop_oldest(self) -> None:
        size = sum(len(chunk.lines) for chunk in self._unwritten)
        while size > self._capacity_bytes and len(self._unwritten) > 1:
            chunk = self._unwritten.popleft()
            size -= len(chunk.lines)
            self.dropped += chunk.calls

    def pending(self) -> int:
        return sum(chunk.calls for chunk in list(self._unwritten))

    def work_done(self) -> int:
        return self.delivered + self.dropped

    def work_left(self) -> int:
        return self.pending()

    def reset_after_fork(self) -> None:
        # The descriptors stay usable: appends of parent and child do not mix.
        self._unwritten.clear()
        self._mentioned.clear()
        self._others.clear()
        self._ledger.reset_after_fork()
        self.delivered = self.rejected = self.dropped = 0


def encode_line(record: MetricsRecord) -> bytes:
    data = dict(record.data)
    if record.data is not record.metrics:
        data.update((name, redact_value(name, value)) for name, value in data.items() if isinstance(value, str))
    data[MARKER] = True
    line = {
        "timestamp": record.timestamp,
        "step": record.step,
        "data": data,
        "run_id": record.run.run_id,
        "writer": record.run.writer,
        "sequence": record.sequence,
    }
    if record.kind == SUMMARY:
        line["summary"] = True
    if record.kind == UNCOUNTED or (record.kind == SUMMARY and record.step is None):
        line["counted_by"] = "wandb"
    try:
        text = _encode(line)
    except ValueError:
        line["data"] = {name: _strict(value) for name, value in data.items()}
        text = _encode(line)
    return text.encode("ascii") + b"\n"


def _strict(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
