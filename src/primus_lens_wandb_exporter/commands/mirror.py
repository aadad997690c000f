"""Reads a mirror and its ledger: which logged metrics has Lens not acknowledged?"""

import bisect
import fcntl
import json
import os
import socket
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from ..identity import Identity, Place
from ..records import MetricsRecord, Number, Run, convert
from ..sinks.delivery_ledger import merge_ranges, path_of_ledger
from ..sinks.jsonl import FILE_NAME, MARKER

WriterKey = Tuple[str, str]


def find_mirrors(path: str) -> List[str]:
    """The mirror files at or below a path, in order of their names."""
    if os.path.isfile(path):
        return [path]
    found = []
    for directory, _, names in os.walk(path):
        if FILE_NAME in names:
            found.append(os.path.join(directory, FILE_NAME))
    return sorted(found)


class Introduction(NamedTuple):
    """Who a run was, by the process that wrote it."""

    identity: Identity
    base_url: str
    host: str = ""
    pid: int = 0


class Ledger:
    """What the ledger of a mirror says."""

    def __init__(self, mirror_path: str) -> None:
        self.introductions: Dict[WriterKey, Introduction] = {}
        self._ranges: Dict[WriterKey, List[List[int]]] = {}
        acknowledged: Dict[WriterKey, List[List[int]]] = {}
        for line in _read_lines(path_of_ledger(mirror_path)):
            key = (str(line.get("writer")), str(line.get("run_id")))
            if "acknowledged" in line:
                acknowledged.setdefault(key, []).extend(line["acknowledged"])
            elif "identity" in line:
                known = {name: line["identity"].get(name, "") for name in Identity._fields}
                self.introductions[key] = Introduction(
                    Identity(**known), line.get("base_url", ""), line.get("host", ""), line.get("pid", 0)
                )
        for key, ranges in acknowledged.items():
            self._ranges[key] = merge_ranges(ranges)

    def has(self, key: WriterKey, sequence: int) -> bool:
        """Whether Lens has acknowledged a call."""
        ranges = self._ranges.get(key, [])
        index = bisect.bisect_right(ranges, [sequence, float("inf")]) - 1
        return index >= 0 and ranges[index][0] <= sequence <= ranges[index][1]


def is_being_written(mirror_path: str) -> bool:
    """Whether a process still holds its lock on the ledger; False where locks are not supported."""
    try:
        descriptor = os.open(path_of_ledger(mirror_path), os.O_RDWR | os.O_CLOEXEC)
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


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return pid > 0


class Mirror:
    """One mirror file and what of it is missing in Lens."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.ledger = Ledger(path)
        self.torn_lines = 0
        self.left_to_the_job = 0
        self._somebody_writes = is_being_written(path)

    def missing(self) -> Iterator[MetricsRecord]:
        """The calls of which Lens misses something, with just the metrics to send, in the order of the file.

        A name logged again in its step counts with its last value only: sending an older one would overwrite it.
        """
        open_steps: Dict[WriterKey, List[MetricsRecord]] = {}
        for record in self._records():
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
        return introduction.host != socket.gethostname() or _is_running(introduction.pid)

    def _records(self) -> Iterator[MetricsRecord]:
        for line in _read_lines(self.path, self):
            record = self._to_record(line)
            if record is None:
                self.torn_lines += 1
            elif record.step is not None and record.metrics:
                yield record

    def _to_record(self, line: Dict[str, Any]) -> Optional[MetricsRecord]:
        try:
            data = {name: value for name, value in line["data"].items() if name != MARKER}
            key = (str(line["writer"]), str(line["run_id"]))
            introduction = self.ledger.introductions.get(key)
            identity = introduction.identity if introduction else Identity()
            run = Run(run_id=key[1], identity=identity, place=Place(), writer=key[0])
            metrics, _ = convert(data)
            step = None if line["step"] is None else int(line["step"])
            return MetricsRecord(run, int(line["sequence"]), step, float(line["timestamp"]), metrics, data)
        except (KeyError, TypeError, ValueError, AttributeError):
            return None


def _read_lines(path: str, mirror: Optional[Mirror] = None) -> Iterator[Dict[str, Any]]:
    """The JSON objects of a file, line by line; half lines of killed processes are counted and passed over."""
    if not os.path.exists(path):
        return
    with open(path, "rb") as file:
        for raw in file:
            if not raw.strip():
                continue
            try:
                line = json.loads(raw.decode("utf-8"))
                if not raw.endswith(b"\n") or not isinstance(line, dict):
                    raise ValueError
            except ValueError:
                if mirror is not None:
                    mirror.torn_lines += 1
                continue
            yield line
