"""What the exporter opens is a file of the user's own, whoever else can write beside it."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from primus_lens_wandb_exporter import owned_files
from primus_lens_wandb_exporter.owned_files import OwnedFiles, RefusedError

from ..support.users import OTHER, give_away, needs_root

APPEND = os.O_RDWR | os.O_CREAT | os.O_APPEND


def append(root: Path, name: str = "node_0/rank_0/file") -> Path:
    path = root / name
    descriptor = OwnedFiles(str(root)).open(str(path), APPEND)
    os.write(descriptor, b"x")
    os.close(descriptor)
    return path


def test_what_is_made_is_private_and_what_is_there_keeps_its_mode(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        path = append(tmp_path / "new" / "out")
        assert [stat.S_IMODE(made.stat().st_mode) for made in (path, path.parent, path.parent.parent)] == [
            0o640,
            0o750,
            0o750,
        ]
        path.chmod(0o644)
        path.parent.chmod(0o755)
        append(tmp_path / "new" / "out")
        assert [stat.S_IMODE(made.stat().st_mode) for made in (path, path.parent)] == [0o644, 0o755]
        os.umask(0o077)
        assert stat.S_IMODE(append(tmp_path / "private").stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_nothing_is_made_without_being_asked_to(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        OwnedFiles(str(tmp_path / "out")).open(str(tmp_path / "out" / "node_0" / "file"), os.O_RDONLY)
    assert list(tmp_path.iterdir()) == []


def test_the_root_may_be_relative_end_in_a_slash_and_lie_behind_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    for root in ("link", "link/", str(tmp_path / "link"), str(tmp_path / "link") + "/"):
        os.close(OwnedFiles(root).open(os.path.join(root, "node_0", "file"), APPEND))
    assert (tmp_path / "real" / "node_0" / "file").is_file()


@pytest.mark.parametrize("part", ["node_0", "node_0/rank_0", "node_0/rank_0/file"])
@pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
def test_no_link_below_the_root_is_followed(part: str, target: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "rank_0").mkdir(parents=True)
    (tmp_path / "elsewhere" / "file").write_text("")
    root = tmp_path / "out"
    (root / part).parent.mkdir(parents=True)
    target = target + "/file" if part.endswith("file") else target
    (root / part).symlink_to(tmp_path / target)
    for flags in (APPEND, os.O_RDONLY):
        with pytest.raises(RefusedError, match=f"{root / part} is a symbolic link"):
            OwnedFiles(str(root)).open(str(root / "node_0" / "rank_0" / "file"), flags)
    assert (tmp_path / "elsewhere" / "file").read_text() == ""
    assert not (tmp_path / "nowhere").exists()


def test_whoever_swaps_folders_for_links_meanwhile_gets_nothing(tmp_path: Path) -> None:
    """A look before opening alone would be too slow."""
    home = tmp_path / "home"
    (home / "rank_0").mkdir(parents=True)
    root = tmp_path / "out"
    root.mkdir()
    stop = threading.Event()

    def swap() -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            with contextlib.suppress(OSError):
                os.rename(root / "node_0", root / f"aside-{number}")
            with contextlib.suppress(OSError):
                os.symlink(home, root / "node_0")
            with contextlib.suppress(OSError):
                os.unlink(root / "node_0")

    attacker = threading.Thread(target=swap)
    attacker.start()
    outcomes = set()
    deadline = time.monotonic() + 60
    try:
        for number in itertools.count():
            if number >= 3000 and (outcomes >= {"opened", "RefusedError"} or time.monotonic() > deadline):
                break
            try:
                append(root, f"node_0/rank_0/file-{number}")
                outcomes.add("opened")
            except OSError as error:
                outcomes.add(type(error).__name__)
    finally:
        stop.set()
        attacker.join()
    assert list((home / "rank_0").iterdir()) == []
    assert outcomes >= {"opened", "RefusedError"}


def _append_in_a_process(root: str, gate: multiprocessing.synchronize.Barrier) -> None:
    gate.wait(60)
    append(Path(root))


def test_ranks_that_make_the_same_folders_at_once_all_succeed(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    for number in range(10):
        gate = context.Barrier(8)
        root = tmp_path / str(number)
        ranks = [context.Process(target=_append_in_a_process, args=(str(root), gate)) for _ in range(8)]
        for rank in ranks:
            rank.start()
        for rank in ranks:
            rank.join(60)
        assert [rank.exitcode for rank in ranks] == [0] * 8
        assert (root / "node_0" / "rank_0" / "file").read_bytes() == b"x" * 8


@needs_root
@pytest.mark.parametrize("part", ["node_0", "node_0/rank_0", "node_0/rank_0/file"])
def test_what_belongs_to_another_user_is_refused(part: str, tmp_path: Path) -> None:
    append(tmp_path)
    os.chown(tmp_path / part, OTHER, OTHER)
    with pytest.raises(RefusedError, match=f"{tmp_path / part} belongs to user id {OTHER} and not to user id 0"):
        append(tmp_path)
    # The root is what the user named.
    os.chown(tmp_path / part, 0, 0)
    os.chown(tmp_path, OTHER, OTHER)
    append(tmp_path)


@needs_root
def test_where_all_files_have_one_owner_the_owner_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on NFS without root: what we make there belongs to the same strange user. No such file system is at hand."""
    append(tmp_path)
    give_away(tmp_path / "node_0")
    monkeypatch.setattr(owned_files, "_owner_of_a_new_file", lambda folder: OTHER)
    append(tmp_path)
    monkeypatch.setattr(owned_files, "_owner_of_a_new_file", lambda folder: None)
    with pytest.raises(RefusedError):
        append(tmp_path)


@pytest.mark.parametrize("nameless_files", [True, False])
def test_asking_who_owns_new_files_leaves_nothing(
    nameless_files: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not nameless_files:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        assert owned_files._owner_of_a_new_file(folder) == os.geteuid()
    finally:
        os.close(folder)
    assert list(tmp_path.iterdir()) == []


def test_no_descriptor_stays_open_whatever_comes_of_it(tmp_path: Path) -> None:
    append(tmp_path)
    (tmp_path / "node_0" / "link").symlink_to("rank_0")
    os.mkfifo(tmp_path / "node_0" / "fifo")
    before = len(os.listdir("/proc/self/fd"))
    for name in ("node_0/rank_0/file", "node_0/link/file", "node_0/fifo", "node_0/fifo/file", "none/file"):
        for _ in range(3):
            try:
                os.close(OwnedFiles(str(tmp_path)).open(str(tmp_path / name), os.O_RDWR))
            except OSError:
                continue
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_never_gets_the_number_of_a_closed_stderr(tmp_path: Path) -> None:
    """Whatever writes there would write into the file."""
    code = f"""
import os
from primus_lens_wandb_exporter.owned_files import OwnedFiles
files = OwnedFiles({str(tmp_path)!r})
os.closerange(0, 3)
number = files.open({str(tmp_path / "file")!r}, {APPEND})
os._exit(0 if number > 2 and not os.get_inheritable(number) else 1)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
