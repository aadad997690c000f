"""wandb's step rule, mirrored, because asking wandb (``run.step``) is a round trip that can stall for 30 s."""

import itertools
import operator
import threading
from typing import Any, Optional

# Held for a few instructions only, never around I/O. Re-entrant: a signal handler or a finaliser may log while the
# same thread counts. One for all runs, so that a fork has one lock to replace.
_lock = threading.RLock()


class StepCounter:
    """Counts the steps of one run as wandb does.

    A call without ``step`` belongs to the current step, and advances it unless ``commit=False``. A call with
    ``step`` makes that the current one, and advances it only with ``commit=True``. wandb drops a call whose step is
    older than the current one, whatever its ``commit``.
    """

    __slots__ = ("before_jump", "count")

    def __init__(self, starting_step: int = 0) -> None:
        # Its next is the step of a call without one. Advanced by one call into C: neither another thread nor a
        # finaliser or signal handler, which may log between any two instructions of Python, gets the same step.
        self.count = itertools.count(starting_step)
        # Where the run was when a call last gave it a later step.
        self.before_jump = starting_step

    @property
    def current(self) -> int:
        """The step of the next call without one."""
        # A count shows its value in its repr only: count(7).
        return int(repr(self.count)[len("count(") : -1])

    def step_of_call(self, step: Any = None, commit: Optional[bool] = None) -> Optional[int]:
        """Returns the step that a call belongs to, None when wandb drops it; advances the counter.

        Raises TypeError for a step that is no whole number; wandb refuses such a call before it comes here.
        """
        if step is None:
            return next(self.count) if commit or commit is None else self.current
        number = operator.index(step)
        with _lock:
            current = self.current
            if number < current:
                return None
            if number > current:
                self.before_jump = current
            self.count = itertools.count(number + 1 if commit else number)
            return number


def reset_after_fork() -> None:
    global _lock
    _lock = threading.RLock()
