"""What the exporter remembers of one wandb run in one process: its step, its route, what was said of its framework."""

import os
import threading
from typing import Any, Dict, Optional, Tuple

from . import diagnostics, runtime, shared_flag
from .file_follower import FollowedRun
from .processes import is_running
from .records import MetricsRecord, Number
from .run_detection import NEVER, RunDetection
from .sinks.lens_api import LensSink
from .steps import StepCounter

# How long a thread waits while no other one's call of wandb's log ends. That call may take long (a large table), or
# wait for this very thread: then the order of the calls is wandb's secret.
_LONGEST_TURN_S = 0.2


class RunTracker:
    """One run, from `wandb.init` (or its first log call) to its end."""

    __slots__ = (
        "_detection",
        "_names",
        "_owner",
        "_wandb_file",
        "counter",
        "exporter",
        "followed",
        "generation",
        "has_sent",
        "has_step_metrics",
        "is_counted",
        "is_in_call",
        "is_owner",
        "lock",
        "look_again_at",
        "others_log",
        "route",
        "run",
        "sampler",
        "sent_summary",
        "turns",
        "unsendable",
    )

    def __init__(
        self,
        run_id: str,
        current_step: int,
        generation: int,
        wandb_file: str = "",
        owner: Optional[int] = None,
        names: Tuple[str, str] = ("", ""),
    ) -> None:
        self.counter = StepCounter(current_step)
        self._detection: Optional[RunDetection] = None
        self.look_again_at = NEVER
        self._wandb_file = wandb_file
        self._names = names
        # The process that began the run, 0 where that is not known. It delivers what only wandb's own file tells.
        self._owner = os.getpid() if owner is None else owner
        self.is_owner = True
        # Whether Python knows the step of each call.
        self.is_counted = True
        # Raised once a child of the run's process logs to the run.
        is_attached = self._owner != os.getpid()
        self.others_log = shared_flag.find_flag(run_id) if is_attached else shared_flag.make_flag(run_id)
        self.sent_summary: Dict[str, Number] = {}
        # Whether Lens was given anything, and how many values were logged that it cannot take.
        self.has_sent = False
        # How many calls were counted.
        self.turns = 0
        self.unsendable = 0
        self.enter_process(run_id, generation, begun_here=not is_attached)
        if is_attached:
            self.join_as_child()

    def enter_process(self, run_id: str, generation: int, begun_here: bool = False) -> None:
        """At the start, and in the child of a fork: the same step, but another writer and empty queues."""
        self.exporter, self.run, self.sampler = runtime.start_run(run_id, self._wandb_file, begun_here, self._names)
        self.route = self.exporter.route(self.run, begun_here)
        # wandb's call and the count are one, so that threads are counted in the order in which wandb gets their calls.
        # Re-entrant: a signal handler or a finaliser may log in the middle of a call.
        self.lock = threading.RLock()
        self.is_in_call = False
        self.generation = generation
        self.followed = FollowedRun(self.run, self._export_row, self.exporter.is_busy)
        self.has_step_metrics = False

    def join_as_child(self) -> None:
        """This process logs to a run that another one began: only wandb's service counts for both.

        Of a run whose process has ended a child is the heir: training that became a daemon goes on as it was.
        """
        if self._owner_has_ended() and not self.others_log[shared_flag.HAS_HEIR]:
            self.others_log[shared_flag.HAS_HEIR] = 1
            self._owner = os.getpid()
            return
        self.is_owner = self.is_counted = False
        self.others_log[shared_flag.OTHERS_LOG] = 1

    def _owner_has_ended(self) -> bool:
        return self._owner > 0 and not is_running(self._owner)

    def take_turn(self) -> bool:
        """Waits for the calls of other threads; whether they ended. If not, nobody knows the order: counting ends."""
        turns = self.turns
        while not self.lock.acquire(timeout=_LONGEST_TURN_S):
            if turns == self.turns:
                self.stop_counting()
                return False
            turns = self.turns
        return True

    def stop_counting(self, calls_in_doubt: int = 0, jump_in_doubt: bool = False) -> None:
        """From here on wandb's service alone knows the steps: the rows are delivered from wandb's own file.

        ``jump_in_doubt`` says that wandb may take back the step that a call gave to the row which is open. Raises
        nothing: an exception of the job's own may be on its way.
        """
        if not self.is_counted:
            return
        self.is_counted = False
        try:
            if self.is_owner:
                first_step = self.counter.before_jump if jump_in_doubt else self.counter.current
                self.followed.deliver_rows_from(first_step - calls_in_doubt)
            diagnostics.debug("steps of run %s are counted by wandb alone: its own file is read", self.run.run_id)
        except Exception as error:
            diagnostics.report_failure("reading wandb's own file", error)

    def stop_counting_after_calls(self) -> None:
        """As `stop_counting`, once the calls of other threads have ended."""
        if self.is_counted and self.take_turn():
            self.stop_counting(jump_in_doubt=True)
            self.lock.release()

    def expect_step_metric(self, name: str) -> None:
        """wandb may add values of this name to rows by itself."""
        if self.is_owner:
            self.followed.expect_step_metric(name, self.counter.current)
            self.has_step_metrics = True

    def expect_computed_summary(self) -> None:
        """wandb computes values of the summary by itself."""
        if self.is_owner:
            self.followed.expect_computed_summary()

    def _export_row(self, record: MetricsRecord) -> None:
        self.exporter.export(record, self.route)

    def read_file(self, may_wait: bool = False) -> bool:
        """When wandb has finished the run: delivers what only its own file tells; whether it was read at once.

        What the file merely adds to a counted run ``may_wait``: it is read on a thread, and at exit.
        """
        if not self.is_owner and self._owner_has_ended():
            self.is_owner = True
            self.followed.deliver_rows_from(self.counter.current)
        if self.is_owner and self.others_log[shared_flag.OTHERS_LOG]:
            self.stop_counting()
        followed = self.followed
        if not followed.is_needed:
            return False
        followed.end(self.sent_summary, self.counter.current if self.is_counted else None)
        if may_wait and self.is_counted:
            return False
        self.exporter.budget.spend_on(followed.read_to_end)
        self.has_sent = self.has_sent or followed.has_delivered
        self.unsendable += followed.unsendable
        return True

    def latest_sample(self) -> Dict[str, float]:
        """The newest system metrics; empty when there are none. Not to be changed."""
        sampler = self.sampler  # another thread may end the run meanwhile
        return sampler.latest() if sampler is not None else _NO_SAMPLE

    def report_detection(self, wandb_run: Any) -> None:
        """Queues what the run uses, unless the process that began it does; the training thread only copies facts."""
        if self.is_owner:
            self._detection = RunDetection(self.run, lambda record: self.exporter.export(record, self.route))
            self.look_again_at = self._detection.begin(wandb_run)

    def look_again(self, wandb_run: Any, run_ends: bool = False) -> None:
        """Looks whether there is more to tell of what the run uses."""
        if self._detection is not None and self.look_again_at != NEVER:
            self.look_again_at = self._detection.look(wandb_run, self.turns, run_ends)

    def look_at_exit(self) -> None:
        """As `look_again`, for a run that nobody has finished."""
        if self._detection is not None and self.look_again_at != NEVER:
            self._detection.look_at_exit()

    def take_over_detection(self, wandb_run: Any) -> None:
        """In the child of a fork: its parent tells of the run; the heir of one that has ended tells what it did not."""
        if not self.is_owner:
            self._detection = None
            self.look_again_at = NEVER
        elif self._detection is None or not self._detection.is_told:
            self.report_detection(wandb_run)

    def say_if_nothing_was_sent(self) -> None:
        """A person who looks for the run in Lens learns why it is not there."""
        if self.unsendable and not self.has_sent and self.exporter.delivers(self.run, LensSink.name):
            diagnostics.warn_once(
                ("nothing sent", self.run.run_id),
                "run %s is not in Lens: none of the %d values that were logged is a finite number. Text, media and "
                "tables stay with wandb",
                self.run.run_id,
                self.unsendable,
            )

    def end(self) -> None:
        """The run is over: it needs no system metrics any more, and no child. Calling it again changes nothing."""
        # Its descriptor would be open until the garbage collector comes by, which some jobs switch off.
        self.others_log = bytearray(self.others_log[:])
        sampler, self.sampler = self.sampler, None
        if sampler is not None:
            sampler.stop()


_NO_SAMPLE: Dict[str, float] = {}
