"""The summary of a run: what the user's code sets arrives at once, what wandb computes at the end."""

from __future__ import annotations

import time

from ..support.arrivals import arrivals, assert_all_arrived
from ..support.faults import FaultyLens
from ..support.training import Trainer
from ..support.wandb_file import scalars


def test_every_form_of_setting_a_summary(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    training = faulty_trainer.run(
        """
        import numpy as np, wandb
        run = wandb.init(project="p")
        run.summary["before the first log"] = 1
        for i in range(5):
            run.log({"loss": 1 / (i + 1), "acc": i * 0.1})
        run.summary["item"] = 1
        run.summary.attribute = 2
        wandb.summary["of the module"] = 3
        wandb.run.summary["again"] = 4
        run.summary.update({"updated": 1.5, "text": "bert", "none": None, "flag": True, "acc": 0.9})
        run.summary["nested"] = {"x": 1, "deep": {"y": 2.5, "text": "x"}}
        run.summary["nested"]["added"] = 3
        run.summary.update({"numpy": np.float32(0.25), "integer": np.int64(7), "one": np.array([3.5])})
        run.summary.update({"many": np.zeros(3), "histogram": wandb.Histogram([1, 2]), "list": [1, 2]})
        run.summary.update({"nan": float("nan"), "inf": float("inf"), "step": 3, "names/with slashes": 1, "a.b": 2})
        run.summary["again"] = 5
        run.log({"loss": 0.01})
        run.summary["loss"] = 0.001
        run.summary["at the end"] = 6
        run.finish()
        """
    )

    assert_all_arrived(training, faulty, faulty_trainer.workload)
    found = arrivals(faulty, training.run_id)
    assert found.summary["before the first log"] == 1
    assert found.summary["again"] == 5
    assert found.summary["summary/acc"] == 0.9
    assert found.summary["summary/loss"] == 0.001
    assert found.summary["nested.deep.y"] == 2.5
    assert found.summary["numpy"] == 0.25
    assert found.summary["flag"] == 1
    assert not {"text", "none", "nan", "inf", "step", "many", "list"} & found.summary.keys()
    steps = {name: step for step, name in found.summary_points}
    assert (steps["before the first log"], steps["item"], steps["at the end"]) == (0, 5, 6)
    summary_lines = [line for line in training.lines() if line.get("summary")]
    assert {"item": 1, "_primus_lens_enabled": True} in [line["data"] for line in summary_lines]
    assert "Primus Lens" not in training.stderr


def test_nested_values_that_are_replaced_and_removed(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    training = faulty_trainer.run(
        """
        import wandb
        run = wandb.init(project="p")
        run.log({"loss": 1})
        run.summary["nested"] = {"x": 1, "deep": {"y": 2}}
        run.summary["nested"]["added"] = 3
        run.summary["nested"] = {"only": 5}
        run.summary["other"] = {"x": 1, "y": 2}
        del run.summary["other"]["x"]
        run.summary["removed"] = 6
        del run.summary["removed"]
        run.summary["number"] = 7
        run.summary["number"] = {"now": "nested", "x": 8}
        run.finish()
        """
    )

    summary = training.summaries[training.run_id]
    found = arrivals(faulty, training.run_id).summary
    assert {name: value for name, value in found.items() if name in summary} == {
        "nested.only": 5,
        "other.y": 2,
        "number.x": 8,
    }


def test_a_run_with_a_summary_alone(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    training = faulty_trainer.run(
        """
        import wandb
        with wandb.init(project="p") as run:
            run.summary["best"] = 0.5
            run.summary.update({"best_iteration": 7})
        """
    )

    assert_all_arrived(training, faulty, faulty_trainer.workload)
    assert arrivals(faulty, training.run_id).summary == {"best": 0.5, "best_iteration": 7}


def test_what_the_code_set_stays_where_history_overwrites_it(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    """wandb's summary has the last value of history then; so has the history in Lens, under the name itself."""
    training = faulty_trainer.run(
        """
        import wandb
        run = wandb.init(project="p")
        run.log({"acc": 0.1})
        run.summary["acc"] = 0.9
        run.log({"acc": 0.2})
        run.finish()
        """
    )

    assert training.summaries[training.run_id] == {"acc": 0.2}
    found = arrivals(faulty, training.run_id)
    assert found.history == scalars(training.history)
    assert found.summary_points == {(1, "summary/acc"): 0.9}


def test_setting_a_summary_after_the_end_changes_nothing_for_the_job(
    faulty: FaultyLens, faulty_trainer: Trainer
) -> None:
    """wandb itself refuses it, or puts it nowhere."""
    training = faulty_trainer.run(
        """
        import wandb
        run = wandb.init(project="p")
        run.log({"a": 1})
        run.summary["before"] = 1
        run.finish()
        try:
            run.summary["after"] = 2
        except Exception as error:
            print(type(error).__name__)
        """
    )

    assert_all_arrived(training, faulty, faulty_trainer.workload)


def test_a_summary_arrives_while_the_run_goes_on(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    process = faulty_trainer.start(
        """
        import sys, wandb
        run = wandb.init(project="p")
        run.log({"loss": 0.5})
        run.summary["train_runtime"] = 12.5
        print("set", flush=True)
        sys.stdin.readline()
        run.finish()
        """
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "set\n"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and "train_runtime" not in str(faulty.taken):
        time.sleep(0.1)
    arrived = "train_runtime" in str(faulty.taken)
    process.stdin.write("\n")
    process.stdin.flush()
    training = faulty_trainer.finish(process)

    assert arrived
    assert_all_arrived(training, faulty, faulty_trainer.workload)


def test_summaries_of_several_runs_are_kept_apart(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    """In one process, one after the other; the second resumes nothing of the first."""
    training = faulty_trainer.run(
        """
        import wandb
        for number in range(3):
            run = wandb.init(project="p", reinit=True)
            run.log({"loss": number * 10})
            run.summary["number"] = number
            run.summary["loss" if number else "best"] = 100 + number
            run.finish()
        """
    )

    assert len(training.histories) == 3
    assert_all_arrived(training, faulty, faulty_trainer.workload)
