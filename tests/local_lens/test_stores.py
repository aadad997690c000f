"""SQLite and PostgreSQL hold the same: every test here runs on both."""

from __future__ import annotations

import http.client
import threading
from pathlib import Path
from typing import Any, Callable

import pytest

from tests.support.postgresql import PostgreSQL

from .conftest import WORKLOAD, Lens, LensProcess
from .test_ingest import DETECTION, LOGS, metrics_body
from .test_process import failure, get, post_steps

StartLens = Callable[..., LensProcess]


def test_the_guides_sql_counts_the_steps(either_lens: Lens) -> None:
    for step in range(3):
        either_lens.log(step, loss=1.0, lr=0.1)
    either_lens.log(0, uid="other", loss=1.0)
    sql = "SELECT COUNT(*) FROM training_performance WHERE workload_uid='w' AND data_source='wandb';"
    assert either_lens.rows(sql) == [(3,)]
    assert either_lens.rows("SELECT DISTINCT serial, pod_uuid FROM training_performance") == [(0, "")]


@pytest.mark.parametrize("value", [0.1 + 0.2, 5e-324, 1.7976931348623157e308, -0.0, 1 / 3, 1e16])
def test_values_come_back_exactly_even_after_a_merge(either_lens: Lens, value: float) -> None:
    either_lens.log(1, a=value, b=1)
    either_lens.log(1, b=value)
    assert {repr(point["value"]) for point in either_lens.points()} == {repr(value)}


@pytest.mark.parametrize("name", ["größe", 'a"b', "%s", "', ''); DROP TABLE x; --", "\U0001f600", "n" * 5000, ""])
def test_any_name_is_text(either_lens: Lens, name: str) -> None:
    either_lens.post("metrics", metrics_body({"name": name, "value": 2.0}, run_id="%(x)s :y ?"))
    (point,) = either_lens.points(run_id="%(x)s :y ?")
    assert (point["metric_name"], point["value"]) == (name, 2.0)
    (metric,) = either_lens.get(f"{WORKLOAD}/metrics/available")["metrics"]
    assert metric == {"name": name, "data_source": ["wandb"], "count": 1}


def test_long_names_that_begin_alike_are_counted_apart(either_lens: Lens) -> None:
    for end in ("a", "b", "b"):
        either_lens.post("metrics", metrics_body({"name": "n" * 500 + end, "value": 1.0}, run_id=end))
    assert [metric["count"] for metric in either_lens.get(f"{WORKLOAD}/metrics/available")["metrics"]] == [1, 1]


def test_late_and_repeated_steps_are_counted_once(either_lens: Lens) -> None:
    either_lens.log(5, time=5.0, loss=1.0)
    either_lens.log(2, time=2.0, loss=1.0)
    either_lens.log(5, time=9.0, loss=2.0, acc=1.0)
    either_lens.log(5, time=1.0, acc=2.0)
    found = either_lens.get(f"{WORKLOAD}/metrics/available")["metrics"]
    assert {metric["name"]: metric["count"] for metric in found} == {"loss": 2, "acc": 1}
    assert either_lens.get(f"{WORKLOAD}/metrics/sources")["data_sources"] == [{"name": "wandb", "count": 2}]
    (run,) = either_lens.get(f"{WORKLOAD}/runs")["runs"]
    assert run == {
        "run_id": "r1",
        "data_sources": ["wandb"],
        "step_count": 2,
        "summary_count": 0,
        "first_iteration": 2,
        "last_iteration": 5,
        "first_time": 1000,
        "last_time": 9000,
    }
    assert [(point["metric_name"], point["value"]) for point in either_lens.points(start=1500, end=9000)] == [
        ("loss", 1.0),
        ("loss", 2.0),
    ]


def test_a_time_range_finds_its_points_in_every_run(either_lens: Lens) -> None:
    for step in range(20):
        for run in ("r1", "r2"):
            either_lens.log(step, time=float(step), run=run, loss=float(step))
    either_lens.log(3, time=500.0, run="r1", late=1.0)
    found = either_lens.points(metrics="loss", start=3000, end=5000)
    assert [point["iteration"] for point in found] == [3, 3, 4, 4, 5, 5]
    assert {(point["value"], point["run_id"]) for point in found} == {
        (step, run) for step in (3.0, 4.0, 5.0) for run in ("r1", "r2")
    }
    assert either_lens.points(metrics="late", start=400_000, end=2**63 - 1)[0]["iteration"] == 3
    counted = either_lens.get(f"{WORKLOAD}/metrics/available", start=3000, end=5000, run_id="r1")["metrics"]
    assert {metric["name"]: metric["count"] for metric in counted} == {"loss": 3}
    times = either_lens.get(f"{WORKLOAD}/metrics/iteration-times", start=3000, end=5000, run_id="r2")
    assert [point["value"] for point in times["data"]] == [3, 4, 5]


def test_detections_and_logs_are_kept(either_lens: Lens) -> None:
    assert either_lens.post("detection", DETECTION).status_code == 200
    assert either_lens.post("logs", LOGS).status_code == 200
    found = either_lens.get(f"{WORKLOAD}/framework-detection")
    assert (found["evidence"], found["hints"]) == (DETECTION["evidence"], DETECTION["hints"])
    (item,) = either_lens.get("/api/v1/workloads")["workloads"]
    assert (item["detection_count"], item["log_count"], item["step_count"]) == (1, 1, 0)


@pytest.mark.parametrize("endpoint", ["metrics/sources", "metrics/available", "metrics/data", "runs"])
def test_asking_for_what_no_database_can_hold_finds_nothing(either_lens: Lens, endpoint: str) -> None:
    either_lens.log(1, loss=1.0)
    assert either_lens.get(f"/api/v1/workloads/%00/{endpoint}", run_id="\0", metrics="\0")["total_count"] == 0
    assert either_lens.get("/api/v1/workloads/%00/framework-detection")["count"] == 0


def test_the_largest_ids_are_stored(either_lens: Lens) -> None:
    ids = dict.fromkeys(("source", "workload_uid", "run_id", "pod_uid"), "x" * 256)
    assert either_lens.post("metrics", metrics_body({"name": "a"}, **ids)).status_code == 200


def test_nothing_is_lost_or_mixed_after_kill_9_under_load(database: str, start_lens: StartLens) -> None:
    at_once = 16
    acknowledged: dict[str, int] = {}

    def send(port: int, run: str, first: int) -> None:
        for step in range(first, 100_000):
            try:
                post_steps(port, run, range(step, step + 1))
            except (OSError, http.client.HTTPException):
                return
            acknowledged[run] = step

    for life in range(3):
        lens = start_lens(database)
        senders = [
            threading.Thread(target=send, args=(lens.port, f"r{i}", acknowledged.get(f"r{i}", -1) + 1))
            for i in range(at_once)
        ]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(timeout=0.8 / at_once)
        lens.process.kill()
        lens.process.wait()
        for sender in senders:
            sender.join()
        assert len(acknowledged) == at_once, f"too slow to test in life {life}"
    lens = start_lens(database)
    points = get(lens, "/workloads/w/metrics/data")["data"]
    stored = {(point["run_id"], point["iteration"], point["metric_name"]): point["value"] for point in points}
    for run, last in acknowledged.items():
        for step in range(last + 1):
            assert [stored[run, step, f"m{i}"] for i in range(5)] == [step + i for i in range(5)]
    counted = get(lens, "/workloads/w/metrics/available")["metrics"]
    assert sum(metric["count"] for metric in counted) == len(points)


def test_two_servers_share_a_database(database: str, start_lens: StartLens) -> None:
    servers = [start_lens(database), start_lens(database)]
    senders = [
        threading.Thread(target=post_steps, args=(servers[i % 2].port, f"r{i % 4}", range(20))) for i in range(8)
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    for server in servers:
        assert {run["step_count"] for run in get(server, "/workloads/w/runs")["runs"]} == {20}
        assert {metric["count"] for metric in get(server, "/workloads/w/metrics/available")["metrics"]} == {80}


def test_a_database_is_found_again_by_the_next_server(database: str, start_lens: StartLens) -> None:
    first = start_lens(database)
    post_steps(first.port, "r", range(3))
    first.process.terminate()
    first.process.wait()
    assert get(start_lens(database), "/workloads/w/metrics/data?metrics=m1")["total_count"] == 3


@pytest.mark.parametrize("problem", ["no server", "wrong password", "no such database"])
def test_an_unusable_postgresql_is_one_clear_line_without_the_password(postgresql: PostgreSQL, problem: str) -> None:
    url = {
        "no server": "postgresql+psycopg://lens:hidden-word@127.0.0.1:1/lens",
        "wrong password": postgresql.url("postgres", "hidden-word"),
        "no such database": postgresql.url("missing"),
    }[problem]
    errors = failure("serve", "--port", "0", "--database", url)
    assert "cannot use the database postgresql+psycopg://lens:***@127.0.0.1" in errors
    assert "hidden-word" not in errors
    assert "--database" in errors


def test_the_clusters_own_table_is_left_alone(postgresql: PostgreSQL) -> None:
    name = postgresql.new_database()
    columns = "id serial, pod_uuid text, performance json, iteration int, created_at timestamp, serial int"
    postgresql.execute(f"CREATE TABLE training_performance ({columns}, workload_uid text, data_source text)", name)
    errors = failure("serve", "--port", "0", "--database", postgresql.url(name))
    assert "the cluster's" in errors
    tables = postgresql.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", name)
    assert tables == [("training_performance",)]


def test_postgresql_without_its_driver_is_explained(tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ImportError('No module named psycopg')")
    source = Path(__file__).resolve().parents[2] / "src"
    environment: dict[str, Any] = {"PYTHONPATH": f"{tmp_path}:{source}"}
    errors = failure("serve", "--port", "0", "--database", "postgresql://lens@127.0.0.1/lens", **environment)
    assert 'pip install "psycopg[binary]"' in errors
