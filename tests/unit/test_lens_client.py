"""What an answer means."""

from __future__ import annotations

import email.utils
import time

import pytest

from primus_lens_wandb_exporter.sinks.answers import (
    LONGEST_BACKOFF_S,
    LONGEST_RETRY_AFTER_S,
    SHORTEST_BACKOFF_S,
    Answer,
    backoff_s,
)
from primus_lens_wandb_exporter.sinks.lens_client import judge

from ..support.hostile import envelope


def test_lenss_own_200_is_delivered() -> None:
    assert judge(200, {}, envelope(2000, "OK")).delivered


FOREIGN = [
    b"",
    b"<html>",
    b"[]",
    b"{}",
    b'{"meta": 1}',
    b'{"meta": {}}',
    b'{"meta": {"code": "2000"}}',
    b"\xff",
    b"[" * 99999,
]


@pytest.mark.parametrize("content", FOREIGN)
@pytest.mark.parametrize("status", [200, 201, 204, 302, 400, 401, 403, 404, 405, 413])
def test_what_is_no_answer_of_lens_waits_for_the_right_address(status: int, content: bytes) -> None:
    answer = judge(status, {}, content)
    assert not answer.delivered
    assert answer.retry
    assert answer.needs_a_person
    assert str(status) in answer.reason
    assert "not an answer of Lens" in answer.reason


def test_a_foreign_404_is_told_with_its_first_line() -> None:
    reason = judge(404, {}, b"404 page not found\nand more").reason
    assert reason == 'HTTP 404 "404 page not found", which is not an answer of Lens'


def test_what_a_proxy_refuses_may_be_this_one_request() -> None:
    """Others behind it must come through."""
    assert judge(413, {}, b"<html>Request Entity Too Large</html>").failed_on_request
    assert not judge(404, {}, b"404 page not found").failed_on_request


def test_a_200_of_lens_with_another_code_is_refused_with_its_reason() -> None:
    answer = judge(200, {}, envelope(4001, "no such thing"))
    assert not answer.delivered
    assert not answer.retry
    assert "4001 no such thing" in answer.reason


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


def test_a_redirect_is_named_without_its_secrets() -> None:
    answer = judge(302, {"Location": "https://user:word@sso.example/login?ticket=12345"}, b"")
    assert answer.retry
    assert "https://sso.example/login)" in answer.reason
    assert "word" not in answer.reason
    assert "12345" not in answer.reason


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("-3", 0.0),
        ("-inf", 0.0),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0.0),
        ("1e9", LONGEST_RETRY_AFTER_S),
        ("1e400", LONGEST_RETRY_AFTER_S),
        ("inf", LONGEST_RETRY_AFTER_S),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_RETRY_AFTER_S),
        ("Fri, 31 Dec 99999999999999999999 23:59:59 GMT", None),
        ("Fri, 31 Dec 0001 23:59:59 -9999", None),
        ("9" * 5000, None),
        ("soon", None),
        ("nan", None),
        (None, None),
    ],
)
def test_retry_after_is_a_number_of_seconds_whatever_it_holds(header: str | None, seconds: float | None) -> None:
    assert judge(429, {"Retry-After": header} if header else {}, b"").retry_after_s == seconds


def test_retry_after_as_a_date() -> None:
    header = email.utils.formatdate(time.time() + 10, usegmt=True)
    found = judge(503, {"Retry-After": header}, b"").retry_after_s
    assert found is not None
    assert 8 <= found <= 10


@pytest.mark.parametrize("retry_after_s", [None, 0.0, 0.01])
def test_the_servers_wish_never_shortens_the_backoff(retry_after_s: float | None) -> None:
    answer = Answer(delivered=False, retry=True, retry_after_s=retry_after_s)
    for attempts in (0, 3, 1000):
        delays = [backoff_s(attempts, answer) for _ in range(400)]
        assert min(delays) >= SHORTEST_BACKOFF_S
        assert max(delays) <= LONGEST_BACKOFF_S
        assert sum(delays) / len(delays) > min(0.2 * 2**attempts, 10)


def test_the_servers_wish_can_make_the_backoff_longer() -> None:
    answer = Answer(delivered=False, retry=True, retry_after_s=60.0)
    assert all(60 <= backoff_s(0, answer) <= 66 for _ in range(100))
