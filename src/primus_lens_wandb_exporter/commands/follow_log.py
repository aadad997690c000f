"""How a command speaks that goes on and on: a line with the time for each event, and none when nothing happens."""

import sys
import time
from typing import Collection, Container, Set, Tuple

from ..diagnostics import printable
from .report import Report


class FollowLog(Report):
    """Says what was delivered each time, and what is wrong once."""

    def __init__(self) -> None:
        super().__init__()
        self._path = ""
        self._said: Set[Tuple[str, str]] = set()
        # Servers that do not answer, and those of this round.
        self._away: Set[str] = set()
        self._away_now: Set[str] = set()

    def line(self, text: str) -> None:
        print("%s %s" % (time.strftime("%Y-%m-%dT%H:%M:%S%z"), printable(text)))
        sys.stdout.flush()

    def begin_round(self) -> None:
        self._away_now.clear()

    def end_round(self) -> bool:
        """Whether a server was away."""
        return bool(self._away_now)

    def answered(self, servers: Collection[str]) -> None:
        for server in sorted(self._away.intersection(servers)):
            self._away.remove(server)
            self.line("%s answers again" % server)

    def forget_all_but(self, paths: Container[str]) -> None:
        self._said = {said for said in self._said if said[0] in paths}

    def title(self, text: str) -> None:
        self._path = text

    def good(self, fact: str) -> None:
        """The state of things, which a person asks for who starts a command."""

    def note(self, fact: str, *next_steps: str) -> None:
        """As `good`."""

    def event(self, fact: str) -> None:
        self.line("%s: %s" % (self._path, fact))

    def warning(self, fact: str, *next_steps: str) -> None:
        self._say_once(fact)

    def bad(self, fact: str, *next_steps: str) -> None:
        self.failures += 1
        self._say_once(fact)

    def waits(self, fact: str, *next_steps: str) -> None:
        self.failures += 1

    def left_to_the_job(self, fact: str) -> None:
        """It is looked at again."""

    def refused(self, server: str, fact: str, next_step: str, is_away: bool) -> None:
        if not is_away:
            self.bad(fact)
            return
        self.failures += 1
        self._away_now.add(server)
        if server not in self._away:
            self._away.add(server)
            self.line("%s does not take anything, and is asked again and again: %s" % (server, fact))

    def _say_once(self, fact: str) -> None:
        if (self._path, fact) not in self._said:
            self._said.add((self._path, fact))
            self.line("%s: %s" % (self._path, fact))
