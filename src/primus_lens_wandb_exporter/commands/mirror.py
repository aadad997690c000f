"""Reads a mirror: which of the logged values has a destination not acknowledged?"""

import os
import re
from typing import Any, BinaryIO, Callable, Dict, Iterable, Iterator, List, Optional

from ..identity import Identity, Place
from ..owned_files import OwnedFiles
from ..records import END_OF_TIME_S, SUMMARY, UNCOUNTED, MetricsRecord, Run, convert
from ..sinks.delivery_ledger import DeliveryLedger, path_of_ledger
from ..sinks.jsonl import MARKER
from ..sinks.request import Request
from ..summary_names import SummaryNames
from .destination import LENS_DESTINATION, Destination
from .json_lines import is_count, is_id, read_objects
from .known_runs import FileKey, KnownRuns, folder_of
from .ledger import Introduction, Ledger, WriterKey
from .report import Report
from .source import last_values
from .writer_lock import look_at_lock

# Where the ledgers of older versions do not tell the place of a run.
_PLACE_IN_PATH = re.compile(r"node_(\d{1,9})/rank_(\d{1,9})/[^/]*\Z")
# What 64 bits can hold. Lens itself stores less, which is no reason to call a line torn.
_LARGEST_STEP = 2**63 - 1


def read_ledger(files: OwnedFiles, path: str) -> Ledger:
    """The ledger of a mirror or of wandb's own file.

    Raises OSError for a ledger that is there and cannot be read: what its destinations have is not known then."""
    try:
        descriptor = files.open(path_of_ledger(path), os.O_RDONLY)
    except FileNotFoundError:
        return Ledger()
    with os.fdopen(descriptor, "rb") as file:
        return Ledger(file)


class Mirror:
    """One mirror file and what of it a destination lacks."""

    def __init__(
        self,
        path: str,
        file: BinaryIO,
        files: OwnedFiles,
        known: Optional[KnownRuns] = None,
        destination: Destination = LENS_DESTINATION,
    ) -> None:
        self.path = path
        self._destination = destination
        self._file = file
        self._known = known or KnownRuns()
        self.ledger = read_ledger(files, path)
        self.torn_lines = 0
        self.left_to_the_job = 0
        self.is_complete = True
        self._uncounted: Dict[str, int] = {}
        self._runs: Dict[WriterKey, Run] = {}
        self._lock = look_at_lock(files, path)

    def missing(self) -> Iterator[MetricsRecord]:
        """The calls of which the destination lacks something, with just the metrics to send, in the order of the file.

        Where a step has one value, a name logged again counts with its last one: an older one would overwrite it.
        """
        self.torn_lines = self.left_to_the_job = 0
        self._uncounted.clear()
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
        self._introduce_to_files()

    def _missing_of_step(self, key: WriterKey, calls: List[MetricsRecord]) -> Iterator[MetricsRecord]:
        file_key = self._file_key(key) if self._known.wants(key[1]) else None
        for record in last_values(calls) if self._destination.has_one_value_a_step else calls:
            if file_key is not None:
                self._known.note_call(file_key, record)
            if self.ledger.has(key, record.sequence, self._destination.name):
                continue
            if self.lives(key):
                self.left_to_the_job += 1
                continue
            if file_key is not None:
                record = self._known.without_delivered(file_key, record)
            if record.metrics:
                yield record

    def _introduce_to_files(self) -> None:
        """Tells the files of its runs who the runs are, and what of theirs the job has delivered or goes on to."""
        for key, introduction in self.ledger.introductions.items():
            if self._known.wants(key[1]):
                found = self._known.mirrored(self._file_key(key))
                found.introductions.append(introduction)
                found.is_left_to_the_job = found.is_left_to_the_job or self.lives(key)
                if self.ledger not in found.ledgers:
                    found.ledgers.append(self.ledger)

    def _file_key(self, key: WriterKey) -> FileKey:
        introduction = self.ledger.introductions.get(key)
        return key[1], folder_of(introduction.wandb_file) if introduction else ""

    def lives(self, key: WriterKey) -> bool:
        """Whether the process that wrote this still runs: then it delivers by itself, perhaps in this moment.

        Of a process that cannot be seen from here only the lock on the ledger tells, which may be held by its
        successor.
        """
        introduction = self.ledger.introductions.get(key)
        if introduction is None:
            return False
        return self._lock.is_held_for(introduction.host, introduction.pid)

    def share_read(self) -> float:
        return self._file.tell() / (os.fstat(self._file.fileno()).st_size or 1)

    def untold_run(self) -> Optional[Run]:
        """Its process has told of it."""
        return None

    def detection(self, run: Run) -> Dict[str, Any]:
        raise NotImplementedError

    def note(self, ledger: DeliveryLedger, request: Request) -> None:
        ledger.note(self.path, request.run, request.sequences, self._destination.name)

    def address_of(self, run: Run) -> str:
        introduction = self.ledger.introductions.get((run.writer, run.run_id))
        return introduction.base_url if introduction else ""

    def addresses(self) -> Iterable[str]:
        return (who.base_url for who in self.ledger.introductions.values())

    def announce(self, report: Report, workload_uid: Optional[str]) -> None:
        """Who its runs are stands in its ledger, and the user who wants another workload has said so."""

    def say_passed_over(self, report: Report) -> None:
        if self.torn_lines:
            report.warning(
                "%d torn or unreadable line(s) skipped: a killed process or a full disk left them" % self.torn_lines
            )
        for run_id, path in self._known.gone.items():
            if run_id in self._uncounted:
                report.note(
                    "%d call(s) of run %s have their steps in %s alone, which is gone"
                    % (self._uncounted[run_id], run_id, path)
                )
        if self.left_to_the_job:
            report.left_to_the_job(
                "the job still runs and delivers by itself: %d call(s) are left to it" % self.left_to_the_job
            )

    def _records(self) -> Iterator[MetricsRecord]:
        self._file.seek(0)
        for line in read_objects(self._file):
            record = self._to_record(line) if line is not None else None
            if record is None:
                self.torn_lines += 1
            elif record.kind == UNCOUNTED:
                self._uncounted[record.run.run_id] = self._uncounted.get(record.run.run_id, 0) + 1
            elif record.step is not None and record.metrics:
                yield record

    def _to_record(self, line: Dict[str, Any]) -> Optional[MetricsRecord]:
        """The call that a line notes; None for what the exporter did not write, and nobody would take."""
        get: Callable[[str], Any] = line.get
        writer, run_id, sequence = get("writer"), get("run_id"), get("sequence")
        step, timestamp, data = get("step"), get("timestamp"), get("data")
        if not (is_id(writer) and is_id(run_id) and is_count(sequence) and isinstance(data, dict)):
            return None
        if type(timestamp) not in (int, float) or not 0 <= timestamp < END_OF_TIME_S:
            return None
        if step is not None and not (type(step) is int and abs(step) <= _LARGEST_STEP):
            return None
        # Names are flat in the mirror: an object in it describes what is no number.
        values = {name: value for name, value in data.items() if name != MARKER and not isinstance(value, dict)}
        metrics = self._destination.values_of(convert(values)[0], values)
        run = self._run((writer, run_id))
        kind = SUMMARY if line.get("summary") is True else UNCOUNTED if line.get("counted_by") == "wandb" else ""
        return MetricsRecord(run, sequence, step, float(timestamp), metrics, values, kind)

    def _run(self, key: WriterKey) -> Run:
        """With all that the introduction tells, so that what is delivered now joins what was delivered live."""
        run = self._runs.get(key)
        if run is None:
            who = self.ledger.introductions.get(key) or Introduction(Identity(), "")
            place = who.place or place_of_path(self.path)
            run = self._runs[key] = Run(key[1], who.identity, place, key[0], "", who.project, who.name)
        return run


def place_of_path(path: str) -> Place:
    """The place that the folders of a mirror tell."""
    found = _PLACE_IN_PATH.search(path)
    return Place(node_rank=int(found.group(1)), local_rank=int(found.group(2))) if found else Place()
