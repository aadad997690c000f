"""wandb's step rule, mirrored, because asking wandb (``run.step``) is a round trip that can stall for 30 s."""

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

    __slots__ = ("current",)

    def __init__(self, starting_step: int = 0) -> None:
        self.current = starting_step

    def step_of_call(self, step: Any = None, commit: Optional[bool] = None) -> Optional[int]:
        """Returns the step that a call belongs to, None when wandb drops it; advances the counter.

        Raises TypeError for a step that is no whole number; wandb refuses such a call before it comes here.
        """
        number = None if step is None else operator.index(step)
        with _lock:
            current = self.current
            if number is None:
                if commit or commit is None:
                    self.current = current + 1
                return current
            if number < current:
                return None
            self.current = number + 1 if commit else number
            return number


def reset_after_fork() -> None:
    global _lock
    _lock = threading.RLock()
