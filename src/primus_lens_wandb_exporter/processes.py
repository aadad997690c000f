"""What the system tells of other processes."""

import os
from typing import List


def is_running(process: int) -> bool:
    """Whether a process lives; one that has ended and that nobody has asked for yet does not."""
    if process <= 0:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return _status(process)[:1] != ["Z"]


def parent_of(process: int) -> int:
    """The parent of a process; 0 where that is not known."""
    try:
        return int(_status(process)[1])
    except (ValueError, IndexError):
        return 0


def _status(process: int) -> List[str]:
    """State, parent and more, of a system with a /proc; empty elsewhere."""
    try:
        with open("/proc/%d/stat" % process, "rb") as file:
            # The name of the program stands in parentheses and may hold anything.
            return file.read().rpartition(b")")[2].decode("ascii", "replace").split()
    except OSError:
        return []
