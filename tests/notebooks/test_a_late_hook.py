"""The kernel began before the installation: the hook is installed by a cell, in the middle of a run."""

from __future__ import annotations

import pytest

from ..support.kernel import WITHOUT_STARTUP_FILE, Kernel
from ..support.lens import Lens
from ..support.training import Trainer
from ..support.wandb_file import scalars

INSTALL = """
import primus_lens_wandb_exporter.wandb_hook

primus_lens_wandb_exporter.wandb_hook.install_wandb_hook()
"""


@pytest.fixture
def early_kernel(kernel: Kernel) -> Kernel:
    kernel.run(WITHOUT_STARTUP_FILE)
    kernel.run("import wandb\nassert not hasattr(wandb, '_primus_lens_patched')")
    return kernel


def test_the_whole_run_arrives_under_wandbs_own_steps(early_kernel: Kernel, trainer: Trainer, lens: Lens) -> None:
    kernel = early_kernel
    kernel.run("run = wandb.init(project='p')")
    kernel.run("for i in range(5): wandb.log({'before': i})")
    kernel.run(INSTALL)
    kernel.run("for i in range(5): wandb.log({'module': i})")
    kernel.run("for i in range(5): run.log({'run': i})")
    kernel.run("run.log({'given': 1}, step=40)\nwandb.log({'open': 1}, commit=False)\nwandb.log({'closed': 1})")
    kernel.run("wandb.finish()")

    training = kernel.training
    recorded = scalars(training.history)
    assert len(recorded) == 18
    assert lens.scalars(trainer.workload) == recorded
    calls = [line for line in training.lines() if line.get("counted_by") == "wandb"]
    assert [line["step"] for line in calls] == [None] * 13
    assert "Primus Lens" not in training.stderr


@pytest.mark.parametrize(
    "logged",
    [
        "wandb.log({'before': 1}, commit=False)",
        "wandb.log({'before': 1}, step=7)",
        "wandb.log({'before': 1}, step=7, commit=True)",
        "wandb.log({'before': 1}, step=7); wandb.log({'before': 2}, commit=False)",
        "wandb.log({'before': 1}, step=7); wandb.log({'before': 2}, step=3)",
    ],
)
def test_the_first_step_is_wandbs_whatever_was_logged_before(
    early_kernel: Kernel, trainer: Trainer, lens: Lens, logged: str
) -> None:
    kernel = early_kernel
    kernel.run("wandb.init(project='p')")
    kernel.run(logged)
    kernel.run(INSTALL)
    kernel.run("wandb.log({'a': 1})\nwandb.log({'a': 2})\nwandb.finish()")

    recorded = scalars(kernel.training.history)
    assert lens.scalars(trainer.workload) == recorded
    assert {value for (_, name), value in recorded.items() if name == "a"} == {1, 2}


def test_a_run_that_has_logged_nothing_yet_is_taken_up_without_a_word(
    early_kernel: Kernel, trainer: Trainer, lens: Lens
) -> None:
    kernel = early_kernel
    kernel.run("wandb.init(project='p')")
    kernel.run(INSTALL)
    kernel.run("for i in range(5): wandb.log({'a': i})")
    kernel.run("wandb.finish()")

    assert lens.scalars(trainer.workload) == scalars(kernel.training.history)
    assert len(lens.scalars(trainer.workload)) == 5
    assert "Primus Lens" not in kernel.output.stderr


def test_running_the_cells_again_and_in_another_order_counts_nothing_twice(
    early_kernel: Kernel, trainer: Trainer, lens: Lens
) -> None:
    """A second `wandb.init` finishes the first run in a notebook, or returns it, by wandb's version and `reinit`."""
    kernel = early_kernel
    init, log = "run = wandb.init(project='p')", "for i in range(3): wandb.log({'a': i}); run.log({'b': i})"
    for cell in (
        INSTALL,
        INSTALL,
        init,
        log,
        INSTALL,
        log,
        init,
        log,
        log,
        init,
        INSTALL,
        log,
        "wandb.finish()",
        INSTALL,
    ):
        kernel.run(cell)

    histories = kernel.training.histories
    for run_id, history in histories.items():
        assert lens.scalars(trainer.workload, run_id) == scalars(history)
    assert sum(len(scalars(history)) for history in histories.values()) == 5 * 6
    kernel.run(
        """
        assert not hasattr(wandb.init.__wrapped__, "__wrapped__")
        finders = [finder for finder in sys.meta_path if getattr(finder, "is_primus_lens_finder", False)]
        assert len(finders) == 1
        """
    )
