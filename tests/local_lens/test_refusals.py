"""What the server refuses: whole, for one bad element, with 400 `invalid request format`; and wrong paths."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from .conftest import Lens

INVALID = {"meta": {"code": 400, "message": "invalid request format"}, "data": None, "tracing": None}
GOOD_METRIC = {"name": "good", "value": 1.0, "step": 1, "timestamp": 1.0}
GOOD_BODY = json.dumps({"workload_uid": "w", "metrics": [GOOD_METRIC]}).encode()


def refused(lens: Lens, kind: str, body: Any) -> None:
    response = lens.post(kind, body)
    assert (response.status_code, response.json()) == (400, INVALID)
    assert lens.get("/api/v1/workloads")["total_count"] == 0


@pytest.mark.parametrize(
    "member",
    [
        '"value": NaN',
        '"value": Infinity',
        '"value": -Infinity',
        '"value": 1e999',
        '"value": -1e999',
        '"value": 1' + "0" * 400,
        '"value": "1"',
        '"value": true',
        '"value": [1]',
        '"value": {}',
        '"value": 01',
        '"value": 1, "value": "1"',
        '"value": "1", "value": 1',
        '"VALUE": "1"',
        '"step": 1.5',
        '"step": 1.0',
        '"step": 1e3',
        '"step": "3"',
        '"step": true',
        '"step": 9223372036854775808',
        '"step": -9223372036854775809',
        '"timestamp": "2023-11-14T22:13:20Z"',
        '"timestamp": "1700000000"',
        '"timestamp": false',
        '"name": 1',
        '"name": null, "name": []',
        '"tags": {"k": 1}',
        '"tags": {"k": true}',
        '"tags": ["k"]',
        '"tags": "k"',
    ],
)
def test_one_bad_metric_refuses_all_metrics(lens: Lens, member: str) -> None:
    refused(lens, "metrics", f'{{"workload_uid": "w", "metrics": [{json.dumps(GOOD_METRIC)}, {{{member}}}]}}')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"[]",
        b'"text"',
        b"1",
        b"{",
        b"{'workload_uid': 'w'}",
        gzip.compress(GOOD_BODY, mtime=0),
        b"\xef\xbb\xbf" + GOOD_BODY,
        GOOD_BODY.decode().encode("utf-16"),
        GOOD_BODY.replace(b"good", b"a\nb"),
        GOOD_BODY.replace(b"good", b"a\\x"),
        GOOD_BODY.replace(b"[", b"{").replace(b"]", b"}"),
        b'{"workload_uid": "w", "metrics": {}}',
        b'{"workload_uid": "w", "metrics": [1]}',
        b'{"workload_uid": "w", "metrics": [[]]}',
        b'{"workload_uid": 1, "metrics": []}',
        b'{"workload_uid": "w", "metrics": [], "pod_uid": []}',
        b'{"workload_uid": "w", "metrics": [], "run_id": 7}',
        b'{"workload_uid": "w", "metrics": [], "timestamp": "now"}',
        b'{"a": ' * 100_000,
    ],
    ids=lambda body: repr(body[:40]),
)
def test_a_body_of_another_form_is_refused(lens: Lens, body: bytes) -> None:
    refused(lens, "metrics", body)


@pytest.mark.parametrize(
    "evidence",
    [
        [],
        {"environment": {"WORLD_SIZE": 8}},
        {"environment": {"DEBUG": True}},
        {"hardware": {"gpu_count": 8.0}},
        {"hardware": {"gpu_count": "8"}},
        {"hardware": {"gpu_memory_gb": "192"}},
        {"hardware": {"rocm_version": 6.2}},
        {"software": {"packages": {"torch": 2.9}}},
        {"build": {"build_date": 20240101}},
        {"wandb": {"config": []}},
        {"wandb": {"config": "lr=1"}},
        {"wandb": {"tags": "one"}},
        {"wandb": {"tags": [1]}},
        {"pytorch": {"version": 2.9}},
        {"pytorch": {"detected_modules": {"deepspeed": "yes"}}},
        {"pytorch": {"detected_modules": {"deepspeed": 1}}},
        {"wrapper_frameworks": {"lightning": True}},
        {"wrapper_frameworks": {"lightning": "2.6"}},
        {"base_frameworks": {"megatron": ["0.19"]}},
    ],
    ids=json.dumps,
)
def test_detection_with_evidence_of_another_type_is_refused(lens: Lens, evidence: Any) -> None:
    refused(lens, "detection", {"workload_uid": "w", "evidence": evidence})


@pytest.mark.parametrize("hints", [{"confidence": 0.9}, {"wrapper_frameworks": "lightning"}, []], ids=json.dumps)
def test_detection_with_hints_of_another_type_is_refused(lens: Lens, hints: Any) -> None:
    refused(lens, "detection", {"workload_uid": "w", "hints": hints})


def test_config_numbers_beyond_float64_are_refused(lens: Lens) -> None:
    refused(lens, "detection", '{"workload_uid": "w", "evidence": {"wandb": {"config": {"deep": [{"lr": 1e999}]}}}}')


@pytest.mark.parametrize("entry", ['{"step": 1.0}', '{"data": []}', '{"data": {"a": NaN}}', '{"timestamp": "x"}', "1"])
def test_one_bad_log_refuses_all_logs(lens: Lens, entry: str) -> None:
    refused(lens, "logs", f'{{"workload_uid": "w", "logs": [{{"step": 1, "data": {{}}}}, {entry}]}}')


@pytest.mark.parametrize("part", ["metrics", "logs", "detection"])
def test_a_malformed_part_refuses_the_batch(lens: Lens, part: str) -> None:
    good = {"workload_uid": "w", "metrics": [GOOD_METRIC]}
    refused(lens, "batch", {"metrics": good, part: {"workload_uid": 1}})


@pytest.mark.parametrize("kind", ["metrics", "logs", "detection"])
@pytest.mark.parametrize("body", ["null", "{}", {"workload_uid": "", "pod_name": None, "pod_uid": "u"}], ids=str)
def test_a_sender_without_workload_and_pod_is_refused(lens: Lens, kind: str, body: Any) -> None:
    response = lens.post(kind, body)
    assert response.status_code == 400
    assert response.json()["meta"] == {"code": 400, "message": "either workload_uid or pod_name is required"}


@pytest.mark.parametrize(
    "path", ["/wandb/metrics", "/api/v2/wandb/metrics", "/v2/wandb/metrics", "/v1x/wandb/metrics", "/nowhere"]
)
def test_a_path_below_no_prefix_is_answered_as_in_the_cluster(lens: Lens, path: str) -> None:
    for method in ("GET", "POST"):
        answer = lens.client.request(method, path, content=GOOD_BODY)
        assert (answer.status_code, answer.text) == (404, "404 page not found")
        assert answer.headers["content-type"] == "text/plain"


def test_another_method_is_said_so_where_the_cluster_has_no_path(lens: Lens) -> None:
    answer = lens.client.post("/api/docs")
    assert (answer.status_code, answer.json()["meta"]["code"]) == (405, 405)
