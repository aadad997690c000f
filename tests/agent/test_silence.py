"""A run of which Lens gets nothing although wandb records something says so, in one line with the reason."""

from __future__ import annotations

import pytest

from ..support.faults import FaultyLens
from ..support.training import Trainer

# What a job does, and a word that the line must hold.
SILENT_JOBS = {
    "only text and media": (
        """
run = wandb.init(project="p")
for i in range(5):
    run.log({"text": "bert", "histogram": wandb.Histogram([1, i]), "list": [1, 2]})
run.finish()
""",
        "finite number",
    ),
    "only what Lens cannot store": (
        """
run = wandb.init(project="p")
for i in range(5):
    run.log({"loss": float("nan"), "step": i})
run.finish()
""",
        "finite number",
    ),
    "a TensorBoard run whose file is gone": (
        """
import glob, os
from tensorboardX import SummaryWriter
run = wandb.init(project="p", sync_tensorboard=True)
for path in glob.glob("wandb/*run-*/run-*.wandb"):
    os.unlink(path)
writer = SummaryWriter("tb")
for i in range(5):
    writer.add_scalar("loss", i, i)
    run.log({"mine": i})
writer.close()
run.finish()
""",
        "wandb",
    ),
}


@pytest.mark.parametrize(("job", "word"), SILENT_JOBS.values(), ids=SILENT_JOBS.keys())
def test_a_run_that_brought_nothing_says_why(job: str, word: str, faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    training = faulty_trainer.run(f"import wandb\n{job}")

    assert faulty.taken == []
    (line,) = [line for line in training.stderr.splitlines() if "Primus Lens" in line]
    assert word in line, line


def test_runs_that_bring_something_or_hold_nothing_say_nothing(faulty: FaultyLens, faulty_trainer: Trainer) -> None:
    training = faulty_trainer.run(
        """
        import wandb
        run = wandb.init(project="p")
        run.log({"text": "bert"})
        run.log({"loss": 1})
        run.finish()
        run = wandb.init(project="p", reinit=True)
        run.log({"text": "bert"})
        run.summary["best"] = 1
        run.finish()
        run = wandb.init(project="p", reinit=True)
        run.finish()
        """
    )

    assert "Primus Lens" not in training.stderr
