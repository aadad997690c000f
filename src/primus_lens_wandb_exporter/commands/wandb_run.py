"""Wandb's own file of a run as a source: what of it a destination has neither from here nor from a mirror.

What was sent is noted in ``<file>.wandb.delivery`` as it is for a mirror, with the file's folder as the writer.
"""

import os
import time
from typing import Any, BinaryIO, Dict, Iterable, Iterator, List, NamedTuple, Optional

from ..detection.recorded import RecordedRun, build_recorded_detection
from ..identity import Identity, Place, read_identity
from ..owned_files import OwnedFiles
from ..records import END_OF_TIME_S, SUMMARY, MetricsRecord, Number, Run
from ..sinks.delivery_ledger import LENS, DeliveryLedger
from ..sinks.request import Request
from ..sources.run_rows import SUMMARY_SEQUENCE, RunRows
from ..summary_names import PREFIX
from .destination import LENS_DESTINATION, Destination
from .json_lines import is_id
from .known_runs import KnownRuns, MirroredRun, folder_of
from .ledger import Introduction
from .mirror import read_ledger
from .report import Report
from .source import DETECTION_SEQUENCE, last_values
from .steps_by_name import StepsByName

SUFFIX = ".wandb"
# For what has a name that Lens cannot store.
_NAMELESS = "unnamed"
# A file that was not touched for so long is not being written, or its process has long nothing to say.
SILENCE_S = 60.0
# Numbers that no row of a file has. A row of which the mirror delivers a part has the rest acknowledged under its own
# number plus the first of these.
_PART = 1 << 61


class Who(NamedTuple):
    """To whom a run belongs, and who says so. ``introduction`` is what is known of it beside, None where nothing is."""

    identity: Identity
    said_by: str
    introduction: Optional[Introduction] = None


class WandbRun:
    """One ``.wandb`` file. ``newer`` holds the values of later files of the same run, and takes those of this one;
    it is None where there is one file only. Of several files the newest alone delivers summary and detection."""

    def __init__(
        self,
        path: str,
        file: BinaryIO,
        files: OwnedFiles,
        known: KnownRuns,
        newer: Optional[StepsByName] = None,
        is_newest: bool = True,
        destination: Destination = LENS_DESTINATION,
    ) -> None:
        self.path = path
        self._destination = destination
        self._file = file
        self._known = known
        self._newer = newer
        self._is_newest = is_newest
        self._size, self._modified = os.fstat(file.fileno()).st_size, os.fstat(file.fileno()).st_mtime
        self._is_silent = not 0 <= time.time() - self._modified < SILENCE_S
        self.ledger = read_ledger(files, path)
        self.writer = writer_of(path)
        self._is_introduced = False
        self._start_reading()

    def _start_reading(self) -> None:
        self._file.seek(0)
        self._rows = RunRows(self._file, self._destination.values_of)
        self._key = ("", "")
        self._mirrored: List[MirroredRun] = []
        self._own = StepsByName()
        self.left_to_the_job = 0
        self._run: Optional[Run] = None
        self._summary_waits = False

    @property
    def is_complete(self) -> bool:
        return not self.left_to_the_job and (self._rows.has_ended or self._is_silent)

    def missing(self) -> Iterator[MetricsRecord]:
        self._start_reading()
        calls: List[MetricsRecord] = []
        for row in self._rows.read(is_complete=self._is_silent):
            run = self._run or self._take_up_run()
            if calls and calls[0].step != row.step:
                yield from self._missing_of_step(calls)
                calls = []
            calls.append(
                MetricsRecord(run, row.sequence, row.step, self._time(row.timestamp), row.metrics, row.metrics)
            )
        if calls:
            yield from self._missing_of_step(calls)
        yield from self._missing_summary(self._run or self._take_up_run())
        if self._newer is not None:
            self._newer.update(self._own)

    def _take_up_run(self) -> Run:
        """Who the run is stands before its first row."""
        run_id = self._rows.start.run_id
        if not is_id(run_id):
            # The record of the run is lost, but the file has its name from it.
            run_id = run_id_of(self.path)
        self._key = (self.writer, run_id)
        self._mirrored = self._known.mirrored_of_file((run_id, self.writer))
        who = self._who(run_id)
        place, project, name = Place(), self._rows.start.project, self._rows.start.name
        if who.introduction is not None and who.introduction.place is not None:
            place, project, name = who.introduction.place, who.introduction.project, who.introduction.name
        self._run = Run(run_id, who.identity, place, self.writer, "", project, name)
        return self._run

    def _who(self, run_id: str) -> Who:
        mirrored = self._known.introduction_of((run_id, self.writer))
        if mirrored is not None and (mirrored.identity.is_known or not self._destination.needs_workload):
            return Who(mirrored.identity, "its mirror", mirrored)
        earlier = self.ledger.introductions.get((self.writer, run_id))
        if earlier is not None and earlier.identity.is_known:
            return Who(earlier.identity, "an earlier sync", earlier)
        identity = read_identity()
        if identity.is_known:
            return Who(identity, "the environment", mirrored)
        # Lens stores nothing without a workload.
        return Who(Identity(workload_uid=run_id) if self._destination.needs_workload else Identity(), "", mirrored)

    def _missing_of_step(self, calls: List[MetricsRecord]) -> Iterator[MetricsRecord]:
        for record in last_values(calls) if self._destination.has_one_value_a_step else calls:
            step, metrics = record.step, record.metrics
            assert step is not None
            if self._newer is not None:
                self._own.add(step, metrics)
                metrics = self._newer.without(step, metrics)
            if self._has(record.sequence):
                continue
            for mirrored in self._mirrored:
                metrics = mirrored.steps.without(step, metrics)
            if not metrics:
                continue
            if self._is_left_to_the_job():
                self.left_to_the_job += 1
                continue
            if len(metrics) < len(record.metrics):
                record = record._replace(metrics=metrics, sequence=_PART + record.sequence)
                if self._has(record.sequence):
                    continue
            yield record

    def _missing_summary(self, run: Run) -> Iterator[MetricsRecord]:
        sequence = SUMMARY_SEQUENCE + self._rows.next_sequence
        if not self._is_newest or self._is_left_to_the_job() or self._has(sequence):
            return
        metrics = {}
        for name, value in self._rows.summary().items():
            shown = PREFIX + name if self._is_logged(name) else name
            if not self._mirror_has_summary(shown, value):
                metrics[shown] = value
        if not metrics:
            return
        if not self.is_complete:
            self._summary_waits = True
            return
        step = self._rows.newest_step
        if step is None:
            step = max(0, self._rows.start.starting_step)
        yield MetricsRecord(run, sequence, step, self._time(self._rows.newest_timestamp), metrics, metrics, SUMMARY)

    def _is_logged(self, name: str) -> bool:
        return self._rows.has_logged(name) or any(mirrored.steps.has_name(name) for mirrored in self._mirrored)

    def _mirror_has_summary(self, name: str, value: Number) -> bool:
        for mirrored in self._mirrored:
            found = mirrored.summary.get(name)
            # The file of a process that was killed may hold an older value than the mirror.
            if found is not None and (found == value or not self._rows.has_ended):
                return True
        return False

    def _is_left_to_the_job(self) -> bool:
        return any(mirrored.is_left_to_the_job for mirrored in self._mirrored)

    def _has(self, sequence: int) -> bool:
        """Whether the destination has acknowledged it, to an earlier sync or to the job."""
        ledgers = [self.ledger, *(ledger for mirrored in self._mirrored for ledger in mirrored.ledgers)]
        return any(ledger.has(self._key, sequence, self._destination.name) for ledger in ledgers)

    def _time(self, timestamp: float) -> float:
        return timestamp if 0 < timestamp < END_OF_TIME_S else max(0.0, self._modified)

    def note_delivered(self) -> None:
        """Tells the mirrors of the run what an earlier sync delivered from here."""
        self._start_reading()
        for row in self._rows.read(is_complete=self._is_silent):
            run = self._run or self._take_up_run()
            if self.ledger.has(self._key, row.sequence, self._destination.name):
                self._known.delivered((run.run_id, self.writer)).add(row.step, row.metrics)

    def note(self, ledger: DeliveryLedger, request: Request) -> None:
        """With who the run is, so that the rest of it goes to the same workload."""
        if self._key not in self.ledger.introductions and not self._is_introduced:
            self._is_introduced = True
            ledger.introduce(self.path, request.run)
        ledger.note(self.path, request.run, request.sequences, self._destination.name)

    def share_read(self) -> float:
        return self._file.tell() / (self._size or 1)

    def untold_run(self) -> Optional[Run]:
        """One of which no process with the exporter has told, as soon as the file tells no more of it."""
        if self._is_told_of() or not self._is_newest or not self.is_complete or self._has(DETECTION_SEQUENCE):
            return None
        # A job that loads its data has a file before it has a mirror.
        return self._run if self._rows.has_ended or self._rows.newest_step is not None else None

    def _is_told_of(self) -> bool:
        """Whether a job has told of the run: Lens always, another destination only where it also had metrics there."""
        if self._destination.name == LENS:
            return any(mirrored.introductions for mirrored in self._mirrored)
        ledgers = (ledger for mirrored in self._mirrored for ledger in mirrored.ledgers)
        return any(ledger.has_acknowledged_run(self._key[1], self._destination.name) for ledger in ledgers)

    def detection(self, run: Run) -> Dict[str, Any]:
        start, telemetry = self._rows.start, self._rows.telemetry
        found = RecordedRun(
            run.run_id,
            start.project,
            start.name,
            list(start.tags),
            self._rows.config,
            telemetry.imports,
            telemetry.python_version,
        )
        return build_recorded_detection(found, run.identity, self._time(start.start_time))

    def address_of(self, run: Run) -> str:
        return next(iter(self.addresses()), "")

    def addresses(self) -> Iterable[str]:
        return (who.base_url for mirrored in self._mirrored for who in mirrored.introductions)

    def announce(self, report: Report, workload_uid: Optional[str]) -> None:
        who = self._who(self._key[1])
        if workload_uid:
            report.good("workload: %s (--workload-uid)" % workload_uid)
        elif who.said_by and who.identity.is_known:
            name = who.identity.workload_uid or "that of pod " + who.identity.pod_name
            report.good("workload: %s (%s)" % (name, who.said_by))
        elif self._destination.needs_workload:
            report.warning(
                "workload: %s, the run's own id, because neither --workload-uid nor WORKLOAD_UID names one"
                % who.identity.workload_uid
            )

    def say_passed_over(self, report: Report) -> None:
        if self._rows.damaged:
            report.warning(
                "%d damaged record(s) skipped: a killed process or a full disk left them" % self._rows.damaged
            )
        if self._rows.unnumbered:
            report.note(
                "%d row(s) have no step in this file, as wandb's server numbers those of a shared run: they count as "
                "they stand here" % self._rows.unnumbered
            )
        if self.left_to_the_job:
            report.left_to_the_job(
                "the job still runs and delivers by itself: %d row(s) are left to it" % self.left_to_the_job
            )
        if self._summary_waits:
            report.note("the file is still being written: the run's summary comes with a later sync")


def writer_of(path: str) -> str:
    """The name by which mirrors and ledgers know the file: its folder's, also where a link led here."""
    name = folder_of(os.path.realpath(path))
    return name if is_id(name) else _NAMELESS


def run_id_of(path: str) -> str:
    """The run's id as the file's name has it."""
    name = os.path.basename(path)[: -len(SUFFIX)]
    name = name[len("run-") :] if name.startswith("run-") else name
    return name if is_id(name) else _NAMELESS
