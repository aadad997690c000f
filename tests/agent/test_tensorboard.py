"""Runs that wandb's service feeds from TensorBoard's event files: their steps are known to the service alone."""

from __future__ import annotations

import pytest

from ..support.arrivals import assert_all_arrived, mirrored, uncounted
from ..support.faults import FaultyLens
from ..support.training import Trainer
from ..support.wandb_file import scalars

SYNC = """
run = wandb.init(project="p", sync_tensorboard=True)
writer = SummaryWriter("tb")
"""
WRITE = """
for i in range(20):
    writer.add_scalar("train/loss", 1 / (i + 1), i * 10)
    writer.add_scalar("lr", i * 0.5, i * 10)
"""
END = """
writer.close()
run.finish()
"""

# What the service records takes seconds after the end of such a run, so that one job holds what goes together.
JOBS = {
    "a writer alone": SYNC + WRITE + END,
    "calls with a step beside a writer": (
        SYNC
        + WRITE
        + """
for i in range(30):
    run.log({"mine": i}, step=i * 5)
    wandb.log({"same": i}, step=i * 5)
"""
        + END
    ),
    "calls without a step beside a writer": (
        SYNC
        + """
for i in range(20):
    run.log({"before": i})
    writer.add_scalar("train/loss", 1 / (i + 1), i)
    run.log({"half": i}, commit=False)
    run.log({"whole": i, "text": "x", "nested": {"a": i}})
    run.log({"jump": i}, step=i * 3, commit=True)
"""
        + END
    ),
    "several writers in several folders": """
wandb.tensorboard.patch(root_logdir="tb")
run = wandb.init(project="p")
writers = [SummaryWriter("tb/" + name) for name in ("train", "eval", "deep/er")]
for i in range(10):
    for k, writer in enumerate(writers):
        writer.add_scalar("loss", i * 10 + k, i)
        writer.add_histogram("weights", np.arange(10), i)
    run.log({"mine": i}, step=i * 7)
for writer in writers:
    writer.close()
run.finish()
""",
    "TensorBoard's own writer": """
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer import event_file_writer
wandb.tensorboard.patch(root_logdir="tb")
run = wandb.init(project="p")
writer = event_file_writer.EventFileWriter("tb")
for i in range(20):
    values = [Summary.Value(tag="loss", simple_value=i * 0.5), Summary.Value(tag="lr", simple_value=i)]
    writer.add_event(Event(wall_time=1.7e9 + i, step=i * 2, summary=Summary(value=values)))
    run.log({"mine": i}, step=i)
"""
    + END,
    "patched, and nothing written": """
run = wandb.init(project="p", sync_tensorboard=True)
for i in range(20):
    run.log({"mine": i}, step=i * 5)
    run.log({"other": i})
run.finish()
""",
    "patched while a run is going": """
run = wandb.init(project="p")
for i in range(5):
    run.log({"before": i}, step=i * 10)
run.log({"half": 1}, commit=False)
wandb.tensorboard.patch(root_logdir="tb")
for i in range(5, 10):
    run.log({"between": i}, step=i * 10)
writer = SummaryWriter("tb")
for i in range(10, 15):
    run.log({"after": i}, step=i * 10)
"""
    + WRITE
    + END,
    "later runs of the process": (
        SYNC
        + WRITE
        + END
        + """
run = wandb.init(project="p", reinit=True)
for i in range(10):
    run.log({"without a writer": i}, step=i * 10)
run.finish()
run = wandb.init(project="p", reinit=True, sync_tensorboard=True)
for i in range(5):
    run.log({"second": i}, step=i * 10)
writer = SummaryWriter("second")
"""
        + WRITE
        + END
        + """
wandb.tensorboard.unpatch()
run = wandb.init(project="p", reinit=True)
for i in range(10):
    run.log({"unpatched": i}, step=i * 10)
run.finish()
"""
    ),
    "unpatched while a run is going": (
        SYNC
        + WRITE
        + """
run.log({"patched": 1}, step=500)
wandb.tensorboard.unpatch()
for i in range(10):
    run.log({"unpatched": i}, step=1000 + i * 10)
"""
        + END
    ),
    "a summary and defined metrics beside a writer": (
        SYNC
        + """
run.define_metric("epoch")
run.define_metric("val/*", step_metric="epoch")
run.define_metric("train/loss", summary="min,max")
run.summary["best"] = 0.25
"""
        + WRITE
        + """
for i in range(5):
    run.log({"epoch": i}, step=i)
    run.log({"val/acc": i * 0.1}, step=i)
run.summary.update({"nested": {"x": 1}, "lr": 9.5})
"""
        + END
    ),
}


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS.keys())
def test_all_that_wandb_records_arrives_under_its_steps(
    job: str, wandb_version: tuple[int, ...], faulty: FaultyLens, faulty_trainer: Trainer
) -> None:
    if job == JOBS["patched while a run is going"] and wandb_version < (0, 13):
        pytest.skip("this wandb takes back the step of the row that is open when TensorBoard is patched")
    training = faulty_trainer.run(f"import numpy as np, wandb\nfrom tensorboardX import SummaryWriter\n{job}")

    assert sum(len(scalars(history)) for history in training.histories.values()) >= 20
    assert_all_arrived(training, faulty, faulty_trainer.workload)
    assert "Primus Lens" not in training.stderr


def test_the_mirror_has_each_call_at_once_and_its_step_from_wandbs_file(
    faulty: FaultyLens, faulty_trainer: Trainer
) -> None:
    training = faulty_trainer.run(
        f"""
import wandb
from tensorboardX import SummaryWriter
{SYNC}
for i in range(5):
    run.log({{"mine": i, "text": "x"}}, step=i * 10)
{WRITE}
{END}
"""
    )

    lines = training.lines()
    assert uncounted(lines, training.run_id) == [{"mine": i, "text": "x"} for i in range(5)]
    folder = training.wandb_files[training.run_id].parent.name
    of_file = [line for line in lines if line["writer"] == folder]
    assert mirrored(of_file, training.run_id) == scalars(training.history)
    assert len({line["sequence"] for line in of_file}) == len(of_file)
    assert all(line["timestamp"] > 1.6e9 for line in of_file)
    assert_all_arrived(training, faulty, faulty_trainer.workload)
