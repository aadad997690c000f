"""`--known-pods FILE`: a test sees what a cluster says of pods that it does not know, or not yet."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable

import pytest
import requests

from primus_lens_local.generations import PREFIXES
from primus_lens_local.known_pods import KnownPods, KnownPodsError

from .conftest import LensProcess, run_cli


@pytest.fixture
def pods(tmp_path: Path) -> Path:
    """The file; it names one pod."""
    file = tmp_path / "pods"
    file.write_text("pod-0\n", encoding="utf-8")
    return file


@pytest.fixture
def lens(tmp_path: Path, pods: Path, start_lens: Callable[..., LensProcess]) -> LensProcess:
    return start_lens(tmp_path / "lens.db", "--no-token", "--known-pods", str(pods))


def report(lens: LensProcess, prefix: str = "/api/v1", **ids: str) -> tuple[int, Any]:
    body = {"source": "wandb", **ids, "metrics": [{"name": "loss", "value": 1.0, "step": 1}]}
    answer = requests.post(f"{lens.url}{prefix}/wandb/metrics", json=body, timeout=60)
    found = answer.json()
    return answer.status_code, found["data"] or found["meta"]["message"]


def points(lens: LensProcess, uid: str) -> int:
    answer = requests.get(f"{lens.url}/api/v1/workloads/{uid}/metrics/data", timeout=60)
    return int(answer.json()["total_count"])


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_pod_is_refused_until_it_is_known(lens: LensProcess, pods: Path, prefix: str) -> None:
    assert report(lens, prefix, pod_name="pod-1") == (400, "no valid workload found")
    pods.write_text("pod-0\npod-1 job\n", encoding="utf-8")
    assert report(lens, prefix, pod_name="pod-1")[0] == 200
    assert points(lens, "job") == 1
    assert report(lens, prefix, pod_name="pod-0")[0] == 200
    assert points(lens, "pod-0") == 1
    pods.write_text("", encoding="utf-8")
    assert report(lens, prefix, pod_name="pod-0") == (400, "no valid workload found")


def test_a_workload_that_is_named_is_taken_unchecked_and_found_by_no_query_afterwards(lens: LensProcess) -> None:
    assert report(lens, workload_uid="invented", pod_name="pod-9")[0] == 200
    answer = requests.get(f"{lens.url}/v1/workloads/invented/metrics/data", timeout=60).json()
    assert answer["meta"] == {"code": 4004, "message": "workload invented not found in any cluster"}
    answer = requests.get(f"{lens.url}/v1/workloads/pod-0/metrics/data", timeout=60).json()
    assert (answer["meta"]["code"], answer["data"]["data"]) == (2000, [])


def test_what_a_pod_of_two_workloads_reports_is_stored_for_both(lens: LensProcess, pods: Path) -> None:
    pods.write_text("pod-0 outer\npod-0 inner\npod-0 inner\n", encoding="utf-8")
    status, data = report(lens, pod_name="pod-0")
    assert (status, data["workloads_count"], data["success_count"]) == (200, 2, 2)
    assert (points(lens, "outer"), points(lens, "inner")) == (1, 1)


def test_what_one_of_two_workloads_cannot_store_is_counted(lens: LensProcess, pods: Path) -> None:
    pods.write_text(f"pod-0 job\npod-0 {'x' * 257}\n", encoding="utf-8")
    status, data = report(lens, pod_name="pod-0")
    assert (status, data["count"], data["workloads_count"], data["success_count"]) == (200, 1, 2, 1)
    assert points(lens, "job") == 1


def test_a_file_that_goes_wrong_later_counts_as_it_was_and_is_said_once(lens: LensProcess, pods: Path) -> None:
    pods.write_text("a b c\n", encoding="utf-8")
    for _ in range(3):
        assert report(lens, pod_name="pod-0")[0] == 200
    pods.unlink()
    for _ in range(3):
        assert report(lens, pod_name="pod-0")[0] == 200
    pods.write_text("pod-2\n", encoding="utf-8")
    assert report(lens, pod_name="pod-2")[0] == 200
    lens.process.terminate()
    _, errors = lens.process.communicate(timeout=60)
    said = [line for line in errors.splitlines() if str(pods) in line]
    assert len(said) == 2, errors
    assert "line 1 of" in said[0]
    assert "No such file" in said[1]


def test_a_file_of_the_same_length_and_time_is_read_again_when_it_was_replaced(pods: Path) -> None:
    known = KnownPods(pods)
    other = pods.with_name("other")
    other.write_text("pod-1\n", encoding="utf-8")
    os.utime(other, ns=(pods.stat().st_atime_ns, pods.stat().st_mtime_ns))
    other.replace(pods)
    assert (known.workloads_of("pod-0"), known.workloads_of("pod-1")) == ([], ["pod-1"])


def test_empty_lines_and_comments_name_no_pod(pods: Path) -> None:
    pods.write_text("# pod uid\n\n  pod-1 \t job  \r\n#pod-2\n", encoding="utf-8")
    known = KnownPods(pods)
    assert (known.workloads_of("pod-1"), known.workloads_of("#"), known.workloads_of("")) == (["job"], [], [])
    assert known.has_workload("job")
    assert not known.has_workload("pod-1")


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read from"), (b"pod-0\na b c\n", "line 2 of"), (b"\xff\n", "cannot be read from")],
)
def test_a_file_that_cannot_be_used_is_one_line_at_the_start(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "pods"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(KnownPodsError, match=said):
        KnownPods(file)
    process = run_cli("serve", "--port", "0", "--database", str(tmp_path / "lens.db"), "--known-pods", str(file))
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, len(errors.splitlines())) == (1, "", 1)
    assert said in errors
    assert str(file) in errors
