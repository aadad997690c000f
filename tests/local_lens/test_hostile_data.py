"""What somebody who has the token may store: it is kept and shown, and costs the server no memory beyond its bounds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Iterator

import pytest
import requests

from .limited import LimitedLens

MOST_MEMORY_MB = 250
LONG_NAMES = [f"{index} " + "n" * 25_000 for index in range(40)]
STEPS = 150


@pytest.fixture
def lens(tmp_path: Path) -> Iterator[LimitedLens]:
    lens = LimitedLens(tmp_path / "lens.db")
    yield lens
    lens.process.terminate()
    assert lens.process.communicate(timeout=30) == ("", "")


def post(lens: LimitedLens, kind: str, **body: Any) -> None:
    answer = requests.post(f"{lens.url}/api/v1/wandb/{kind}", json={"workload_uid": "w", **body}, timeout=60)
    assert answer.status_code == 200, answer.text


def get(lens: LimitedLens, path: str, **query: Any) -> Any:
    answer = requests.get(lens.url + path, params=query, timeout=120)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_long_names_cost_little_memory_to_store_merge_and_show(lens: LimitedLens) -> None:
    for step in range(STEPS):
        metrics = [{"name": name, "value": step, "step": step} for name in LONG_NAMES]
        post(lens, "metrics", run_id="r", metrics=metrics)
    late = [{"name": "late", "value": 1, "step": step} for step in range(STEPS)]
    post(lens, "metrics", run_id="r", metrics=late)
    print(f"stored and merged: {lens.memory_mb('VmHWM'):.0f} MB")
    (run,) = get(lens, "/page/live", workload="w")["overview"]["runs"]
    assert run["points"] == STEPS * 41
    shown: Any = {"complete": False}
    while not shown["complete"]:
        shown = get(lens, "/page/live", workload="w", run="r", metric="late")
    assert shown["series"]["late"]["r"]["mean"] == [1] * STEPS
    print(f"shown: {lens.memory_mb('VmHWM'):.0f} MB")
    values = get(lens, "/page/last-values", workload="w", source="", run=["r"] * 500, metric="nothing")
    assert values == {"values": {"r": {}}}
    print(f"last values: {lens.memory_mb('VmHWM'):.0f} MB")
    data = get(lens, "/api/v1/workloads/w/metrics/data", metrics="late")
    assert data["total_count"] == STEPS
    assert lens.memory_mb("VmHWM") < MOST_MEMORY_MB


def test_large_detections_cost_little_memory_to_merge_and_show(lens: LimitedLens) -> None:
    first = {"environment": {"NODE_RANK": "3"}, "wandb": {"id": "r", "name": "first"}}
    post(lens, "detection", evidence=first, pod_name="pod")
    for number in range(60):
        evidence = {
            "wandb": {"id": f"r{number}", "name": "x" * 2**20, "project": "y" * 2**20},
            "environment": {f"{number} {index}": "z" * 1000 for index in range(1500)},
        }
        post(lens, "detection", evidence=evidence)
    post(lens, "detection", evidence={"environment": {"NODE_RANK": "4"}})
    post(lens, "metrics", run_id="r0", metrics=[{"name": "loss", "value": 1, "step": 0}])
    for _ in range(2):
        found = get(lens, "/api/v1/workloads/w/framework-detection")
    assert found["count"] == 62
    # What is known already goes on being brought up to date.
    assert found["evidence"]["environment"]["NODE_RANK"] == "4"
    assert found["evidence"]["environment"]["0 0"] == "z" * 1000
    assert len(json.dumps(found)) < 5 * 2**20
    (run,) = get(lens, "/page/live", workload="w")["overview"]["runs"]
    assert run["name"].startswith("xxx")
    assert len(run["name"]) < 1000
    print(f"{lens.memory_mb('VmHWM'):.0f} MB")
    assert lens.memory_mb("VmHWM") < MOST_MEMORY_MB
