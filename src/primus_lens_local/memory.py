"""Memory that was used for a moment goes back to the system.

What many threads take and leave in pieces, glibc keeps, and each wave of large requests adds some: after four, 50 MB.
"""

from __future__ import annotations

import ctypes
from typing import Any, Optional


def _find_trim() -> Optional[Any]:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # not glibc
        return None


_trim = _find_trim()


def return_memory() -> None:
    """Give unused memory back, where the system's library can; a few milliseconds, without the interpreter's lock."""
    if _trim is not None:
        _trim(0)
