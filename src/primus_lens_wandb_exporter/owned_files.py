"""Opens the files that the exporter keeps for a user, and no other.

Where others can write, what has the right name may be a trap: a link to a file that must not be touched, a FIFO that
never answers, a file that somebody else goes on to write. The folder that the user named may be a link or lie behind
some. Below it no link is followed, and what is opened must be a folder or a regular file of the user who runs this.
"""

import binascii
import errno
import fcntl
import os
import stat
import time
from contextlib import suppress
from typing import NamedTuple, Optional, Tuple

# Others see nothing; a group may read: log shippers share one with the job.
_FOLDER_MODE = 0o750
_FILE_MODE = 0o640
# O_PATH asks for no permission to list a folder; only Linux has it.
_FOLDER_FLAGS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_FILE_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_MOST_LOOKS = 5
_LOOK_AGAIN_S = 0.005


class RefusedError(OSError):
    """Somebody else may have put this there: it is neither read nor written."""

    def __init__(self, path: str, reason: str, is_foreign: bool = False) -> None:
        OSError.__init__(self, "%s %s" % (path, reason))
        self.path = path
        # Whether it is refused for its owner alone.
        self.is_foreign = is_foreign


class OwnedFiles(NamedTuple):
    """The files below a folder that the user named.

    With ``any_owner`` the files of all users count; then with ``new_owner`` (user, group) only those of this user and
    of who runs this do, and a file that is made belongs to this user.
    """

    root: str
    any_owner: bool = False
    new_owner: Optional[Tuple[int, int]] = None

    def open(self, path: str, flags: int) -> int:
        """Opens a file below the root; with O_CREAT it and its folders are made. Raises RefusedError and OSError."""
        create = bool(flags & os.O_CREAT)
        *folders, name = (part for part in path[len(self.root) :].split(os.sep) if part)
        folder = self._open_root(create)
        shown = self.root
        try:
            for part in folders:
                shown = os.path.join(shown, part)
                inner = self._open_folder(folder, part, shown, create)
                os.close(folder)
                folder = inner
            return _above_stderr(self._open_file(folder, name, path, flags))
        finally:
            os.close(folder)

    def _open_root(self, create: bool) -> int:
        if create:
            os.makedirs(self.root, _FOLDER_MODE, exist_ok=True)
        return os.open(self.root, _FOLDER_FLAGS)

    def _open_folder(self, parent: int, name: str, path: str, create: bool) -> int:
        flags = _FOLDER_FLAGS | os.O_NOFOLLOW
        try:
            try:
                folder = os.open(name, flags, dir_fd=parent)
            except FileNotFoundError:
                if not create:
                    raise
                # Other ranks make the same folders in this moment.
                with suppress(FileExistsError):
                    os.mkdir(name, _FOLDER_MODE, dir_fd=parent)
                folder = os.open(name, flags, dir_fd=parent)
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                found = os.stat(name, dir_fd=parent, follow_symlinks=False)
                raise RefusedError(path, "is %s, not a folder" % _kind(found.st_mode)) from None
            raise
        try:
            self._check_owner(os.fstat(folder), folder, path)
        except BaseException:
            os.close(folder)
            raise
        return folder

    def _open_file(self, folder: int, name: str, path: str, flags: int) -> int:
        is_new = False
        try:
            # Before it is opened as well: opening a device may already do something.
            self._check_file(os.stat(name, dir_fd=folder, follow_symlinks=False), folder, path)
        except FileNotFoundError:
            is_new = bool(flags & os.O_CREAT)
        if is_new:
            try:
                descriptor = os.open(name, flags | os.O_EXCL | _FILE_FLAGS, _FILE_MODE, dir_fd=folder)
            except FileExistsError:
                # Another rank was quicker, or somebody who means harm.
                is_new = False
        if not is_new:
            descriptor = os.open(name, (flags & ~os.O_CREAT) | _FILE_FLAGS, dir_fd=folder)
        try:
            if is_new and self.new_owner is not None:
                # Some file systems keep owners of their own.
                with suppress(PermissionError):
                    os.fchown(descriptor, *self.new_owner)
            self._check_file(os.fstat(descriptor), folder, path)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _check_file(self, found: os.stat_result, folder: int, path: str) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise RefusedError(path, "is %s, not a regular file" % _kind(found.st_mode))
        self._check_owner(found, folder, path)
        if self.any_owner and self.new_owner is not None and found.st_uid not in (self.new_owner[0], os.geteuid()):
            # Whoever can move the mirror of another beside a ledger of their own must not get its metrics that way.
            raise RefusedError(
                path, "belongs to user id %d, and the file beside it to user id %d" % (found.st_uid, self.new_owner[0])
            )
        if found.st_nlink > 1 and _others_can_write(folder):
            raise RefusedError(path, "has a second name (a hard link), which others who can write here may have made")

    def _check_owner(self, found: os.stat_result, folder: int, path: str) -> None:
        if not (self.any_owner or _is_own(found, folder)):
            raise RefusedError(
                path,
                "belongs to user id %d and not to user id %d, who runs this" % (found.st_uid, os.geteuid()),
                is_foreign=True,
            )


def _above_stderr(descriptor: int) -> int:
    """In a job that was started with stderr closed, its number is free, and all that writes there would write here."""
    if descriptor > 2:
        return descriptor
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(descriptor)


def is_stale(descriptor: int, path: str) -> bool:
    """Whether the path is no longer the file that was opened: somebody removed or replaced it."""
    try:
        return not os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return True


def ends_in_half_a_line(descriptor: int) -> bool:
    """Whether a killed process left one; what another process is just writing has half a line for a moment, too."""
    for _ in range(_MOST_LOOKS):
        size = os.fstat(descriptor).st_size
        if not size or os.pread(descriptor, 1, size - 1) == b"\n":
            return False
        time.sleep(_LOOK_AGAIN_S)
    return True


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISREG(mode):
        return "a file"
    return "a FIFO" if stat.S_ISFIFO(mode) else "a device or a socket"


def _others_can_write(folder: int) -> bool:
    found = os.fstat(folder)
    return bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)) or not _is_own(found, folder)


def _is_own(found: os.stat_result, folder: int) -> bool:
    """Whether it belongs to who runs this, or lies where all files have one owner: some NFS, CIFS, mounted buckets."""
    return found.st_uid == os.geteuid() or found.st_uid == _owner_of_a_new_file(folder)


def _owner_of_a_new_file(folder: int) -> Optional[int]:
    """The user id that a file made here gets; None where none can be made."""
    try:
        return _probe_namelessly(folder)
    except OSError:
        # Many file systems know no nameless files.
        pass
    name = ".primus-lens-" + binascii.hexlify(os.urandom(8)).decode("ascii")
    try:
        probe = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE_FLAGS, 0o600, dir_fd=folder)
        try:
            return os.fstat(probe).st_uid
        finally:
            os.close(probe)
            os.unlink(name, dir_fd=folder)
    except OSError:
        return None


def _probe_namelessly(folder: int) -> int:
    nameless = getattr(os, "O_TMPFILE", 0)
    if not nameless:
        raise OSError(errno.EOPNOTSUPP, "no nameless files")
    probe = os.open(".", nameless | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        return os.fstat(probe).st_uid
    finally:
        os.close(probe)
