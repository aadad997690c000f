"""How far a command has come."""

import sys

from .source import Source

_WIDTH = 40


class Progress:
    """A bar on the terminal; nothing elsewhere."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._is_shown = sys.stderr.isatty()

    def show(self, delivered: int) -> None:
        if self._is_shown:
            self._print(self._source.share_read(), delivered)

    def end(self, delivered: int) -> None:
        if self._is_shown and delivered:
            self._print(1.0, delivered)
            print(file=sys.stderr)

    @staticmethod
    def _print(share: float, delivered: int) -> None:
        filled = int(_WIDTH * min(share, 1.0))
        bar = "#" * filled + "." * (_WIDTH - filled)
        print("\r  [%s] %d metrics" % (bar, delivered), end="", file=sys.stderr, flush=True)
