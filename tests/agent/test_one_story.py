"""One story per run: Lens never hears of two different frameworks, however late the better one is loaded."""

from __future__ import annotations

import signal
import time
from typing import Any, Callable

import pytest

from ..support.faults import FaultyLens
from ..support.training import Trainer
from .test_detection import stand_in

# Looks at what is loaded come in fractions of a second instead of seconds.
HASTE = """
from primus_lens_wandb_exporter import run_detection
run_detection._FIRST_LOOK_S = 0.2
"""
LOG_FOR_A_WHILE = """
def log_for(seconds):
    end = time.time() + seconds
    while time.time() < end:
        run.log({"a": 1})
        time.sleep(0.05)
"""
HEAD = "import os, sys, time, torch, wandb\n" + HASTE + LOG_FOR_A_WHILE + 'run = wandb.init(project="p")\n'


@pytest.fixture
def trainer(faulty_trainer: Trainer) -> Trainer:
    """Can import stand-ins of a general framework, of bases and of wrappers."""
    stand_in(faulty_trainer, "torch", "__version__ = '2.9'\n")
    stand_in(faulty_trainer, "deepspeed", "__version__ = '0.15'\n")
    stand_in(faulty_trainer, "megatron.core", "")
    stand_in(faulty_trainer, "lightning.pytorch.trainer", "")
    return faulty_trainer


def frameworks(body: dict[str, Any]) -> tuple[list[str], list[str], list[str], list[str]]:
    """Wrappers and bases of the hints, and of the evidence, by which the server goes first."""
    hints, evidence = body["hints"], body["evidence"]
    return (
        hints["wrapper_frameworks"],
        hints["base_frameworks"],
        list(evidence["wrapper_frameworks"]),
        list(evidence["base_frameworks"]),
    )


ONLY = {name: ([], [name], [], [name]) for name in ("pytorch", "deepspeed")}


def wait_until(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def test_a_specific_framework_is_told_at_once(faulty: FaultyLens, trainer: Trainer) -> None:
    process = trainer.start(
        "import sys, torch, deepspeed, wandb\n"
        "from primus_lens_wandb_exporter import run_detection\n"
        "run_detection._PATIENCE_S = 600\n"
        'run = wandb.init(project="p")\nsys.stdin.readline()\nrun.finish()\n'
    )
    wait_until(lambda: bool(faulty.detections))
    assert process.stdin is not None
    process.stdin.write("\n")
    assert trainer.finish(process).returncode == 0

    (body,) = faulty.detections
    assert frameworks(body) == ONLY["deepspeed"]


def test_a_general_framework_waits_for_the_better_one_that_is_loaded_later(
    faulty: FaultyLens, trainer: Trainer
) -> None:
    trainer.run(
        HEAD
        + """
for _ in range(5):
    run.log({"a": 1})
import deepspeed
run.config.update({"late": 1})
log_for(3)
run.finish()
"""
    )

    # Told as soon as it was seen; what came to rest after that would follow.
    assert [frameworks(body) for body in faulty.detections] == [ONLY["deepspeed"]] * len(faulty.detections)
    assert faulty.detections[-1]["evidence"]["wandb"]["config"]["late"] == 1


@pytest.mark.parametrize("later", ["deepspeed", "megatron.core", "lightning.pytorch.trainer"])
def test_what_comes_after_a_general_framework_was_told_contradicts_nothing(
    later: str, faulty: FaultyLens, trainer: Trainer
) -> None:
    """The general base at init, ten calls and more, and then the specific one: no conflict on any server."""
    trainer.run(
        HEAD
        + f"""
log_for(3)
import {later}
run.config.update({{"late": 1}})
log_for(4)
run.finish()
"""
    )

    first, second = faulty.detections
    assert frameworks(first) == frameworks(second) == ONLY["pytorch"]
    name = later.split(".")[0]
    # What is so is told all the same, and what else is new.
    assert not first["evidence"]["pytorch"]["detected_modules"][name]
    assert second["evidence"]["pytorch"]["detected_modules"][name]
    assert name in second["hints"]["possible_frameworks"]
    assert second["evidence"]["wandb"]["config"]["late"] == 1


def test_a_run_that_never_logs_is_told_in_time_by_what_is_loaded_then(faulty: FaultyLens, trainer: Trainer) -> None:
    process = trainer.start(
        "import sys, time, torch, wandb\n"
        "from primus_lens_wandb_exporter import run_detection\n"
        "run_detection._PATIENCE_S = 3\n"
        'run = wandb.init(project="p")\nimport deepspeed\nsys.stdin.readline()\nrun.finish()\n'
    )
    wait_until(lambda: bool(faulty.detections))
    assert process.stdin is not None
    process.stdin.write("\n")
    assert trainer.finish(process).returncode == 0

    (body,) = faulty.detections
    assert frameworks(body) == ONLY["deepspeed"]


ENDS = {
    "finish": 'run.finish()\nprint("goes on")\n',
    "finish of a context": 'run.__exit__(None, None, None)\nprint("goes on")\n',
    "exit": "",
    "an exception": "raise SystemExit(0)\n",
}


@pytest.mark.parametrize("logs", ["", 'run.log({"a": 1})\n'], ids=["without a call", "with a call"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_the_end_tells_what_still_waits(end: str, logs: str, faulty: FaultyLens, trainer: Trainer) -> None:
    trainer.run(
        'import torch, wandb\nrun = wandb.init(project="p")\n'
        + logs
        + 'import deepspeed\nrun.config.update({"late": 1})\n'
        + end
    )

    (body,) = faulty.detections
    assert frameworks(body) == ONLY["deepspeed"]
    assert body["evidence"]["wandb"]["config"] == {"late": 1}


def test_a_job_without_any_framework_is_told(faulty: FaultyLens, trainer: Trainer) -> None:
    trainer.run('import wandb\nrun = wandb.init(project="p")\nrun.log({"a": 1})\nrun.finish()\n')

    (body,) = faulty.detections
    assert frameworks(body) == ([], [], [], [])


def test_a_flush_at_sigterm_tells_what_waits(
    wandb_version: tuple[int, ...], faulty: FaultyLens, trainer: Trainer
) -> None:
    if wandb_version < (0, 13):
        pytest.skip("this wandb's own process stays when a job dies of a signal")
    process = trainer.start(
        'import sys, time, torch, wandb\nrun = wandb.init(project="p")\nrun.log({"a": 1})\n'
        'print("trains", flush=True)\ntime.sleep(120)\n',
        PRIMUS_LENS_WANDB_FLUSH_ON_SIGTERM="true",
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert trainer.finish(process).returncode == -signal.SIGTERM

    (body,) = faulty.detections
    assert frameworks(body) == ONLY["pytorch"]


def test_runs_of_a_process_tell_the_same_story(faulty: FaultyLens, trainer: Trainer) -> None:
    """They belong to one workload, whose state a later run must not turn into a conflict."""
    trainer.run(
        HEAD
        + """
run.finish()
import deepspeed
run = wandb.init(project="p", name="second")
run.log({"a": 1})
run.finish()
os.environ["WORKLOAD_UID"] += "-other"
run = wandb.init(project="p", name="third")
run.finish()
"""
    )

    first, second, third = faulty.detections
    assert frameworks(first) == frameworks(second) == ONLY["pytorch"]
    assert frameworks(third) == ONLY["deepspeed"]
    assert second["evidence"]["wandb"]["name"] == "second"


def test_a_run_that_ends_leaves_others_waiting(faulty: FaultyLens, trainer: Trainer) -> None:
    process = trainer.start(
        """
        import sys, torch, wandb
        try:
            one = wandb.init(project="p", name="one", reinit="create_new")
            two = wandb.init(project="p", name="two", reinit="create_new")
        except Exception:
            print("this wandb has one run at a time", flush=True)
            raise SystemExit(0)
        one.finish()
        print("finished", flush=True)
        sys.stdin.readline()
        import deepspeed
        two.finish()
        """
    )
    assert process.stdout is not None
    assert process.stdin is not None
    line = process.stdout.readline()
    if "one run at a time" in line:
        pytest.skip(line)
    (first,) = faulty.detections
    process.stdin.write("\n")
    assert trainer.finish(process).returncode == 0

    _, second = faulty.detections
    assert [body["evidence"]["wandb"]["name"] for body in (first, second)] == ["one", "two"]
    assert frameworks(first) == frameworks(second) == ONLY["pytorch"]
    assert second["evidence"]["pytorch"]["detected_modules"]["deepspeed"]


def test_a_forked_child_leaves_the_story_to_its_parent(faulty: FaultyLens, trainer: Trainer) -> None:
    trainer.run(
        HEAD
        + """
import multiprocessing
def log_in_child():
    import megatron.core
    log_for(2)
child = multiprocessing.get_context("fork").Process(target=log_in_child)
child.start()
child.join()
import deepspeed
run.finish()
"""
    )

    (body,) = faulty.detections
    assert frameworks(body) == ONLY["deepspeed"]


def test_a_daemon_tells_what_its_parent_could_not(faulty: FaultyLens, trainer: Trainer) -> None:
    """Without wandb, whose service ends with the parent in many versions."""
    trainer.run(
        """
        import os, time, torch
        from primus_lens_wandb_exporter import interceptor
        from primus_lens_wandb_exporter.processes import is_running
        from primus_lens_wandb_exporter.run_tracker import RunTracker

        class Run:
            def __init__(self):
                self._config, self._run_id = {}, "r"

        run = Run()
        tracker = RunTracker("r", 0, 0)
        tracker.report_detection(run)
        parent = os.getpid()
        if os.fork():
            os._exit(0)
        while is_running(parent):
            time.sleep(0.01)
        import deepspeed
        tracker.enter_process("r", 1)
        tracker.join_as_child()
        tracker.take_over_detection(run)
        """
    )

    (body,) = faulty.detections
    assert frameworks(body) == ONLY["deepspeed"]
    assert body["evidence"]["wandb"]["id"] == "r"


def test_a_child_with_a_run_of_its_own_tells_of_it(
    wandb_version: tuple[int, ...], faulty: FaultyLens, trainer: Trainer
) -> None:
    if wandb_version < (0, 13):
        pytest.skip("this wandb hangs in a child that does not finish its run, with and without the exporter")
    trainer.run(
        """
        import multiprocessing, torch
        def train():
            import wandb
            run = wandb.init(project="p")
            run.log({"a": 1})
            import deepspeed
        if __name__ == "__main__":
            child = multiprocessing.get_context("fork").Process(target=train)
            child.start()
            child.join()
            assert child.exitcode == 0
        """
    )

    (body,) = faulty.detections
    assert frameworks(body) == ONLY["deepspeed"]


def test_a_resumed_run_tells_again(faulty: FaultyLens, trainer: Trainer) -> None:
    for _ in range(2):
        trainer.run('import torch, wandb\nrun = wandb.init(project="p", id="r", resume="allow")\nimport deepspeed\n')

    assert [frameworks(body) for body in faulty.detections] == [ONLY["deepspeed"]] * 2
    assert {body["evidence"]["wandb"]["id"] for body in faulty.detections} == {"r"}


def test_a_workload_uid_that_lens_cannot_store_with_a_framework_costs_the_detection_alone(
    faulty: FaultyLens, trainer: Trainer
) -> None:
    script = """
import torch, wandb
for _ in range(2):
    run = wandb.init(project="p")
    run.log({"a": 1})
    run.finish()
"""
    training = trainer.run(script, WORKLOAD_UID="w" * 129)

    assert len(faulty.taken) == 2
    assert faulty.detections == []
    (line,) = [line for line in training.stderr.splitlines() if "Primus Lens" in line]
    assert "WORKLOAD_UID has 129 characters" in line
    trainer.run(script, WORKLOAD_UID="w" * 128)
    assert len(faulty.detections) == 2


def test_a_run_without_lens_looks_no_more_than_it_must(faulty: FaultyLens, trainer: Trainer) -> None:
    """Where no sink takes detections nothing waits for ever."""
    training = trainer.run(
        HEAD
        + """
log_for(1)
run.finish()
print("waiting:", len(run_detection._waiting))
""",
        PRIMUS_LENS_WANDB_API_REPORTING="false",
    )

    assert "waiting: 0" in training.stdout
    assert faulty.detections == []
