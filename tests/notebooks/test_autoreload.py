"""``%autoreload`` and reloads by hand, while runs are going."""

from __future__ import annotations

import pytest

from ..support.kernel import Kernel
from ..support.lens import Lens
from ..support.training import Trainer
from ..support.wandb_file import scalars

# Has the extension believe that the modules have changed since they were loaded.
TOUCH = """
reloader = get_ipython().magics_manager.registry["AutoreloadMagics"]._reloader
for name in [name for name in list(sys.modules) if name.startswith({prefix!r})]:
    reloader.modules_mtimes[name] = 1.0
"""
HELPER = """
import wandb
def log(value):
    wandb.log({"%s": value})
"""


@pytest.mark.parametrize("mode", ["2", "3"])
@pytest.mark.parametrize("changed", ["primus_lens_wandb_exporter", "wandb.sdk.wandb_run"])
def test_changed_files_of_the_exporter_and_of_wandb(
    kernel: Kernel, trainer: Trainer, lens: Lens, mode: str, changed: str
) -> None:
    """As after an upgrade by a cell; wandb itself takes a reload of a module, by luck or not, as without us."""
    if mode == "3" and kernel.run("import IPython; print(IPython.version_info[0])").stdout < "8":
        pytest.skip("this IPython has no %autoreload 3")
    kernel.run(f"%load_ext autoreload\n%autoreload {mode}")
    kernel.run("import multiprocessing, sys, wandb\nrun = wandb.init(project='p')")
    for k in range(3):
        kernel.run(f"for i in range(10): run.log({{'a{k}': i}}); wandb.log({{'b{k}': i}})")
        kernel.run(TOUCH.format(prefix=changed))
    shown = kernel.run("run.finish()")
    kernel.run("run = wandb.init(project='p')\nfor i in range(5): run.log({'c': i})\nrun.finish()")

    training = kernel.training
    for run_id, history in training.histories.items():
        assert lens.scalars(trainer.workload, run_id) == scalars(history)
    calls = training.calls()
    assert len(calls) == 65
    assert len({(line["writer"], line["sequence"]) for line in calls}) == 65
    assert "autoreload of primus" not in shown.stderr + kernel.output.stderr


@pytest.mark.parametrize("mode", ["2", "3"])
def test_a_changed_module_that_logs(kernel: Kernel, trainer: Trainer, lens: Lens, mode: str) -> None:
    helper = trainer.directory / "helper.py"
    helper.write_text(HELPER % "first")
    kernel.run(f"%load_ext autoreload\n%autoreload {mode}")
    kernel.run("import sys, wandb, helper\nfrom helper import log\nrun = wandb.init(project='p')")
    kernel.run("for i in range(10): log(i)")
    helper.write_text(HELPER % "second")
    kernel.run(TOUCH.format(prefix="helper"))
    kernel.run("for i in range(10): log(i); helper.log(i)")
    kernel.run("run.finish()")

    recorded = scalars(kernel.training.history)
    assert lens.scalars(trainer.workload) == recorded
    assert {name for _, name in recorded} == {"first", "second"}
    assert len(recorded) == 30


def test_a_reload_of_wandb_by_hand(kernel: Kernel, trainer: Trainer, lens: Lens) -> None:
    kernel.run("import importlib, wandb\nrun = wandb.init(project='p')\nfor i in range(5): run.log({'a': i})")
    kernel.run("importlib.reload(wandb)")
    kernel.run("for i in range(5): run.log({'b': i})\nrun.finish()")
    kernel.run("run = wandb.init(project='p')\nfor i in range(5): wandb.log({'c': i})\nwandb.finish()")

    histories = kernel.training.histories
    for run_id, history in histories.items():
        assert lens.scalars(trainer.workload, run_id) == scalars(history)
    assert sorted(len(scalars(history)) for history in histories.values()) == [5, 10]
