"""The summary of a run: which values it holds, under which names, and what it costs, on both databases."""

from __future__ import annotations

import json
from typing import Any, Callable, Iterator

import pytest
import requests
from fastapi.testclient import TestClient
from sqlalchemy import Engine, event

from primus_lens_local import limits
from primus_lens_local.admission import Admission
from primus_lens_local.contract import decode_metrics
from primus_lens_local.database import open_database
from primus_lens_local.page import routes
from primus_lens_local.server import create_app
from primus_lens_local.store import write

from .conftest import WORKLOAD, Lens, LensProcess
from .test_ingest import metrics_body
from .test_process import get

StartLens = Callable[..., LensProcess]
TAG = {"kind": "summary"}


def metric(name: str, value: float, step: int = 0, time: float = 0.0, **fields: Any) -> dict[str, Any]:
    return {"name": name, "value": value, "step": step, "timestamp": time, "tags": {}, **fields}


def of_summary(name: str, value: float, step: int = 0, time: float = 0.0) -> dict[str, Any]:
    return metric(name, value, step, time, tags=TAG)


def send(lens: Lens, *metrics: dict[str, Any], **ids: Any) -> None:
    response = lens.post("metrics", metrics_body(*metrics, **ids))
    assert (response.status_code, response.json()["data"]["count"]) == (200, len(metrics))


def summary(lens: Lens, **parameters: Any) -> dict[str, float]:
    points = lens.get(f"{WORKLOAD}/metrics/summary", **parameters)["data"]
    assert len({point["metric_name"] for point in points}) == len(points)
    return {point["metric_name"]: point["value"] for point in points}


def curves(lens: Lens) -> list[list[str]]:
    """The metrics of each run that the page draws."""
    return [run["metrics"] for run in lens.get("/page/live", workload="w")["overview"]["runs"]]


def post(lens: LensProcess, body: dict[str, Any]) -> int:
    return requests.post(f"{lens.url}/api/v1/wandb/metrics", json=body, timeout=30).status_code


def test_a_summary_value_is_a_point_and_known_as_the_runs_summary(either_lens: Lens) -> None:
    send(either_lens, metric("loss", 0.5, step=9, time=1.0), of_summary("best.acc", 0.75, step=9, time=2.5))
    assert [(point["metric_name"], point["iteration"]) for point in either_lens.points()] == [
        ("loss", 9),
        ("best.acc", 9),
    ]
    assert either_lens.get(f"{WORKLOAD}/metrics/summary") == {
        "workload_uid": "w",
        "data_source": "",
        "data": [
            {
                "metric_name": "best.acc",
                "value": 0.75,
                "timestamp": 2500,
                "iteration": 9,
                "data_source": "wandb",
                "run_id": "r1",
            }
        ],
        "total_count": 1,
    }
    assert [run["summary_count"] for run in either_lens.get(f"{WORKLOAD}/runs")["runs"]] == [1]


@pytest.mark.parametrize(
    "tags", ['{"KIND": "summary"}', '{"kind": "Summary"}', '{"kind": "summary", "kind": ""}', "null", "{}"]
)
def test_other_tags_make_no_summary(lens: Lens, tags: str) -> None:
    body = f'{{"workload_uid": "w", "metrics": [{{"name": "a", "value": 1, "tags": {tags}}}]}}'
    assert lens.post("metrics", body).status_code == 200
    assert (len(lens.points()), summary(lens)) == (1, {})


def test_a_batch_carries_a_summary_too(lens: Lens) -> None:
    assert lens.post("batch", {"metrics": metrics_body(of_summary("a", 1.0))}).status_code == 200
    assert summary(lens) == {"a": 1.0}


@pytest.mark.parametrize("value", [0.1 + 0.2, 5e-324, 1.7976931348623157e308, -1e-300, 1 / 3, 2.0**53])
def test_values_come_back_exactly(either_lens: Lens, value: float) -> None:
    send(either_lens, of_summary("a", value))
    assert repr(summary(either_lens)["a"]) == repr(value)


@pytest.mark.parametrize("in_one_request", [True, False])
@pytest.mark.parametrize(
    ("times", "latest"),
    [((1.0, 2.0, 3.0), 3.0), ((3.0, 1.0, 2.0), 1.0), ((2.0, 2.0, 2.0), 3.0), ((1.0, 5.0, 5.0), 3.0)],
)
def test_the_latest_value_counts_and_of_two_at_one_time_the_one_that_came_last(
    either_lens: Lens, in_one_request: bool, times: tuple[float, ...], latest: float
) -> None:
    values = [of_summary("best", float(number), step=number, time=time) for number, time in enumerate(times, 1)]
    for request in [values] if in_one_request else [[value] for value in values]:
        send(either_lens, *request)
    (point,) = either_lens.get(f"{WORKLOAD}/metrics/summary")["data"]
    assert (point["value"], point["iteration"]) == (latest, int(latest))
    assert len(either_lens.points()) == 3


def test_requests_of_one_transaction_are_taken_in_their_order(database: str) -> None:
    engine = open_database(database)
    bodies = [
        {"source": "wandb", "workload_uid": "w", "run_id": "r1", "metrics": [of_summary("a", v)]} for v in (1.0, 2.0)
    ]
    write(engine, [decode_metrics(json.dumps(body).encode()) for body in bodies])
    engine.dispose()
    with TestClient(create_app(database)) as client:
        assert summary(Lens(client, database)) == {"a": 2.0}


def test_each_run_and_source_has_its_own_summary(either_lens: Lens) -> None:
    for run, source, value in (("r1", "wandb", 1.0), ("r2", "wandb", 2.0), ("r1", "mlflow", 3.0)):
        send(either_lens, of_summary("a", value, time=value), run_id=run, source=source)
    send(either_lens, of_summary("a", 9.0), workload_uid="other")
    assert summary(either_lens, run_id="r2") == {"a": 2.0}
    assert summary(either_lens, run_id="r1", data_source="mlflow") == {"a": 3.0}
    assert summary(either_lens, start=900, end=1500) == {"a": 1.0}
    found = either_lens.get(f"{WORKLOAD}/metrics/summary")["data"]
    assert [(p["run_id"], p["data_source"]) for p in found] == [("r1", "wandb"), ("r2", "wandb"), ("r1", "mlflow")]
    runs = either_lens.get(f"{WORKLOAD}/runs")["runs"]
    assert {run["run_id"]: run["summary_count"] for run in runs} == {"r1": 2, "r2": 1}
    assert either_lens.get("/api/v1/workloads/%00/metrics/summary")["total_count"] == 0


def test_a_name_of_the_history_is_shown_as_its_user_calls_it(either_lens: Lens) -> None:
    long = "n" * 300
    send(either_lens, metric("loss", 0.5), metric(long, 0.5))
    send(
        either_lens,
        of_summary("summary/loss", 0.1),
        of_summary(f"summary/{long}", 0.2),
        of_summary("summary/other", 0.3),
    )
    assert summary(either_lens) == {"loss": 0.1, long: 0.2, "summary/other": 0.3}


def test_a_name_that_only_another_summary_value_has_is_not_of_the_history(either_lens: Lens) -> None:
    send(either_lens, of_summary("loss", 1.0), of_summary("summary/loss", 2.0))
    assert summary(either_lens) == {"loss": 1.0, "summary/loss": 2.0}
    send(either_lens, metric("loss", 0.5, step=1), run_id="another run")
    assert summary(either_lens) == {"loss": 1.0, "summary/loss": 2.0}


@pytest.mark.parametrize("step", [3, 4], ids=["same step", "later step"])
def test_a_name_that_joins_the_history_later_is_one_name(either_lens: Lens, step: int) -> None:
    send(either_lens, of_summary("acc", 0.8, step=3, time=1.0))
    assert curves(either_lens) == [[]]
    send(either_lens, metric("acc", 0.9, step=step, time=2.0))
    assert curves(either_lens) == [["acc"]]
    send(either_lens, of_summary("summary/acc", 0.95, step=5, time=2.0))
    assert summary(either_lens) == {"acc": 0.95}
    assert curves(either_lens) == [["acc"]]


def test_a_name_of_both_in_one_request_is_of_the_history(either_lens: Lens) -> None:
    send(either_lens, metric("acc", 0.9), of_summary("acc", 0.8, time=1.0))
    assert (summary(either_lens), curves(either_lens)) == ({"acc": 0.8}, [["acc"]])


@pytest.mark.parametrize(
    "name", ["größe", 'a"b', "%s", "', ''); DROP TABLE x; --", "\U0001f600", "n" * 5000, "", "summary/"]
)
def test_any_name_is_text(either_lens: Lens, name: str) -> None:
    send(either_lens, of_summary(name, 2.0), of_summary(f"{name}2", 3.0))
    assert summary(either_lens) == {name: 2.0, f"{name}2": 3.0}


def test_a_reserved_name_is_hidden(lens: Lens) -> None:
    send(lens, of_summary("step", 2.0), of_summary("iteration", 2.0))
    assert summary(lens) == {}


def test_ten_thousand_names_are_all_points_and_some_of_them_summary(either_lens: Lens) -> None:
    names = [f"n{index:05}" for index in range(10_000)]
    for first in range(0, 10_000, 2500):
        send(either_lens, *(of_summary(name, 1.0) for name in names[first : first + 2500]))
    assert either_lens.get(f"{WORKLOAD}/metrics/available")["total_count"] == 10_000
    assert list(summary(either_lens)) == names[: limits.MAX_SUMMARY_VALUES]
    assert curves(either_lens) == [names[limits.MAX_SUMMARY_VALUES :]]
    send(either_lens, *(of_summary(name, 2.0, step=1, time=1.0) for name in (names[0], names[-1])))
    found = summary(either_lens)
    assert (len(found), found[names[0]], found[names[1]]) == (limits.MAX_SUMMARY_VALUES, 2.0, 1.0)
    send(either_lens, of_summary(names[-1], 2.0), run_id="another run")
    assert summary(either_lens, run_id="another run") == {names[-1]: 2.0}


def test_of_very_many_values_the_page_gets_those_of_some_runs(lens: Lens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "_MAX_SUMMARY_VALUES", 3)
    for run in ("r1", "r2", "r3"):
        send(lens, of_summary("a", 1.0, step=2, time=3.0), of_summary("b" * 300, 2.0), run_id=run)
    found = lens.get("/page/summaries", workload="w", source="wandb", run=["r3", "r1", "r2", "unknown"])["summaries"]
    assert list(found) == ["r3", "r1"]
    assert found["r3"] == [["a", 1.0, 2, 3000], ["b" * 256 + "…", 2.0, 0, 0]]


def test_names_beyond_the_workloads_limit_are_in_no_summary(lens: Lens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_NAMES", 1)
    response = lens.post("metrics", metrics_body(of_summary("a", 1.0), of_summary("b", 1.0)))
    assert (response.status_code, summary(lens)) == (400, {"a": 1.0})


def test_a_summary_is_there_after_kill_and_restart(database: str, start_lens: StartLens) -> None:
    first = start_lens(database)
    body = metrics_body(metric("loss", 1.0), of_summary("a", 1.0), of_summary("summary/loss", 2.0))
    assert post(first, body) == 200
    first.process.kill()
    first.process.wait()
    again = start_lens(database)
    assert post(again, metrics_body(of_summary("a", 3.0, step=1, time=1.0))) == 200
    found = get(again, "/workloads/w/metrics/summary")["data"]
    assert [(point["metric_name"], point["value"]) for point in found] == [("a", 3.0), ("loss", 2.0)]


def test_a_request_without_summary_asks_the_database_nothing_more(
    statements: tuple[Engine, list[str]],
) -> None:
    engine, sent = statements
    admission = Admission()
    asked = []
    for step in range(3):
        body = metrics_body(*[metric(f"m{index}", 1.0, step=step) for index in range(5)])
        sent.clear()
        write(engine, [decode_metrics(json.dumps(body).encode())], admission)
        asked.append([statement.split()[0] for statement in sent])
    # Totals; steps, totals, counts. A new run's id is read besides, and at first what the workload has.
    assert asked[1:] == [["SELECT", "INSERT", "INSERT", "INSERT"]] * 2


@pytest.fixture
def statements(database: str) -> Iterator[tuple[Engine, list[str]]]:
    """An engine and what it sends; many rows of one statement count once."""
    engine = open_database(database)
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "pg_advisory" not in statement and not statement.startswith(("BEGIN", "COMMIT")):
            sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield engine, sent
    engine.dispose()
