"""The runs of which the kept files are made. Each function is a job of its own process, and returns what it logged.

Runs on Python 3.7 and wandb 0.12.0 too. The truth has the keys ``rows`` (step, then dotted name), ``summary`` and
``config``, as far as the job is about them; values under wandb's own names, which begin with ``_``, are left out.
"""

import inspect
import json
import os
import platform
import subprocess
import sys
import time
from typing import Any, Dict

from wandb_server import serve_wandb

Truth = Dict[str, Any]


def rows() -> Truth:
    """Every form of a call that gives a row."""
    run = init()
    run.log({"loss": 0.5, "epoch": 0})
    run.log({"loss": 0.25}, step=5)
    run.log({"a": 1}, commit=False)
    run.log({"b": 2.5})
    run.log({"late": 1}, step=3)  # dropped: the run is at step 6
    run.log({"first": 1}, step=7)
    run.log({"second": 2}, step=7, commit=True)
    run.log({"train": {"loss": 0.125, "deep": {"er": 3}}, "dotted.name": 4, "slash/name": 5})
    run.log({"e": 1e-320, "big": 1e308, "negative": -0.0, "int": 2**53 + 1, "below": -(2**62), "tenth": 0.1})
    run.log({"nan": float("nan"), "up": float("inf"), "down": float("-inf"), "name": "NaN"})
    run.log(
        {"yes": True, "no": False, "none": None, "text": "h\u00e9 \U0001f600", "list": [1, 2, {"x": 3}], "empty": {}}
    )
    run.log({})  # a step in most versions, none in 0.12.21
    run.log({"after the empty one": 1}, step=20, commit=True)
    run.log({"open": 1}, commit=False)
    run.finish()
    return {
        "rows": {
            0: {"loss": 0.5, "epoch": 0},
            5: {"loss": 0.25, "a": 1, "b": 2.5},
            7: {"first": 1, "second": 2},
            8: {"train.loss": 0.125, "train.deep.er": 3, "dotted.name": 4, "slash/name": 5},
            9: {"e": 1e-320, "big": 1e308, "negative": -0.0, "int": 2**53 + 1, "below": -(2**62), "tenth": 0.1},
            10: {"nan": float("nan"), "up": float("inf"), "down": float("-inf"), "name": "NaN"},
            11: {"yes": True, "no": False, "none": None, "text": "h\u00e9 \U0001f600", "list": [1, 2, {"x": 3}]},
            20: {"after the empty one": 1},
            21: {"open": 1},
        }
    }


def typed() -> Truth:
    """The same in the encoding that wandb 0.31 has beside JSON."""
    import wandb

    SETTINGS["x_history_value_encoding"] = "json,typed"
    if "x_history_value_encoding" not in dir(wandb.Settings()):
        raise NotInThisVersionError
    return rows()


def media() -> Truth:
    import numpy
    import wandb

    run = init()
    image = numpy.zeros((4, 4, 3), dtype=numpy.uint8)
    run.log({"loss": 1.5, "image": wandb.Image(image), "histogram": wandb.Histogram([1, 2, 3])})
    run.log({"html": wandb.Html("<b>b</b>")})
    run.log({"val": {"image": wandb.Image(image), "accuracy": 0.5, "histogram": wandb.Histogram([1, 2, 3])}})
    run.log({"images": [wandb.Image(image), wandb.Image(image)], "loss": 0.5})
    run.finish()
    return {"rows": {0: {"loss": 1.5}, 1: {}, 2: {"val.accuracy": 0.5}, 3: {"loss": 0.5}}}


def table() -> Truth:
    """Apart from other media: some versions wait for ever for what a table uploads."""
    import wandb

    run = init()
    run.log({"loss": 1.5, "table": wandb.Table(columns=["a"], data=[[1], [2]])})
    run.finish()
    return {"rows": {0: {"loss": 1.5}}}


def summary() -> Truth:
    """Config, tags and summary, set, changed and removed."""
    run = init(
        config={"lr": 0.1, "model": {"layers": 2, "name": "t\u00e9st"}, "sizes": [1, 2]},
        tags=["red", "blue"],
        group="group 1",
        job_type="train",
        name="run 1",
        notes="Some notes",
    )
    run.config.update({"lr": 0.2, "more": None}, allow_val_change=True)
    run.config["seed"] = 7
    run.log({"loss": 2.0})
    run.summary["best"] = 0.75
    run.summary["nested"] = {"a": {"b": 1}, "c": 2}
    run.summary.update({"f1": 0.5, "text": "done", "gone": 1, "inf": float("inf")})
    run.log({"loss": 1.0})
    run.summary["best"] = 0.875
    run.summary["nested"]["a"]["b"] = 5
    del run.summary["gone"]
    run.finish()
    return {
        "rows": {0: {"loss": 2.0}, 1: {"loss": 1.0}},
        "config": {"lr": 0.2, "model.layers": 2, "model.name": "t\u00e9st", "sizes": [1, 2], "more": None, "seed": 7},
        "summary": {
            "loss": 1.0, "best": 0.875, "nested.a.b": 5, "nested.c": 2, "f1": 0.5, "text": "done",
            "inf": float("inf"),
        },
        "run": {
            "project": "kept", "name": "run 1", "group": "group 1", "job_type": "train", "tags": ["red", "blue"],
        },
    }  # fmt: skip


def define_metric() -> Truth:
    run = init()
    run.define_metric("epoch", hidden=True)
    run.define_metric("val/*", step_metric="epoch")
    run.define_metric("loss", summary="min,max,mean,last")
    if "goal" in inspect.signature(run.define_metric).parameters:
        run.define_metric("accuracy", goal="maximize", summary="best")
    run.define_metric("quiet", summary="none")
    for step in range(4):
        run.log({"loss": 4.0 - step, "accuracy": [0.1, 0.9, 0.5, 0.7][step], "quiet": step})
    run.log({"epoch": 1})
    run.log({"val/loss": 0.5})
    run.log({"epoch": 2, "val/loss": 0.25})
    run.log({"val/loss": 0.125})
    run.finish()
    return {
        "rows": {
            **{
                step: {"loss": 4.0 - step, "accuracy": [0.1, 0.9, 0.5, 0.7][step], "quiet": step} for step in range(4)
            },
            4: {"epoch": 1},
            5: {"epoch": 1, "val/loss": 0.5},
            6: {"epoch": 2, "val/loss": 0.25},
            7: {"epoch": 2, "val/loss": 0.125},
        },
        "summary": {
            "epoch": 2, "val/loss": 0.125, "loss.min": 1.0, "loss.max": 4.0, "loss.mean": 2.5, "loss.last": 1.0,
        },
    }  # fmt: skip


def crash() -> Truth:
    """Ends without `finish`. Before 0.31 wandb writes whole blocks of 32 KiB, so there has to be more than one."""
    run = init()
    truth = {}
    for step in range(120):
        truth[step] = {"loss": 1 / (step + 1), "epoch": step // 100, "note": "x" * 400}
        run.log(dict(truth[step]))
    time.sleep(2)
    return {"rows": truth, "crashed": True}


def resume() -> Truth:
    """One run in three files. Offline, wandb cannot know the step at which the run went on."""
    truth = {}
    for index, how in enumerate(("allow", "allow", "must")):
        time.sleep(1.1)  # the folder's name is the second
        run = init(id="resumed", resume=how, config={"part": index})
        for step in range(3):
            run.log({"loss": index + step / 8}, step=index * 3 + step)
            truth[index * 3 + step] = {"loss": index + step / 8}
        run.summary["part"] = index
        run.finish()
    return {"rows": truth, "summary": {"loss": 2.25, "part": 2}, "config": {"part": 2}}


def fork() -> Truth:
    import wandb

    if "fork_from" not in dir(wandb.Settings()):
        raise NotInThisVersionError
    run = init(id="forked", fork_from="resumed?_step=4")
    run.log({"loss": 9.0}, step=5)
    run.log({"loss": 8.0}, step=9)
    run.finish()
    return {"rows": {5: {"loss": 9.0}, 9: {"loss": 8.0}}}


def rewind() -> Truth:
    import wandb

    if "resume_from" not in dir(wandb.Settings()):
        raise NotInThisVersionError
    run = init(resume_from="resumed?_step=4")
    run.log({"loss": 9.0}, step=5)
    run.log({"loss": 8.0}, step=9)
    run.finish()
    return {"rows": {5: {"loss": 9.0}, 9: {"loss": 8.0}}}


def tensorboard() -> Truth:
    from tensorboardX import SummaryWriter

    run = init(sync_tensorboard=True)
    writer = SummaryWriter("events")
    for step in range(0, 50, 10):
        writer.add_scalar("train/loss", step / 4, step)
        writer.add_scalar("train/accuracy", step / 80, step)
    writer.close()
    time.sleep(2)
    run.finish()
    return {
        "by global_step": {step: {"train/loss": step / 4, "train/accuracy": step / 80} for step in range(0, 50, 10)}
    }


def shared() -> Truth:
    """Two processes write one run, each into a file of its own. wandb does this online only: here is who answers."""
    import wandb

    if "x_label" not in dir(wandb.Settings()):
        raise NotInThisVersionError
    address = serve_wandb()
    for label in ("1", "2"):
        # One after the other: the folder's name is the second, and two within one would write the same file.
        subprocess.run([sys.executable, __file__, "write_shared", address, label], check=True)
        time.sleep(1.1)
    return {"rows without step": [{"writer": writer, "loss": step / 2} for writer in (1, 2) for step in range(3)]}


def write_shared(address: str, label: str) -> None:
    SETTINGS.update(mode="shared", x_primary=label == "1", x_label=label, base_url=address, api_key="0" * 40)
    run = init(id="shared")
    for step in range(3):
        run.log({"writer": int(label), "loss": step / 2}, step=step * 10)
    run.finish()


class NotInThisVersionError(Exception):
    """This wandb has no such runs."""


JOBS = [
    rows, typed, media, table, summary, define_metric, crash, resume, fork, rewind, tensorboard, shared
]  # fmt: skip
SETTINGS: Dict[str, Any] = {}


def init(**arguments: Any) -> Any:
    import wandb

    if SETTINGS:
        # Only then: in 0.18 settings that say nothing of the mode are online, whatever the environment says.
        arguments["settings"] = wandb.Settings(**SETTINGS)
    return wandb.init(project="kept", **arguments)


def main() -> None:
    # wandb writes it into its files, which are published.
    platform.platform = lambda *_, **__: "Linux"
    if sys.argv[1] == "write_shared":
        return write_shared(*sys.argv[2:])
    job = next(job for job in JOBS if job.__name__ == sys.argv[1])
    try:
        truth = job()
    except NotInThisVersionError:
        sys.exit(3)
    with open("truth.json", "w") as file:
        json.dump(truth, file, indent=1, sort_keys=True)
    if truth.get("crashed"):
        os.kill(os.getpid(), 9)


if __name__ == "__main__":
    main()
