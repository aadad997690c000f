"""A disk that is full or read-only costs the mirror, never the job, and gets its lines when there is room again."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path
from typing import Iterator

import pytest

from ..support import mirrors
from ..support.commands import sync
from ..support.lens import Lens
from ..support.training import Trainer
from ..support.wandb_file import scalars

SCRIPT = """
import os, time, wandb
run = wandb.init(project="p")
for i in range(1000):
    run.log({"a": i, "b": i * 0.5})
time.sleep(1)
if os.path.exists("{disk}/filler"):
    os.remove("{disk}/filler")
time.sleep(1.5)
for i in range(1000, 1100):
    run.log({"a": i})
run.finish()
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine does not let us mount a small tmpfs: " + mounted.stderr.decode().strip())
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def whole_lines(disk: Path) -> list[int]:
    """The sequence numbers of the whole lines; every other line is a torn one, which ends where the disk was full."""
    found = []
    for line in (disk / "node_0" / "rank_0" / "wandb_metrics.jsonl").read_text().splitlines():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line)["sequence"])
    return found


def test_a_full_disk_gets_its_lines_when_there_is_room_again(small_disk: Path, trainer: Trainer, lens: Lens) -> None:
    (small_disk / "filler").write_bytes(b"x" * (1024 - 64) * 1024)
    training = trainer.run(SCRIPT.replace("{disk}", str(small_disk)), PRIMUS_LENS_WANDB_OUTPUT_PATH=str(small_disk))

    assert whole_lines(small_disk) == list(range(1100))
    assert lens.scalars(trainer.workload) == scalars(training.history)
    assert len([line for line in training.stderr.splitlines() if "No space left" in line]) <= 2
    assert "No space left" in training.stderr


def test_a_disk_that_stays_full_costs_the_mirror_only(small_disk: Path, trainer: Trainer, lens: Lens) -> None:
    (small_disk / "filler2").write_bytes(b"x" * (1024 - 64) * 1024)
    training = trainer.run(
        SCRIPT.replace("{disk}", str(small_disk)),
        PRIMUS_LENS_WANDB_OUTPUT_PATH=str(small_disk),
        PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="2",
    )

    lines = whole_lines(small_disk)
    assert lines == list(range(len(lines)))
    assert lens.scalars(trainer.workload) == scalars(training.history)


def test_a_read_only_disk_costs_the_mirror_only(small_disk: Path, trainer: Trainer, lens: Lens) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    training = trainer.run(SCRIPT.replace("{disk}", str(small_disk)), PRIMUS_LENS_WANDB_OUTPUT_PATH=str(small_disk))

    assert lens.scalars(trainer.workload) == scalars(training.history)
    (line,) = [line for line in training.stderr.splitlines() if "Primus Lens" in line]
    assert "Read-only file system" in line
    assert str(small_disk) in line


def test_a_mirror_on_a_read_only_snapshot_is_delivered_and_said_not_to_be_noted(
    small_disk: Path, trainer: Trainer, lens: Lens
) -> None:
    mirrors.write(small_disk, trainer.workload)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    found = sync(trainer, str(small_disk))
    assert found.returncode == 0, found.stdout
    assert "3 metrics delivered" in found.stdout
    assert "3 of them could not be noted as delivered: [Errno 30] Read-only file system" in found.stdout
    assert found.stderr == ""
    assert lens.scalars(trainer.workload) == mirrors.whole()


def test_a_full_disk_for_temporary_files_costs_a_run_nothing(small_disk: Path, trainer: Trainer, lens: Lens) -> None:
    """Python looks for room there once; a page of a file for which there is none later would end the job by SIGBUS."""
    training = trainer.run(
        """
        import tempfile, wandb
        # wandb's own service starts while there is room.
        wandb.init(project="p").finish()
        with open(tempfile.gettempdir() + "/filler", "wb", buffering=0) as filler:
            try:
                while filler.write(bytes(4096)):
                    pass
            except OSError:
                pass
        run = wandb.init(project="p")
        run.log({"a": 1})
        run.finish()
        print(run.id)
        """,
        TMPDIR=str(small_disk),
    )

    run_id = training.stdout.split()[-1]
    assert lens.scalars(trainer.workload, run_id) == scalars(training.histories[run_id]) == {(0, "a"): 1.0}
