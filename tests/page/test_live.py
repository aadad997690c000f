"""A training job is watched: the page draws what arrives, by itself."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Callable

import pytest
import requests

from ..support.lens import Lens, running_lens
from ..support.training import Trainer
from .conftest import Log, View

WITHIN_S = 2.0
SCRIPT = """
import sys, wandb
run = wandb.init(project="p")
run.log({"loss": 1.0}, step=0)
sys.stdin.readline()
run.log({"loss": 0.5}, step=1)
print("logged", flush=True)
sys.stdin.readline()
run.finish()
"""


def test_a_new_point_is_drawn_without_a_reload(view: View, log: Log, workload: str) -> None:
    log([0, 1, 2], {"loss": [3.0, 2.0, 1.0]})
    view.open(workload)
    view.wait_for_step("loss", 2)
    before = view.picture("loss")
    posted = time.monotonic()
    log([3], {"loss": [0.5]})
    view.wait_for_step("loss", 3, timeout_s=WITHIN_S)
    print(f"from POST to picture: {time.monotonic() - posted:.2f} s")
    assert view.picture("loss") != before
    assert view.card("loss").locator(".now").inner_text() == "0.5"


def test_a_new_workload_run_and_metric_appear_by_themselves(view: View, log: Log, workload: str) -> None:
    page = view.open()
    log([0], {"train/loss": [1.0]})
    page.get_by_role("link", name=workload).click()
    view.wait_for_step("train/loss", 0)
    log([0, 1], {"val/accuracy": [0.1, 0.2]}, run="second")
    view.wait_for_step("val/accuracy", 1)
    assert page.locator(".legend label").count() == 2


def test_a_metric_that_joins_a_stored_step_is_drawn(view: View, log: Log, workload: str) -> None:
    log([0, 1], {"loss": [3.0, 2.0]}, time_s=1_700_000_000)
    view.open(workload)
    view.wait_for_step("loss", 1)
    log([0], {"late": [7.0]}, time_s=1_700_000_000)
    view.wait_for_step("late", 0)


def test_the_page_survives_a_restart_of_the_server(
    view_of: Callable[..., View], tmp_path_factory: pytest.TempPathFactory
) -> None:
    def post(lens: Lens, step: int) -> None:
        metric = {"name": "loss", "value": 1.0 / (step + 1), "step": step, "timestamp": time.time()}
        body = {"source": "wandb", "workload_uid": "w", "run_id": "r", "metrics": [metric]}
        assert requests.post(f"{lens.base_url}/wandb/metrics", json=body, timeout=30).ok

    directory = tmp_path_factory.mktemp("restarted")
    with running_lens(directory) as first:
        view = view_of(first)
        post(first, 0)
        view.open("w")
        view.wait_for_step("loss", 0)
        port = int(first.url.rsplit(":", 1)[1])
    view.page.get_by_text("The server does not answer").wait_for()
    with running_lens(directory, port=port) as second:
        post(second, 1)
        view.wait_for_step("loss", 1)
        view.page.get_by_text("last point").wait_for()
        # The browser itself reports refused connections in the console.
        view.problems[:] = [problem for problem in view.problems if "ERR_CONNECTION_REFUSED" not in problem]
        view.close()


def test_wandb_log_in_a_training_job_reaches_the_picture_within_two_seconds(
    view: View, trainer: Trainer, workload: str
) -> None:
    script = trainer.directory / "train.py"
    script.write_text(SCRIPT)
    training = subprocess.Popen(
        [trainer.python, str(script)],
        cwd=trainer.directory,
        env=trainer.environment(WANDB_CONSOLE="off"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert training.stdin is not None
    assert training.stdout is not None
    view.open(workload)
    view.wait_for_step("loss", 0, timeout_s=60)
    training.stdin.write("go on\n")
    training.stdin.flush()
    assert "logged" in training.stdout.readline()
    logged = time.monotonic()
    view.wait_for_step("loss", 1)
    elapsed = time.monotonic() - logged
    print(f"from wandb.log to picture: {elapsed:.2f} s")
    training.communicate("end\n", timeout=60)
    assert elapsed < WITHIN_S


def test_with_a_token_the_page_works_once_the_browser_has_it(
    tmp_path: Path, view_of: Callable[..., View], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRIMUS_LENS_API_TOKEN", "s3cret-token")
    with running_lens(tmp_path) as lens:
        metric = {"name": "loss", "value": 1.0, "step": 0, "timestamp": time.time()}
        body = {"source": "wandb", "workload_uid": "w", "run_id": "r", "metrics": [metric]}
        headers = {"Authorization": "Bearer s3cret-token"}
        assert requests.post(f"{lens.base_url}/wandb/metrics", json=body, headers=headers, timeout=30).ok
        view = view_of(lens)
        view.open("w", token="s3cret-token")
        view.wait_for_step("loss", 0)
        view.close()
