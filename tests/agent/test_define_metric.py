"""What wandb makes of calls when metrics are defined: x-axis values in the rows, aggregates in the summary."""

from __future__ import annotations

import pytest

from ..support.arrivals import arrivals, assert_all_arrived
from ..support.faults import FaultyLens
from ..support.lens import Lens
from ..support.training import Trainer
from ..support.wandb_file import scalars

DEFINITIONS = {
    "a prefix with a step metric": """
run.define_metric("epoch")
run.define_metric("val/*", step_metric="epoch")
for epoch in range(4):
    run.log({"epoch": epoch})
    for i in range(3):
        run.log({"train/loss": i})
        run.log({"val/acc": i * 0.1, "val/text": "x"})
    run.log({"val/acc": 1, "epoch": epoch + 0.5})
""",
    "all metrics, as the Hugging Face Trainer does": """
run.define_metric("train/global_step")
run.define_metric("*", step_metric="train/global_step", step_sync=True)
for i in range(20):
    run.log({"train/loss": 1 / (i + 1), "train/global_step": i * 10})
    wandb.log({"reward": i, "nested": {"a": i}})
    run.log({"half": i}, commit=False)
    run.log({"other": i}, step=i * 10 + 9, commit=True)
""",
    "aggregates": """
run.define_metric("loss", summary="min,max,mean,last")
goals = "goal" in inspect.signature(run.define_metric).parameters  # some versions know no best
run.define_metric("acc", **(dict(summary="best", goal="maximize") if goals else dict(summary="max")))
run.define_metric("err", **(dict(summary="best", goal="minimize") if goals else dict(summary="min")))
run.define_metric("val/*", summary="max")
run.define_metric("quiet", summary="none")
run.define_metric("copied", summary="copy")
for i in (3, 1, 4, 1, 5, 9, 2, 6):
    run.log({"loss": i, "acc": i, "err": i, "val/f1": i, "val/em": -i, "quiet": i, "copied": i, "nested": {"a": i}})
""",
    "hidden, redefined and overwritten": """
run.define_metric("loss", summary="min", hidden=True)
run.define_metric("batch")
run.define_metric("epoch")
run.define_metric("acc", step_metric="batch")
for i in range(5):
    run.log({"batch": i, "epoch": i // 2})
    run.log({"acc": i * 0.5, "loss": 5 - i})
run.define_metric("acc", step_metric="epoch", overwrite=True)
run.define_metric("loss", summary="max", overwrite=True)
for i in range(5):
    run.log({"batch": i * 10, "epoch": i * 7})
    run.log({"acc": i * 0.5, "loss": 5 - i})
""",
    "defined while the run is going": """
for i in range(5):
    run.log({"epoch": i, "val/acc": i})
    run.log({"val/late": i})
run.define_metric("val/*", step_metric="epoch")
for i in range(5):
    run.log({"epoch": i * 2, "val/acc": 9 - i})
    run.log({"val/late": i})
""",
    "a step metric that is never logged, and calls that wandb drops": """
run.define_metric("val/*", step_metric="nowhere")
run.define_metric("loss", step_metric="epoch")
for i in (0, 5, 3, 8):
    run.log({"val/acc": i}, step=i)
    run.log({"epoch": i}, step=i)
    run.log({"loss": i}, step=i + 1)
""",
}


@pytest.mark.parametrize("script", DEFINITIONS.values(), ids=DEFINITIONS.keys())
def test_what_wandb_adds_arrives(script: str, faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    training = faulty_trainer.run(f"import inspect, wandb\nrun = wandb.init(project='p')\n{script}\nrun.finish()\n")

    assert_all_arrived(training, faulty, faulty_trainer.workload)
    assert "Primus Lens" not in training.stderr


def test_only_what_wandb_added_is_sent_again(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    """The calls were delivered as they came; the file completes them."""
    training = faulty_trainer.run(
        """
        import wandb
        run = wandb.init(project="p")
        run.define_metric("epoch")
        run.define_metric("val/*", step_metric="epoch", summary="max")
        run.log({"epoch": 1})
        for i in range(500):
            run.log({"loss": i, "val/acc": i})
        run.finish()
        """
    )

    assert_all_arrived(training, faulty, faulty_trainer.workload)
    assert arrivals(faulty, training.run_id).summary == {"val/acc.max": 499}
    sent = sum(len(body["metrics"]) for _, body in faulty.taken)
    assert sent == len(scalars(training.history)) + 1


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_what_wandb_adds_to_the_run_of_a_child_arrives(
    method: str, faulty: FaultyLens, faulty_trainer: Trainer
) -> None:
    """A child of multiprocessing ends without exit handlers."""
    training = faulty_trainer.run(
        f"""
        import multiprocessing, wandb

        def train(number):
            run = wandb.init(project="p", id=f"child{{number}}")
            run.define_metric("loss", step_metric="epoch", summary="min")
            run.log({{"epoch": number}})
            for i in range(5):
                run.log({{"loss": i}})
            run.finish()

        if __name__ == "__main__":
            context = multiprocessing.get_context("{method}")
            children = [context.Process(target=train, args=(number,)) for number in (1, 2)]
            [child.start() for child in children]
            [child.join(60) for child in children]
        """
    )

    assert_all_arrived(training, faulty, faulty_trainer.workload)


def test_an_exit_waits_for_what_is_being_read(lens: Lens, trainer: Trainer) -> None:
    training = trainer.run(
        """
        import os, time, wandb
        run = wandb.init(project="p")
        run.define_metric("loss", step_metric="epoch")
        run.log({"epoch": 1})
        for i in range(20000):
            run.log({"loss": i})
        file = run._settings.sync_file
        run.finish()

        def position():
            for number in os.listdir("/proc/self/fd"):
                try:
                    if os.readlink(f"/proc/self/fd/{number}") == file:
                        return open(f"/proc/self/fdinfo/{number}").readline()
                except OSError:
                    continue

        at_first, give_up = position(), time.monotonic() + 20
        while position() == at_first and time.monotonic() < give_up:
            pass
        """,
        PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="60",
    )

    assert lens.scalars(trainer.workload) == scalars(training.history)


def test_runs_that_have_ended_leave_nothing_open(faulty_trainer: Trainer) -> None:
    """Neither do they wait for the garbage collector."""
    training = faulty_trainer.run(
        """
        import contextlib, gc, os, wandb
        gc.disable()
        def open_files():
            # wandb 0.12 leaves pipes and /dev/null of its own.
            count = 0
            for name in os.listdir("/proc/self/fd"):
                with contextlib.suppress(FileNotFoundError):  # the listing itself
                    path = os.readlink("/proc/self/fd/" + name)
                    count += path != "/dev/null" and not path.startswith("pipe:")
            return count
        for i in range(20):
            run = wandb.init(project="p")
            run.define_metric("loss", summary="min")
            run.log({"loss": i})
            run.finish()
            if i in (4, 19):
                print(open_files())
        """
    )

    after_5, after_20 = map(int, training.stdout.split())
    assert after_20 < after_5 + 8
