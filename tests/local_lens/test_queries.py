"""The query API: its shapes, filters and order, and the local Lens' own additions."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import WORKLOAD, Lens
from .test_ingest import DETECTION


@pytest.fixture
def trained(lens: Lens) -> Lens:
    """Workload `w` with two runs; steps arrive out of order."""
    lens.log(10, time=1010.0, loss=0.5, acc=0.9)
    lens.log(2, time=1002.0, loss=0.8)
    lens.log(2, time=1001.0, run="r2", loss=0.7)
    body = {"source": "tensorboard", "workload_uid": "w", "run_id": "r1", "metrics": [{"name": "loss", "step": 2}]}
    assert lens.post("metrics", body).status_code == 200
    return lens


def test_sources_count_steps(trained: Lens) -> None:
    assert trained.get(f"{WORKLOAD}/metrics/sources") == {
        "workload_uid": "w",
        "data_sources": [{"name": "tensorboard", "count": 1}, {"name": "wandb", "count": 3}],
        "total_count": 2,
    }


def test_available_lists_metrics_with_their_sources(trained: Lens) -> None:
    assert trained.get(f"{WORKLOAD}/metrics/available") == {
        "workload_uid": "w",
        "metrics": [
            {"name": "acc", "data_source": ["wandb"], "count": 1},
            {"name": "loss", "data_source": ["tensorboard", "wandb"], "count": 4},
        ],
        "total_count": 2,
    }


def test_available_is_limited_to_a_source(trained: Lens) -> None:
    found = trained.get(f"{WORKLOAD}/metrics/available", data_source="tensorboard")
    assert found["metrics"] == [{"name": "loss", "data_source": ["tensorboard"], "count": 1}]


def test_points_come_by_iteration_then_time(trained: Lens) -> None:
    assert trained.get(f"{WORKLOAD}/metrics/data", data_source="wandb", metrics="loss") == {
        "workload_uid": "w",
        "data_source": "wandb",
        "data": [
            {
                "metric_name": "loss",
                "value": value,
                "timestamp": timestamp,
                "iteration": iteration,
                "data_source": "wandb",
                "run_id": run_id,
            }
            for value, timestamp, iteration, run_id in [
                (0.7, 1_001_000, 2, "r2"),
                (0.8, 1_002_000, 2, "r1"),
                (0.5, 1_010_000, 10, "r1"),
            ]
        ],
        "total_count": 3,
    }


@pytest.mark.parametrize(
    ("metrics", "names"),
    [
        ("loss", {"loss"}),
        ("loss,acc", {"loss", "acc"}),
        ("{loss,acc}", {"loss", "acc"}),
        (" {acc, unknown} ", {"acc"}),
        ("all", {"loss", "acc"}),
        ("{}", {"loss", "acc"}),
        ("{all}", set()),
        ("$__all", set()),
        ("", {"loss", "acc"}),
        ("unknown", set()),
        ("run_id", set()),
    ],
)
def test_metrics_are_chosen_by_name(trained: Lens, metrics: str, names: set[str]) -> None:
    assert {point["metric_name"] for point in trained.points(metrics=metrics)} == names


@pytest.mark.parametrize(
    ("parameters", "times"),
    [
        ({"start": 1_001_000, "end": 1_002_000}, [1_001_000, 1_002_000]),
        ({"start": "+1001001", "end": 1_010_000}, [1_002_000, 1_010_000]),
        ({"start": 5, "end": 4}, []),
        ({"start": 1_010_000}, [1_001_000, 1_002_000, 1_010_000]),
        ({"end": 0}, [1_001_000, 1_002_000, 1_010_000]),
        ({"start": "", "end": "yesterday"}, [1_001_000, 1_002_000, 1_010_000]),
    ],
)
@pytest.mark.parametrize("endpoint", ["data", "iteration-times"])
def test_start_and_end_count_only_together(
    trained: Lens, endpoint: str, parameters: dict[str, Any], times: list[int]
) -> None:
    found = trained.get(f"{WORKLOAD}/metrics/{endpoint}", data_source="wandb", metrics="loss", **parameters)
    assert [point["timestamp"] for point in found["data"]] == times


def test_a_time_range_cuts_through_a_step(lens: Lens) -> None:
    lens.log(1, time=10.0, early=1.0)
    lens.log(1, time=20.0, late=1.0)
    assert [point["metric_name"] for point in lens.points(start=15_000, end=25_000)] == ["late"]
    assert lens.points(start=12_000, end=15_000) == []


@pytest.mark.parametrize("endpoint", ["data", "iteration-times"])
@pytest.mark.parametrize(
    ("start", "end", "which"),
    [
        ("yesterday", "5", "start"),
        ("1.5", "5", "start"),
        (str(2**63), "5", "start"),
        ("5", "1e3", "end"),
        ("5", "2023-11-14", "end"),
        ("5", "٣", "end"),
        ("x", "y", "start"),
    ],
)
def test_a_malformed_time_is_named(lens: Lens, endpoint: str, start: str, end: str, which: str) -> None:
    response = lens.client.get(f"{WORKLOAD}/metrics/{endpoint}", params={"start": start, "end": end})
    assert (response.status_code, response.json()) == (400, {"error": f"invalid {which} time format"})


def test_iteration_times_have_one_point_per_step(trained: Lens) -> None:
    found = trained.get(f"{WORKLOAD}/metrics/iteration-times", data_source="wandb", run_id="r1")
    assert found == {
        "workload_uid": "w",
        "data_source": "wandb",
        "data": [
            {
                "metric_name": "iteration",
                "value": iteration,
                "timestamp": timestamp,
                "iteration": iteration,
                "data_source": "wandb",
                "run_id": "r1",
            }
            for iteration, timestamp in [(2, 1_002_000), (10, 1_010_000)]
        ],
        "total_count": 2,
    }


def test_the_target_of_the_iterations_is_drawn_beside_their_times_only(either_lens: Lens) -> None:
    either_lens.log(1, time=10.0, loss=0.5, target_iteration=0.1)
    either_lens.log(2, time=20.0, target_iteration=1e300)
    either_lens.log(3, time=30.0, loss=0.25)
    found = either_lens.get(f"{WORKLOAD}/metrics/iteration-times")["data"]
    assert [(point["metric_name"], point["value"], point["timestamp"]) for point in found] == [
        ("iteration", 1, 10_000),
        ("target_iteration", 0.1, 10_000),
        ("iteration", 2, 20_000),
        ("target_iteration", 1e300, 20_000),
        ("iteration", 3, 30_000),
    ]
    assert {point["metric_name"] for point in either_lens.points()} == {"loss"}
    listed = either_lens.get(f"{WORKLOAD}/metrics/available", start=0, end=40_000)["metrics"]
    assert [metric["name"] for metric in listed] == ["loss"]


def test_a_run_can_be_singled_out(trained: Lens) -> None:
    assert [point["value"] for point in trained.points(run_id="r2")] == [0.7]
    assert trained.get(f"{WORKLOAD}/metrics/sources", run_id="r2")["data_sources"] == [{"name": "wandb", "count": 1}]


@pytest.mark.parametrize(
    ("endpoint", "key"),
    [("sources", "data_sources"), ("available", "metrics"), ("data", "data"), ("iteration-times", "data")],
)
def test_an_unknown_workload_is_an_empty_list(lens: Lens, endpoint: str, key: str) -> None:
    found = lens.get(f"/api/v1/workloads/nobody/metrics/{endpoint}")
    assert (found["workload_uid"], found[key], found["total_count"]) == ("nobody", [], 0)


def test_workloads_are_listed_latest_first(trained: Lens) -> None:
    trained.log(1, time=2000.0, uid="team/other", a=1.0)
    trained.post("detection", {**DETECTION, "workload_uid": "crashed-early"})
    found = trained.get("/api/v1/workloads")
    assert [item["workload_uid"] for item in found["workloads"]] == ["team/other", "w", "crashed-early"]
    assert found["workloads"][1] == {
        "workload_uid": "w",
        "run_count": 2,
        "step_count": 4,
        "detection_count": 0,
        "log_count": 0,
        "first_time": 0,
        "last_time": 1_010_000,
    }
    assert found["workloads"][2]["detection_count"] == 1


def test_a_workload_uid_may_hold_slashes(lens: Lens) -> None:
    lens.log(1, uid="team/a b", loss=1.0)
    assert lens.get("/api/v1/workloads/team%2Fa%20b/metrics/data")["total_count"] == 1
    assert lens.get("/api/v1/workloads/team/a b/runs")["total_count"] == 1


def test_runs_are_listed_earliest_first(trained: Lens) -> None:
    found = trained.get(f"{WORKLOAD}/runs", data_source="ignored")
    assert (found["workload_uid"], found["total_count"]) == ("w", 2)
    assert found["runs"][0] == {
        "run_id": "r1",
        "data_sources": ["tensorboard", "wandb"],
        "step_count": 3,
        "summary_count": 0,
        "first_iteration": 2,
        "last_iteration": 10,
        "first_time": 0,
        "last_time": 1_010_000,
    }
    assert found["runs"][1]["run_id"] == "r2"


def test_detections_merge_and_name_the_frameworks(lens: Lens) -> None:
    lens.post("detection", DETECTION)
    later = {"hardware": {"gpu_count": 4}, "wrapper_frameworks": {"primus": {"detected": True}}}
    lens.post("detection", {**DETECTION, "evidence": later, "hints": {"confidence": "low"}, "timestamp": 1700000001.5})
    found = lens.get(f"{WORKLOAD}/framework-detection")
    assert (found["count"], found["first_time"], found["last_time"]) == (2, 1_700_000_000_000, 1_700_000_001_500)
    assert (found["wrapper_framework"], found["base_framework"]) == ("primus", "megatron")
    assert found["evidence"]["hardware"] == {"gpu_arch": "mi300x", "gpu_count": 4, "gpu_memory_gb": 192.0}
    assert found["evidence"]["wandb"] == DETECTION["evidence"]["wandb"]  # type: ignore[index]
    assert found["hints"]["confidence"] == "low"


def test_a_workload_without_detection_says_so(lens: Lens) -> None:
    assert lens.get(f"{WORKLOAD}/framework-detection") == {
        "workload_uid": "w",
        "count": 0,
        "first_time": None,
        "last_time": None,
        "wrapper_framework": None,
        "base_framework": None,
        "evidence": {},
        "hints": {},
    }


def test_health_is_ok(lens: Lens) -> None:
    assert lens.get("/health") == {"status": "ok"}


def test_the_openapi_document_describes_bodies_and_never_422(lens: Lens) -> None:
    document = lens.get("/api/openapi.json")
    body = document["paths"]["/api/v1/wandb/metrics"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["metrics"]["items"]["properties"]["step"] == {"type": "integer", "format": "int64"}
    answers = {status for path in document["paths"].values() for call in path.values() for status in call["responses"]}
    assert "422" not in answers


def test_the_docs_page_is_served(lens: Lens) -> None:
    assert "swagger-ui" in lens.client.get("/api/docs").text
