"""Lens is found where it is: at a known address where none is set, under the other prefix where that is wrong."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Callable, Iterator

import pytest

from primus_lens_wandb_exporter.identity import Identity, Place
from primus_lens_wandb_exporter.records import Run
from primus_lens_wandb_exporter.sinks import lens_finder
from primus_lens_wandb_exporter.sinks.lens_address import UNREACHABLE, ProbeResult
from primus_lens_wandb_exporter.sinks.lens_batches import METRICS_PATH, encode_body
from primus_lens_wandb_exporter.sinks.lens_client import LensClient

from ..support import faults, hostile
from ..support.faults import FaultyLens, faulty_lens
from ..support.hostile import HostileServer, envelope, hostile_server
from ..support.lens import Lens

TOKEN = "token-of-" + "this-test"
NOBODY = "http://127.0.0.1:9/api/v1"
UNKNOWN = "http://lens.invalid:8080/api/v1"
NOT_FOUND = hostile.answer(404, b"404 page not found", b"Content-Type: text/plain")


@pytest.fixture
def stock(lens: Lens) -> Iterator[FaultyLens]:
    """Mounts only /v1, on a port of its own, and has no /health."""
    with faulty_lens(lens) as server:
        server.behaviour = faults.only_under("/v1")
        yield server


@pytest.fixture
def serve() -> Iterator[Callable[[hostile.Behaviour], HostileServer]]:
    with contextlib.ExitStack() as stack:
        yield lambda behaviour: stack.enter_context(hostile_server(behaviour))


@pytest.fixture
def body(workload: str) -> bytes:
    run = Run("r", Identity(workload), Place(), "writer")
    return encode_body(run, [{"name": "a", "value": 1.0, "step": 0, "timestamp": 1.7e9, "tags": {}}])


def at(server: FaultyLens, path: str) -> str:
    return f"http://127.0.0.1:{server.port}{path}"


def test_without_an_address_the_known_ones_are_asked_in_turn_and_get_no_token(
    stock: FaultyLens,
    serve: Callable[[hostile.Behaviour], HostileServer],
    body: bytes,
    lens: Lens,
    workload: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    something_else = serve(hostile.answer(200, b"<html>Welcome to nginx</html>"))
    known = [UNKNOWN, NOBODY, something_else.base_url, at(stock, "/v1"), at(stock, "/api/v1")]
    client = LensClient("", TOKEN, known)
    with caplog.at_level("DEBUG", "primus_lens_wandb_exporter"):
        assert client.post(METRICS_PATH, body).delivered
    assert lens.scalars(workload) == {(0, "a"): 1.0}
    assert something_else.bodies == [b"{}"]
    assert stock.heard == [("/v1/wandb/metrics", None)] * 2
    assert client.address == known[3]
    assert f"Lens is found at {known[3]}" in caplog.text

    assert client.post(METRICS_PATH, body).delivered
    assert len(stock.heard) == 3, "it was looked for again"


def test_the_child_of_a_fork_goes_on_with_the_address_that_was_found(stock: FaultyLens, body: bytes) -> None:
    client = LensClient("", "", [at(stock, "/v1")])
    assert client.post(METRICS_PATH, body).delivered
    client.forget_connection()
    assert client.post(METRICS_PATH, body).delivered
    assert len(stock.heard) == 3


def test_a_lens_that_moves_is_looked_for_again(stock: FaultyLens, lens: Lens, body: bytes) -> None:
    with faulty_lens(lens) as earlier:
        client = LensClient("", "", [earlier.base_url, at(stock, "/v1")])
        assert client.post(METRICS_PATH, body).delivered
        earlier.behaviour = faults.foreign(404, b"404 page not found")
        assert client.post(METRICS_PATH, body).delivered
    assert client.address == at(stock, "/v1")


@pytest.mark.parametrize(
    ("prefix", "given", "used"),
    [
        ("/v1", "/api/v1", "/v1/wandb/metrics"),
        ("/api/v1", "/v1", "/api/v1/wandb/metrics"),
        ("/v1", "", "/v1/wandb/metrics"),
        ("/v1", "/api/v1?cluster=a&b=/c/", "/v1/wandb/metrics?cluster=a&b=/c/"),
        ("/gw/lens/v1", "/gw/lens/api/v1", "/gw/lens/v1/wandb/metrics"),
    ],
)
def test_a_wrong_prefix_is_put_right_with_the_users_token(
    prefix: str, given: str, used: str, stock: FaultyLens, body: bytes, lens: Lens, workload: str
) -> None:
    stock.behaviour = faults.only_under(prefix)
    client = LensClient(at(stock, given), TOKEN)
    assert client.post(METRICS_PATH, body).delivered
    assert lens.scalars(workload) == {(0, "a"): 1.0}
    assert stock.heard[-1] == (used, "Bearer " + TOKEN)
    asked = len(stock.heard)
    assert client.post(METRICS_PATH, body).delivered
    assert len(stock.heard) == asked + 1, "the sibling was looked for again"


def test_where_no_lens_is_metrics_wait_until_one_is(stock: FaultyLens, body: bytes) -> None:
    stock.behaviour = faults.only_under("/elsewhere")
    client = LensClient(at(stock, "/api/v1"))
    answer = client.post(METRICS_PATH, body)
    assert (answer.delivered, answer.retry, answer.needs_a_person) == (False, True, True)
    assert not answer.failed_on_request
    assert answer.reason == 'HTTP 404 "404 page not found", which is not an answer of Lens'
    assert "PRIMUS_LENS_API_BASE_URL" in answer.next_step
    assert ":8989/v1" in answer.next_step

    stock.behaviour = faults.only_under("/v1")
    assert client.post(METRICS_PATH, body).delivered


def test_a_404_in_lenss_own_form_is_no_reason_to_look_elsewhere(
    serve: Callable[[hostile.Behaviour], HostileServer], body: bytes
) -> None:
    server = serve(hostile.answer(404, envelope(404, "no such thing")))
    assert not LensClient(server.base_url).post(METRICS_PATH, body).retry
    assert server.bodies == [body]


def test_a_sibling_that_wants_another_token_is_told(
    serve: Callable[[hostile.Behaviour], HostileServer], body: bytes
) -> None:
    server = serve(hostile.in_turn(NOT_FOUND, hostile.answer(401, envelope(401, "bad " + TOKEN))))
    answer = LensClient(server.base_url, TOKEN).post(METRICS_PATH, body)
    assert answer.retry
    assert server.base_url.replace("/api/v1", "/v1") + ": HTTP 401 bad ***" in answer.reason
    assert "PRIMUS_LENS_API_TOKEN" in answer.next_step


def test_a_known_address_that_wants_a_token_is_told_and_does_not_get_it(
    serve: Callable[[hostile.Behaviour], HostileServer], body: bytes
) -> None:
    gateway = serve(hostile.answer(401, b'{"code":401,"message":"authentication required"}'))
    web = serve(hostile.answer(200, b"<html>"))
    client = LensClient("", TOKEN, [gateway.base_url, web.base_url, UNKNOWN])
    answer = client.post(METRICS_PATH, body)
    assert (answer.retry, answer.needs_a_person) == (True, True)
    assert answer.reason.startswith(gateway.base_url + ": HTTP 401")
    assert f"set PRIMUS_LENS_API_BASE_URL={gateway.base_url} and PRIMUS_LENS_API_TOKEN" in answer.next_step
    assert "Authorization" not in client.headers
    assert gateway.bodies == web.bodies == [b"{}"]


def test_of_several_troubles_the_one_that_came_closest_is_told(
    serve: Callable[[hostile.Behaviour], HostileServer], body: bytes
) -> None:
    assert NOBODY in LensClient("", "", [UNKNOWN, NOBODY]).post(METRICS_PATH, body).reason
    web = serve(NOT_FOUND).base_url
    assert web in LensClient("", "", [UNKNOWN, web, NOBODY]).post(METRICS_PATH, body).reason
    assert "lens.invalid is not known" in LensClient("", "", [UNKNOWN]).post(METRICS_PATH, body).reason


def test_names_that_are_not_known_are_looked_up_ever_less_often(body: bytes) -> None:
    client = LensClient("", "", [UNKNOWN])
    pauses = []
    for _ in range(14):
        answer = client.post(METRICS_PATH, body)
        assert (answer.retry, answer.needs_a_person) == (True, False)
        pauses.append(answer.retry_after_s or 0.0)
    for number, pause in enumerate(pauses):
        longest = min(lens_finder.LONGEST_PAUSE_S, 2.0 ** (number + 1))
        assert longest / 2 <= pause <= longest


def test_the_search_keeps_to_the_time_of_the_request(
    serve: Callable[[hostile.Behaviour], HostileServer], body: bytes
) -> None:
    silent = [serve(hostile.drip(b"", b"")) for _ in range(6)]
    began = time.monotonic()
    answer = LensClient("", "", [server.base_url for server in silent]).post(METRICS_PATH, body, 0.3)
    assert time.monotonic() - began < 2.0
    assert answer.retry
    assert "no answer within" in answer.reason
    assert [len(server.bodies) for server in silent] == [1, 0, 0, 0, 0, 0]

    asked = []

    def probe(address: str, limit_s: float) -> ProbeResult:
        """A name server holds it up: no limit of ours ends that."""
        asked.append(address)
        time.sleep(0.2)
        return ProbeResult(UNREACHABLE, "no answer")

    answer_of_search = lens_finder.LensFinder("", probe, ["http://one/v1", "http://two/v1"]).find(
        time.monotonic() + 0.1
    )
    assert answer_of_search is not None
    assert asked == ["http://one/v1"]

    # And with all the time of the world each address has its two seconds.
    began = time.monotonic()
    LensClient("", "", [server.base_url for server in silent[:2]]).post(METRICS_PATH, body)
    assert 3.5 < time.monotonic() - began < 10


def test_the_search_of_a_sibling_keeps_to_the_time_of_the_request(
    serve: Callable[[hostile.Behaviour], HostileServer], body: bytes
) -> None:
    server = serve(hostile.in_turn(NOT_FOUND, hostile.drip(b"", b"")))
    began = time.monotonic()
    answer = LensClient(server.base_url).post(METRICS_PATH, body, 0.5)
    assert time.monotonic() - began < 2.0
    assert "404" in answer.reason
    assert json.loads(server.bodies[-1]) == {}
