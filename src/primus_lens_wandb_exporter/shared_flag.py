"""Two bytes that the process of a run shares with its children: the first is raised once one of them logs to the run.

wandb's service then counts calls of several processes, and none of them knows the step of the next. The bytes lie in an
unlinked temporary file: a forked child has it mapped, another finds it among the open files of its ancestors.
"""

import mmap
import os
import tempfile
from typing import Iterator, Union

from .processes import parent_of

OTHERS_LOG = 0
# The run's process has ended, and a child of it counts in its place.
HAS_HEIR = 1
_SIZE = 2
_PREFIX = "primus-lens-run-"
# What an unlinked file is called in /proc: tempfile's own eight characters end the name.
_DELETED = " (deleted)"
_MOST_ANCESTORS = 64

Flag = Union[mmap.mmap, bytearray]


def make_flag(run_id: str) -> Flag:
    """A flag that is not raised. Where no file can be made only forked children can raise it."""
    try:
        descriptor, path = tempfile.mkstemp(prefix=_name_of(run_id))
        try:
            os.unlink(path)
            # Written, not truncated: a mapped page for which the disk has no room any more would end the job by SIGBUS.
            os.write(descriptor, bytes(_SIZE))
            # It keeps a descriptor of its own open, for children to find; other programs do not inherit it.
            return mmap.mmap(descriptor, _SIZE)
        finally:
            os.close(descriptor)
    except (OSError, ValueError):
        # ValueError: no file can have the name.
        return mmap.mmap(-1, _SIZE)


def find_flag(run_id: str) -> Flag:
    """The flag of a run that an ancestor of this process began; one that nobody sees where there is none."""
    for process in _ancestors():
        folder = "/proc/%d/fd" % process
        try:
            for descriptor in os.listdir(folder):
                path = os.path.join(folder, descriptor)
                if _is_flag_of(run_id, path):
                    return _map(path)
        except OSError:
            # Another user's process, or one that has just ended.
            continue
    return bytearray(_SIZE)


def _name_of(run_id: str) -> str:
    return _PREFIX + run_id.replace(os.sep, "_") + "-"


def _is_flag_of(run_id: str, path: str) -> bool:
    try:
        name = os.path.basename(os.readlink(path))
    except OSError:
        return False
    return name.endswith(_DELETED) and name[: -len(_DELETED)].rpartition("-")[0] + "-" == _name_of(run_id)


def _map(path: str) -> Flag:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return mmap.mmap(descriptor, _SIZE)
    finally:
        os.close(descriptor)


def _ancestors() -> Iterator[int]:
    process = os.getppid()
    for _ in range(_MOST_ANCESTORS):
        if process <= 1:
            # In a container the run's process may be the first one.
            if process == 1:
                yield process
            return
        yield process
        process = parent_of(process)
