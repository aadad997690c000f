"""`primus-lens-wandb sync`: from the mirror to Lens, only what is missing, to the right run and step."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from ..support import faults, mirrors
from ..support.commands import sync
from ..support.faults import FaultyLens
from ..support.lens import Lens
from ..support.training import Trainer
from ..support.wandb_file import scalars

SCRIPT = """
import time, wandb
for k in range(2):
    run = wandb.init(project="p", reinit=True)
    for i in range(150):
        run.log({"a": i, "b": i * 0.5, "bad": float("nan"), "text": "x", "flag": True, "n": {"x": k}})
        time.sleep(0.005)
    run.log({"late": 1}, step=3)
    run.finish()
"""


def mirror_of(trainer: Trainer) -> Path:
    return trainer.directory / "mirror" / "node_0" / "rank_0" / "wandb_metrics.jsonl"


def assert_lens_equals_wandb(trainer: Trainer, lens: Lens, training: object) -> None:
    for run_id, history in training.histories.items():  # type: ignore[attr-defined]
        assert lens.scalars(trainer.workload, run_id) == scalars(history)


def test_after_an_outage_everything_arrives_and_a_second_time_nothing_is_sent(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    faulty.down()
    training = faulty_trainer.run(SCRIPT, PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="0")
    faulty.up()
    assert lens.points(faulty_trainer.workload) == []

    found = sync(faulty_trainer, str(faulty_trainer.directory / "mirror"))
    assert found.returncode == 0, found.stdout + found.stderr
    assert_lens_equals_wandb(faulty_trainer, lens, training)

    count = len(faulty.requests)
    again = sync(faulty_trainer, str(mirror_of(faulty_trainer)))
    assert again.returncode == 0
    assert "nothing was missing" in again.stdout
    assert len(faulty.requests) == count


def test_only_what_is_missing_is_sent(faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens) -> None:
    process = faulty_trainer.start(SCRIPT, PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="0", PRIMUS_LENS_WANDB_BATCH_SIZE="20")
    while not faulty.requests:
        time.sleep(0.05)
    time.sleep(0.5)
    faulty.down()
    training = faulty_trainer.finish(process)
    faulty.up()
    taken_by_the_job = {
        (body["run_id"], metric["step"], metric["name"]) for _, body in faulty.taken for metric in body["metrics"]
    }
    faulty.taken.clear()
    assert taken_by_the_job

    found = sync(faulty_trainer, str(mirror_of(faulty_trainer)))
    assert found.returncode == 0, found.stdout + found.stderr
    sent = [(body["run_id"], metric["step"], metric["name"]) for _, body in faulty.taken for metric in body["metrics"]]
    assert sent
    assert len(sent) == len(set(sent))
    # The answer to the last request may have been lost with the connection.
    assert len(taken_by_the_job & set(sent)) <= 20
    assert_lens_equals_wandb(faulty_trainer, lens, training)


def test_after_a_kill_everything_in_the_mirror_arrives(faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens) -> None:
    faulty.behaviour = faults.refuse(503, "starting")
    process = faulty_trainer.start(SCRIPT)
    while not mirror_of(faulty_trainer).exists() or mirror_of(faulty_trainer).read_bytes().count(b"\n") < 50:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    faulty_trainer.finish(process)
    mirror = mirror_of(faulty_trainer)
    mirror.write_bytes(mirror.read_bytes() + b'{"timestamp": 1, "step": 99999, "da')
    faulty.behaviour = faults.forward

    found = sync(faulty_trainer, str(mirror))
    assert found.returncode == 0, found.stdout + found.stderr
    assert "1 torn or unreadable line" in found.stdout
    lines = [json.loads(line) for line in mirror.read_text().splitlines()[:-1]]
    expected = {
        (line["step"], name): float(value)
        for line in lines
        for name, value in line["data"].items()
        if name in ("a", "b", "flag", "n.x")
    }
    assert lens.scalars(faulty_trainer.workload) == expected


def test_a_dry_run_sends_nothing(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    faulty.down()
    faulty_trainer.run(SCRIPT, PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="0")
    faulty.up()
    count = len(faulty.requests)
    found = sync(faulty_trainer, "--dry-run", str(mirror_of(faulty_trainer)))
    assert found.returncode == 0
    assert "1200 metrics are missing" in found.stdout
    assert len(faulty.requests) == count


def test_another_workload_and_address_can_be_named(faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens) -> None:
    """From another machine, for a job that never knew its workload."""
    training = faulty_trainer.run(SCRIPT, WORKLOAD_UID="", PRIMUS_LENS_API_BASE_URL="http://127.0.0.1:1/api/v1")
    nameless = sync(faulty_trainer, str(mirror_of(faulty_trainer)))
    assert nameless.returncode == 1
    assert "--workload-uid" in nameless.stdout

    arguments = ("--workload-uid", faulty_trainer.workload, "--base-url", faulty.base_url)
    found = sync(faulty_trainer, *arguments, str(mirror_of(faulty_trainer)))
    assert found.returncode == 0, found.stdout + found.stderr
    assert_lens_equals_wandb(faulty_trainer, lens, training)


def test_a_value_that_was_logged_again_is_not_overwritten_by_its_older_one(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    """The older value was lost, the newer one arrived."""
    training = faulty_trainer.run(
        """
        import time, wandb
        run = wandb.init(project="p")
        run.log({"a": 1, "b": 1}, step=5)
        time.sleep(0.5)
        run.log({"a": 2}, step=5)
        run.finish()
        """
    )
    ledger = Path(str(mirror_of(faulty_trainer)) + ".delivery")
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    for line in lines:
        if "acknowledged" in line:
            line["acknowledged"] = [[1, 1]]
    ledger.write_text("".join(json.dumps(line) + "\n" for line in lines))

    found = sync(faulty_trainer, str(mirror_of(faulty_trainer)))
    assert found.returncode == 0
    assert lens.scalars(faulty_trainer.workload) == scalars(training.history) == {(5, "a"): 2.0, (5, "b"): 1.0}


def test_what_lens_refuses_is_exit_code_1(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    faulty.down()
    faulty_trainer.run(SCRIPT, PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="0")
    faulty.up()
    faulty.behaviour = faults.refuse(400, "invalid request format")
    found = sync(faulty_trainer, str(mirror_of(faulty_trainer)))
    assert found.returncode == 1
    assert "invalid request format" in found.stdout


def test_one_request_on_which_the_server_fails_does_not_keep_the_rest_from_arriving(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    faulty.down()
    training = faulty_trainer.run(
        """
        import wandb
        run = wandb.init(project="p")
        for i in range(1500):
            run.log({"a": i})
        run.finish()
        """,
        PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="0",
    )
    faulty.up()
    faulty.behaviour = faults.refuse_if(
        lambda body: any(metric["step"] == 3 for metric in body.get("metrics", [])),
        faults.forward,
        500,
        "failed to process metrics",
    )
    found = sync(faulty_trainer, str(mirror_of(faulty_trainer)))
    assert found.returncode == 1
    assert "failed to process metrics" in found.stdout
    expected = {key: value for key, value in scalars(training.history).items() if key[0] >= 500}
    assert lens.scalars(faulty_trainer.workload) == expected


def test_a_sync_while_the_job_runs_leaves_its_calls_to_it(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    process = faulty_trainer.start(SCRIPT.replace("0.005", "0.03"))
    while not mirror_of(faulty_trainer).exists():
        time.sleep(0.05)
    time.sleep(1)
    found = sync(faulty_trainer, str(mirror_of(faulty_trainer)))
    assert found.returncode == 0, found.stdout
    assert "the job still runs" in found.stdout
    training = faulty_trainer.finish(process)
    assert_lens_equals_wandb(faulty_trainer, lens, training)
    sent = [(b["run_id"], m["step"], m["name"]) for _, b in faulty.taken for m in b["metrics"]]
    assert len(sent) == len(set(sent))


@pytest.mark.parametrize("content", [None, b""], ids=["no file", "empty file"])
def test_a_path_without_a_mirror(content: bytes | None, trainer: Trainer) -> None:
    path = trainer.directory / "wandb_metrics.jsonl"
    if content is not None:
        path.write_bytes(content)
    found = sync(trainer, str(path))
    assert found.returncode == (1 if content is None else 0)
    assert ("no mirror" if content is None else "nothing was missing") in found.stdout


def test_a_malformed_address_is_wrong_usage(trainer: Trainer) -> None:
    found = sync(trainer, "--base-url", "lens:8080", str(trainer.directory))
    assert found.returncode == 2
    assert "'lens:8080'" in found.stderr


def test_hundreds_of_mirrors_need_few_open_files(trainer: Trainer, lens: Lens) -> None:
    """A job of 1,024 ranks leaves 1,024 mirrors, and a process may open no more files than that."""
    for number in range(60):
        run = {"run_id": f"r{number}"}
        mirror = mirrors.write(trainer.directory / "out" / f"node_{number}", trainer.workload)
        mirror.write_bytes(mirrors.lines(mirrors.call(number, **run)))
        mirrors.ledger_of(mirror).write_bytes(mirrors.lines(mirrors.introduction(trainer.workload, **run)))
    launcher = trainer.directory / "limited"
    launcher.write_text(f'#!/bin/sh\nulimit -n 40\nexec {trainer.python} "$@"\n')
    launcher.chmod(0o755)
    found = sync(Trainer(str(launcher), trainer.directory, trainer.base_url, trainer.workload), "out")
    assert found.returncode == 0, found.stdout + found.stderr
    assert lens.scalars(trainer.workload) == mirrors.whole(60)
