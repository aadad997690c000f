"""The dashboard for OTLP data, as Grafana would run its queries, against real stores with two runs of two ranks."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any, Iterator

import pytest

from primus_lens_wandb_exporter.identity import Identity, Place
from primus_lens_wandb_exporter.records import MetricsRecord, Number, Run
from primus_lens_wandb_exporter.sinks.otlp_batches import OtlpBatcher, load_encoding
from primus_lens_wandb_exporter.sinks.otlp_client import OtlpClient
from primus_lens_wandb_exporter.sinks.otlp_settings import OtlpSettings

from ..support.metric_servers import SERVERS, MetricServer

DOCS = Path(__file__).resolve().parents[2] / "docs"
DASHBOARD = json.loads((DOCS / "grafana-otlp-dashboard.json").read_text(encoding="utf-8"))
VARIABLES = {item["name"]: item for item in DASHBOARD["templating"]["list"] if item["type"] == "query"}
PANELS = {panel["title"]: panel for panel in DASHBOARD["panels"]}
ALL = {name: item["allValue"] for name, item in VARIABLES.items()}
CALLS = 60
NOW = time.time()


@pytest.fixture(scope="module", params=list(SERVERS))
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MetricServer]:
    """A minute of training, one call a second, that has just ended."""
    with SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as server:
        settings = OtlpSettings(server.endpoint)
        for run_id in ("r1", "r2"):
            for rank in (0, 1):
                send(settings, Run(run_id, Identity("w"), Place(0, rank, rank, 2), "w", "", "p", f"name of {run_id}"))
        server.wait_for('{wandb_metric!="", wandb_kind=""}', 2 * 2 * 2 * CALLS)
        server.wait_for("wandb_run_config", 4)
        yield server


def send(settings: OtlpSettings, run: Run) -> None:
    client, batcher = OtlpClient(settings), OtlpBatcher(settings, 1.0)
    for number in range(CALLS):
        when = NOW - CALLS + number
        metrics: dict[str, Number] = {"train/loss": 1 / (number + 1), "val.loss": 2.0}
        batcher.add(MetricsRecord(run, number, number * 2, when, metrics, metrics), 0.0)
    best: dict[str, Number] = {"best": 0.5}
    batcher.add(MetricsRecord(run, CALLS, CALLS * 2, NOW, best, best, "summary"), 0.0)
    info = load_encoding().encode_info(batcher.resource(run), NOW - CALLS, {"wandb.framework": "x"}, [("lr", "0.1")])
    for body in (info, *(request.body for request in batcher.take_due(0.0, urgent=True))):
        assert client.post("", body).delivered


def interpolated(text: str, **chosen: str) -> str:
    """What Grafana makes of `$name` in a query; several values come as `(a|b)`, escaped for the regular expression."""
    values = {**ALL, "__range": "900s", **chosen}
    return re.sub(r"\$(\w+)", lambda match: values[match[1]], text)


def rows(server: MetricServer, title: str, **chosen: str) -> list[dict[str, Any]]:
    (target,) = PANELS[title]["targets"]
    return server.query(interpolated(target["expr"], **chosen), NOW)


def values_of(server: MetricServer, name: str, **chosen: str) -> list[str]:
    """What `label_values(selector, label)` finds."""
    match = re.fullmatch(r"label_values\((.*), (\w+)\)", VARIABLES[name]["query"]["query"])
    assert match is not None
    return sorted({series[match[2]] for series in server.series(interpolated(match[1], **chosen))})


@pytest.mark.parametrize("title", list(PANELS))
def test_every_panel_shows_every_run_and_rank_with_all(trained: MetricServer, title: str) -> None:
    found = rows(trained, title)
    assert {(row["metric"]["wandb_run_id"], row["metric"]["wandb_rank"]) for row in found} == {
        (run, rank) for run in ("r1", "r2") for rank in ("0", "1")
    }


@pytest.mark.parametrize("title", list(PANELS))
def test_a_choice_reaches_every_panel(trained: MetricServer, title: str) -> None:
    found = rows(trained, title, run="(r1)", rank="(1)", metric="(train/loss|val\\\\.loss|best)")
    assert {(row["metric"]["wandb_run_id"], row["metric"]["wandb_rank"]) for row in found} == {("r1", "1")}
    assert rows(trained, title, run="(r3)") == []


def test_every_variable_finds_its_values(trained: MetricServer) -> None:
    found = {name: values_of(trained, name) for name in VARIABLES}
    assert found == {
        "project": ["p"],
        "run": ["r1", "r2"],
        "rank": ["0", "1"],
        "metric": ["best", "train/loss", "val.loss"],
    }
    assert values_of(trained, "run", project="(other)") == []


def test_a_metric_is_chosen_by_wandbs_own_name(trained: MetricServer) -> None:
    found = rows(trained, "Last values", run="(r1)", rank="(0)", metric="(val\\\\.loss)")
    assert [(row["metric"]["wandb_metric"], row["value"][1]) for row in found] == [("val.loss", "2")]


def test_steps_per_second_are_those_of_the_training(trained: MetricServer) -> None:
    found = rows(trained, "Steps per second")
    assert [round(float(row["value"][1]), 1) for row in found] == [2.0] * 4


@pytest.mark.parametrize("title", [title for title, panel in PANELS.items() if panel["type"] == "table"])
def test_every_column_of_a_table_is_filled(trained: MetricServer, title: str) -> None:
    names = PANELS[title]["transformations"][0]["options"]["include"]["names"]
    there = {name for row in rows(trained, title) for name in row["metric"]}
    # What the runs of this test have not.
    absent = {"k8s_pod_name", "wandb_framework_base", "wandb_gpu_name", "wandb_gpu_count", "wandb_tags"}
    assert set(names) - {"Value"} - absent <= there
