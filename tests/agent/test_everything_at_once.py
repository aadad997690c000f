"""One job with all that moves wandb's steps, and what of it is to be seen in Lens while the job goes on."""

from __future__ import annotations

import time

import pytest

from ..support.arrivals import arrivals, assert_all_arrived
from ..support.faults import FaultyLens
from ..support.training import Trainer
from ..support.wandb_file import scalars


def test_threads_children_tensorboard_defined_metrics_and_a_summary_in_one_job(
    faulty: FaultyLens, faulty_trainer: Trainer
) -> None:
    training = faulty_trainer.run(
        """
        import os, threading, wandb
        from tensorboardX import SummaryWriter

        def job(run, directory):
            run.define_metric("epoch")
            run.define_metric("val/*", step_metric="epoch", summary="max")
            run.summary["before"] = 1
            writer = SummaryWriter(directory) if directory else None
            def work(number):
                for i in range(30):
                    run.log({"thread%d" % number: i, "epoch": i // 10})
            threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
            [t.start() for t in threads]
            for i in range(30):
                if writer:
                    writer.add_scalar("tb/loss", 1 / (i + 1), i)
                run.log({"half": i}, commit=False)
                run.log({"val/acc": i * 0.01, "image": wandb.Histogram([1, i])})
                run.log({"jump": i}, step=i * 11)
            [t.join() for t in threads]
            children = []
            for number in range(2):
                child = os.fork()
                if child == 0:
                    for i in range(20):
                        run.log({"child%d" % number: i, "val/of child": i})
                    os._exit(0)
                children.append(child)
            for i in range(20):
                run.log({"meanwhile": i})
            [os.waitpid(child, 0) for child in children]
            run.summary.update({"nested": {"x": 1}, "half": 99})
            if writer:
                writer.close()
            run.finish()

        job(wandb.init(project="p"), None)
        job(wandb.init(project="p", reinit=True, sync_tensorboard=True), "tb")
        job(wandb.init(project="p", reinit=True), None)
        job(wandb.init(project="p", reinit=True), "again")
        """,
        timeout=240,
    )

    assert len(training.histories) == 4
    assert all(len(scalars(history)) > 200 for history in training.histories.values())
    assert_all_arrived(training, faulty, faulty_trainer.workload)
    assert "Primus Lens" not in training.stderr


LIVE = {
    "TensorBoard": """
run = wandb.init(project="p", sync_tensorboard=True)
writer = SummaryWriter("tb")
for i in range(10):
    writer.add_scalar("loss", i, i)
    run.log({"mine": i}, step=i * 10)
import threading
ends = threading.Event()
def train_on():
    i = 10
    while not ends.wait(0.5):
        writer.add_scalar("loss", i, i)
        writer.flush()
        i += 1
training = threading.Thread(target=train_on)
training.start()
""",
    "children": """
run = wandb.init(project="p")
child = os.fork()
if child == 0:
    for i in range(10):
        run.log({"child": i})
    os._exit(0)
os.waitpid(child, 0)
run.log({"parent": 1})
""",
    "the x-axis of a defined metric": """
run = wandb.init(project="p")
run.define_metric("val/*", step_metric="epoch")
run.log({"epoch": 3})
for i in range(10):
    run.log({"val/acc": i})
""",
}


def test_what_only_wandb_knows_is_in_lens_within_thirty_seconds(
    wandb_version: tuple[int, ...], faulty: FaultyLens, faulty_trainer: Trainer
) -> None:
    """wandb flushes its file every 15 s from 0.31 on. The three jobs wait for us, as training goes on."""
    if wandb_version < (0, 31):
        pytest.skip("before 0.31 wandb keeps its file in memory, in blocks of 32 KiB: such values come at the end")
    expected = {
        # How many of its newest rows wandb holds back is its own affair.
        "TensorBoard": {"loss": 1, "global_step": 1, "mine": 1},
        "children": {"child": 10, "parent": 1},
        "the x-axis of a defined metric": {"epoch": 11, "val/acc": 10},
    }
    processes = {}
    for number, (name, script) in enumerate(LIVE.items()):
        script = f"import os, sys, wandb\nfrom tensorboardX import SummaryWriter\n{script}"
        script += "print(run.id, flush=True)\nsys.stdin.readline()\n"
        script += "if 'ends' in globals(): ends.set(); training.join()\n"
        script += "run.log({'end': 1})\nrun.finish()\n"
        processes[name] = faulty_trainer.start(script, name=f"live_{number}.py")
    run_ids = {}
    for name, process in processes.items():
        assert process.stdout is not None
        run_ids[name] = process.stdout.readline().strip()
    began = time.monotonic()
    missing = set(processes)
    while missing and time.monotonic() - began < 60:
        time.sleep(0.5)
        for name in list(missing):
            found = [name for _, name in arrivals(faulty, run_ids[name]).history]
            if all(found.count(metric) >= count for metric, count in expected[name].items()):
                missing.discard(name)
                print(f"{name}: in Lens after {time.monotonic() - began:.1f} s")
    trainings = []
    for process in processes.values():
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    trainings = [faulty_trainer.finish(process) for process in processes.values()]

    assert not missing
    assert time.monotonic() - began < 120
    assert_all_arrived(trainings[0], faulty, faulty_trainer.workload)
