"""Forks, children and sudden ends: each process delivers its own, and none waits for a dead server."""

from __future__ import annotations

import time

import pytest

from ..support import faults
from ..support.otlp_receiver import OtlpReceiver
from ..support.training import Trainer


def test_a_forked_child_and_its_parent_deliver_what_each_has_logged(
    receiver: OtlpReceiver, otlp_trainer: Trainer, wandb_version: tuple[int, ...]
) -> None:
    if wandb_version < (0, 13):
        pytest.skip("this wandb cannot begin a run in a forked child")
    training = otlp_trainer.run(
        """
        import os, time, wandb
        run = wandb.init(project="p", id="parent")
        for i in range(50):
            run.log({"before": i})
        time.sleep(0.5)
        for i in range(50):
            run.log({"queued": i})
        pid = os.fork()
        if pid == 0:
            child = wandb.init(project="p", id="child", reinit=True)
            for i in range(100):
                child.log({"loss": i})
            child.finish()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        run.log({"after": 1})
        run.finish()
        """
    )

    assert training.returncode == 0
    assert [point.value for point in receiver.points("child")] == list(range(100))
    parents = [(point.name, point.value) for point in receiver.points("parent")]
    expected = [("before", i) for i in range(50)] + [("queued", i) for i in range(50)] + [("after", 1)]
    assert sorted(parents) == sorted(expected)


def test_several_runs_in_one_process_are_told_apart(receiver: OtlpReceiver, otlp_trainer: Trainer) -> None:
    otlp_trainer.run(
        """
        import wandb
        for number in range(3):
            run = wandb.init(project="p", id=f"run{number}")
            for i in range(20):
                run.log({"loss": number * 100 + i})
            run.finish()
        """
    )

    for number in range(3):
        assert [point.value for point in receiver.points(f"run{number}")] == [number * 100 + i for i in range(20)]


def test_a_script_that_ends_without_finish_delivers_at_exit(receiver: OtlpReceiver, otlp_trainer: Trainer) -> None:
    otlp_trainer.run(
        """
        import wandb
        wandb.init(project="p")
        for i in range(100):
            wandb.log({"loss": i})
        """
    )
    assert [point.value for point in receiver.points()] == list(range(100))


def test_a_server_that_never_answers_costs_no_more_than_the_flush_timeout(
    receiver: OtlpReceiver, otlp_trainer: Trainer
) -> None:
    receiver.behaviour = faults.hang
    process = otlp_trainer.start(
        """
        import wandb
        run = wandb.init(project="p")
        for i in range(100):
            run.log({"loss": i})
        print("trained", flush=True)
        run.finish()
        """,
        PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="2",
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "trained\n"
    began = time.monotonic()
    training = otlp_trainer.finish(process)
    # wandb's own end takes some seconds on a busy machine; the request alone would take 10 s, its retries for ever.
    assert time.monotonic() - began < 2 + 20
    assert training.returncode == 0
    assert "100 of 100 metrics were not delivered to OpenTelemetry" in training.stderr
    assert "no answer for" in training.stderr
