"""What an answer means."""

from __future__ import annotations

import email.utils
import json
import time

import pytest

from primus_lens_wandb_exporter.sinks.lens_client import LONGEST_RETRY_AFTER_S, judge


def envelope(code: int, message: str) -> bytes:
    return json.dumps({"meta": {"code": code, "message": message}, "data": None, "tracing": None}).encode()


def test_lenss_own_200_is_delivered() -> None:
    assert judge(200, {}, envelope(2000, "OK")).delivered


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b"{}", b'{"meta": 1}', b"\xff", envelope(400, "no")])
def test_any_other_200_is_refused(content: bytes) -> None:
    answer = judge(200, {}, content)
    assert not answer.delivered
    assert not answer.retry
    assert "address" in answer.reason


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_retried(status: int) -> None:
    assert judge(status, {}, b"").retry


def test_a_pod_that_lens_does_not_know_yet_is_retried() -> None:
    assert judge(400, {}, envelope(400, "no valid workload found")).retry


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "invalid request format"),
        (400, "either workload_uid or pod_name is required"),
        (401, ""),
        (404, ""),
        (413, ""),
    ],
)
def test_what_will_not_pass_is_refused_with_its_reason(status: int, message: str) -> None:
    answer = judge(status, {}, envelope(status, message))
    assert not answer.delivered
    assert not answer.retry
    assert str(status) in answer.reason
    assert message in answer.reason


def test_a_redirect_is_refused_and_named() -> None:
    answer = judge(302, {"Location": "https://sso.example/login"}, b"")
    assert not answer.retry
    assert "https://sso.example/login" in answer.reason


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0", 0.0), ("-3", 0.0), ("1e9", LONGEST_RETRY_AFTER_S), ("soon", None), ("nan", None), (None, None)],
)
def test_retry_after_in_seconds(header: str | None, seconds: float | None) -> None:
    assert judge(429, {"Retry-After": header} if header else {}, b"").retry_after_s == seconds


def test_retry_after_as_a_date() -> None:
    header = email.utils.formatdate(time.time() + 10, usegmt=True)
    found = judge(503, {"Retry-After": header}, b"").retry_after_s
    assert found is not None
    assert 8 <= found <= 10
