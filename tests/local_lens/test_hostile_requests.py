"""Bytes that are not quite HTTP: answered with why and how to do better, logged not at all, and past no guard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Iterator

import pytest

from .conftest import LensProcess
from .limited import LimitedLens, read_to_end

TOKEN = "correct-horse-battery-staple"
HEAD = b"Host: 127.0.0.1\r\nConnection: close\r\n"
BODY = json.dumps({"workload_uid": "w", "metrics": [{"name": "a", "value": 1}]}).encode()
POST = b"POST /api/v1/wandb/metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@pytest.fixture(scope="module")
def lens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LimitedLens]:
    lens = LimitedLens(tmp_path_factory.mktemp("lens") / "lens.db", MAX_HEADS_BYTES=0, HEAD_SECONDS=1.0)
    yield lens
    lens.process.terminate()
    assert lens.process.communicate(timeout=30) == ("", ""), "strangers fill the log"


def asked(lens: LensProcess, sent: bytes) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON of what comes until the server closes."""
    connection = LimitedLens.connect(lens, sent)  # type: ignore[arg-type]
    head, _, body = read_to_end(connection).partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, json.loads(body) if "json" in headers["content-type"] else body


def protects_itself(headers: dict[str, str]) -> bool:
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["x-frame-options"] == "deny"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    return headers["x-content-type-options"] == "nosniff"


NO_HTTP = {
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tunnel": b"CONNECT elsewhere.example:443 HTTP/1.1\r\n" + HEAD + b"\r\n",
    "address without path": b"GET http://127.0.0.1 HTTP/1.1\r\n" + HEAD + b"\r\n",
    "path of bytes": b"GET /\xff\xfe HTTP/1.1\r\n" + HEAD + b"\r\n",
    "both lengths": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "signed length": POST + b"Content-Length: +5\r\n\r\nabcde",
    "huge length": POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coding after chunked": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "folded header": b"GET /health HTTP/1.1\r\n" + HEAD + b"X: a\r\n b\r\n\r\n",
    "bare carriage return": b"GET /health HTTP/1.1\r\n" + HEAD + b"X: a\rY: b\r\n\r\n",
    "control character": b"GET /health HTTP/1.1\r\n" + HEAD + b"X-Forwarded-For: \x1b[31m\r\n\r\n",
}


@pytest.mark.parametrize("sent", NO_HTTP.values(), ids=NO_HTTP.keys())
def test_what_is_not_http_is_refused_without_a_line_in_the_log(lens: LimitedLens, sent: bytes) -> None:
    status, headers, answer = asked(lens, sent)
    assert status == 400
    assert answer["error"] == answer["meta"]["message"]
    assert "not an HTTP/1.1 request" in answer["error"]
    assert protects_itself(headers)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"GET /health HTTP/1.1\r\nX: " + b"a" * 60_000 + b"\r\n", 503),
        (b"GET /health HTTP/1.1\r\n" + b"X: y\r\n" * 101 + b"\r\n", 431),
        (b"GET /health HTTP/1.1\r\n", 408),
        (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 30, 200),
    ],
    ids=["all together", "many", "slow", "pipelined"],
)
def test_refusals_of_the_connection_protect_themselves(lens: LimitedLens, sent: bytes, expected: int) -> None:
    connection = lens.connect(sent)
    answers = read_to_end(connection).split(b"HTTP/1.1 ")[1:]
    assert int(answers[0][:3]) == expected
    for answer in answers:
        lines = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        assert protects_itself(dict(line.lower().split(": ", 1) for line in lines))


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
def test_an_offer_to_upgrade_is_declined_and_answered(lens: LimitedLens, protocol: bytes) -> None:
    """Some HTTP clients send it with every first request."""
    offer = b"Connection: Upgrade\r\nUpgrade: " + protocol + b"\r\n"
    sent = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n" + offer + b"\r\n"
    assert asked(lens, sent)[0] == 200
    status, headers, answer = asked(lens, POST + offer + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)
    assert (status, headers["connection"]) == (400, "close")
    assert answer["meta"]["message"] == "this server speaks HTTP/1.1 only: send the request without Upgrade"
    assert protects_itself(headers)


@pytest.fixture(scope="module")
def closed_lens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LensProcess]:
    lens = LensProcess(tmp_path_factory.mktemp("closed") / "lens.db", "--token", TOKEN)
    yield lens
    lens.process.terminate()
    lens.process.communicate(timeout=30)


@pytest.mark.parametrize(
    "target",
    [
        "/health/../api/v1/workloads",
        "/health/%2e%2e/api/v1/workloads",
        "/health%2f..%2fapi%2fv1%2fworkloads",
        "/health/../v1/workloads/w/metrics/data",
        "/v1/workloads/w/metrics/data",
        "/v1//workloads/w/metrics/data",
        "/V1/health",
        "/v1/health",
        "http://127.0.0.1/api/v1/workloads",
        "http://127.0.0.1/health/../api/v1/workloads",
        "//api/v1/workloads",
        "//health",
        "/health/",
        "/HEALTH",
        "/health%00",
        "/page/static/../../api/v1/workloads",
        "/page/static",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "DELETE"])
def test_no_way_of_writing_a_path_passes_the_token(closed_lens: LensProcess, method: str, target: str) -> None:
    sent = f"{method} {target} HTTP/1.1\r\n".encode() + HEAD + b"\r\n"
    connection = LimitedLens.connect(closed_lens, sent)  # type: ignore[arg-type]
    assert read_to_end(connection).startswith(b"HTTP/1.1 401 ")


def test_of_two_tokens_the_first_counts(closed_lens: LensProcess) -> None:
    right, wrong = (f"Authorization: Bearer {token}\r\n".encode() for token in (TOKEN, "another"))
    start = b"GET /api/v1/workloads HTTP/1.1\r\n" + HEAD
    assert asked(closed_lens, start + right + wrong + b"\r\n")[0] == 200
    assert asked(closed_lens, start + wrong + right + b"\r\n")[0] == 401


def test_what_a_client_says_its_address_is_cannot_spoil_the_log(tmp_path: Path) -> None:
    lens = LensProcess(tmp_path / "lens.db", "--token", TOKEN)
    wrong = b"GET /api/v1/workloads HTTP/1.1\r\n" + HEAD + b"Authorization: Bearer wrong\r\n"
    assert asked(lens, wrong + b"X-Forwarded-For: \x9b31m\xe2\x80\xae" + b"x" * 5000 + b"\r\n\r\n")[0] == 401
    lens.process.terminate()
    assert "a wrong token came, the last from an unknown address\n" in lens.process.communicate(timeout=30)[1]
