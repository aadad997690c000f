"""How commands speak: one fact a line with a mark, and below what is not good what to do next."""

import os
import shlex
import sys
from typing import Collection, Iterable

from .. import installation
from ..diagnostics import printable
from ..diagnostics import redact_addresses as redact_addresses

GOOD, NOTE, WARNING, FAILURE = "good", "note", "warning", "failure"


class Report:
    """Prints facts, one a line with a mark, and below what is not good what to do next."""

    def __init__(self) -> None:
        marks = ("✓", "–", "!", "✗", "→")
        try:
            "".join(marks).encode(sys.stdout.encoding or "ascii")
        except (UnicodeEncodeError, LookupError):
            marks = ("[ok]", "[-]", "[!]", "[X]", "->")
        self._marks = dict(zip((GOOD, NOTE, WARNING, FAILURE), marks))
        self._arrow = marks[-1]
        self.warnings = 0
        self.failures = 0

    def title(self, text: str) -> None:
        print("\n" + printable(text))

    def about(self, subject: str) -> None:
        """What the facts from here on are about, in one word that programs can rely on."""

    def tell(self, name: str, value: object) -> None:
        """A value for programs; what a person should know of it is a fact."""

    def good(self, fact: str) -> None:
        self._say(GOOD, fact)

    def note(self, fact: str, *next_steps: str) -> None:
        """What could be better but is no reason to stop, not even for ``--strict``."""
        self._say(NOTE, fact, next_steps)

    def warning(self, fact: str, *next_steps: str) -> None:
        self.warnings += 1
        self._say(WARNING, fact, next_steps)

    def bad(self, fact: str, *next_steps: str) -> None:
        self.failures += 1
        self._say(FAILURE, fact, next_steps)

    # How a delivery speaks. A command that goes on and on says less of it.

    def event(self, fact: str) -> None:
        """What has just been done."""
        self.good(fact)

    def waits(self, fact: str, *next_steps: str) -> None:
        """What was not done and will be possible soon."""
        self.bad(fact, *next_steps)

    def left_to_the_job(self, fact: str) -> None:
        self.warning(fact, "run this again when the job has ended")

    def answered(self, servers: Collection[str]) -> None:
        """Some servers, by title and address, have just taken something."""

    def refused(self, server: str, fact: str, next_step: str, is_away: bool) -> None:
        """What a server did not take; if it ``is_away``, that has nothing to do with what was sent."""
        self.bad(fact, next_step)

    def _say(self, state: str, fact: str, next_steps: Iterable[str] = ()) -> None:
        print("  %s %s" % (self._marks[state], printable(fact)))
        for step in next_steps:
            print("      %s %s" % (self._arrow, printable(step)))


def show(value: object) -> str:
    if value in (None, ""):
        return "none"
    return str(value).lower() if isinstance(value, bool) else redact_addresses(str(value))


def python_command() -> str:
    return shlex.quote(sys.executable)


def install_step() -> str:
    return "run: %s install" % own_command()


def own_command() -> str:
    """How to start these commands again: by the script beside the interpreter, which takes no module from the folder
    that it is started in, else by ``python -m``, which does."""
    script = os.path.join(os.path.dirname(sys.executable), "primus-lens-wandb")
    if os.access(script, os.X_OK):
        return shlex.quote(script)
    return "%s -m %s.cli" % (python_command(), installation.PACKAGE)
