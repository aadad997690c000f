"""The dashboard in the docs, as Grafana's Infinity data source would run it, against a server with two runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from .conftest import Lens

DOCS = Path(__file__).resolve().parents[2] / "docs"
DASHBOARD = json.loads((DOCS / "grafana-dashboard.json").read_text(encoding="utf-8"))
VARIABLES = {item["name"]: item for item in DASHBOARD["templating"]["list"]}
TARGETS = {panel["title"]: panel["targets"][0] for panel in DASHBOARD["panels"]}
WORKLOAD = "team/job 1"
TYPES = {"string": str, "number": (int, float), "timestamp_epoch": int}


@pytest.fixture
def trained(lens: Lens) -> Lens:
    for run in ("r1", "r2"):
        for step in range(3):
            lens.log(step, time=1000.0 + step, run=run, uid=WORKLOAD, **{"train/loss": 0.5, "val/loss": 0.7})
    return lens


def interpolated(text: str, chosen: dict[str, str], in_path: bool = False) -> str:
    """What Grafana makes of `${name}` and `${name:format}`; the plugin escapes what it puts into a path."""

    def value(match: re.Match[str]) -> str:
        return chosen[match[1]].replace("/", "%2F").replace(" ", "%20") if in_path else chosen[match[1]]

    return re.sub(r"\$\{(\w+)(?::\w+)?\}", value, text)


def rows(lens: Lens, query: dict[str, Any], **chosen: str) -> list[dict[str, Any]]:
    """The table that the data source makes: every row has every column, of its type."""
    values = {
        "workload": WORKLOAD,
        "run": "$__all",
        "metric": "$__all",
        "__from": "1001000",
        "__to": "1002000",
        **chosen,
    }
    parameters = {item["key"]: interpolated(item["value"], values) for item in query["url_options"]["params"]}
    assert query["url_options"]["method"] == "GET"
    answer = lens.get(interpolated(query["url"], values, in_path=True), **parameters)
    table = []
    for item in answer[query["root_selector"]]:
        for column in query["columns"]:
            assert isinstance(item[column["selector"]], TYPES[column["type"]]), (column, item)
        table.append({column["text"]: item[column["selector"]] for column in query["columns"]})
    return table


@pytest.mark.parametrize("title", list(TARGETS))
def test_every_panel_finds_its_columns(trained: Lens, title: str) -> None:
    assert rows(trained, TARGETS[title])


@pytest.mark.parametrize("name", [name for name, item in VARIABLES.items() if item["type"] == "query"])
def test_every_variable_finds_its_values(trained: Lens, name: str) -> None:
    query = VARIABLES[name]["query"]["infinityQuery"]
    found = [next(iter(row.values())) for row in rows(trained, query)]
    assert found == {"workload": [WORKLOAD], "run": ["r1", "r2"], "metric": ["train/loss", "val/loss"]}[name]


@pytest.mark.parametrize(
    ("metric", "run", "count"),
    [
        ("$__all", "$__all", 8),
        ("train/loss", "$__all", 4),
        ("{train/loss,val/loss}", "r1", 4),
        ("{train/loss}", "r2", 2),
        ("unknown", "r2", 0),
    ],
)
def test_choices_and_the_time_range_reach_the_points(trained: Lens, metric: str, run: str, count: int) -> None:
    points = rows(trained, TARGETS["Metrics over time"], metric=metric, run=run)
    assert len(points) == count
    assert all(1_001_000 <= point["time"] <= 1_002_000 for point in points)


def test_a_panel_by_step_has_all_steps(trained: Lens) -> None:
    points = rows(trained, TARGETS["Metrics by step"], metric="train/loss", run="r1")
    assert [point["step"] for point in points] == [0, 1, 2]


def test_the_guide_names_what_the_panels_ask() -> None:
    guide = (DOCS / "grafana.md").read_text(encoding="utf-8")
    for title, query in TARGETS.items():
        (line,) = [line for line in guide.splitlines() if line.startswith(f"| {title} |")]
        assert f"`{query['root_selector']}`" in line
        assert query["url"].replace("/api/v1/workloads/${workload}", "") in line
        for column in query["columns"]:
            assert f"`{column['selector']}`" in line
