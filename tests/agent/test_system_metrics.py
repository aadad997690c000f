"""System metrics join every log call when they are asked for, and nothing happens when they are not."""

from __future__ import annotations

from ..support.lens import Lens
from ..support.training import Trainer
from ..support.wandb_file import scalars

SCRIPT = """
import wandb
run = wandb.init(project="p")
values = {"a": 1.0}
for i in range(5):
    run.log(values)
run.log({}, commit=True)
run.log(data={"b": 2}, step=10)
run.log({"c": {"d": 3}}, 11, commit=True)
assert values == {"a": 1.0}, "the job's own dict stays as it is"
run.finish()
"""
CPU, MEMORY = "_primus_sys_cpu_percent", "_primus_sys_memory_percent"


def without_system(found: dict[tuple[int, str], float]) -> dict[tuple[int, str], float]:
    return {key: value for key, value in found.items() if not key[1].startswith("_primus_")}


def test_every_call_carries_them_to_wandb_file_and_lens(trainer: Trainer, lens: Lens) -> None:
    training = trainer.run(SCRIPT, PRIMUS_LENS_WANDB_ENHANCE_METRICS="true", PRIMUS_LENS_WANDB_SYSTEM_INTERVAL="0.2")

    arrived = lens.scalars(trainer.workload)
    steps = {step for step, _ in arrived}
    assert steps == {0, 1, 2, 3, 4, 10, 11}
    for step in steps:
        assert 0 <= arrived[step, CPU] <= 100
        assert 0 < arrived[step, MEMORY] <= 100
    rows = training.system_history
    assert {step for step, row in rows.items() if CPU in row} == steps
    assert all(row[CPU] == arrived[step, CPU] for step, row in rows.items() if CPU in row)
    assert [CPU in line["data"] for line in training.calls()] == [True] * 5 + [False] + [True] * 2
    assert without_system(arrived) == scalars(training.history)


def test_wandbs_own_errors_stay_and_what_it_refuses_is_passed_as_it_is(trainer: Trainer) -> None:
    training = trainer.run(
        """
        import wandb
        run = wandb.init(project="p")
        import numpy
        for call in (lambda: run.log(numpy.ones(2)), lambda: run.log({1: 2}), lambda: run.log()):
            try:
                call()
            except Exception as error:
                print(type(error).__name__)
        run.finish()
        """,
        PRIMUS_LENS_WANDB_ENHANCE_METRICS="true",
    )
    names = training.stdout.split()
    assert len(names) == 3
    assert names[0] == names[1] in ("TypeError", "ValueError")
    assert names[2] == "TypeError"
    assert "ambiguous" not in training.stderr
    assert training.histories[training.run_id] == {}


def test_switched_off_nothing_is_sampled_imported_or_added(trainer: Trainer, lens: Lens) -> None:
    training = trainer.run(
        SCRIPT
        + """
import sys, threading
assert not [name for name in sys.modules if name.startswith("primus_lens_wandb_exporter.system_metrics.sampler")]
assert not [thread for thread in threading.enumerate() if "system" in thread.name]
"""
    )
    assert not [name for _, name in lens.scalars(trainer.workload) if name.startswith("_primus_")]
    assert not any("_primus_sys" in name for row in training.system_history.values() for name in row)


def test_the_sampler_ends_with_the_last_run_and_starts_with_the_next(trainer: Trainer) -> None:
    trainer.run(
        """
        import threading, wandb
        def samplers():
            return [thread for thread in threading.enumerate() if "system" in thread.name.lower()]
        for _ in range(2):
            run = wandb.init(project="p")
            assert len(samplers()) == 1, threading.enumerate()
            run.log({"a": 1})
            run.finish()
            assert samplers() == []
        """,
        PRIMUS_LENS_WANDB_ENHANCE_METRICS="true",
    )
