"""Real stores have what wandb recorded: each value at the millisecond of its call, under a name that can be found."""

from __future__ import annotations

import math
import time
from typing import Iterator

import pytest

from ..support.metric_servers import SERVERS, MetricServer
from ..support.training import Trainer
from ..support.wandb_file import scalars


@pytest.fixture(scope="module", params=list(SERVERS))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MetricServer]:
    with SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture
def server_trainer(trainer: Trainer, server: MetricServer) -> Trainer:
    trainer.variables = {
        "PRIMUS_LENS_WANDB_OTLP_ENDPOINT": server.endpoint,
        "PRIMUS_LENS_WANDB_API_REPORTING": "false",
    }
    return trainer


def test_a_store_has_every_value_at_the_time_of_its_call(server: MetricServer, server_trainer: Trainer) -> None:
    training = server_trainer.run(
        """
        import time, wandb
        run = wandb.init(project="p", name="my run")
        for i in range(500):
            run.log({"train/loss": 1 / (i + 1), "train_loss": -i, "epoch": i // 10, "flag": i % 2 == 0})
            time.sleep(0.002)
        run.finish()
        """,
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
    )
    assert "Primus Lens" not in training.stderr

    runs = f'wandb_run_id="{training.run_id}"'
    server.wait_for(f'{{{runs}, wandb_metric!=""}}', 2000)
    at = time.time() + 60
    times = {line["step"]: round(line["timestamp"] * 1e6) // 1000 for line in training.calls()}
    found = {}
    for series in server.samples(f'{{{runs}, wandb_metric!=""}}', at):
        for when, text in series["values"]:
            found[round(when * 1000), series["metric"]["wandb_metric"]] = float(text)
    expected = {(times[step], name): value for (step, name), value in scalars(training.history).items()}
    assert found.keys() == expected.keys()
    # VictoriaMetrics keeps some 12 digits.
    assert all(math.isclose(found[key], expected[key], rel_tol=1e-9) for key in expected)

    (steps,) = server.samples(f"wandb_step{{{runs}}}", at)
    assert {round(when * 1000): int(text) for when, text in steps["values"]} == {t: s for s, t in times.items()}
    assert steps["metric"]["wandb_run_name"] == "my run"
    assert steps["metric"]["service_instance_id"] == f"{training.run_id}/0.0"


def test_ranks_are_series_of_their_own(server: MetricServer, server_trainer: Trainer) -> None:
    name = f"ranks-{time.time_ns()}"
    for rank in ("0", "1"):
        server_trainer.run(
            f"""
            import os, wandb
            run = wandb.init(project="p", id="{name}")
            run.log({{"loss": int(os.environ["RANK"])}})
            run.finish()
            """,
            RANK=rank,
            LOCAL_RANK=rank,
            WORLD_SIZE="2",
        )
    selector = f'loss{{wandb_run_id="{name}"}}'
    server.wait_for(selector, 2)
    found = {
        series["metric"]["wandb_rank"]: series["values"][0][1] for series in server.samples(selector, time.time() + 60)
    }
    assert found == {"0": "0", "1": "1"}


def test_names_that_a_store_rewrites_can_be_found(server: MetricServer, server_trainer: Trainer) -> None:
    training = server_trainer.run(
        """
        import wandb
        run = wandb.init(project="p")
        run.log({"train/loss": 1, "train.loss": 2, "train loss": 3, "损失": 4})
        run.summary["best"] = 6
        run.finish()
        """
    )
    selector = f'{{wandb_run_id="{training.run_id}", wandb_metric!=""}}'
    server.wait_for(selector, 5)
    found = server.samples(selector, time.time() + 60)
    assert {series["metric"]["wandb_metric"]: float(series["values"][0][1]) for series in found} == {
        "train/loss": 1,
        "train.loss": 2,
        "train loss": 3,
        "损失": 4,
        "best": 6,
    }
    assert [s["metric"]["wandb_metric"] for s in found if s["metric"].get("wandb_kind") == "summary"] == ["best"]
