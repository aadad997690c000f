"""Folders that others can write: neither a job nor `sync` touches a file that is not the user's own."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Callable

import pytest

from ..support import mirrors
from ..support.commands import sync
from ..support.lens import Lens
from ..support.mirrors import NAME, ledger_of
from ..support.training import Trainer, Training
from ..support.users import OTHER, command_as_the_other_user, give_away, needs_root
from ..support.wandb_file import scalars

SCRIPT = """
import wandb
run = wandb.init(project="p")
for i in range(100):
    run.log({"a": i})
run.finish()
"""
SECRET = "alias ls='rm'\n"


def train(trainer: Trainer, output_path: Path, script: str = SCRIPT) -> Training:
    """A real job; it must end well, and Lens must have everything."""
    return trainer.run(script, PRIMUS_LENS_WANDB_OUTPUT_PATH=str(output_path))


def our_lines(training: Training) -> list[str]:
    return [line for line in training.stderr.splitlines() if "Primus Lens" in line]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def plant_link_as_mirror(rank: Path, victim: Path) -> None:
    (rank / NAME).symlink_to(victim)


def plant_fifo_as_mirror(rank: Path, victim: Path) -> None:
    os.mkfifo(rank / NAME)


def plant_hard_link_as_mirror(rank: Path, victim: Path) -> None:
    os.link(victim, rank / NAME)
    rank.chmod(0o777)


def plant_link_as_folder(rank: Path, victim: Path) -> None:
    rank.rmdir()
    rank.symlink_to(victim.parent)


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (plant_link_as_mirror, f"{NAME} is a symbolic link, not a regular file"),
        (plant_fifo_as_mirror, f"{NAME} is a FIFO, not a regular file"),
        (plant_hard_link_as_mirror, f"{NAME} has a second name (a hard link)"),
        (plant_link_as_folder, "rank_0 is a symbolic link, not a folder"),
    ],
)
def test_a_job_goes_on_without_a_mirror_that_is_a_trap(
    plant: Callable[[Path, Path], None], said: str, trainer: Trainer, lens: Lens
) -> None:
    victim = trainer.directory / "home" / ".bashrc"
    victim.parent.mkdir()
    victim.write_text(SECRET)
    rank = trainer.directory / "out" / "node_0" / "rank_0"
    rank.mkdir(parents=True)
    plant(rank, victim)

    training = train(trainer, trainer.directory / "out")
    (line,) = our_lines(training)
    assert said in line
    assert "use a folder of your own instead of PRIMUS_LENS_WANDB_OUTPUT_PATH=" in line
    assert victim.read_text() == SECRET
    assert list(victim.parent.iterdir()) == [victim]
    assert lens.scalars(trainer.workload) == scalars(training.history)


@needs_root
def test_a_job_writes_into_no_folder_of_another_user(shared_folder: Path, trainer: Trainer, lens: Lens) -> None:
    planted = shared_folder / "node_0"
    planted.mkdir(mode=0o777)
    give_away(planted)
    training = train(trainer, shared_folder)
    (line,) = our_lines(training)
    assert f"{planted} belongs to user id {OTHER} and not to user id 0" in line
    assert list(planted.iterdir()) == []
    assert lens.scalars(trainer.workload) == scalars(training.history)


@needs_root
def test_a_job_writes_into_no_file_of_another_user(trainer: Trainer) -> None:
    mirror = mirrors.write(trainer.directory / "out" / "node_0" / "rank_0", trainer.workload)
    mirror.write_bytes(b"")
    os.chown(mirror, OTHER, OTHER)
    (line,) = our_lines(train(trainer, trainer.directory / "out"))
    assert f"{mirror} belongs to user id {OTHER}" in line
    assert mirror.read_bytes() == b""


def test_a_ledger_that_is_a_trap_costs_the_ledger_only(trainer: Trainer, lens: Lens) -> None:
    victim = trainer.directory / ".bashrc"
    victim.write_text(SECRET)
    rank = trainer.directory / "mirror" / "node_0" / "rank_0"
    rank.mkdir(parents=True)
    ledger_of(rank / NAME).symlink_to(victim)
    training = train(trainer, trainer.directory / "mirror")
    (line,) = our_lines(training)
    assert f"{ledger_of(rank / NAME)} is a symbolic link" in line
    assert victim.read_text() == SECRET
    assert [line["step"] for line in training.lines()] == list(range(100))
    assert lens.scalars(trainer.workload) == scalars(training.history)


def test_a_mirror_replaced_by_a_link_while_the_job_runs_is_not_followed(trainer: Trainer, lens: Lens) -> None:
    victim = trainer.directory / ".bashrc"
    victim.write_text(SECRET)
    mirror = trainer.directory / "mirror" / "node_0" / "rank_0" / NAME
    script = f"""
import os, time, wandb
run = wandb.init(project="p")
run.log({{"a": 1}})
while not os.path.exists("{mirror}"):
    time.sleep(0.05)
os.remove("{mirror}")
os.symlink("{victim}", "{mirror}")
run.log({{"a": 2}})
run.finish()
"""
    training = train(trainer, trainer.directory / "mirror", script)
    (line,) = our_lines(training)
    assert f"{mirror} is a symbolic link" in line
    assert victim.read_text() == SECRET
    assert lens.scalars(trainer.workload) == scalars(training.history)


def test_a_shared_folder_of_one_honest_user_works_and_is_private_below(
    shared_folder: Path, trainer: Trainer, lens: Lens
) -> None:
    """OUTPUT_PATH itself, a link on the way to it, and its mode are the user's own business."""
    (shared_folder / "data").mkdir()
    (shared_folder / "data").chmod(0o777)
    (shared_folder / "link").symlink_to("data")
    training = train(trainer, shared_folder / "link" / "metrics")
    assert our_lines(training) == []
    metrics = shared_folder / "data" / "metrics"
    mirror = metrics / "node_0" / "rank_0" / NAME
    assert mirror.read_bytes().count(b"\n") == 100
    for folder in (metrics, metrics / "node_0", metrics / "node_0" / "rank_0"):
        assert not mode_of(folder) & 0o007, folder
    for file in (mirror, ledger_of(mirror)):
        assert not mode_of(file) & 0o007, file
    assert mode_of(shared_folder / "data") == 0o777
    found = sync(trainer, str(shared_folder / "link"))
    assert found.returncode == 0
    assert "nothing was missing" in found.stdout


def test_sync_appends_to_no_file_behind_a_ledger(trainer: Trainer, lens: Lens) -> None:
    """What it appended to a .bashrc was run by a shell."""
    victim = trainer.directory / ".bashrc"
    victim.write_text(SECRET)
    mirror = mirrors.write(trainer.directory / "out", trainer.workload)
    ledger_of(mirror).unlink()
    ledger_of(mirror).symlink_to(victim)
    for path in ("out", str(mirror)):
        found = sync(trainer, "--workload-uid", trainer.workload, path)
        assert found.returncode == 1
        assert f"{NAME}.delivery is a symbolic link" in found.stdout
    assert victim.read_text() == SECRET
    assert lens.points(trainer.workload) == []


def test_sync_leaves_the_folder_through_no_link(trainer: Trainer, lens: Lens) -> None:
    mirrors.write(trainer.directory / "elsewhere", trainer.workload)
    (trainer.directory / "out").mkdir()
    (trainer.directory / "out" / "node_0").symlink_to(trainer.directory / "elsewhere")
    found = sync(trainer, "out")
    assert found.returncode == 1
    assert "there is no mirror at out" in found.stdout
    assert lens.points(trainer.workload) == []


@pytest.mark.parametrize("folder_mode", [0o755, 0o777], ids=["private", "shared"])
def test_hard_links_count_only_where_nobody_else_can_make_them(folder_mode: int, trainer: Trainer, lens: Lens) -> None:
    """Snapshots are often hard links."""
    mirror = mirrors.write(trainer.directory / "out", trainer.workload)
    os.link(mirror, trainer.directory / "snapshot")
    mirror.parent.chmod(folder_mode)
    found = sync(trainer, "out")
    assert (found.returncode, "has a second name" in found.stdout) == (
        (0, False) if folder_mode == 0o755 else (1, True)
    )
    assert lens.scalars(trainer.workload) == (mirrors.whole() if folder_mode == 0o755 else {})


@needs_root
def test_root_opens_the_files_of_users_only_when_it_says_so(shared_folder: Path, trainer: Trainer, lens: Lens) -> None:
    names = [mirrors.write(shared_folder / user, f"{trainer.workload}-{user}").parent for user in ("ann", "bob")]
    for folder in names:
        # A mirror to which the ledger has still to be made.
        ledger_of(folder / NAME).unlink()
        give_away(folder)
    arguments = ("--workload-uid", trainer.workload, str(shared_folder))
    found = sync(trainer, *arguments)
    assert found.returncode == 1
    assert found.stdout.count(f"belongs to user id {OTHER} and not to user id 0") == 2
    assert found.stdout.count("or as root with --trust-owner") == 2
    assert lens.points(trainer.workload) == []
    assert [file.name for folder in names for file in folder.iterdir()] == [NAME, NAME]

    trusting = sync(trainer, "--trust-owner", *arguments)
    assert trusting.returncode == 0, trusting.stdout
    assert lens.scalars(trainer.workload) == mirrors.whole()
    for folder in names:
        made = ledger_of(folder / NAME).stat()
        assert (made.st_uid, made.st_gid, stat.S_IMODE(made.st_mode)) == (OTHER, OTHER, 0o640)

    # The user can go on with what root made.
    own = command_as_the_other_user("sync", *arguments, PRIMUS_LENS_API_BASE_URL=lens.base_url)
    assert own.returncode == 0, own.stdout + own.stderr
    assert own.stdout.count("nothing was missing") == 2


@needs_root
@pytest.mark.parametrize("trap", ["link", "FIFO", "hard link"])
def test_trusting_owners_trusts_no_trap(trap: str, shared_folder: Path, trainer: Trainer) -> None:
    victim = trainer.directory / "shadow"
    victim.write_text(SECRET)
    mirror = mirrors.write(shared_folder / "ann", trainer.workload)
    ledger = ledger_of(mirror)
    ledger.unlink()
    give_away(mirror.parent)
    {"link": lambda: ledger.symlink_to(victim), "FIFO": lambda: os.mkfifo(ledger)}.get(
        trap, lambda: _link_or_skip(victim, ledger)
    )()
    found = sync(trainer, "--trust-owner", "--workload-uid", trainer.workload, str(shared_folder))
    assert found.returncode == 1
    assert f"{ledger} " in found.stdout
    assert victim.read_text() == SECRET
    assert victim.stat().st_uid == 0


def _link_or_skip(victim: Path, link: Path) -> None:
    try:
        os.link(victim, link)
    except OSError as error:
        pytest.skip(f"the two folders are on different file systems: {error}")


@needs_root
def test_trusting_owners_is_for_root(shared_folder: Path) -> None:
    found = command_as_the_other_user("sync", "--trust-owner", str(shared_folder))
    assert found.returncode == 2
    assert "--trust-owner is for root" in found.stderr
    assert "Traceback" not in found.stderr


@needs_root
def test_a_user_reads_no_mirror_that_another_planted(shared_folder: Path, trainer: Trainer, lens: Lens) -> None:
    """Here the planted one is root's; its own mirror beside it is delivered."""
    mirrors.write(shared_folder / "planted", trainer.workload + "-planted")
    own = mirrors.write(shared_folder / "own", trainer.workload)
    give_away(own.parent)
    found = command_as_the_other_user("sync", str(shared_folder), PRIMUS_LENS_API_BASE_URL=lens.base_url)
    assert found.returncode == 1
    assert f"planted belongs to user id 0 and not to user id {OTHER}" in found.stdout
    assert lens.scalars(trainer.workload) == mirrors.whole()
    assert lens.points(trainer.workload + "-planted") == []


@needs_root
def test_a_folder_that_cannot_be_searched_is_said(shared_folder: Path, trainer: Trainer, lens: Lens) -> None:
    private = shared_folder / "private"
    private.mkdir(mode=0o700)
    own = mirrors.write(shared_folder / "own", trainer.workload)
    give_away(own.parent)
    found = command_as_the_other_user("sync", str(shared_folder), PRIMUS_LENS_API_BASE_URL=lens.base_url)
    assert found.returncode == 0
    assert "1 folder(s) could not be searched" in found.stdout
    assert str(private) in found.stdout
    assert lens.scalars(trainer.workload) == mirrors.whole()


@needs_root
def test_trusting_owners_sends_no_mirror_where_the_ledger_of_another_user_says(
    shared_folder: Path, trainer: Trainer, lens: Lens
) -> None:
    """In a folder where all can write, one may move the mirror of another beside a ledger of one's own."""
    moved = mirrors.write(shared_folder / "moved", trainer.workload, lens.base_url)
    give_away(moved.parent)
    os.chown(moved, OTHER - 1, OTHER - 1)
    # Made by root in an earlier sync, on a file system that lets nobody give files away.
    of_root = mirrors.write(shared_folder / "of_root", trainer.workload + "-2", lens.base_url)
    give_away(of_root.parent)
    os.chown(ledger_of(of_root), 0, 0)
    found = sync(trainer, "--trust-owner", str(shared_folder), PRIMUS_LENS_API_BASE_URL="")
    assert found.returncode == 1
    said = f"{ledger_of(moved)} belongs to user id {OTHER}, and the file beside it to user id {OTHER - 1}"
    assert found.stdout.count(said) == 1
    assert lens.points(trainer.workload) == []
    assert lens.scalars(trainer.workload + "-2") == mirrors.whole()


@needs_root
def test_without_a_mirror_nobody_is_sent_to_deliver_from_it(trainer: Trainer) -> None:
    """A volume on which another user's job ran before: the file there is theirs."""
    mirror = mirrors.write(trainer.directory / "out" / "node_0" / "rank_0", trainer.workload)
    give_away(trainer.directory / "out" / "node_0")
    training = trainer.run(
        SCRIPT,
        PRIMUS_LENS_WANDB_OUTPUT_PATH=str(trainer.directory / "out"),
        PRIMUS_LENS_API_BASE_URL="http://127.0.0.1:9/api/v1",
        PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="0",
    )
    foreign, missing = our_lines(training)
    assert f"node_0 belongs to user id {OTHER} and not to user id 0" in foreign
    assert "100 of 100 metrics were not delivered" in missing
    assert "There is no copy" in missing
    assert "sync" not in missing
    assert mirror.read_bytes().count(b"\n") == 3
