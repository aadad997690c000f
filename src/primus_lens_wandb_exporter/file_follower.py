"""Delivers from wandb's own file what only wandb's service knows: the rows of runs that Python cannot count, the values
that wandb adds to rows, and the summary that it computes.

A thread reads on every few seconds while the run goes; what is left is read when the run ends. The file is the buffer:
while the sinks have enough to do, and during an outage, reading waits.
"""

import os
import shlex
import stat
import threading
import time
from typing import Any, BinaryIO, Callable, Dict, Optional, Set, Tuple

from . import diagnostics
from .records import SUMMARY, MetricsRecord, Number, Run
from .sources.run_rows import SUMMARY_SEQUENCE, Row, RunRows
from .step_set import StepSet

_INTERVAL_S = 3.0
# Between two such groups of rows the reading thread lets training run.
_ROWS_AT_A_TIME = 32
_YIELD_S = 0.001
_WAIT_FOR_SINKS_S = 0.05
_LONGEST_WAIT_FOR_EXIT_S = 2.0
_LOOK_AGAIN_S = 0.01


class FollowedRun:
    """What is to be delivered from the file of one run.

    ``export`` takes a record; ``sinks_are_busy`` tells that they have enough to do for now.
    """

    def __init__(self, run: Run, export: Callable[[MetricsRecord], None], sinks_are_busy: Callable[[], bool]) -> None:
        self.run = run._replace(writer=os.path.basename(os.path.dirname(run.wandb_file)))
        self._export = export
        self._sinks_are_busy = sinks_are_busy
        self._lock = threading.Lock()
        self._file: Optional[BinaryIO] = None
        self._rows: Optional[RunRows] = None
        # Names of which wandb may add values by itself.
        self.step_metrics: Dict[str, _StepMetric] = {}
        # From this step on whole rows are to be delivered, and are.
        self._wanted_from: Optional[int] = None
        self._delivered_from: Optional[int] = None
        # What was read before that began is not delivered again.
        self._first_new_row = 0
        self._has_ended = False
        # Once wandb has finished the run: what of its summary was delivered already, and the step of the rest.
        self._at_end: Optional[Tuple[Dict[str, Number], Optional[int]]] = None
        self._needs_summary = False
        self.is_needed = False
        self.has_delivered = False
        # Values in rows that hold no finite number.
        self.unsendable = 0
        self.trouble = ""

    def expect_step_metric(self, name: str, step: int) -> None:
        """wandb may add the value of ``name`` to rows from ``step`` on, where a call did not bring it.

        The file need not be read before there is such a call: HF's Trainer and Lightning make none.
        """
        self.step_metrics.setdefault(name, _StepMetric(step))

    def expect_computed_summary(self) -> None:
        self._needs_summary = True
        self._start()

    def deliver_rows_from(self, step: int) -> None:
        """From this step on Python cannot count: whole rows are delivered. Never waits."""
        self._wanted_from = step
        self._needs_summary = True
        self._start()

    def _start(self) -> None:
        if not self.is_needed:
            self.is_needed = True
            follow(self)

    def note_call(self, step: int, names: "Dict[str, Any]") -> None:
        """A call brought these values by itself."""
        for name, step_metric in self.step_metrics.items():
            if name in names:
                step_metric.brought_by_calls.add(step)
            else:
                self._start()

    def end(self, sent_summary: Dict[str, Number], step: Optional[int]) -> None:
        """wandb has finished the run: the rest of the file may be read.

        ``sent_summary`` is what of the summary was delivered already; the rest goes to ``step``, or to the newest step
        of the file.
        """
        self._at_end = sent_summary, step

    @property
    def is_at_end(self) -> bool:
        return self._at_end is not None

    def read_on(self) -> None:
        """Delivers what has come since the last time. Never raises: a file that cannot be read is noted."""
        if self._at_end is not None:
            self.read_to_end(until=None)
        elif self._lock.acquire(False):
            try:
                if not self._has_ended:
                    self._read(is_complete=False, until=None)
            finally:
                self._lock.release()

    def read_to_end(self, until: Optional[float]) -> bool:
        """Delivers the rest of a run that has come to its `end`; whether that was all by the time ``until``.

        Says what could not be. Without a time nobody waits, and reading makes way for training.
        """
        if not self._lock.acquire(timeout=-1 if until is None else max(0.0, until - time.monotonic())):
            self._say_what_is_left()
            return False
        try:
            if self._has_ended:
                return True
            self._has_ended = True
            is_whole = self._read_until_exit(until) and self._read(is_complete=True, until=until)
            if is_whole and self._wanted_from is not None and self._rows is not None and not self._rows.has_ended:
                self.trouble = "wandb has not written the end of the run to its own file"
                self._say_what_is_left()
            if is_whole and self._needs_summary and self._at_end is not None:
                self._deliver_summary(*self._at_end)
            if not is_whole:
                self._say_what_is_left()
            return is_whole
        finally:
            # Not before: an exit in the middle of this waits for it.
            unfollow(self)
            self._close()
            self._lock.release()

    def _say_what_is_left(self) -> None:
        diagnostics.warn_once(
            ("wandb's own file", self.run.writer),
            "run %s: %s. Deliver the rest with: primus-lens-wandb sync %s",
            self.run.run_id,
            self.trouble or "wandb's own file holds more than could be delivered in time",
            shlex.quote(self.run.wandb_file) if self.run.wandb_file else "the run's folder",
        )

    def _read_until_exit(self, until: Optional[float]) -> bool:
        """`Run.finish` returns a moment before wandb's service has written the last rows and the note of the end."""
        give_up = time.monotonic() + _LONGEST_WAIT_FOR_EXIT_S
        give_up = give_up if until is None else min(until, give_up)
        while self._read(is_complete=False, until=until):
            assert self._rows is not None
            if self._rows.has_ended or time.monotonic() > give_up:
                return True
            time.sleep(_LOOK_AGAIN_S)
        return False

    def _read(self, is_complete: bool, until: Optional[float]) -> bool:
        if self._wanted_from != self._delivered_from:
            self._read_again_from(self._wanted_from)
        try:
            if self._rows is None:
                self._file = _open(self.run.wandb_file)
                self._rows = RunRows(self._file)
            for count, row in enumerate(self._rows.read(is_complete), 1):
                self._deliver(row)
                if count % _ROWS_AT_A_TIME == 0 and not self._make_way(until):
                    return False
        except Exception as error:  # whatever happened to the file: it is said, and the run ends as it would
            self.trouble = "%s: %s" % (self.run.wandb_file or "wandb does not tell where its own file is", error)
            return False
        self.trouble = ""
        return True

    def _read_again_from(self, step: Optional[int]) -> None:
        """Rows that were passed over may be among those that are to be delivered now."""
        self._delivered_from = step
        if self._rows is not None:
            self._first_new_row = self._rows.next_sequence
            self._close()

    def _make_way(self, until: Optional[float]) -> bool:
        """Lets training and the sinks work; whether there is time for more."""
        if until is None:
            time.sleep(_YIELD_S)
        while self._sinks_are_busy():
            if until is not None and time.monotonic() > until:
                return False
            time.sleep(_WAIT_FOR_SINKS_S)
        return until is None or time.monotonic() <= until

    def _deliver(self, row: Row) -> None:
        if self._delivered_from is not None and row.step >= self._delivered_from:
            metrics, data = row.metrics, row.data
        elif row.sequence < self._first_new_row:
            return
        else:
            added = {name for name, expected in self.step_metrics.items() if expected.may_be_added(row.step)}
            metrics = {name: row.metrics[name] for name in added.intersection(row.metrics)}
            data = metrics
        if data:
            self._export(MetricsRecord(self.run, row.sequence, row.step, row.timestamp, metrics, data))
            self.has_delivered = self.has_delivered or bool(metrics)
            self.unsendable += 0 if metrics else len(data)

    def _deliver_summary(self, sent: Dict[str, Number], step: Optional[int]) -> None:
        rows = self._rows
        assert rows is not None
        metrics = {name: value for name, value in rows.summary().items() if sent.get(name) != value}
        if metrics:
            step = rows.newest_step or 0 if step is None else step
            timestamp = rows.newest_timestamp or time.time()
            sequence = SUMMARY_SEQUENCE + rows.next_sequence
            self._export(MetricsRecord(self.run, sequence, step, timestamp, metrics, metrics, SUMMARY))
            self.has_delivered = True

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = self._rows = None


def _open(path: str) -> BinaryIO:
    """Without waiting for whoever writes to a pipe; without a buffer, of which a fork would leave a copy."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("it is no regular file")
    return open(descriptor, "rb", buffering=0)


class _StepMetric:
    """A metric that wandb adds to rows where a call did not bring it."""

    def __init__(self, first_step: int) -> None:
        self._first_step = first_step
        self.brought_by_calls = StepSet()

    def may_be_added(self, step: int) -> bool:
        return step >= self._first_step and step not in self.brought_by_calls


_followed: Set[FollowedRun] = set()
_has_started = threading.Lock()


def follow(run: FollowedRun) -> None:
    """Has a thread read on in the file of a run until `unfollow`."""
    _followed.add(run)
    if _has_started.acquire(False):
        try:
            threading.Thread(target=_follow_all, name="primus-lens-wandb-file", daemon=True).start()
        except RuntimeError:
            # The interpreter is shutting down: what is in the file is read when the run ends.
            return


def unfollow(run: FollowedRun) -> None:
    _followed.discard(run)


def read_all_to_end(until: float) -> bool:
    """At exit: what is left of runs that have ended; whether that was all by then. Others may go on: a child of
    multiprocessing comes here first."""
    is_whole = True
    for run in list(_followed):
        if run.is_at_end:
            is_whole = run.read_to_end(until) and is_whole
    return is_whole


def reset_after_fork() -> None:
    """In the child: the parent goes on reading its files."""
    global _has_started
    _followed.clear()
    _has_started = threading.Lock()


def _follow_all() -> None:
    while True:
        time.sleep(_INTERVAL_S)
        for run in list(_followed):
            try:
                run.read_on()
            except Exception as error:  # the thread must live as long as the job
                diagnostics.report_failure("reading wandb's own file", error)
