"""What a follower knows of the files below a path, and which of them it is time to deliver from.

Files that nobody writes cost a look at their size and time. A ledger that grows is read from where it was left, for
who its writers are; nothing is held open.
"""

import io
import os
import socket
import time
from typing import BinaryIO, Dict, Iterable, Iterator, List, Optional, Set, Tuple

from ..owned_files import OwnedFiles
from ..sinks.delivery_ledger import path_of_ledger
from .groups import MirrorFile, RunFile, look_at_introduced, look_at_run_file
from .json_lines import LONGEST_LINE
from .known_runs import folder_of
from .ledger import Introduction, Ledger, WriterKey
from .wandb_run import writer_of
from .writer_lock import look_at_lock

# How long a file must have rested where a lock does not tell whether its writer lives.
SILENCE_S = 60.0

# Inode, size and time of a file; None where there is none.
Signature = Optional[Tuple[int, int, int]]


def _signature(path: str) -> Signature:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


class WatchedMirror:
    """A mirror and its ledger. Writers are ``settled`` when they have ended and all of theirs has been delivered."""

    def __init__(self, path: str, files: OwnedFiles) -> None:
        self.path = path
        self.introductions: Dict[WriterKey, Introduction] = {}
        self.living: Set[WriterKey] = set()
        # Whether somebody who cannot be seen from here may still be writing.
        self.is_restless = False
        self._files = files
        self._signature: Tuple[Signature, Signature] = (None, None)
        self._changed_at = 0.0
        self._ledger_position = 0
        self._settled_writers: Set[WriterKey] = set()
        self._settled: Tuple[Signature, Signature] = (None, None)

    def look(self, now: float) -> bool:
        """Looks at the files; returns whether it is time to deliver from them."""
        self.is_restless = False
        self.living = set()
        signature = _signature(self.path), _signature(path_of_ledger(self.path))
        if signature != self._signature:
            self._read_introductions(signature[1])
            self._signature, self._changed_at = signature, now
        if signature == self._settled and self._settled_writers.issuperset(self.introductions):
            return False
        lock = look_at_lock(self._files, self.path)
        self.living = {key for key, who in self.introductions.items() if lock.is_held_for(who.host, who.pid)}
        ended = [who for key, who in self.introductions.items() if key not in self.living | self._settled_writers]
        if not ended and (self.living or signature == self._settled):
            return False
        is_seen = lock.has_locks and all(who.host == socket.gethostname() for who in ended) and bool(ended)
        self.is_restless = not is_seen and now - self._changed_at < SILENCE_S
        return not self.is_restless

    def settle(self) -> None:
        """All that those who have ended had left is delivered."""
        self._settled_writers = set(self.introductions) - self.living
        # The ledger has just been written by us; the mirror counts as it was before it was read.
        self._settled = self._signature[0], _signature(path_of_ledger(self.path))

    def as_file(self) -> MirrorFile:
        found = tuple((key[1], who) for key, who in self.introductions.items())
        return MirrorFile(self.path, self._files, self.owner, found)

    @property
    def owner(self) -> int:
        try:
            return os.lstat(self.path).st_uid
        except OSError:
            return -1

    def _read_introductions(self, ledger: Signature) -> None:
        known = self._signature[1]
        if ledger is None or known is None or ledger[0] != known[0] or ledger[1] < self._ledger_position:
            self.introductions, self._ledger_position = {}, 0
            self._settled_writers = set()
        if ledger is None:
            return
        files = self._files
        if files.any_owner:
            files = files._replace(new_owner=(self.owner, -1))
        try:
            with os.fdopen(files.open(path_of_ledger(self.path), os.O_RDONLY), "rb") as file:
                file.seek(self._ledger_position)
                found = Ledger(io.BytesIO(b"".join(self._introducing_lines(file))))
        except OSError:
            return
        for key, introduction in found.introductions.items():
            self.introductions.setdefault(key, introduction)

    def _introducing_lines(self, file: BinaryIO) -> Iterator[bytes]:
        while True:
            line = file.readline(LONGEST_LINE)
            if not line.endswith(b"\n"):
                return
            self._ledger_position += len(line)
            if b'"identity"' in line:
                yield line


class WatchedRunFile:
    """One of wandb's files. It is ``settled`` when all that it held has been delivered."""

    def __init__(self, file: RunFile) -> None:
        self.file = file
        self._signature: Signature = None
        self._changed_at = 0.0
        self._settled: Signature = None

    def look(self, now: float) -> bool:
        signature = _signature(self.file.path)
        if signature != self._signature:
            self._signature, self._changed_at = signature, now
        if signature is None or signature == self._settled:
            return False
        modified = signature[2] / 1e9
        if now - self._changed_at < SILENCE_S and 0 <= time.time() - modified < SILENCE_S:
            return False
        if not self.file.run_id:
            # When it was found, its first record was not written yet.
            self.file = look_at_run_file(self.file.files, self.file.path)
        return True

    def settle(self) -> None:
        self._settled = self._signature

    def is_written_by(self, mirror: WatchedMirror, writers: Iterable[WriterKey]) -> bool:
        """Whether one of these writers of the mirror has logged what stands here."""
        for key in writers:
            folder = folder_of(mirror.introductions[key].wandb_file)
            if key[1] == self.file.run_id and folder in ("", writer_of(self.file.path)):
                return True
        return False


class Watch:
    """All mirrors and all of wandb's files below some folders, and those that the ledgers name."""

    def __init__(self, trusts_owners: bool) -> None:
        self._trusts_owners = trusts_owners
        self._mirrors: Dict[str, WatchedMirror] = {}
        self._run_files: Dict[str, WatchedRunFile] = {}
        # What ledgers name, and where that really is.
        self._real_paths: Dict[str, str] = {}
        self._due: Set[str] = set()

    @property
    def paths(self) -> Set[str]:
        return self._mirrors.keys() | self._run_files.keys()

    def look(self, mirrors: List[Tuple[str, OwnedFiles]], run_files: List[Tuple[str, OwnedFiles]]) -> Set[str]:
        """Looks at all of them; returns those that it is time to deliver from."""
        now = time.monotonic()
        self._mirrors = {path: self._mirrors.get(path) or WatchedMirror(path, files) for path, files in mirrors}
        due = {path for path, mirror in self._mirrors.items() if mirror.look(now)}
        self._take_up(run_files)
        active: Dict[str, List[WatchedMirror]] = {}
        for mirror in self._mirrors.values():
            if mirror.living or mirror.is_restless:
                for _, run_id in mirror.introductions:
                    active.setdefault(run_id, []).append(mirror)
        for path, watched in self._run_files.items():
            if watched.look(now) and not any(
                watched.is_written_by(mirror, mirror.introductions if mirror.is_restless else mirror.living)
                for mirror in active.get(watched.file.run_id, ())
            ):
                due.add(path)
        return due

    def _take_up(self, found: List[Tuple[str, OwnedFiles]]) -> None:
        known = self._run_files
        self._run_files = {}
        for path, files in found:
            self._run_files[path] = known.get(path) or WatchedRunFile(look_at_run_file(files, path))
        here = {self._real(path) for path in self._run_files}
        for mirror in self._mirrors.values():
            for (_, run_id), who in mirror.introductions.items():
                if who.wandb_file and self._real(who.wandb_file) not in here:
                    path = self._real(who.wandb_file)
                    here.add(path)
                    watched = known.get(path)
                    if watched is None:
                        file = look_at_introduced(mirror.as_file(), run_id, path, self._trusts_owners)
                        watched = WatchedRunFile(file) if file is not None else None
                    if watched is not None:
                        self._run_files[path] = watched

    def _real(self, path: str) -> str:
        real = self._real_paths.get(path)
        if real is None:
            real = self._real_paths[path] = os.path.realpath(path)
        return real

    def files(self) -> Tuple[List[MirrorFile], List[RunFile]]:
        return (
            [mirror.as_file() for mirror in self._mirrors.values()],
            [watched.file for watched in self._run_files.values()],
        )

    def is_restless(self, path: str) -> bool:
        mirror = self._mirrors.get(path)
        return mirror is not None and mirror.is_restless

    def settle(self, path: str) -> None:
        watched = self._mirrors.get(path) or self._run_files.get(path)
        if watched is not None:
            watched.settle()
