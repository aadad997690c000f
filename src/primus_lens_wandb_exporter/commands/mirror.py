"""Reads a mirror: which of the logged metrics has Lens not acknowledged?"""

import fcntl
import os
import socket
from typing import Any, BinaryIO, Callable, Dict, Iterator, List, Optional, Tuple

from ..identity import Identity, Place
from ..owned_files import OwnedFiles
from ..processes import is_running
from ..records import SUMMARY, UNCOUNTED, MetricsRecord, Number, Run, convert
from ..sinks.delivery_ledger import path_of_ledger
from ..sinks.jsonl import FILE_NAME, MARKER
from ..summary_names import SummaryNames
from .json_lines import is_count, is_id, read_objects
from .ledger import Ledger, WriterKey

# The year 10000: Lens cannot write a later time.
_END_OF_TIME_S = 253402300800
# What 64 bits can hold. Lens itself stores less, which is no reason to call a line torn.
_LARGEST_STEP = 2**63 - 1


def find_mirrors(root: str) -> "Tuple[List[str], List[OSError]]":
    """The mirrors below a folder, in order of their names, and why some folders could not be searched.

    Whatever has a mirror's name is found, also what cannot be one. Links are not followed.
    """
    found: List[str] = []
    failures: List[OSError] = []
    folders = [root]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.name == FILE_NAME:
                        found.append(entry.path)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
        except OSError as error:
            failures.append(error)
    return sorted(found), failures


def read_ledger(files: OwnedFiles, mirror_path: str) -> Ledger:
    """Raises OSError for a ledger that is there and cannot be read: what Lens has is not known then."""
    try:
        descriptor = files.open(path_of_ledger(mirror_path), os.O_RDONLY)
    except FileNotFoundError:
        return Ledger()
    with os.fdopen(descriptor, "rb") as file:
        return Ledger(file)


def is_being_written(files: OwnedFiles, mirror_path: str) -> bool:
    """Whether a process still holds its lock on the ledger; False where locks are not supported."""
    try:
        descriptor = files.open(path_of_ledger(mirror_path), os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)


class Mirror:
    """One mirror file and what of it is missing in Lens."""

    def __init__(self, path: str, file: BinaryIO, files: OwnedFiles) -> None:
        self.path = path
        self._file = file
        self.ledger = read_ledger(files, path)
        self.torn_lines = 0
        self.left_to_the_job = 0
        self._somebody_writes = is_being_written(files, path)

    def missing(self) -> Iterator[MetricsRecord]:
        """The calls of which Lens misses something, with just the metrics to send, in the order of the file.

        A name logged again in its step counts with its last value only: sending an older one would overwrite it.
        """
        self.torn_lines = self.left_to_the_job = 0
        names = SummaryNames()
        open_steps: Dict[WriterKey, List[MetricsRecord]] = {}
        for record in map(names.apply, self._records()):
            key = (record.run.writer, record.run.run_id)
            calls = open_steps.setdefault(key, [])
            if calls and calls[0].step != record.step:
                yield from self._missing_of_step(key, calls)
                calls.clear()
            calls.append(record)
        for key, calls in open_steps.items():
            yield from self._missing_of_step(key, calls)

    def _missing_of_step(self, key: WriterKey, calls: List[MetricsRecord]) -> Iterator[MetricsRecord]:
        seen: Dict[str, Number] = {}
        found = []
        for record in reversed(calls):
            last_values = {name: value for name, value in record.metrics.items() if name not in seen}
            seen.update(last_values)
            if not self.ledger.has(key, record.sequence):
                if self._lives(key):
                    self.left_to_the_job += 1
                else:
                    found.append(record._replace(metrics=last_values))
        yield from reversed(found)

    def _lives(self, key: WriterKey) -> bool:
        """Whether the process that wrote this still runs: then it delivers by itself, perhaps in this moment.

        Of a process on another host only the lock on the ledger tells, which may be held by its successor.
        """
        introduction = self.ledger.introductions.get(key)
        if not self._somebody_writes or introduction is None:
            return False
        return introduction.host != socket.gethostname() or is_running(introduction.pid)

    def _records(self) -> Iterator[MetricsRecord]:
        self._file.seek(0)
        for line in read_objects(self._file):
            record = self._to_record(line) if line is not None else None
            if record is None:
                self.torn_lines += 1
            elif record.step is not None and record.metrics:
                yield record

    def _to_record(self, line: Dict[str, Any]) -> Optional[MetricsRecord]:
        """The call that a line notes; None for what the exporter did not write, and Lens would not take."""
        get: Callable[[str], Any] = line.get
        writer, run_id, sequence = get("writer"), get("run_id"), get("sequence")
        step, timestamp, data = get("step"), get("timestamp"), get("data")
        if not (is_id(writer) and is_id(run_id) and is_count(sequence) and isinstance(data, dict)):
            return None
        if type(timestamp) not in (int, float) or not 0 <= timestamp < _END_OF_TIME_S:
            return None
        if step is not None and not (type(step) is int and abs(step) <= _LARGEST_STEP):
            return None
        introduction = self.ledger.introductions.get((writer, run_id))
        identity = introduction.identity if introduction else Identity()
        # Names are flat in the mirror: an object in it describes what is no number.
        values = {name: value for name, value in data.items() if name != MARKER and not isinstance(value, dict)}
        metrics, _ = convert(values)
        run = Run(run_id=run_id, identity=identity, place=Place(), writer=writer)
        kind = SUMMARY if line.get("summary") is True else UNCOUNTED if line.get("counted_by") == "wandb" else ""
        return MetricsRecord(run, sequence, step, float(timestamp), metrics, values, kind)
