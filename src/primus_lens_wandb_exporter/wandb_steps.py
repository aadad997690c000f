"""wandb's own count of a run, and what it says of a log call that an interrupt cut short."""

import operator
from typing import Any, Optional

# After Ctrl-C in the middle of a log call. wandb's service answers in milliseconds.
_LONGEST_QUESTION_S = 2.0


def read_step(wandb_run: Any) -> Optional[int]:
    """wandb's own count for its next call, from the attribute that the version has; None in a child's attached run.

    An attribute only: asking wandb's service can stall for 30 s.
    """
    attributes = wandb_run.__dict__
    for name in ("_local_step", "_step", "history_step"):
        if isinstance(attributes.get(name), int):
            return int(attributes[name])
    return _history_step(attributes)


def ask_step(wandb_run: Any) -> Optional[int]:
    """The step of the next call as the one who really counts knows it; None where that cannot be asked.

    That is wandb's service, which newer versions can ask; in the oldest the run itself counts.
    """
    deliver = getattr(wandb_run.__dict__.get("_interface"), "deliver_history_step", None)
    if deliver is None:
        return _history_step(wandb_run.__dict__)
    try:
        return int(deliver().wait_or(timeout=_LONGEST_QUESTION_S).step)
    except Exception:  # no answer, or a service that is gone: then nobody knows
        return None


def _history_step(attributes: Any) -> Optional[int]:
    step = getattr(attributes.get("history"), "_step", None)
    return step if isinstance(step, int) else None


def step_of_cut_call(step: Any, commit: Optional[bool], has_returned: bool, before: int, now: int) -> Optional[int]:
    """Where a call belongs that was cut, by the run's step before and after it; None where these do not tell.

    ``has_returned`` says that wandb had taken the call when the interrupt came.
    """
    if not has_returned and now == before:
        return None
    own = now - 1 if advances(step, commit) else now
    return own if step is None or operator.index(step) == own else None


def advances(step: Any, commit: Optional[bool]) -> bool:
    """Whether the next call after this one has another step."""
    return bool(commit or (step is None and commit is None))
