"""`primus-lens-wandb sync --follow`: what jobs leave is delivered by itself, and living jobs are left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Callable, Iterator

import pytest

from primus_lens_wandb_exporter.commands import watched, writer_lock
from primus_lens_wandb_exporter.commands.watched import Watch
from primus_lens_wandb_exporter.owned_files import OwnedFiles

from ..support import faults, mirrors, wandb_records
from ..support.commands import start_follow, sync
from ..support.faults import FaultyLens
from ..support.lens import Lens
from ..support.mirrors import call, introduction, ledger_of, lines
from ..support.training import Trainer
from ..support.users import needs_root
from ..support.wandb_records import ending, row, summary
from .test_sync_wandb_files import sent_by

JOB = """
import sys, time, wandb
run = wandb.init(project="p", id={run_id!r})
for i in range(50):
    run.log({{"a": i}})
print("logged", flush=True)
sys.stdin.readline()
for i in range(50):
    run.log({{"b": i}})
run.finish()
"""


class Follower:
    """A running follower and what it has said so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def said(self, text: str) -> int:
        return sum(text in line for line in self.lines)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        status = self.process.wait(timeout=60)
        self._reader.join(timeout=10)
        return status


@pytest.fixture
def follow() -> Iterator[Callable[..., Follower]]:
    started: list[Follower] = []

    def start(trainer: Trainer, *arguments: str, **options: object) -> Follower:
        started.append(Follower(start_follow(trainer, *arguments, **options)))  # type: ignore[arg-type]
        wait_for(lambda: bool(started[-1].said("following ")))
        return started[-1]

    yield start
    for follower in started:
        follower.process.kill()
        follower.process.wait()


def wait_for(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def test_leaves_a_living_job_alone_and_delivers_what_it_left_when_it_is_killed(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens, follow: Callable[..., Follower]
) -> None:
    faulty.behaviour = faults.refuse(503, "starting")
    (faulty_trainer.directory / "mirror").mkdir()
    follower = follow(faulty_trainer, "mirror")
    job = faulty_trainer.start(JOB.format(run_id="killed"))
    assert job.stdout is not None
    job.stdout.readline()
    mirror = faulty_trainer.directory / "mirror" / "node_0" / "rank_0" / mirrors.NAME
    wait_for(lambda: mirror.exists() and mirror.read_bytes().count(b"\n") == 50)
    time.sleep(2)
    assert len(follower.lines) == 1
    faulty_trainer.kill(job)
    faulty.behaviour = faults.forward
    wait_for(lambda: bool(lens.points(faulty_trainer.workload)))
    assert lens.scalars(faulty_trainer.workload) == {(step, "a"): float(step) for step in range(50)}
    assert len(sent_by(faulty)) == 50

    # Nothing more is said or sent.
    said, count = list(follower.lines), faulty.request_count
    time.sleep(2)
    assert (follower.lines, faulty.request_count) == (said, count)
    assert follower.end() == 0
    assert follower.lines[-1].endswith("ended\n")


def test_a_healthy_job_delivers_everything_itself(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens, follow: Callable[..., Follower]
) -> None:
    follower = follow(faulty_trainer, ".")
    job = faulty_trainer.start(JOB.format(run_id="healthy"))
    assert job.stdout is not None
    job.stdout.readline()
    time.sleep(3)
    training = faulty_trainer.finish(job)
    assert training.returncode == 0
    time.sleep(4)
    assert follower.end() == 0
    sent = sent_by(faulty)
    assert len(sent) == len(set(sent)) == 100
    assert len(faulty.detections) == 1
    assert not follower.said("delivered")


def test_run_without_a_mirror_arrives_when_its_file_rests(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens, follow: Callable[..., Follower]
) -> None:
    root = faulty_trainer.directory / "wandb"
    root.mkdir()
    follower = follow(faulty_trainer, "--workload-uid", faulty_trainer.workload, "wandb")
    wandb_records.write(root, "r1", row(0, a=1), summary(best=2), age_s=0)
    wait_for(lambda: len(lens.points(faulty_trainer.workload)) == 2)
    wandb_records.write(root, "r1", row(0, a=1), row(1, a=2), summary(best=3), ending(), age_s=0)
    wait_for(lambda: len(lens.points(faulty_trainer.workload)) == 4)
    assert len(sent_by(faulty)) == len(set(sent_by(faulty))) == 4
    assert follower.end(signal.SIGINT) == 0


def test_an_outage_is_two_lines_and_ends_with_everything_delivered(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens, follow: Callable[..., Follower]
) -> None:
    faulty.behaviour = faults.refuse(503, "starting")
    for number in range(5):
        mirrors.write(faulty_trainer.directory / "out" / str(number), f"{faulty_trainer.workload}-{number}")
    follower = follow(faulty_trainer, "out")
    wait_for(lambda: faulty.request_count >= 4)
    # One request a round, whatever waits.
    assert follower.said("does not take anything") == 1
    assert len(follower.lines) == 2
    assert len({body["workload_uid"] for _, body in faulty.requests}) == 1
    faulty.behaviour = faults.forward
    wait_for(lambda: follower.said("3 metrics delivered") == 5)
    wait_for(lambda: follower.said(" answers again") == 1)
    for number in range(5):
        assert lens.scalars(f"{faulty_trainer.workload}-{number}") == mirrors.whole()
    assert len(sent_by(faulty)) == 15
    assert follower.end() == 0


def test_what_lens_refuses_is_said_once_and_not_asked_again_and_again(
    faulty: FaultyLens, faulty_trainer: Trainer, follow: Callable[..., Follower]
) -> None:
    faulty.behaviour = faults.refuse(400, "invalid request format")
    mirrors.write(faulty_trainer.directory / "out", faulty_trainer.workload)
    follower = follow(faulty_trainer, "out")
    wait_for(lambda: follower.said("invalid request format") == 1)
    time.sleep(3)
    assert follower.said("invalid request format") == 1
    assert faulty.request_count <= 6
    assert follower.end() == 0


def test_two_followers_and_a_sync_on_one_path_never_send_twice(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens, follow: Callable[..., Follower]
) -> None:
    faulty.behaviour = faults.delay(0.05)
    root = faulty_trainer.directory / "out"
    root.mkdir()
    followers = [follow(faulty_trainer, "out") for _ in range(2)]
    for number in range(20):
        mirrors.write(root / str(number), f"{faulty_trainer.workload}-{number}")
        wandb_records.write(root / "wandb", f"{faulty_trainer.workload}-r{number}", row(0, a=1), ending())
    sync(faulty_trainer, "out")
    wait_for(lambda: len(sent_by(faulty)) >= 80)
    time.sleep(2)
    assert [follower.end() for follower in followers] == [0, 0]
    assert len(sent_by(faulty)) == len(set(sent_by(faulty))) == 80
    assert len(faulty.detections) == 20


def test_it_ends_in_the_middle_of_an_outage_and_of_a_request(
    faulty: FaultyLens, faulty_trainer: Trainer, follow: Callable[..., Follower]
) -> None:
    faulty.behaviour = faults.delay(1.0)
    mirror = mirrors.write(faulty_trainer.directory / "out", faulty_trainer.workload, calls=5000)
    follower = follow(faulty_trainer, "out")
    wait_for(lambda: faulty.request_count >= 2)
    began = time.monotonic()
    assert follower.end() == 0
    assert time.monotonic() - began < 40
    delivered = len(sent_by(faulty))
    assert 0 < delivered < 5000
    # What was taken is noted.
    faulty.behaviour = faults.forward
    assert sync(faulty_trainer, str(mirror)).returncode == 0
    assert len(sent_by(faulty)) == len(set(sent_by(faulty))) == 5000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--dry-run", "."], "--follow goes with neither --dry-run nor --since"),
        (["nowhere"], "--follow wants a directory, and nowhere is none"),
        (["--mirror", "nowhere", "."], "--mirror nowhere is no directory"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str, trainer: Trainer) -> None:
    found = sync(trainer, "--follow", *arguments)
    assert found.returncode == 2
    assert said in found.stderr


def test_ends_soon_while_lens_hangs(
    faulty: FaultyLens, faulty_trainer: Trainer, follow: Callable[..., Follower]
) -> None:
    """Kubernetes kills what does not end within 30 s; a job would wait that long for an answer."""
    faulty.behaviour = faults.hang
    mirrors.write(faulty_trainer.directory / "out", faulty_trainer.workload)
    follower = follow(faulty_trainer, "out")
    wait_for(lambda: faulty.request_count == 1)
    asked = time.monotonic()
    assert follower.end() == 0
    assert time.monotonic() - asked < 20
    assert follower.lines[-1].endswith("ended\n")
    assert faulty.request_count == 1


def look(watch: Watch, root: Path) -> set[str]:
    found = sorted(root.rglob(mirrors.NAME))
    files = OwnedFiles(str(root))
    return {os.path.relpath(path, root) for path in watch.look([(str(path), files) for path in found], [])}


def test_a_writer_on_another_host_is_taken_for_dead_when_its_files_have_rested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over NFS its lock may not be seen."""
    mirror = mirrors.write(tmp_path / "out", "w")
    now = [1000.0]
    monkeypatch.setattr(watched.time, "monotonic", lambda: now[0])
    watch = Watch(trusts_owners=False)
    assert look(watch, tmp_path) == set()
    now[0] += 59
    assert look(watch, tmp_path) == set()
    mirror.write_bytes(mirror.read_bytes() + lines(call(9)))
    now[0] += 2
    assert look(watch, tmp_path) == set()
    now[0] += 61
    assert look(watch, tmp_path) == {f"out/{mirrors.NAME}"}


def test_what_a_dead_writer_left_is_due_although_its_successor_lives(tmp_path: Path) -> None:
    """As after a restart in the same place; the predecessor has an id of a process that is no more."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    mirror = mirrors.write(tmp_path / "out", "w")
    host = writer_lock.socket.gethostname()
    successor = introduction("w", writer="successor", host=host, pid=os.getpid())
    ledger_of(mirror).write_bytes(lines(introduction("w", host=host, pid=gone.pid), successor))
    watch = Watch(trusts_owners=False)
    with ledger_of(mirror).open("rb") as held:
        import fcntl

        fcntl.flock(held, fcntl.LOCK_SH)
        assert look(watch, tmp_path) == {f"out/{mirrors.NAME}"}
        watch.settle(str(mirror))
        mirror.write_bytes(mirror.read_bytes() + lines(call(9, writer="successor")))
        assert look(watch, tmp_path) == set()
    assert look(watch, tmp_path) == {f"out/{mirrors.NAME}"}


def test_what_vanishes_is_forgotten(tmp_path: Path) -> None:
    mirror = mirrors.write(tmp_path / "out", "w")
    watch = Watch(trusts_owners=False)
    look(watch, tmp_path)
    assert watch.paths == {str(mirror)}
    mirror.unlink()
    look(watch, tmp_path)
    assert watch.paths == set()


@needs_root
def test_a_job_in_another_container_is_left_alone_although_its_process_cannot_be_seen(tmp_path: Path) -> None:
    """A sidecar shares the host's name with the job, and not its process ids."""
    mirror = mirrors.write(tmp_path / "out", "w")
    host = writer_lock.socket.gethostname()
    ledger_of(mirror).write_bytes(lines(introduction("w", host=host, pid=4_000_000)))
    holding = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_SH); print(1, flush=True); input()"
    command = ["unshare", "--pid", "--fork", "--", "python3", "-c", holding, str(ledger_of(mirror))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        if not job.stdout.readline():
            pytest.skip("no process namespace can be made here")
        assert look(Watch(trusts_owners=False), tmp_path) == set()
        job.communicate("\n", timeout=30)
    assert look(Watch(trusts_owners=False), tmp_path) == {f"out/{mirrors.NAME}"}
