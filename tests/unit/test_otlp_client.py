"""What the answers of an OTLP server mean, and those of something else at its address."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from primus_lens_wandb_exporter.sinks.answers import Answer
from primus_lens_wandb_exporter.sinks.otlp_client import judge

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json; charset=utf-8"}
HTML = {"Content-Type": "text/html"}
TEXT = {"Content-Type": "text/plain; charset=utf-8"}


def status_message(text: str) -> bytes:
    return bytes([0x08, 3, 0x12, len(text)]) + text.encode()


def partial_success(rejected: int, message: str) -> bytes:
    response = ExportMetricsServiceResponse()
    response.partial_success.rejected_data_points = rejected
    response.partial_success.error_message = message
    return response.SerializeToString()


@pytest.mark.parametrize(
    ("status", "headers", "content"),
    [
        (200, PROTOBUF, b""),
        (200, {}, b""),
        (204, {}, b""),
        (202, TEXT, b""),
        (200, JSON, b"{}"),
        (200, JSON, b'{"partialSuccess": {}}'),
        (200, PROTOBUF, partial_success(0, "you may send less")),
    ],
)
def test_a_success_is_a_success(status: int, headers: dict[str, str], content: bytes) -> None:
    assert judge(status, headers, content) == Answer(delivered=True)


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        (PROTOBUF, partial_success(3, "too old")),
        (JSON, b'{"partialSuccess": {"rejectedDataPoints": "3", "errorMessage": "too old"}}'),
    ],
)
def test_partial_success_tells_how_much_was_rejected(headers: dict[str, str], content: bytes) -> None:
    assert judge(200, headers, content) == Answer(delivered=True, rejected=3, reason="too old")


@pytest.mark.parametrize(
    ("status", "headers", "content"),
    [
        (200, HTML, b"<html>Please log in</html>"),
        (200, JSON, b'{"meta": {"code": 2000}}'),
        (200, JSON, b"[]"),
        (200, JSON, b"[" * 60_000),
        (200, TEXT, b"ok"),
        (200, PROTOBUF, b"\xff\xff"),
        (301, {"Location": "http://login/?next=secret"}, b""),
        (404, TEXT, b"404 page not found"),
        (405, {}, b""),
        (415, TEXT, b"unsupported"),
        (400, HTML, b"<html>400 The plain HTTP request was sent to HTTPS port</html>"),
        (400, TEXT, b"snappy: corrupt input"),
    ],
)
def test_what_is_no_answer_of_an_otlp_server_keeps_metrics_waiting(
    status: int, headers: dict[str, str], content: bytes
) -> None:
    answer = judge(status, headers, content)
    assert (answer.delivered, answer.retry, answer.needs_a_person) == (False, True, True)
    assert "is not an answer of an OTLP server" in answer.reason
    assert "secret" not in answer.reason


@pytest.mark.parametrize("status", [401, 403])
def test_a_missing_token_needs_a_person(status: int) -> None:
    answer = judge(status, TEXT, b"no token")
    assert (answer.delivered, answer.retry, answer.needs_a_person) == (False, True, True)
    assert "no token" in answer.reason
    assert ("OTEL_EXPORTER_OTLP_HEADERS" in answer.reason) == (status == 401)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_asked_again(status: int) -> None:
    answer = judge(status, {**PROTOBUF, "Retry-After": "7"}, status_message("busy"))
    assert (answer.delivered, answer.retry, answer.needs_a_person) == (False, True, False)
    assert answer.retry_after_s == 7.0
    assert answer.reason == f"HTTP {status} busy"
    assert answer.failed_on_request == (status == 500)


def test_what_an_otlp_server_refuses_is_refused_for_good() -> None:
    answer = judge(400, PROTOBUF, status_message("bad names"))
    assert answer == Answer(delivered=False, reason="HTTP 400 bad names")


def test_a_refusal_in_plain_words_is_final_once_the_server_has_taken_something() -> None:
    """Prometheus answers in text; so does whatever listens at a wrong address."""
    assert judge(400, TEXT, b"out of order sample\n").retry
    assert judge(400, TEXT, b"out of order sample\n", is_known=True) == Answer(
        delivered=False, reason="HTTP 400 out of order sample"
    )
