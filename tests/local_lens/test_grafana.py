"""The dashboards in the docs, as Grafana's Infinity data source would run them, against a server with two runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from .conftest import Lens

DOCS = Path(__file__).resolve().parents[2] / "docs"
# Of the local Lens, and of the two generations of a cluster.
OWN, GUIDES, ENVELOPE = "grafana-dashboard.json", "grafana-guides.json", "grafana-envelope.json"
CLUSTER = (GUIDES, ENVELOPE)
DASHBOARDS = {name: json.loads((DOCS / name).read_text(encoding="utf-8")) for name in (OWN, *CLUSTER)}
VARIABLES = {
    name: {item["name"]: item for item in dashboard["templating"]["list"]} for name, dashboard in DASHBOARDS.items()
}
TARGETS = {
    name: {panel["title"]: panel["targets"][0] for panel in dashboard["panels"]}
    for name, dashboard in DASHBOARDS.items()
}
PANELS = [(name, title) for name, targets in TARGETS.items() for title in targets]
LISTS = [(name, key) for name, items in VARIABLES.items() for key, item in items.items() if item["type"] == "query"]
WORKLOAD = "team/job 1"
TYPES = {"string": str, "number": (int, float), "timestamp_epoch": int}
ALL = "All"


@pytest.fixture
def trained(lens: Lens) -> Lens:
    for run in ("r1", "r2"):
        for step in range(3):
            values = {"train/loss": 0.5, "val/loss": 0.7, "target_iteration": 100.0}
            lens.log(step, time=1000.0 + step, run=run, uid=WORKLOAD, **values)
    return lens


def interpolated(dashboard: str, text: str, chosen: dict[str, str], in_path: bool = False) -> str:
    """What Grafana makes of `${name}` and `${name:format}`; the plugin escapes what it puts into a path.

    *All* is the variable's own value for it, in no format.
    """

    def value(match: re.Match[str]) -> str:
        found = chosen[match[1]]
        if found == ALL:
            found = VARIABLES[dashboard][match[1]]["allValue"]
        return found.replace("/", "%2F").replace(" ", "%20") if in_path else found

    return re.sub(r"\$\{(\w+)(?::\w+)?\}", value, text)


def rows(lens: Lens, dashboard: str, query: dict[str, Any], **chosen: str) -> list[dict[str, Any]]:
    """The table that the data source makes: every row has every column, of its type."""
    values = {"workload": WORKLOAD, "run": ALL, "metric": ALL, "__from": "1001000", "__to": "1002000", **chosen}
    parameters = {
        item["key"]: interpolated(dashboard, item["value"], values) for item in query["url_options"]["params"]
    }
    assert query["url_options"]["method"] == "GET"
    found = lens.get(interpolated(dashboard, query["url"], values, in_path=True), **parameters)
    for key in query["root_selector"].split("."):
        found = found[key]
    table = []
    for item in found:
        for column in query["columns"]:
            assert isinstance(item[column["selector"]], TYPES[column["type"]]), (column, item)
        table.append({column["text"]: item[column["selector"]] for column in query["columns"]})
    return table


@pytest.mark.parametrize(("dashboard", "title"), PANELS)
def test_every_panel_finds_its_columns(trained: Lens, dashboard: str, title: str) -> None:
    assert rows(trained, dashboard, TARGETS[dashboard][title])


@pytest.mark.parametrize(("dashboard", "name"), LISTS)
def test_every_variable_finds_its_values(trained: Lens, dashboard: str, name: str) -> None:
    query = VARIABLES[dashboard][name]["query"]["infinityQuery"]
    found = [next(iter(row.values())) for row in rows(trained, dashboard, query)]
    assert found == {"workload": [WORKLOAD], "run": ["r1", "r2"], "metric": ["train/loss", "val/loss"]}[name]


@pytest.mark.parametrize(
    ("metric", "count"),
    [(ALL, 8), ("train/loss", 4), ("{train/loss,val/loss}", 8), ("{train/loss}", 4), ("unknown", 0)],
)
@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_choices_and_the_time_range_reach_the_points(trained: Lens, dashboard: str, metric: str, count: int) -> None:
    points = rows(trained, dashboard, TARGETS[dashboard]["Metrics over time"], metric=metric)
    assert len(points) == count
    assert all(1_001_000 <= point["time"] <= 1_002_000 for point in points)


@pytest.mark.parametrize(("run", "count"), [(ALL, 4), ("r1", 2), ("r3", 0)])
def test_a_run_of_the_local_lens_can_be_chosen(trained: Lens, run: str, count: int) -> None:
    points = rows(trained, OWN, TARGETS[OWN]["Metrics over time"], metric="train/loss", run=run)
    assert len(points) == count


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_a_panel_by_step_has_all_steps(trained: Lens, dashboard: str) -> None:
    points = rows(trained, dashboard, TARGETS[dashboard]["Metrics by step"], metric="train/loss", run="r1")
    assert sorted({point["step"] for point in points}) == [0, 1, 2]


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_what_is_a_line_of_its_own_is_a_column(dashboard: str) -> None:
    for panel in DASHBOARDS[dashboard]["panels"]:
        columns = {column["text"] for column in panel["targets"][0]["columns"]}
        for transformation in panel.get("transformations", ()):
            assert set(transformation["options"]["fields"]) <= columns
            assert {"metric", "run"} & columns == set(transformation["options"]["fields"])


@pytest.mark.parametrize("dashboard", CLUSTER)
def test_the_dashboards_of_a_cluster_ask_for_nothing_that_only_the_local_lens_has(dashboard: str) -> None:
    prefix = {GUIDES: "/api/v1", ENVELOPE: "/v1"}[dashboard]
    queries = [*TARGETS[dashboard].values(), VARIABLES[dashboard]["metric"]["query"]["infinityQuery"]]
    for query in queries:
        path = query["url"].partition(f"{prefix}/workloads/${{workload}}/metrics/")[2]
        assert path in ("sources", "available", "data", "iteration-times")
        assert {item["key"] for item in query["url_options"]["params"]} <= {"data_source", "metrics", "start", "end"}
        assert "run_id" not in {column["selector"] for column in query["columns"]}


def test_the_dashboards_of_a_cluster_differ_in_their_prefix_and_envelope_only() -> None:
    guides, envelope = ((DOCS / name).read_text(encoding="utf-8") for name in CLUSTER)
    changed = re.sub(r'"root_selector": "', r'"root_selector": "data.', guides).replace("/api/v1", "/v1")
    assert changed.replace("primus-lens-guides", "primus-lens-envelope") == envelope


def test_every_dashboard_can_be_imported_beside_the_others() -> None:
    assert len({dashboard["uid"] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS)
    assert len({dashboard["title"] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS)


def test_the_guide_names_what_the_panels_ask() -> None:
    guide = (DOCS / "grafana.md").read_text(encoding="utf-8")
    for name in DASHBOARDS:
        assert f"({name})" in guide
    for title, query in TARGETS[OWN].items():
        (line,) = [line for line in guide.splitlines() if line.startswith(f"| {title} |")]
        assert f"`{query['root_selector']}`" in line
        assert query["url"].replace("/api/v1/workloads/${workload}", "") in line
        for column in query["columns"]:
            assert f"`{column['selector']}`" in line
