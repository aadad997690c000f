"""A kernel is interrupted, restarted, shut down and killed."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import Callable

import pytest

from ..support.kernel import Kernel
from ..support.lens import Lens
from ..support.training import Trainer
from ..support.wandb_file import scalars

INTERRUPTED = "KeyboardInterrupt"


@pytest.fixture
def version(kernel: Kernel) -> tuple[int, ...]:
    """wandb's, where it survives what Jupyter does to interrupt a cell: a SIGINT for all processes of the kernel."""
    text = kernel.run("import wandb\nprint(wandb.__version__)").stdout
    found = tuple(int(part) for part in text.split(".")[:2])
    if found < (0, 13):
        pytest.skip(f"an interrupt of a cell ends the backend process of wandb {text}")
    return found


# An interrupt between two lines of threading.Condition leaves wandb's own lock acquired for ever, with and without us.
RELEASE_WANDBS_LOCK = """
import contextlib, gc
with contextlib.suppress(ImportError):
    from wandb.sdk.lib.asyncio_manager import AsyncioManager
    for found in gc.get_objects():
        if type(found) is AsyncioManager and found._ready_event._cond._lock.locked():
            found._ready_event._cond._lock.release()
"""


def test_steps_stay_wandbs_however_often_a_loop_is_interrupted(
    kernel: Kernel, version: tuple[int, ...], trainer: Trainer, lens: Lens
) -> None:
    """Most of these interrupts hit wandb in the middle of a call, which its service may have taken or not."""
    dice = random.Random(7)
    kernel.run("import time\nrun = wandb.init(project='p')\nnumber = 0")
    forms = ["", "", ", commit=True", ", step=run._primus_test_step"]
    kernel.run("run.__dict__['_primus_test_step'] = 0")
    for _ in range(20):
        form = dice.choice(forms)
        cell = kernel.start(
            f"""
            print("begun")
            while True:
                number += 1
                run.__dict__["_primus_test_step"] += 50
                run.log({{"a": number}}{form})
            """
        )
        kernel.wait_for_output(cell, "begun")
        time.sleep(dice.random() * 0.02)
        shown = kernel.interrupt_cell(cell)
        assert shown.error == INTERRUPTED, shown.traceback
        # What came after the interrupt is the notebook's and wandb's own.
        assert "Primus Lens" not in shown.stderr
        kernel.run(RELEASE_WANDBS_LOCK)
    kernel.run("run.log({'last': 1}, step=10**6)\nrun.finish()")

    recorded, arrived = scalars(kernel.training.history), lens.scalars(trainer.workload)
    assert arrived == recorded
    assert len(recorded) > 30
    mirrored = {line["data"].get("a") for line in kernel.training.lines()}
    assert {value for (_, name), value in recorded.items() if name == "a"} <= mirrored


def test_an_interrupted_finish_can_be_run_again(
    kernel: Kernel, version: tuple[int, ...], trainer: Trainer, lens: Lens
) -> None:
    kernel.run("run = wandb.init(project='p')\nfor i in range(200): run.log({'a': i})")
    cell = kernel.start("print('begun')\nrun.finish()")
    kernel.wait_for_output(cell, "begun")
    kernel.interrupt()
    kernel.wait(cell)
    kernel.run("wandb.finish()")
    kernel.run("run = wandb.init(project='p')\nfor i in range(5): run.log({'b': i})\nrun.finish()")

    for run_id, history in kernel.training.histories.items():
        assert lens.scalars(trainer.workload, run_id) == scalars(history)
    assert len(lens.scalars(trainer.workload)) >= 200


def test_an_interrupt_while_an_unreachable_lens_is_waited_for(
    start_kernel: Callable[..., Kernel],
) -> None:
    kernel = start_kernel(PRIMUS_LENS_API_BASE_URL="http://127.0.0.1:9/api/v1", PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="100")
    kernel.run("import wandb\nrun = wandb.init(project='p')\nfor i in range(20): run.log({'a': i})")
    cell = kernel.start("print('begun')\nrun.finish()")
    kernel.wait_for_output(cell, "begun")
    # wandb's own finish of an offline run is over by then; the rest is waiting for Lens.
    time.sleep(5)
    kernel.interrupt()
    assert kernel.wait(cell, timeout=60).error == INTERRUPTED
    assert len(kernel.training.lines()) == 20


@pytest.mark.parametrize("end", ["restart", "shut down"])
def test_a_kernel_that_ends_without_finish_has_delivered_all(
    kernel: Kernel, trainer: Trainer, lens: Lens, end: str
) -> None:
    """Jupyter asks first; wandb finishes the run at exit, and so do we."""
    kernel.run("import wandb\nrun = wandb.init(project='p')\nfor i in range(50): wandb.log({'a': i})")
    if end == "restart":
        kernel.restart()
        kernel.run("import wandb\nrun = wandb.init(project='p')\nwandb.log({'again': 1})\nrun.finish()")
    else:
        kernel.shut_down()

    for run_id, history in kernel.training.histories.items():
        assert lens.scalars(trainer.workload, run_id) == scalars(history)
    assert {value for (_, name), value in lens.scalars(trainer.workload).items() if name == "a"} == set(range(50))
    names = [name for line in kernel.training.lines() for name in line["data"] if not name.startswith("_")]
    assert sorted(names) == ["a"] * 50 + ["again"] * (end == "restart")


def test_the_mirror_of_a_killed_kernel_holds_all_that_is_older_than_a_second(kernel: Kernel, trainer: Trainer) -> None:
    kernel.run("import os, time, wandb\nrun = wandb.init(project='p')\nfor i in range(50): wandb.log({'a': i})")
    pid = int(kernel.run("time.sleep(1)\nprint(os.getpid())").stdout)
    os.kill(pid, signal.SIGKILL)

    assert [line["data"]["a"] for line in kernel.training.lines()] == list(range(50))
