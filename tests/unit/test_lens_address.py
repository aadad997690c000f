"""Where Lens may be, and what a probe tells of an address."""

from __future__ import annotations

import pytest

from primus_lens_wandb_exporter.sinks.bounded_http import BoundedHttp
from primus_lens_wandb_exporter.sinks.lens_address import (
    KNOWN_ADDRESSES,
    LENS,
    NOT_LENS,
    REFUSED,
    UNREACHABLE,
    ProbeResult,
    join_path,
    probe,
    read_envelope,
    siblings,
)
from primus_lens_wandb_exporter.sinks.lens_client import make_headers

from ..support import hostile
from ..support.hostile import envelope, hostile_server
from ..support.lens import Lens

ASKS_WHOSE = envelope(400, "either workload_uid or pod_name is required")


@pytest.mark.parametrize(
    ("base_url", "joined"),
    [
        ("http://lens:8989/v1", "http://lens:8989/v1/wandb/metrics"),
        ("http://gw/api/v1?cluster=a", "http://gw/api/v1/wandb/metrics?cluster=a"),
        ("http://gw/api/v1/?cluster=a&path=/x/", "http://gw/api/v1/wandb/metrics?cluster=a&path=/x/"),
        ("https://me:word@gw/lens/proxy/v1", "https://me:word@gw/lens/proxy/v1/wandb/metrics"),
        ("http://[::1]:80", "http://[::1]:80/wandb/metrics"),
    ],
)
def test_a_path_comes_before_the_query(base_url: str, joined: str) -> None:
    assert join_path(base_url, "/wandb/metrics") == joined


@pytest.mark.parametrize(
    ("base_url", "others"),
    [
        ("http://lens:8989/v1", ["http://lens:8989/api/v1"]),
        ("http://lens:8989/api/v1", ["http://lens:8989/v1"]),
        ("http://me:word@gw:81/x/api/v1/?cluster=a", ["http://me:word@gw:81/x/v1?cluster=a"]),
        ("http://gw/x/v1?cluster=a", ["http://gw/x/api/v1?cluster=a"]),
        ("http://lens:8989", ["http://lens:8989/api/v1", "http://lens:8989/v1"]),
        ("http://gw/lens/?cluster=a", ["http://gw/lens/api/v1?cluster=a", "http://gw/lens/v1?cluster=a"]),
    ],
)
def test_the_sibling_has_the_other_prefix_and_all_else(base_url: str, others: list[str]) -> None:
    assert list(siblings(base_url)) == others


def test_the_guides_address_is_the_first_and_each_is_known_once() -> None:
    assert KNOWN_ADDRESSES[0] == "http://primus-lens-telemetry-processor:8080/api/v1"
    assert "http://primus-lens-telemetry-processor.primus-lens.svc.cluster.local:8989/v1" in KNOWN_ADDRESSES
    assert len(set(KNOWN_ADDRESSES)) == len(KNOWN_ADDRESSES)


def test_only_the_envelope_is_an_answer_of_lens() -> None:
    assert read_envelope(ASKS_WHOSE) == (400, "either workload_uid or pod_name is required", None)
    for content in (b"", b"{}", b"404 page not found", b'{"meta": {"code": "400"}}', b'{"code": 401}'):
        assert read_envelope(content) is None


def ask(behaviour: hostile.Behaviour, token: str = "", limit_s: float = 10.0) -> ProbeResult:
    with hostile_server(behaviour) as server:
        found = probe(BoundedHttp().exchange, server.base_url, make_headers(token), limit_s)
        assert all(body == b"{}" for body in server.bodies)
    return found


def test_a_lens_is_known_by_its_refusal_of_an_empty_report() -> None:
    assert ask(hostile.answer(400, ASKS_WHOSE)) == ProbeResult(LENS, "", "")


def test_the_local_lens_is_a_lens_and_stores_nothing_of_the_probe(lens: Lens) -> None:
    assert probe(BoundedHttp().exchange, lens.base_url, make_headers("")).kind == LENS


@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        (404, b"404 page not found", NOT_LENS),
        (405, b"", NOT_LENS),
        (200, b"<html>Please log in</html>", NOT_LENS),
        (200, b"{}", NOT_LENS),
        (200, envelope(2000, "OK"), NOT_LENS),
        (200, envelope(4004, "workload x not found in any cluster"), NOT_LENS),
        (302, b"", NOT_LENS),
        (400, b"Bad Request", NOT_LENS),
        (404, envelope(404, "not found"), NOT_LENS),
        (401, b'{"code":401,"message":"authentication required"}', REFUSED),
        (401, envelope(401, "token"), REFUSED),
        (403, b"", REFUSED),
        (503, b"no healthy upstream", UNREACHABLE),
        (429, b"", UNREACHABLE),
        (503, envelope(503, "starting"), LENS),
        (500, envelope(500, "failed to process metrics"), LENS),
    ],
)
def test_all_else_has_a_trouble_and_a_next_step(status: int, content: bytes, kind: str) -> None:
    found = ask(hostile.answer(status, content))
    assert found.kind == kind
    assert f"HTTP {status}" in found.trouble
    assert found.next_step


def test_nothing_that_a_server_does_is_raised() -> None:
    assert ask(hostile.send_and_close(b"")).kind == UNREACHABLE
    assert ask(hostile.send_and_close(b"SSH-2.0-OpenSSH\r\n")).kind == UNREACHABLE
    found = ask(hostile.drip(b"HTTP/1.1 200 OK\r\nX: ", b"x"), limit_s=0.3)
    assert found == (UNREACHABLE, "no answer within 0.3 s", found.next_step)


def test_a_name_that_is_not_known_and_a_port_where_nothing_listens_are_unreachable() -> None:
    unknown = probe(BoundedHttp().exchange, "http://lens.invalid/v1", make_headers(""))
    assert unknown.kind == UNREACHABLE
    assert "lens.invalid" in unknown.trouble
    refused = probe(BoundedHttp().exchange, "http://127.0.0.1:9/v1", make_headers(""))
    assert (refused.kind, refused.trouble) == (UNREACHABLE, "nothing listens there (connection refused)")
