"""Whether the processes that write a mirror live, by the shared lock that each of them holds on the ledger."""

import fcntl
import os
import re
import socket
from typing import NamedTuple

from ..owned_files import OwnedFiles
from ..processes import is_running
from ..sinks.delivery_ledger import path_of_ledger

_LOCKS = "/proc/locks"


class WriterLock(NamedTuple):
    """What was seen of the lock. Without ``has_locks`` the file system has none, and nothing was seen."""

    is_held: bool
    has_locks: bool = True
    # Whether a holder has a process id here: those in other containers and on other hosts have none.
    holder_is_visible: bool = True

    def is_held_for(self, host: str, pid: int) -> bool:
        """Whether the process with this introduction lives, as far as can be known; while in doubt, it does."""
        if not self.is_held:
            return False
        return host != socket.gethostname() or not self.holder_is_visible or is_running(pid)


def look_at_lock(files: OwnedFiles, path: str) -> WriterLock:
    """Looks at the lock on the ledger of a file."""
    try:
        descriptor = files.open(path_of_ledger(path), os.O_RDWR)
    except OSError:
        return WriterLock(is_held=False)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return WriterLock(is_held=False)
    except BlockingIOError:
        return WriterLock(is_held=True, holder_is_visible=_holder_is_visible(os.fstat(descriptor).st_ino))
    except OSError:
        return WriterLock(is_held=False, has_locks=False)
    finally:
        os.close(descriptor)


def _holder_is_visible(inode: int) -> bool:
    """Whether process ids mean the same to the holders of the lock and to us.

    The kernel lists the locks of those processes only that have an id in our namespace.
    """
    try:
        with open(_LOCKS, encoding="ascii") as file:
            holders = re.findall(r"^\d+: FLOCK .* (\d+) [0-9a-f]+:[0-9a-f]+:%d " % inode, file.read(), re.MULTILINE)
    except (OSError, UnicodeError):
        # Without the list it is as if there were one namespace only.
        return True
    return bool(holders) and all(map(_shares_our_process_ids, holders))


def _shares_our_process_ids(pid: str) -> bool:
    try:
        return os.readlink("/proc/%s/ns/pid" % pid) == os.readlink("/proc/self/ns/pid")
    except OSError:
        # Of another user, or gone.
        return True
