"""Which mirrors and which of wandb's files hold the same runs: they are delivered together, and nothing goes twice.

A mirror names the wandb files of its runs in its ledger; those are taken up as well, wherever they are.
"""

import os
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Set, Tuple

from ..owned_files import OwnedFiles
from ..sources.wandb_file import RunStart, WandbFile
from .finding import Found
from .json_lines import is_id
from .ledger import Introduction
from .mirror import read_ledger
from .wandb_run import run_id_of

# The record of the run is among the first of its file.
_MOST_RECORDS = 50


class MirrorFile(NamedTuple):
    """A mirror, and what its ledger says of its runs."""

    path: str
    files: OwnedFiles
    owner: int
    introductions: "Tuple[Tuple[str, Introduction], ...]"

    @property
    def keys(self) -> "Set[RunKey]":
        return {(self.owner, run_id) for run_id, _ in self.introductions}


class RunFile(NamedTuple):
    """One of wandb's files, and whose it is by its first records; an empty ``run_id`` where it does not tell."""

    path: str
    files: OwnedFiles
    owner: int
    run_id: str
    start_time: float


# Runs of two users may have the same id: what one of them has put there says nothing of the other's.
RunKey = Tuple[int, str]


class Group(NamedTuple):
    """What belongs together; the newest file of a run is the first of its files."""

    mirrors: List[MirrorFile]
    run_files: List[RunFile]
    # Files that a ledger names and that are no more.
    gone: "List[Tuple[str, str]]"

    @property
    def paths(self) -> List[str]:
        return [mirror.path for mirror in self.mirrors] + [file.path for file in self.run_files]


def look_at_mirror(files: OwnedFiles, path: str) -> MirrorFile:
    """Raises nothing: what cannot be read is said when it is delivered from."""
    introductions: Dict[Tuple[str, str], Introduction] = {}
    owner = _owner_of(path)
    try:
        introductions = read_ledger(files._replace(new_owner=_new_owner(files, path)), path).introductions
    except OSError:
        pass
    return MirrorFile(path, files, owner, tuple((key[1], who) for key, who in introductions.items()))


def look_at_run_file(files: OwnedFiles, path: str) -> RunFile:
    """As `look_at_mirror`."""
    start = RunStart()
    owner = _owner_of(path)
    try:
        with os.fdopen(files.open(path, os.O_RDONLY), "rb") as file:
            for number, event in enumerate(WandbFile(file).read(is_complete=False)):
                if isinstance(event, RunStart):
                    start = event
                if isinstance(event, RunStart) or number == _MOST_RECORDS:
                    break
            owner = os.fstat(file.fileno()).st_uid
    except (OSError, ValueError):
        return RunFile(path, files, owner, "", 0.0)
    return RunFile(path, files, owner, start.run_id if is_id(start.run_id) else run_id_of(path), start.start_time)


def make_groups(mirrors: List[MirrorFile], run_files: List[RunFile], trusts_owners: bool) -> List[Group]:
    """In the order of the first path of each."""
    introduced, gone = _introduced(mirrors, run_files, trusts_owners)
    run_files = run_files + introduced
    joined = _Joined()
    for mirror in mirrors:
        joined.join(("mirror", mirror.path), mirror.keys)
    for file in run_files:
        joined.join(("file", file.path), {(file.owner, file.run_id)} if file.run_id else ())
    groups: Dict[object, Group] = {}
    for mirror in mirrors:
        groups.setdefault(joined.root(("mirror", mirror.path)), Group([], [], [])).mirrors.append(mirror)
    for file in run_files:
        groups.setdefault(joined.root(("file", file.path)), Group([], [], [])).run_files.append(file)
    for mirror, run_id, path in gone:
        groups[joined.root(("mirror", mirror.path))].gone.append((run_id, path))
    for group in groups.values():
        group.run_files.sort(key=lambda file: (file.run_id, -file.start_time, file.path))
    return sorted(groups.values(), key=lambda group: min(group.paths))


def mirrors_of(files: Iterable[RunFile], found: Found, root: str, trusts_owners: bool) -> Iterator[MirrorFile]:
    """Those of the mirrors elsewhere that know the runs of the files."""
    keys = {(file.owner, file.run_id) for file in files}
    for path in found.mirrors:
        mirror = look_at_mirror(OwnedFiles(root, any_owner=trusts_owners), path)
        if not keys.isdisjoint(mirror.keys):
            yield mirror


def _introduced(
    mirrors: List[MirrorFile], run_files: List[RunFile], trusts_owners: bool
) -> "Tuple[List[RunFile], List[Tuple[MirrorFile, str, str]]]":
    """The files that ledgers name and nobody has found yet, and those that are no more."""
    known = {os.path.realpath(file.path) for file in run_files}
    found: List[RunFile] = []
    gone: List[Tuple[MirrorFile, str, str]] = []
    for mirror in mirrors:
        for run_id, path in {(run_id, who.wandb_file) for run_id, who in mirror.introductions if who.wandb_file}:
            real = os.path.realpath(path)
            if real in known:
                continue
            known.add(real)
            file = look_at_introduced(mirror, run_id, real, trusts_owners)
            if file is not None:
                found.append(file)
            elif not os.path.lexists(real):
                gone.append((mirror, run_id, path))
    return found, gone


def look_at_introduced(mirror: MirrorFile, run_id: str, real_path: str, trusts_owners: bool) -> Optional[RunFile]:
    """The file that a ledger names; None for one that is gone, of another run, or of another user than the mirror."""
    file = look_at_run_file(_files_of_introduced(real_path, trusts_owners), real_path)
    return file if file.run_id == run_id and file.owner == mirror.owner else None


def _files_of_introduced(real_path: str, trusts_owners: bool) -> OwnedFiles:
    """The folder of all runs is what wandb was told; for root no part of a path is anybody's to exchange."""
    if trusts_owners:
        return OwnedFiles(os.sep, any_owner=True)
    return OwnedFiles(os.path.dirname(os.path.dirname(real_path)))


def _owner_of(path: str) -> int:
    try:
        return os.lstat(path).st_uid
    except OSError:
        return -1


def _new_owner(files: OwnedFiles, path: str) -> "Optional[Tuple[int, int]]":
    return (_owner_of(path), -1) if files.any_owner else None


class _Joined:
    """Sets of files that share a run: a forest in which each file leads to the root of its set."""

    def __init__(self) -> None:
        self._parents: Dict[object, object] = {}

    def root(self, item: object) -> object:
        path = [item]
        while True:
            parent = self._parents.setdefault(path[-1], path[-1])
            if parent == path[-1]:
                break
            path.append(parent)
        for passed in path:
            self._parents[passed] = path[-1]
        return path[-1]

    def join(self, item: object, others: "Iterable[object]") -> None:
        for other in others:
            self._parents[self.root(other)] = self.root(item)
        self.root(item)
