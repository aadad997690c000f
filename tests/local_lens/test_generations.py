"""The two prefixes: one store, two forms of what queries answer, and the same guards around both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import text

from primus_lens_local import limits, points
from primus_lens_local.database import open_database
from primus_lens_local.generations import PREFIXES

from .conftest import Lens, LensProcess
from .limited import LimitedLens, read_to_end, seed_workload

REPORT = {"source": "wandb", "workload_uid": "w", "run_id": "r1", "metrics": [{"name": "a", "value": 1, "step": 1}]}


def enveloped(data: Any, code: int = 2000, message: str = "OK") -> dict[str, Any]:
    return {"meta": {"code": code, "message": message}, "data": data, "tracing": None}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_what_came_under_one_prefix_is_found_under_both(lens: Lens, prefix: str) -> None:
    assert lens.client.post(f"{prefix}/wandb/metrics", json=REPORT).status_code == 200
    bare = lens.get("/api/v1/workloads/w/metrics/data")
    assert bare["total_count"] == 1
    assert lens.get("/v1/workloads/w/metrics/data") == enveloped(bare)


@pytest.mark.parametrize("path", ["", "/w/runs", "/w/framework-detection", "/w/metrics/summary"])
def test_the_local_lens_own_queries_are_below_the_guides_prefix_only(lens: Lens, path: str) -> None:
    lens.log(1, a=1.0)
    lens.get(f"/api/v1/workloads{path}")
    answer = lens.client.get(f"/v1/workloads{path}")
    assert (answer.status_code, answer.text) == (404, "404 page not found")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("metrics", REPORT),
        ("logs", {"workload_uid": "w", "logs": [{"step": 1}]}),
        ("detection", {"workload_uid": "w"}),
    ],
)
def test_without_a_file_of_pods_a_workload_is_known_once_anything_came(lens: Lens, kind: str, body: Any) -> None:
    unknown = enveloped(None, 4004, "workload w not found in any cluster")
    assert lens.get("/v1/workloads/w/metrics/sources") == unknown
    assert lens.get("/v1/workloads/w%00/metrics/sources")["meta"]["code"] == 4004
    assert lens.post(kind, body).status_code == 200
    assert lens.get("/v1/workloads/w/metrics/sources")["meta"]["code"] == 2000


@pytest.mark.parametrize("characters", [1, 1000])
def test_an_answer_in_pieces_is_one_envelope(
    either_lens: Lens, monkeypatch: pytest.MonkeyPatch, characters: int
) -> None:
    monkeypatch.setattr("primus_lens_local.routes.metrics._AT_ONCE", characters)
    monkeypatch.setattr(points, "_MAX_POINTS_SORTED", 5)
    for step in range(30):
        either_lens.log(step, a=1.0, b=2.0)
    answer = either_lens.client.get("/v1/workloads/w/metrics/data")
    assert "content-length" not in answer.headers
    assert answer.json() == enveloped(either_lens.get("/api/v1/workloads/w/metrics/data"))
    assert answer.json()["data"]["total_count"] == 60


def test_a_million_points_take_as_little_memory_in_an_envelope(tmp_path: Path) -> None:
    seed_workload(tmp_path / "lens.db", "large", steps=100_000, metrics=10)
    lens = LimitedLens(tmp_path / "lens.db")
    try:
        before = lens.memory_mb()
        received = requests.get(f"{lens.url}/v1/workloads/large/metrics/data", timeout=120).content
        assert received.startswith(b'{"meta":{"code":2000,"message":"OK"},"data":{"workload_uid":"large",')
        assert received.endswith(b'"total_count":1000000},"tracing":null}')
        assert lens.memory_mb("VmHWM") - before < 150
    finally:
        lens.process.terminate()
        assert lens.process.communicate(timeout=30) == ("", "")


def test_a_database_that_fails_is_5000(lens: Lens) -> None:
    lens.log(1, a=1.0)
    engine = open_database(lens.database)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE training_performance RENAME TO elsewhere"))
    engine.dispose()
    assert lens.get("/v1/workloads/w/metrics/data") == enveloped(None, 5000, "failed to query the database")


def test_answers_beyond_their_room_are_503_in_the_envelope(lens: Lens, monkeypatch: pytest.MonkeyPatch) -> None:
    lens.post("metrics", {**REPORT, "metrics": [{"name": f"metric {index}"} for index in range(2000)]})
    monkeypatch.setattr(limits, "MAX_ANSWERS_BYTES", 50_000)
    answer = lens.client.get("/v1/workloads/w/metrics/available")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, limits.RETRY_AFTER["retry-after"])
    assert answer.json() == enveloped(None, 503, limits.ANSWERS_TOO_LARGE)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_bodies_are_limited_under_both(lens: Lens, prefix: str) -> None:
    answer = lens.client.post(f"{prefix}/wandb/metrics", content=b" " * (limits.MAX_BODY_BYTES + 1))
    assert (answer.status_code, answer.json()["meta"]["code"]) == (413, 413)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_an_address_with_a_query_string_takes_reports(lens: Lens, prefix: str) -> None:
    assert lens.client.post(f"{prefix}/wandb/metrics?cluster=a", content=json.dumps(REPORT)).status_code == 200


def test_a_wrong_path_needs_the_token_too(tmp_path: Path) -> None:
    lens = LensProcess(tmp_path / "lens.db", "--token", "correct-horse-battery-staple")
    try:
        for prefix in PREFIXES:
            connection = LimitedLens.connect(
                lens,  # type: ignore[arg-type]
                f"GET {prefix}/nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode(),
            )
            assert read_to_end(connection).startswith(b"HTTP/1.1 401 ")
    finally:
        lens.process.terminate()
        lens.process.communicate(timeout=30)
