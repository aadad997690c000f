"""How a command speaks to programs: one JSON document, whose fields stay."""

import json
from typing import Any, Dict, Iterable, List

from ..diagnostics import printable
from .report import Report

# Grows when a field goes or changes its meaning, not when one comes.
FORMAT = 1


class JsonReport(Report):
    """Keeps the facts, each with its section and subject, and prints nothing before `print_all`."""

    def __init__(self) -> None:
        super().__init__()
        self._section = ""
        self._subject = ""
        self._facts: List[Dict[str, Any]] = []
        self._values: Dict[str, Any] = {"format": FORMAT}

    def title(self, text: str) -> None:
        self._section = text

    def about(self, subject: str) -> None:
        self._subject = subject

    def tell(self, name: str, value: object) -> None:
        self._values[name] = value

    def _say(self, state: str, fact: str, next_steps: Iterable[str] = ()) -> None:
        self._facts.append(
            {
                "section": self._section,
                "subject": self._subject,
                "state": state,
                "text": printable(fact),
                "next_steps": list(map(printable, next_steps)),
            }
        )

    def print_all(self) -> None:
        counts = {"failures": self.failures, "warnings": self.warnings}
        print(json.dumps({**self._values, **counts, "facts": self._facts}, indent=2))
