"""Tells a person of an outage while it lasts: one line that says why and what to do, another when things flow again."""

import time
from typing import Optional

from .. import diagnostics
from .answers import Answer

# After how long without success it is said; what only a person can mend is said at once.
SAID_AFTER_S = 60.0
# A server that comes and goes must not fill the job's log.
SHORTEST_PAUSE_S = 3600.0


class Outage:
    """What has failed since the last success at one server, and what was said of it."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._not_before = 0.0
        self.reset()

    def reset(self) -> None:
        """Forgets the outage, as in the child of a fork, but not when something was said of one."""
        self._since: Optional[float] = None
        self._is_said = False
        self._answer = Answer(delivered=False)

    def went_wrong(self, answer: Answer, since: float) -> None:
        """Notes that a request of the time ``since`` of the monotonic clock was not taken and is tried again."""
        if self._since is None:
            self._since = since
        self._answer = answer

    def nothing_waits(self) -> None:
        if not self._is_said:
            self._since = None

    def went_well(self, address: str) -> None:
        if self._is_said and self._since is not None:
            duration_s = time.monotonic() - self._since
            diagnostics.warn("%s at %s takes metrics again, after %.0f s", self._title, address, duration_s)
        self._since = None
        self._is_said = False

    def say_if_due(self, address: str, metrics_left: int) -> Optional[float]:
        """Says what is due; returns in how many seconds something will be, None when nothing is to come."""
        if self._since is None or self._is_said:
            return None
        now = time.monotonic()
        due = max(self._since if self._answer.needs_a_person else self._since + SAID_AFTER_S, self._not_before)
        if now < due:
            return due - now
        self._is_said = True
        self._not_before = now + SHORTEST_PAUSE_S
        duration_s = now - self._since
        diagnostics.warn(
            "nothing %s %s at %s%s: %s. %d metrics wait, and it is tried again. %s`primus-lens-wandb check` helps",
            "has reached" if duration_s >= 1 else "reaches",
            self._title,
            address,
            " for %.0f s" % duration_s if duration_s >= 1 else "",
            self._answer.reason,
            metrics_left,
            "What to do: %s; " % self._answer.next_step if self._answer.next_step else "",
        )
        return None
