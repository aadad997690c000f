"""Several runs of one kernel, and what else a notebook does around a log call."""

from __future__ import annotations

from typing import Callable

import pytest

from ..support.kernel import Kernel
from ..support.lens import Lens
from ..support.training import Trainer, Training
from ..support.wandb_file import scalars


def assert_equal(training: Training, trainer: Trainer, lens: Lens, runs: int, values: int) -> None:
    """Lens and the mirror hold what wandb recorded: so many values of so many runs."""
    recorded = {run_id: scalars(history) for run_id, history in training.histories.items()}
    assert {run_id: lens.scalars(trainer.workload, run_id) for run_id in recorded} == recorded
    assert len(recorded) == runs
    assert sum(map(len, recorded.values())) == values
    mirrored = {(line["run_id"], line["step"], name) for line in training.lines() for name in line["data"]}
    for run_id, found in recorded.items():
        assert {(run_id, step, name) for step, name in found} <= mirrored


def test_runs_one_after_the_other(kernel: Kernel, trainer: Trainer, lens: Lens) -> None:
    kernel.run("import wandb")
    for k in range(3):
        kernel.run(f"run = wandb.init(project='p', name='run {k}')")
        kernel.run(f"for i in range(5): run.log({{'a': i * {k + 1}}})")
        kernel.run("run.log({'last': 1}, step=20)")
        kernel.run("run.finish()" if k % 2 else "wandb.finish()")

    assert_equal(kernel.training, trainer, lens, runs=3, values=18)


@pytest.mark.parametrize(
    "reinit", ["'finish_previous'", "'return_previous'", "'create_new'", "'default'", "True", "False"]
)
def test_every_form_of_reinit(kernel: Kernel, trainer: Trainer, lens: Lens, reinit: str) -> None:
    kernel.run("import wandb, inspect")
    kernel.run("first = wandb.init(project='p')\nfor i in range(4): first.log({'a': i})")
    known = kernel.run(
        f"""
        try:
            second = wandb.init(project='p', reinit={reinit})
        except Exception as error:
            second = first
            print("unknown:", error)
        """
    )
    if "unknown" in known.stdout:
        pytest.skip(f"this wandb knows no reinit={reinit}")
    kernel.run("for i in range(4): second.log({'b': i}); wandb.log({'c': i})")
    is_same, both = kernel.run("print(second is first, getattr(first, '_is_finished', True))").stdout.split()
    if is_same == "False" and both == "False":
        kernel.run("for i in range(4): first.log({'d': i}); second.log({'e': i})")
    kernel.run("for run in (second, first): run.finish()")

    values = 20 if is_same == "False" and both == "False" else 12
    assert_equal(kernel.training, trainer, lens, runs=1 if is_same == "True" else 2, values=values)
    assert "Primus Lens" not in kernel.output.stderr


def test_magics_threads_and_coroutines(kernel: Kernel, trainer: Trainer, lens: Lens) -> None:
    kernel.run("import asyncio, threading, time, wandb\nrun = wandb.init(project='p')")
    kernel.run("%time run.log({'timed': 1})")
    kernel.run("%%time\nfor i in range(3): wandb.log({'cell': i})")
    kernel.run("%%capture output\nprint('unseen')\nrun.log({'captured': 1})")
    kernel.run(
        """
        def work():
            for i in range(100, 130):
                run.log({"thread": i}, step=i)
                time.sleep(0.005)
        thread = threading.Thread(target=work)
        thread.start()
        """
    )
    kernel.run("for i in range(10): time.sleep(0.01)\nprint('meanwhile')")
    kernel.run("thread.join()")
    kernel.run(
        """
        async def train(name):
            for i in range(5):
                run.log({name: i})
                await asyncio.sleep(0.001)
        await asyncio.gather(train("x"), train("y"))
        """
    )
    kernel.run("task = asyncio.create_task(train('background'))")
    kernel.run("await task")
    kernel.run("run.finish()")

    assert_equal(kernel.training, trainer, lens, runs=1, values=1 + 3 + 1 + 30 + 10 + 5)
    assert kernel.output.stdout.count("unseen") == 0
    assert kernel.output.stderr.count("Primus Lens") == 0


def test_what_the_exporter_says_is_below_a_cell_and_there_once(
    start_kernel: Callable[..., Kernel], trainer: Trainer
) -> None:
    kernel = start_kernel(WORKLOAD_UID="", PRIMUS_LENS_WANDB_BATCH_SIZE="many")
    kernel.run("import wandb")
    for _ in range(2):
        kernel.run("run = wandb.init(project='p')")
        kernel.run("run.log({'a': 1})")
        kernel.run("run.finish()")

    lines = [line for line in kernel.output.stderr.splitlines() if "Primus Lens" in line]
    assert len(lines) == len(set(lines)) == 2
    assert any("PRIMUS_LENS_WANDB_BATCH_SIZE='many'" in line for line in lines)
    assert any("neither WORKLOAD_UID nor POD_NAME" in line for line in lines)
    assert "Primus Lens" not in kernel.output.stdout


def test_the_debug_log_is_in_the_notebook(start_kernel: Callable[..., Kernel]) -> None:
    kernel = start_kernel(PRIMUS_LENS_WANDB_DEBUG="true")
    kernel.run("import wandb\nrun = wandb.init(project='p')")
    cell = kernel.run("run.log({'a': 1})")
    kernel.run("run.finish()")

    assert cell.stderr.count("intercepted wandb.log()") == 1


def test_what_wandb_shows_in_a_notebook_is_what_it_shows_without_the_exporter(
    start_kernel: Callable[..., Kernel],
) -> None:
    shown = []
    for hook in ("true", "false"):
        kernel = start_kernel(WANDB_SILENT="false", PRIMUS_LENS_WANDB_HOOK=hook)
        kernel.run("import wandb")
        cells = [
            kernel.run(code)
            for code in (
                "run = wandb.init(project='p', id='same', name='same')",
                "run",
                "run.log({'a': 1})",
                "run.finish()",
            )
        ]
        shown.append([(cell.stdout.count("\n"), [_without_times(html) for html in cell.html]) for cell in cells])
    assert shown[0] == shown[1]
    assert any(html for _, html in shown[0])


def _without_times(html: str) -> str:
    """Runs one after the other have other folders, and durations."""
    return "".join(character for character in html if not character.isdigit())
