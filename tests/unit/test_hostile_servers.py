"""The client against servers that are broken or mean ill: bounded in time, processor and memory, and never misled.

The client runs in the interpreter that trains, with the requests and urllib3 that are installed there.
"""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Tuple

import pytest

from ..support import hostile
from ..support.certificates import Certificate, self_signed
from ..support.hostile import GOOD, envelope, hostile_server
from ..support.training import clean_environment

CLIENT = """
import json, logging, resource, sys, time
logging.basicConfig()
from primus_lens_wandb_exporter.sinks import bounded_http, lens_client

base_url, size, limit_s, count, pause_s = json.loads(sys.argv[1])
client = lens_client.LensClient(base_url, "token")
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for number in range(count):
    time.sleep(pause_s if number else 0)
    processor, began = time.process_time(), time.monotonic()
    answer = client.post("/wandb/metrics", b"%d" % number + b" " * size, limit_s)
    found = answer._asdict()
    found["took_s"] = time.monotonic() - began
    found["processor_s"] = time.process_time() - processor
    found["memory_mb"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024.0
    print(json.dumps(found))
"""
Post = Callable[..., "list[dict[str, Any]]"]
Tls = Tuple[Optional[ssl.SSLContext], Dict[str, str]]


@pytest.fixture
def post(training_python: str) -> Post:
    def run(
        base_url: str, *, size: int = 0, limit_s: float = 20.0, count: int = 1, pause_s: float = 0.0, **variables: str
    ) -> Any:
        process = subprocess.run(
            [training_python, "-c", CLIENT, json.dumps([base_url, size, limit_s, count, pause_s])],
            env=clean_environment(**variables),
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert process.returncode == 0, process.stderr
        assert process.stderr == "", "the job's stderr is not the place for what a library thinks of a server"
        return [json.loads(line) for line in process.stdout.splitlines()]

    return run


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["plain", "TLS"])
def tls(request: pytest.FixtureRequest) -> Tls:
    """Both ways: what the server needs, and the variables with which the client trusts it."""
    if request.param == "plain":
        return None, {}
    certificate: Certificate = request.getfixturevalue("certificate")
    return certificate.context, {"REQUESTS_CA_BUNDLE": str(certificate.path)}


# As long as the buffer with which Python reads an answer.
PADDED = hostile.response(
    200, envelope(2000, "OK"), b"X: " + b"x" * (8192 - len(hostile.response(200, envelope(2000, "OK"), b"X: ")))
)


def assert_waits_for_better_times(answer: dict[str, Any]) -> None:
    assert not answer["delivered"]
    assert answer["retry"]
    assert answer["reason"]


@pytest.mark.parametrize("behaviour", hostile.FLOODS.values(), ids=hostile.FLOODS.keys())
def test_a_flood_ends_after_so_many_bytes(behaviour: hostile.Behaviour, post: Post) -> None:
    with hostile_server(hostile.in_turn(behaviour, hostile.send(GOOD))) as server:
        flooded, good = post(server.base_url, limit_s=60.0, count=2)
    assert_waits_for_better_times(flooded)
    assert flooded["processor_s"] < 2
    assert flooded["took_s"] < 50, "the bound of bytes ends it, not that of time"
    assert flooded["memory_mb"] < 20
    assert good["delivered"]


@pytest.mark.parametrize("behaviour", hostile.DRIPS.values(), ids=hostile.DRIPS.keys())
def test_an_answer_that_drips_is_given_up_in_time(behaviour: hostile.Behaviour, post: Post) -> None:
    with hostile_server(hostile.in_turn(behaviour, hostile.send(GOOD))) as server:
        dripped, good = post(server.base_url, limit_s=3.0, count=2)
    assert_waits_for_better_times(dripped)
    assert 2.9 < dripped["took_s"] < 45
    assert dripped["processor_s"] < 1
    assert dripped["reason"] == "no answer within 3 s"
    assert good["delivered"]


def test_a_server_that_reads_slowly_is_given_up_in_time(tls: Tls, post: Post) -> None:
    context, trusted = tls
    with hostile_server(hostile.send(GOOD), context, seconds_per_read=0.05) as server:
        (answer,) = post(server.base_url, size=40_000_000, limit_s=2.0, **trusted)
    assert_waits_for_better_times(answer)
    assert answer["took_s"] < 50


def test_a_busy_server_has_the_whole_time_to_read(tls: Tls, post: Post) -> None:
    """More than the time in which it must accept a connection."""
    context, trusted = tls
    with hostile_server(hostile.send(GOOD), context, seconds_before_body=7.0) as server:
        (answer,) = post(server.base_url, size=20_000_000, limit_s=60.0, **trusted)
    assert answer["delivered"], answer["reason"]


def test_what_is_compressed_is_not_decompressed(post: Post) -> None:
    with hostile_server(hostile.in_turn(hostile.send(hostile.gzip_bomb()), hostile.send(GOOD))) as server:
        bomb, good = post(server.base_url, count=2)
    assert_waits_for_better_times(bomb)
    assert bomb["memory_mb"] < 20
    assert good["delivered"]


@pytest.mark.parametrize(
    "pieces",
    [
        (GOOD + GOOD,),
        (GOOD + GOOD[:20], GOOD[20:]),
        # In one TLS record, of which Python's own buffer takes the first answer only.
        (PADDED + GOOD,),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", GOOD),
        (hostile.response(200, b"{}"), GOOD),
        (hostile.response(400, envelope(400, "invalid")), GOOD),
        (b"HTTP/1.1 204 No Content\r\n\r\n" + GOOD,),
    ],
    ids=["at once", "cut", "one record", "103", "foreign", "refused", "no content"],
)
def test_a_second_answer_is_not_taken_for_that_to_the_next_request(
    pieces: tuple[bytes, ...], tls: Tls, post: Post
) -> None:
    context, trusted = tls
    refuse = hostile.answer(400, envelope(400, "the real answer"))
    with hostile_server(hostile.in_turn(hostile.send(*pieces), refuse), context) as server:
        _, second = post(server.base_url, count=2, **trusted)
    assert "the real answer" in second["reason"]


def test_what_comes_later_is_not_taken_for_the_answer_to_the_next_request(tls: Tls, post: Post) -> None:
    context, trusted = tls
    refuse = hostile.answer(400, envelope(400, "the real answer"))
    with hostile_server(hostile.in_turn(hostile.send(GOOD, GOOD), refuse), context) as server:
        _, second = post(server.base_url, count=2, pause_s=2.0, **trusted)
    assert "the real answer" in second["reason"]


def test_one_connection_serves_many_requests(tls: Tls, post: Post) -> None:
    context, trusted = tls
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
    body = envelope(2000, "OK")
    both = hostile.in_turn(hostile.send(GOOD), hostile.send(chunked % (len(body), body)), hostile.send(GOOD))
    with hostile_server(both, context) as server:
        answers = post(server.base_url, size=100_000, count=5, **trusted)
        assert [answer["delivered"] for answer in answers] == [True] * 5
        assert [body.strip() for body in server.bodies] == [b"0", b"1", b"2", b"3", b"4"]
        assert server.connections == 1


NOT_HTTP = {
    "closes": hostile.send_and_close(b""),
    "not HTTP": hostile.send_and_close(b"\x00\x1b[2J\xff\r\n\r\n"),
    "cut in the header": hostile.send_and_close(GOOD[:30]),
    "cut in the body": hostile.send_and_close(GOOD[:-9]),
    "malformed header": hostile.send(b"HTTP/1.1 200 OK\r\n: nameless\r\nno colon \x1b[2J\r\nContent-Length: 0\r\n\r\n"),
    "two lengths": hostile.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}"),
    "status 1000": hostile.send(b"HTTP/1.1 1000 No\r\nContent-Length: 0\r\n\r\n"),
    "redirect nowhere": hostile.answer(302, b"", b"Location: http://[\xff\x1b"),
    "200 with deep JSON": hostile.answer(200, b"[" * 60_000),
    "200 with deep JSON in the form": hostile.answer(200, b'{"meta":' * 7_000),
    "200 with a long number": hostile.answer(200, b'{"meta": {"code": 1%s}}' % (b"0" * 60_000)),
    "a web page": hostile.answer(200, b"<html>Please log in</html>"),
    "404 text": hostile.answer(404, b"404 page not found\n"),
    "a cookie to think about": hostile.answer(
        200, b"", b"Set-Cookie: a=b; expires=1" + b" " * 30_000 + b"1-1-1111", b"Set-Cookie: c=d"
    ),
}


@pytest.mark.parametrize("behaviour", NOT_HTTP.values(), ids=NOT_HTTP.keys())
def test_what_is_no_answer_of_lens_is_tried_again(behaviour: hostile.Behaviour, post: Post) -> None:
    with hostile_server(hostile.in_turn(behaviour, hostile.send(GOOD))) as server:
        broken, good = post(server.base_url, count=2)
    assert_waits_for_better_times(broken)
    assert broken["processor_s"] < 2
    assert good["delivered"]


def test_an_untrusted_certificate_is_told(certificate: Certificate, post: Post) -> None:
    with hostile_server(hostile.send(GOOD), certificate.context) as server:
        (answer,) = post(server.base_url)
        assert server.bodies == []
    assert_waits_for_better_times(answer)
    assert answer["needs_a_person"]
    assert "its certificate is not trusted" in answer["reason"]


@pytest.mark.parametrize("content", [None, "", "no certificate"], ids=["missing", "empty", "garbage"])
def test_a_bad_file_of_certificates_is_told_each_time(
    content: str | None, certificate: Certificate, post: Post, tmp_path: Path
) -> None:
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)
    with hostile_server(hostile.send(GOOD), certificate.context) as server:
        answers = post(server.base_url, count=2, REQUESTS_CA_BUNDLE=str(bundle))
    for answer in answers:
        assert_waits_for_better_times(answer)
        assert ("certificates cannot be read" if content is None else "TLS failed") in answer["reason"]
        assert str(bundle) in answer["reason"] or content is not None


def test_without_tls_a_bad_file_of_certificates_does_not_matter(post: Post) -> None:
    with hostile_server(hostile.send(GOOD)) as server:
        (answer,) = post(server.base_url, REQUESTS_CA_BUNDLE="/nonexistent/ca.pem")
    assert answer["delivered"]


def test_a_tls_handshake_that_is_not_answered_is_given_up(post: Post) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (answer,) = post(f"https://127.0.0.1:{silent.getsockname()[1]}/api/v1", limit_s=60.0)
    assert_waits_for_better_times(answer)
    assert answer["reason"] == "no connection in time"
    assert answer["took_s"] < 50


@pytest.mark.parametrize(
    ("base_url", "words"),
    [
        ("http://127.0.0.1:9/api/v1", "connection refused"),
        ("http://lens.invalid:8080/api/v1", "the name lens.invalid is not known"),
        ("http://%s.invalid/api/v1" % ("x" * 70), ""),
        ("http://[::1/api/v1", ""),
        ("http://user:password@127.0.0.1:99999/", ""),
    ],
    ids=["refused", "unknown name", "long name", "bad address", "bad port"],
)
def test_why_there_is_no_connection_is_told(base_url: str, words: str, post: Post) -> None:
    (answer,) = post(base_url)
    assert_waits_for_better_times(answer)
    assert words in answer["reason"]
    assert "password" not in answer["reason"]


def test_a_server_without_tls_behind_https_is_told(post: Post) -> None:
    not_tls = hostile.send_and_close(hostile.response(400, b""))
    with hostile_server(not_tls) as server:
        (answer,) = post(server.base_url.replace("http:", "https:"), limit_s=2.0)
    assert_waits_for_better_times(answer)


def test_what_fails_again_and_again_leaves_nothing_behind_without_the_garbage_collector(training_python: str) -> None:
    script = """
import gc
from primus_lens_wandb_exporter.sinks.lens_client import LensClient
client = LensClient("http://127.0.0.1:9/api/v1")
client.post("/wandb/metrics", b"{}")
gc.collect()
gc.disable()
before = len(gc.get_objects())
for _ in range(50):
    assert not client.post("/wandb/metrics", b"{}").delivered
print(len(gc.get_objects()) - before)
"""
    environment = clean_environment()
    found = subprocess.run([training_python, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert int(found.stdout) < 500, found.stderr


def test_nothing_of_it_is_imported_before_the_first_request(training_python: str) -> None:
    script = """
import sys
before = set(sys.modules)
import primus_lens_wandb_exporter.runtime
own = "primus_lens_wandb_exporter.sinks."
heavy = {"requests", "urllib3", "ssl", "http.client", own + "bounded_http", own + "lens_trouble"}
print(heavy & (set(sys.modules) - before))
"""
    environment = clean_environment()
    found = subprocess.run([training_python, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert found.stdout == "set()\n", found.stderr
