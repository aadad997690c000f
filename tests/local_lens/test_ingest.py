"""What the server accepts: the answers, and where what it stores differs from what was sent."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any, Sequence

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from primus_lens_local import queries, store, writer
from primus_lens_local.admission import Admission
from primus_lens_local.contract import decode_metrics
from primus_lens_local.database import open_database
from primus_lens_local.store import StoredRequest

from ..support import coroutines
from .conftest import Lens

DETECTION = {
    "source": "wandb",
    "type": "framework_detection_raw",
    "version": "1.0",
    "workload_uid": "w",
    "pod_uid": "u",
    "pod_name": "p",
    "namespace": "ns",
    "evidence": {
        "wandb": {"project": "x", "name": "", "id": "r1", "config": {"lr": 0.1, "deep": [{"a": None}]}, "tags": ["t"]},
        "environment": {"PRIMUS_CONFIG": "/c.yaml"},
        "pytorch": {
            "available": True,
            "version": "2.9",
            "cuda_available": False,
            "detected_modules": {"deepspeed": False},
        },
        "wrapper_frameworks": {"lightning": {"detected": True, "version": "2.6"}},
        "base_frameworks": {"megatron": {"detected": True, "version": "0.19", "initialized": True}},
        "system": {"python_version": "3.11", "python_executable": "/p", "platform": "linux"},
        "hardware": {"gpu_arch": "mi300x", "gpu_count": 8, "gpu_memory_gb": 192.0},
        "software": {"rocm_version": "6", "packages": {"torch": "2.9"}},
        "build": {"git_commit": "abc"},
    },
    "hints": {
        "wrapper_frameworks": ["lightning"],
        "base_frameworks": ["megatron"],
        "possible_frameworks": ["lightning", "megatron"],
        "confidence": "high",
        "primary_indicators": ["import.lightning"],
        "framework_layers": {"lightning": {"layer": "wrapper", "base_frameworks": ["megatron"]}},
    },
    "timestamp": 1700000000.0,
}
LOGS = {
    "source": "wandb",
    "workload_uid": "w",
    "run_id": "r1",
    "logs": [{"step": 2**40, "timestamp": 1.5, "data": {"loss": 1.0, "text": "ü"}}],
}


def metrics_body(*metrics: dict[str, Any], **ids: Any) -> dict[str, Any]:
    return {"source": "wandb", "workload_uid": "w", "run_id": "r1", "metrics": list(metrics), **ids}


@pytest.mark.parametrize(
    ("metric", "stored"),
    [
        ('{"name": "a", "value": null, "step": 3, "timestamp": 2.0}', ("a", 0, 3, 2000)),
        ('{"name": "a", "value": 5, "value": null}', ("a", 5, 0, 0)),
        ('{"name": "a", "value": 1}', ("a", 1, 0, 0)),
        ('{"name": "a", "step": null, "timestamp": null}', ("a", 0, 0, 0)),
        ('{"value": 1}', ("", 1, 0, 0)),
        ("{}", ("", 0, 0, 0)),
        ("null", ("", 0, 0, 0)),
        ('{"name": "a", "timestamp": 1700000000000}', ("a", 0, 0, 1_700_000_000_000_000)),
        ('{"name": "a", "timestamp": 1e308}', ("a", 0, 0, 2**63 - 1)),
        ('{"name": "a", "timestamp": 1700000000.123}', ("a", 0, 0, 1_700_000_000_123)),
        ('{"name": "a", "step": 2147483647}', ("a", 0, 2**31 - 1, 0)),
        ('{"name": "a", "step": 2147483648}', ("a", 0, -(2**31), 0)),
        ('{"name": "a", "step": 4294967301}', ("a", 0, 5, 0)),
        ('{"name": "a", "step": 9223372036854775807}', ("a", 0, -1, 0)),
        ('{"name": "a", "step": -7}', ("a", 0, -7, 0)),
        ('{"name": "a", "step": -0}', ("a", 0, 0, 0)),
        ('{"NAME": "a", "vaLue": 1, "\u017ftep": 4}', ("a", 1, 4, 0)),
        ('{"name": "a", "unknown": {"deep": [1e999, NULL]}}'.replace("NULL", "null"), ("a", 0, 0, 0)),
        ('{"name": "\\ud800x", "value": 1}', ("\ufffdx", 1, 0, 0)),
        ('{"name": "\\ud83d\\ude00", "value": 1}', ("\U0001f600", 1, 0, 0)),
        ('{"name": "a", "value": 9007199254740993}', ("a", 2.0**53, 0, 0)),
        ('{"name": "a", "value": 1e-999}', ("a", 0, 0, 0)),
    ],
)
def test_an_odd_metric_is_stored_as_the_server_stores_it(lens: Lens, metric: str, stored: tuple[Any, ...]) -> None:
    assert lens.post("metrics", f'{{"workload_uid": "w", "metrics": [{metric}]}}').status_code == 200
    (point,) = lens.points()
    assert (point["metric_name"], point["value"], point["iteration"], point["timestamp"]) == stored


def test_invalid_utf8_in_a_name_becomes_the_replacement_character(lens: Lens) -> None:
    lens.post("metrics", b'{"workload_uid": "w", "metrics": [{"name": "a\xff"}]}')
    assert [point["metric_name"] for point in lens.points()] == ["a\ufffd"]


@pytest.mark.parametrize("value", [0.1 + 0.2, 5e-324, 1.7976931348623157e308, -0.0, 2.2250738585072014e-308, 1 / 3])
def test_values_come_back_exactly_even_after_a_merge(lens: Lens, value: float) -> None:
    lens.log(1, a=value, b=1)
    lens.log(1, b=value)
    assert {repr(point["value"]) for point in lens.points()} == {repr(value)}


@pytest.mark.parametrize("name", ["train/loss", 'a"b', "back\\slash", "größe", "tab\t", "a.b[0]", "$", "", " "])
def test_any_name_survives_a_merge(lens: Lens, name: str) -> None:
    for value in (1.0, 2.0):
        lens.post("metrics", metrics_body({"name": name, "value": value}, {"name": "other"}))
    assert {point["metric_name"]: point["value"] for point in lens.points()} == {name: 2.0, "other": 0.0}


@pytest.mark.parametrize("name", ["step", "run_id", "source", "history", "created_at", "updated_at", "iteration"])
def test_a_reserved_name_is_hidden(lens: Lens, name: str) -> None:
    assert lens.post("metrics", metrics_body({"name": name, "value": 7}, {"name": "a"})).json()["data"]["count"] == 2
    assert [(point["metric_name"], point["run_id"]) for point in lens.points()] == [("a", "r1")]
    assert [metric["name"] for metric in lens.get("/api/v1/workloads/w/metrics/available")["metrics"]] == ["a"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("metrics", metrics_body({"name": "a\0"})),
        *[("metrics", metrics_body(**{key: "x" * 257})) for key in ("workload_uid", "pod_uid", "pod_name", "run_id")],
        ("metrics", metrics_body(workload_uid="a\0")),
        ("logs", {**LOGS, "workload_uid": "x" * 257}),
        ("logs", {**LOGS, "logs": [{"data": {"a": ["\0"]}}]}),
        ("detection", {**DETECTION, "pod_uid": "x" * 257}),
        ("detection", {**DETECTION, "evidence": {"environment": {"A\0": ""}}}),
    ],
)
def test_what_the_database_cannot_hold_gives_500(lens: Lens, kind: str, body: Any) -> None:
    response = lens.post(kind, body)
    assert response.status_code == 500
    assert response.json() == {
        "meta": {"code": 500, "message": f"failed to process {kind}"},
        "data": {},
        "tracing": None,
    }
    assert lens.get("/api/v1/workloads")["total_count"] == 0


def test_an_id_of_256_characters_is_accepted(lens: Lens) -> None:
    assert lens.post("metrics", metrics_body({"name": "a"}, workload_uid="ü" * 256)).status_code == 200


@pytest.mark.parametrize("error", [OperationalError("INSERT", {}, Exception("disk is full")), RuntimeError("bug")])
def test_a_failed_write_gives_500_and_the_next_request_works(
    lens: Lens, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def failing(*_: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(writer, "write", failing)
        response = lens.post("metrics", metrics_body({"name": "a"}))
        assert (response.status_code, response.json()["meta"]["message"]) == (500, "failed to process metrics")
    assert lens.post("metrics", metrics_body({"name": "a"})).status_code == 200


def test_a_pod_name_alone_is_its_own_workload(lens: Lens) -> None:
    lens.post("metrics", {"pod_name": "pod-0", "metrics": [{"name": "a", "value": 1}]})
    assert lens.get("/api/v1/workloads/pod-0/metrics/data")["total_count"] == 1


def test_two_runs_of_a_workload_keep_their_own_steps(lens: Lens) -> None:
    lens.log(1, run="r1", loss=1.0)
    lens.log(1, run="r2", loss=2.0)
    assert sorted((point["run_id"], point["value"]) for point in lens.points()) == [("r1", 1.0), ("r2", 2.0)]


def test_a_second_request_merges_into_the_step(lens: Lens) -> None:
    lens.log(1, time=10.0, loss=1.0, lr=0.1)
    lens.log(1, time=5.0, loss=2.0, acc=0.5)
    points = {point["metric_name"]: (point["value"], point["timestamp"]) for point in lens.points()}
    assert points == {"loss": (2.0, 5000), "lr": (0.1, 10_000), "acc": (0.5, 5000)}
    ((performance, first, last),) = lens.rows(
        "SELECT performance, first_time_ms, last_time_ms FROM training_performance"
    )
    assert json.loads(performance) == {"loss": 2.0, "lr": 0.1, "acc": 0.5, "run_id": "r1"}
    assert (first, last) == (5000, 10_000)


def test_of_one_name_twice_in_a_request_the_last_value_counts(lens: Lens) -> None:
    lens.post("metrics", metrics_body({"name": "a", "value": 1}, {"name": "a", "value": 2}))
    assert [point["value"] for point in lens.points()] == [2]


def test_logs_are_stored_whole(lens: Lens) -> None:
    lens.post("logs", LOGS)
    ((run_id, step, time_ms, data),) = lens.rows("SELECT run_id, step, time_ms, data FROM wandb_logs")
    assert (run_id, step, time_ms, json.loads(data)) == ("r1", 2**40, 1500, {"loss": 1.0, "text": "ü"})


def test_a_batch_answers_200_and_says_which_parts_failed(lens: Lens) -> None:
    response = lens.post(
        "batch", {"detection": DETECTION, "metrics": {"metrics": []}, "logs": {**LOGS, "run_id": "\0"}}
    )
    assert (response.status_code, response.json()["meta"]) == (200, {"code": 2000, "message": "OK"})
    results = response.json()["data"]["results"]
    assert {kind: result["success"] for kind, result in results.items()} == {
        "detection": True,
        "metrics": False,
        "logs": False,
    }
    assert results["metrics"]["error"] == "no valid workload found"
    assert results["logs"]["error"] == "failed to process logs"


def test_a_batch_names_only_the_parts_it_was_given(lens: Lens) -> None:
    response = lens.post("batch", {"metrics": metrics_body({"name": "a", "value": 1}), "logs": None})
    assert list(response.json()["data"]["results"]) == ["metrics"]
    assert len(lens.points()) == 1


def test_a_request_that_cannot_be_written_does_not_fail_those_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_database(str(tmp_path / "lens.db"))
    gate = threading.Event()

    def write_all_but_bad(engine: Engine, requests: Sequence[StoredRequest], admission: Admission) -> Any:
        gate.wait(10)
        if any(request.sender.run_id == "bad" for request in requests):
            raise ValueError("cannot be written")
        return store.write(engine, requests, admission)

    monkeypatch.setattr(writer, "write", write_all_but_bad)

    async def report(*runs: str) -> list[Any]:
        group = writer.Writer(engine)
        group.start()
        requests = [decode_metrics(json.dumps(metrics_body({"name": "a"}, run_id=run)).encode()) for run in runs]
        waiting = [asyncio.ensure_future(group.write(request)) for request in requests]
        await asyncio.sleep(0)
        gate.set()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        group.close()
        return answers

    answers = coroutines.run(report("first", "good", "bad", "fine"))
    assert [type(answer) for answer in answers] == [type(None), type(None), writer.WriteError, type(None)]
    assert [run["run_id"] for run in queries.runs(engine, "w")] == ["fine", "first", "good"]
    engine.dispose()
