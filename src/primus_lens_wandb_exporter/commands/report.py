"""How commands speak: one fact a line with a mark, and below what is not good what to do next."""

import shlex
import sys
from typing import Iterable

from .. import installation
from ..diagnostics import printable
from ..diagnostics import redact_addresses as redact_addresses


class Report:
    """Prints facts, one a line with a mark, and below what is not good what to do next."""

    def __init__(self) -> None:
        marks = ("✓", "!", "✗", "→")
        try:
            "".join(marks).encode(sys.stdout.encoding or "ascii")
        except (UnicodeEncodeError, LookupError):
            marks = ("[ok]", "[!]", "[X]", "->")
        self._good, self._warning, self._bad, self._arrow = marks
        self.warnings = 0
        self.failures = 0

    def title(self, text: str) -> None:
        print("\n" + printable(text))

    def good(self, fact: str) -> None:
        self._print(self._good, fact)

    def warning(self, fact: str, *next_steps: str) -> None:
        self.warnings += 1
        self._print(self._warning, fact, next_steps)

    def bad(self, fact: str, *next_steps: str) -> None:
        self.failures += 1
        self._print(self._bad, fact, next_steps)

    def _print(self, mark: str, fact: str, next_steps: Iterable[str] = ()) -> None:
        print("  %s %s" % (mark, printable(fact)))
        for step in next_steps:
            print("      %s %s" % (self._arrow, printable(step)))


def show(value: object) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else redact_addresses(str(value))


def python_command() -> str:
    return shlex.quote(sys.executable)


def install_step() -> str:
    return "run: %s -m %s.cli install" % (python_command(), installation.PACKAGE)
