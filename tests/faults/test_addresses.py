"""Jobs that were told a wrong address of Lens, or none, and what they say of it while they run."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Callable

import pytest

from ..support import faults
from ..support.commands import sync
from ..support.faults import FaultyLens
from ..support.lens import Lens
from ..support.training import Trainer, Training
from ..support.wandb_file import scalars

TRAINING = """
import wandb
with wandb.init(project="p") as run:
    for i in range(20):
        run.log({"a": i})
"""
# What a job does, without wandb; it ends when its stdin does. The minute of an outage is a second here.
SCRIPT = """
import sys, time
from primus_lens_wandb_exporter import runtime
from primus_lens_wandb_exporter.records import MetricsRecord
from primus_lens_wandb_exporter.sinks import outage
outage.SAID_AFTER_S = 1.0
exporter, run, _ = runtime.start_run("r")
route = exporter.route(run)
for step in range(3):
    exporter.export(MetricsRecord(run, step, step, time.time(), {"a": step}, {"a": step}), route)
print("logged", flush=True)
sys.stdin.read()
began = time.monotonic()
runtime.shut_down()
print("took", time.monotonic() - began)
"""
ALL = {(0, "a"): 0.0, (1, "a"): 1.0, (2, "a"): 2.0}


def said(training: Training) -> list[str]:
    return [line for line in training.stderr.splitlines() if "Primus Lens" in line]


def wait_until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def read_line_of_stderr(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.readline()


def end(process: subprocess.Popen[str]) -> str:
    """Lets the job end; what it says then."""
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.close()
    rest = process.stderr.read()
    assert process.wait(timeout=60) == 0
    return rest


def acknowledged(trainer: Trainer) -> list[list[int]]:
    ledger: Path = trainer.directory / "mirror" / "node_0" / "rank_0" / "wandb_metrics.jsonl.delivery"
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    return [ranges for line in lines for ranges in line.get("acknowledged", [])]


@pytest.mark.parametrize("given", ["/api/v1", "/v1", ""], ids=["the guides' prefix", "its own", "none"])
def test_a_stock_lens_gets_everything_whatever_prefix_was_set(
    given: str, faulty: FaultyLens, trainer: Trainer, lens: Lens
) -> None:
    """It mounts only /v1, on a port of its own, and has no /health."""
    faulty.behaviour = faults.only_under("/v1")
    address = f"http://127.0.0.1:{faulty.port}"
    training = trainer.run(TRAINING, PRIMUS_LENS_API_BASE_URL=address + given)
    assert lens.scalars(trainer.workload) == scalars(training.history)
    assert len(faulty.detections) == 1
    assert said(training) == []
    assert acknowledged(trainer)

    debugged = trainer.run(TRAINING, PRIMUS_LENS_API_BASE_URL=address + given, PRIMUS_LENS_WANDB_DEBUG="true")
    assert (f"Lens is found at {address}/v1" in debugged.stderr) == (given != "/v1")


def test_metrics_wait_at_a_wrong_address_and_arrive_when_it_becomes_right(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    faulty.behaviour = faults.only_under("/elsewhere")
    process = faulty_trainer.start(SCRIPT)
    assert "404 page not found" in read_line_of_stderr(process)
    wait_until(lambda: faulty.request_count > 4)
    faulty.behaviour = faults.forward
    assert "takes metrics again, after" in read_line_of_stderr(process)
    assert end(process) == "", "each was said once"
    assert lens.scalars(faulty_trainer.workload) == ALL


def test_a_job_that_is_killed_in_an_outage_has_said_why(trainer: Trainer) -> None:
    process = trainer.start(SCRIPT, PRIMUS_LENS_API_BASE_URL="http://127.0.0.1:9/v1")
    line = read_line_of_stderr(process)
    assert "nothing has reached Lens at http://127.0.0.1:9/v1 for 1 s: nothing listens there" in line
    assert "3 metrics wait" in line
    assert "What to do: start Lens" in line
    process.kill()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.wait()


def test_an_unknown_pod_is_told_and_so_is_that_lens_has_come_to_know_it(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    faulty.behaviour = faults.refuse(400, "no valid workload found")
    process = faulty_trainer.start(SCRIPT)
    line = read_line_of_stderr(process)
    assert "HTTP 400 no valid workload found" in line
    assert "set WORKLOAD_UID" in line
    faulty.behaviour = faults.forward
    assert "takes metrics again" in read_line_of_stderr(process)
    assert end(process) == ""
    assert lens.scalars(faulty_trainer.workload) == ALL


def test_what_was_stored_in_part_is_counted_said_once_and_delivered_by_sync(
    faulty: FaultyLens, faulty_trainer: Trainer, lens: Lens
) -> None:
    faulty.behaviour = faults.store_half
    training = faulty_trainer.run(SCRIPT)
    refused, missing = said(training)
    assert "HTTP 200, but stored for 1 of 2 workloads only" in refused
    assert "3 of 3 metrics were not delivered" in missing
    assert "(0 pending, 0 dropped, 3 refused)" in missing
    assert acknowledged(faulty_trainer) == []

    faulty.behaviour = faults.forward
    found = sync(faulty_trainer, "mirror")
    assert found.returncode == 0, found.stdout
    assert lens.scalars(faulty_trainer.workload) == ALL


NAMES_TAKE_LONG = """
import socket, time
def getaddrinfo(*args, **options):
    time.sleep(8)
    raise socket.gaierror(-3, "Temporary failure in name resolution")
socket.getaddrinfo = getaddrinfo
"""


@pytest.mark.parametrize("before", ["", NAMES_TAKE_LONG], ids=["unknown", "slow"])
def test_outside_of_a_cluster_the_known_names_cost_one_flush_timeout(before: str, trainer: Trainer) -> None:
    variables = {"PRIMUS_LENS_API_BASE_URL": "", "PRIMUS_LENS_API_TOKEN": "of-nobody", "PRIMUS_LENS_WANDB_DEBUG": "no"}
    training = trainer.run(before + SCRIPT, PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="2", **variables)
    took_s = float(training.stdout.split()[-1])
    assert took_s < 7, "less than one look-up takes"
    (line,) = [line for line in said(training) if "were not delivered" in line]
    assert "3 of 3 metrics were not delivered to Lens at its known addresses" in line
    if not before:
        assert "the name primus-lens-telemetry-processor is not known" in line
    assert "of-nobody" not in training.stderr


def test_a_run_says_where_its_metrics_go_only_when_asked(faulty_trainer: Trainer, lens: Lens) -> None:
    address = f"Lens at {faulty_trainer.base_url}"
    asked = faulty_trainer.run(TRAINING, PRIMUS_LENS_WANDB_ANNOUNCE="true")
    (line,) = said(asked)
    mirror = faulty_trainer.directory / "mirror" / "node_0" / "rank_0" / "wandb_metrics.jsonl"
    assert line == f"Primus Lens: metrics of run {asked.run_id} go to {mirror} and to {address}"

    debugged = faulty_trainer.run(
        TRAINING, PRIMUS_LENS_WANDB_ANNOUNCE="true", PRIMUS_LENS_WANDB_DEBUG="true", PRIMUS_LENS_WANDB_OUTPUT_PATH=""
    )
    (line,) = [line for line in said(debugged) if " go to " in line]
    assert "INFO Primus Lens" in line
    assert line.endswith("go to " + address)
    assert said(faulty_trainer.run(TRAINING)) == []


def test_a_run_without_any_destination_says_so_and_one_that_looks_for_lens_where(trainer: Trainer) -> None:
    announced = {"PRIMUS_LENS_WANDB_ANNOUNCE": "true", "PRIMUS_LENS_WANDB_OUTPUT_PATH": ""}
    (line,) = said(trainer.run(SCRIPT, PRIMUS_LENS_WANDB_API_REPORTING="false", **announced))
    assert line == "Primus Lens: metrics of run r go to nobody but wandb"
    variables = {"PRIMUS_LENS_API_BASE_URL": "", "PRIMUS_LENS_WANDB_FLUSH_TIMEOUT": "0"}
    first = said(trainer.run(SCRIPT, **variables, **announced))[0]
    assert first.endswith(
        "go to Lens at its known addresses (http://primus-lens-telemetry-processor:8080/api/v1 first)"
    )
