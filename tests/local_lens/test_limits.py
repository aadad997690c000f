"""Every limit: what is beyond it is answered with its number, what is within it goes on."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
import requests
from sqlalchemy import text

from primus_lens_local import limits, points, queries
from primus_lens_local.database import open_database
from primus_lens_local.page import live

from .conftest import Lens
from .limited import LimitedLens, parsed, read_to_end, seed_workload

StartLimited = Callable[..., LimitedLens]
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"POST /api/v1/wandb/metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
METRICS = "/api/v1/wandb/metrics"


@pytest.fixture
def start() -> Iterator[StartLimited]:
    """Start servers with limits of their own; at the end, none has said anything."""
    started: list[LimitedLens] = []

    def start(database: Path, **options: float) -> LimitedLens:
        started.append(LimitedLens(database, **options))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for lens in started:
        lens.process.terminate()
        assert lens.process.communicate(timeout=30) == ("", "")


def named(names: list[str], uid: str = "w", run: str = "r1", step: int = 1) -> dict[str, Any]:
    metrics = [{"name": name, "value": 1.0, "step": step} for name in names]
    return {"source": "wandb", "workload_uid": uid, "run_id": run, "metrics": metrics}


def padded(size: int) -> bytes:
    empty = json.dumps(
        {"workload_uid": "w", "run_id": "r", "metrics": [{"name": "a", "tags": {"padding": ""}}]}
    ).encode()
    return empty.replace(b'"padding": ""', b'"padding": "%s"' % (b"x" * (size - len(empty))))


def message(status: int, answer: dict[str, Any], code: int) -> str:
    """The message of a refusal, which must be the envelope's."""
    assert status == code
    assert answer["meta"]["code"] == code
    return str(answer["meta"]["message"])


@pytest.mark.parametrize(
    "parts",
    [
        (HEALTH, b"X: ", b"a" * 100_000),
        (HEALTH + b"X: " + b"a" * (limits.MAX_HEAD_BYTES + 1) + b"\r\n\r\n",),
        (b"GET /" + b"a" * 100_000,),
        (CHUNKED + b"2\r\n{}\r\n0\r\nTrailer: " + b"a" * 100_000,),
        (CHUNKED + b"2;extension=" + b"a" * 100_000,),
    ],
    ids=["endless header", "large header", "request line", "trailer", "chunk extension"],
)
def test_a_head_that_is_too_large_is_answered_431(
    tmp_path: Path, start: StartLimited, parts: tuple[bytes, ...]
) -> None:
    status, answer = start(tmp_path / "lens.db").say(*parts)
    assert status == 431
    assert "64 KB" in answer["error"]


def test_a_head_just_within_the_limit_and_a_hundred_headers_are_taken(tmp_path: Path, start: StartLimited) -> None:
    lens = start(tmp_path / "lens.db")
    close = b"Connection: close\r\n"
    assert lens.say(HEALTH + close + b"X: " + b"a" * (limits.MAX_HEAD_BYTES - 200) + b"\r\n\r\n")[0] == 200
    some = [b"X-%d: y\r\n" % number for number in range(limits.MAX_HEADERS)]
    assert lens.say(HEALTH + close + b"".join(some[2:]) + b"\r\n")[0] == 200
    status, answer = lens.say(HEALTH + close + b"".join(some) + b"\r\n")
    assert status == 431
    assert str(limits.MAX_HEADERS) in answer["error"]


def test_headers_that_never_end_cost_no_memory(tmp_path: Path, start: StartLimited) -> None:
    lens = start(tmp_path / "lens.db")
    before = lens.memory_mb()
    for _ in range(4):
        with contextlib.suppress(ConnectionError), lens.connect(HEALTH) as connection:
            for _ in range(50):
                connection.sendall(b"X: " + b"a" * 2**20 + b"\r\n")
    assert lens.memory_mb("VmHWM") - before < 30


@pytest.mark.parametrize(
    "beginning",
    [b"GET /health?", b"POST /api/v1/wandb/metrics HTTP/1.1\r\nContent-Length: 100\r\n\r\n{", CHUNKED + b"fff\r\n{"],
    ids=["head", "body", "chunk"],
)
def test_a_request_that_comes_too_slowly_is_answered_408(tmp_path: Path, start: StartLimited, beginning: bytes) -> None:
    lens = start(tmp_path / "lens.db", HEAD_SECONDS=1.5, BODY_SECONDS=1.5)
    connection = lens.connect(beginning)
    connection.settimeout(0.2)
    began = time.monotonic()
    received = b""
    while not received:
        assert time.monotonic() - began < 60
        try:
            connection.sendall(b"x")
            received = connection.recv(65536)
        except TimeoutError:
            pass
    answer = parsed(received)
    assert message(*answer, 408) == "the request did not arrive within 1.5 seconds: send it again"


def test_who_says_nothing_is_disconnected_and_who_is_idle_between_requests_is_not(
    tmp_path: Path, start: StartLimited
) -> None:
    lens = start(tmp_path / "lens.db", HEAD_SECONDS=1.0)
    silent = lens.connect()
    client = http.client.HTTPConnection("127.0.0.1", lens.port, timeout=30)
    client.request("GET", "/health")
    client.getresponse().read()
    used = client.sock
    assert read_to_end(silent) == b""
    time.sleep(2)
    client.request("GET", "/health")
    assert client.getresponse().read() == b'{"status":"ok"}'
    assert client.sock is used


def test_pipelined_requests_are_answered_up_to_a_limit(tmp_path: Path, start: StartLimited) -> None:
    received = read_to_end(start(tmp_path / "lens.db").connect((HEALTH + b"\r\n") * 1000))
    assert received.count(b"HTTP/1.1 200 OK") == limits.MAX_PIPELINED + 1
    status, answer = parsed(received[received.index(b"HTTP/1.1 503") :])
    assert status == 503
    assert str(limits.MAX_PIPELINED) in answer["error"]


def test_connections_beyond_the_limit_are_answered_503_until_others_close(tmp_path: Path, start: StartLimited) -> None:
    lens = start(tmp_path / "lens.db", MAX_CONNECTIONS=5)
    others = [lens.connect(HEALTH) for _ in range(5)]
    status, answer = parsed(read_to_end(lens.connect(HEALTH + b"\r\n")))
    assert "5 connections" in message(status, answer, 503)
    for connection in others:
        connection.close()
    deadline = time.monotonic() + 30
    while requests.get(f"{lens.url}/health", timeout=20).status_code != 200:
        assert time.monotonic() < deadline


def test_with_few_open_files_connections_are_refused_instead_of_ignored(tmp_path: Path, start: StartLimited) -> None:
    lens = start(tmp_path / "lens.db", open_files=400)
    held = [lens.connect(HEALTH) for _ in range(30)]
    answers = [parsed(read_to_end(connection))[0] for connection in held[16:]]
    assert set(answers) == {503}


def test_a_thousand_idle_connections_shut_nobody_out(tmp_path: Path, start: StartLimited) -> None:
    lens = start(tmp_path / "lens.db")
    idle = [lens.connect(HEALTH if number % 2 else b"") for number in range(1000)]
    for step in range(20):
        assert requests.post(lens.url + METRICS, json=named(["a"], step=step), timeout=20).status_code == 200
    for connection in idle:
        connection.close()


def test_a_body_of_4_mb_is_taken_and_a_larger_one_refused(lens: Lens) -> None:
    assert lens.post("metrics", padded(limits.MAX_BODY_BYTES)).status_code == 200
    answer = lens.post("metrics", padded(limits.MAX_BODY_BYTES) + b" ")
    assert "4 MB" in message(answer.status_code, answer.json(), 413)


def test_a_body_that_hides_its_size_is_refused_without_being_kept(tmp_path: Path, start: StartLimited) -> None:
    lens = start(tmp_path / "lens.db")
    before = lens.memory_mb()
    answer = requests.post(lens.url + METRICS, data=(b" " * 2**20 for _ in range(300)), timeout=60)
    assert "4 MB" in message(answer.status_code, answer.json(), 413)
    assert lens.memory_mb("VmHWM") - before < 60


def test_an_announced_body_is_refused_before_it_is_sent(tmp_path: Path, start: StartLimited) -> None:
    head = b"POST /api/v1/wandb/batch HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    assert "4 MB" in message(*start(tmp_path / "lens.db").say(head % 10**12), 413)


@pytest.mark.parametrize(
    "body",
    [b"[" + b"[]," * 1_000_000 + b"[]]", b"[" * 4_000_000, b'{"a":' * 800_000, b"[" + b"1," * 2_000_000 + b"1]"],
    ids=["lists", "depth", "objects", "numbers"],
)
def test_a_body_of_too_many_elements_is_refused_unparsed(lens: Lens, body: bytes) -> None:
    answer = lens.post("metrics", body)
    assert "100,000" in message(answer.status_code, answer.json(), 413)


@pytest.mark.parametrize(
    "body",
    [
        b'{"workload_uid": "w", "metrics": [{"step": %s}]}' % (b"1" * 4_000_000),
        b'{"workload_uid": "w", "metrics": [{"value": 0.%s}]}' % (b"1" * 4_000_000),
        b'{"workload_uid": "%s"}' % (b"\\ud800" * 650_000),
        b'{"workload_uid": "%s"}' % (b"\xff" * 4_000_000),
        b'{"workload_uid": "w", "logs": [{"data": {%s"a": 1}}]}' % (b'"a": 1, ' * 90_000),
    ],
    ids=["integer", "float", "surrogates", "invalid UTF-8", "repeated keys"],
)
def test_a_body_of_4_mb_keeps_nobody_waiting(tmp_path: Path, start: StartLimited, body: bytes) -> None:
    lens = start(tmp_path / "lens.db")
    connection = lens.connect(b"POST /api/v1/wandb/logs HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    longest = 0.0
    connection.settimeout(0.001)
    with requests.Session() as session:
        while True:
            with contextlib.suppress(TimeoutError):
                assert connection.recv(65536).startswith(b"HTTP/1.1 ")
                break
            began = time.monotonic()
            assert session.get(f"{lens.url}/health", timeout=30).ok
            longest = max(longest, time.monotonic() - began)
    print(f"longest wait beside it: {longest:.3f} s")
    # About 0.02 s on a machine that does nothing else.
    assert longest < 3


@pytest.mark.parametrize("kind", ["metrics", "logs"])
def test_a_request_of_too_many_entries_is_refused_whole(lens: Lens, kind: str) -> None:
    body = {"workload_uid": "w", kind: [{"step": step} for step in range(limits.MAX_ENTRIES + 1)]}
    answer = lens.post(kind, body)
    assert "10,000" in message(answer.status_code, answer.json(), 400)
    assert lens.get("/api/v1/workloads")["workloads"] == []
    body[kind] = body[kind][1:]
    assert lens.post(kind, body).status_code == 200


def test_unfinished_bodies_give_way_to_others_when_all_take_too_much(tmp_path: Path, start: StartLimited) -> None:
    lens = start(tmp_path / "lens.db")
    head = b"POST /api/v1/wandb/metrics HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (4 * 2**20)
    held = [lens.connect(head + b" " * (4 * 2**20 - 1)) for _ in range(20)]
    for step in range(20):
        assert requests.post(lens.url + METRICS, json=named(["a"], step=step), timeout=20).status_code == 200
    received = held[0].recv(65536)
    assert b"\r\nretry-after: " in received
    assert "64 MB" in message(*parsed(received), 503)
    assert lens.memory_mb("VmHWM") < 300
    for connection in held:
        connection.close()


def test_clients_that_never_read_are_disconnected_and_hold_no_query_back(tmp_path: Path, start: StartLimited) -> None:
    seed_workload(tmp_path / "lens.db", "large", steps=20_000, metrics=10)
    lens = start(tmp_path / "lens.db", STALLED_SECONDS=2.0, CROWDED_SECONDS=1.0, KEEP_ALIVE_SECONDS=1)
    before, sockets = lens.memory_mb(), lens.sockets()
    ask = b"GET /api/v1/workloads/large/metrics/data HTTP/1.1\r\nHost: x\r\n\r\n"
    stalled = [lens.connect(ask, receive_buffer=4096) for _ in range(40)]
    for step in range(5):
        assert requests.post(lens.url + METRICS, json=named(["a"], step=step), timeout=60).status_code == 200
        answer = requests.get(f"{lens.url}/api/v1/workloads/w/metrics/data", timeout=60)
        assert answer.json()["total_count"] == step + 1
    deadline = time.monotonic() + 60
    while lens.sockets() > sockets:
        assert time.monotonic() < deadline, "they are still connected"
        time.sleep(0.2)
    for connection in stalled:
        connection.close()
    assert lens.memory_mb("VmHWM") - before < 150
    whole = requests.get(f"{lens.url}/api/v1/workloads/large/metrics/data", timeout=60).json()
    assert len(whole["data"]) == whole["total_count"] == 200_000


def test_answers_beyond_their_room_are_503(lens: Lens, monkeypatch: pytest.MonkeyPatch) -> None:
    lens.post("metrics", named([f"metric {index}" for index in range(2000)]))
    monkeypatch.setattr(limits, "MAX_ANSWERS_BYTES", 50_000)
    answer = lens.client.get("/api/v1/workloads/w/metrics/available")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, limits.RETRY_AFTER["retry-after"])
    assert "64 MB" in answer.json()["error"]
    monkeypatch.undo()
    assert lens.get("/api/v1/workloads/w/metrics/available")["total_count"] == 2000


def test_a_client_that_leaves_ends_its_query(tmp_path: Path, start: StartLimited) -> None:
    seed_workload(tmp_path / "lens.db", "large", steps=100_000, metrics=10)
    lens = start(tmp_path / "lens.db")
    connection = lens.connect(b"GET /api/v1/workloads/large/metrics/data HTTP/1.1\r\nHost: x\r\n\r\n")
    assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    connection.close()
    deadline = time.monotonic() + 30
    while True:
        before = lens.cpu_s()
        time.sleep(1)
        if lens.cpu_s() - before < 0.1:
            break
        assert time.monotonic() < deadline
    assert lens.cpu_s() < 4, "the whole workload was read"


def stored_points(either_lens: Lens) -> list[tuple[Any, ...]]:
    found = either_lens.get("/api/v1/workloads/w/metrics/data", metrics="all")
    assert found["total_count"] == len(found["data"])
    return [
        (point["iteration"], point["timestamp"], point["metric_name"], point["run_id"], point["data_source"])
        for point in found["data"]
    ]


@pytest.mark.parametrize("steps_per_page", [1, 7, 1000])
def test_points_are_answered_whole_and_in_order_however_they_are_read(
    either_lens: Lens, monkeypatch: pytest.MonkeyPatch, steps_per_page: int
) -> None:
    monkeypatch.setattr(queries, "_STEPS_PER_FIRST_QUERY", 5)
    monkeypatch.setattr(queries, "_STEPS_PER_QUERY", 11)
    monkeypatch.setattr(queries, "_MAX_STEPS_PER_PAGE", steps_per_page)
    expected = []
    for run in ("r2", "r1", "r3"):
        for step in (5, 3, 40, 4, -7, *range(10, 25)):
            time_s = (step * 7 + len(run)) % 13
            either_lens.log(step, time=time_s, run=run, loss=1.0, lr=2.0)
            expected += [(step, time_s * 1000, name, run, "wandb") for name in ("loss", "lr")]
    assert stored_points(either_lens) == sorted(expected)
    times = either_lens.get("/api/v1/workloads/w/metrics/iteration-times")["data"]
    assert [point["iteration"] for point in times] == sorted(step for step, _, name, *_ in expected if name == "lr")


def test_an_iteration_of_very_many_points_is_answered_whole(either_lens: Lens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points, "_MAX_POINTS_SORTED", 5)
    monkeypatch.setattr(queries, "_MAX_STEPS_PER_PAGE", 3)
    for run in range(20):
        either_lens.log(1, run=f"r{run}", a=1.0, b=2.0)
    found = stored_points(either_lens)
    assert len(found) == len(set(found)) == 40


def test_a_query_that_fails_at_once_is_an_error(either_lens: Lens) -> None:
    either_lens.log(1, a=1.0)
    engine = open_database(either_lens.database)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE training_performance RENAME TO elsewhere"))
    engine.dispose()
    answer = either_lens.client.get("/api/v1/workloads/w/metrics/data")
    assert (answer.status_code, answer.json()) == (500, {"error": "failed to query the database"})


def refusal(lens: Lens, kind: str, body: Any) -> str:
    answer = lens.post(kind, body)
    return message(answer.status_code, answer.json(), 400)


def test_new_names_beyond_the_limit_are_refused_and_known_ones_go_on(
    either_lens: Lens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_NAMES", 3)
    assert either_lens.post("metrics", named(["a", "b", "c"])).status_code == 200
    why = refusal(either_lens, "metrics", named(["c", "d", "e"], step=2))
    assert "workload w has 3 metric names" in why
    assert "2 metrics with new names are not stored" in why
    assert either_lens.post("metrics", named(["a", "b", "step"], run="r2", step=3)).status_code == 200
    assert either_lens.post("metrics", named(["d"], uid="other")).status_code == 200
    found = {(point["iteration"], point["metric_name"]) for point in either_lens.points()}
    assert found == {(1, "a"), (1, "b"), (1, "c"), (2, "c"), (3, "a"), (3, "b")}
    assert either_lens.get("/api/v1/workloads/w/metrics/available")["total_count"] == 3


def test_the_default_limit_of_names_holds_across_a_restart(tmp_path: Path, start: StartLimited) -> None:
    lens = start(tmp_path / "lens.db")
    for first in range(0, 20_000, 5000):
        body = named([f"n{index}" for index in range(first, first + 5000)])
        assert requests.post(lens.url + METRICS, json=body, timeout=60).status_code == 200
    again = start(tmp_path / "lens.db")
    answer = requests.post(again.url + METRICS, json=named(["one more"]), timeout=60)
    assert "20,000 names" in message(answer.status_code, answer.json(), 400)
    assert requests.post(again.url + METRICS, json=named(["n19999"], step=2), timeout=60).status_code == 200


def test_the_characters_of_all_names_have_a_limit(lens: Lens) -> None:
    assert lens.post("metrics", named(["x" * 1_500_000])).status_code == 200
    assert "2,000,000 characters" in refusal(lens, "metrics", named(["y" * 1_500_000]))
    assert lens.post("metrics", named(["y" * 400_000])).status_code == 200


def test_runs_and_detections_of_a_workload_have_limits(either_lens: Lens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_RUNS", 2)
    monkeypatch.setattr(limits, "MAX_DETECTIONS", 2)
    for run in ("r1", "r2"):
        either_lens.log(1, run=run, a=1.0)
        assert either_lens.post("detection", {"workload_uid": "w"}).status_code == 200
    assert "2 runs" in refusal(either_lens, "metrics", named(["a"], run="r3"))
    assert "2 detection reports" in refusal(either_lens, "detection", {"workload_uid": "w"})
    either_lens.log(2, run="r1", a=1.0)
    either_lens.log(1, uid="other", run="r3", a=1.0)
    assert len(either_lens.points()) == 3


def test_of_very_many_workloads_the_latest_are_listed(either_lens: Lens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MAX_WORKLOADS_LISTED", 3)
    for number in range(5):
        either_lens.log(1, uid=f"w{number}", time=number + 1.0, a=1.0)
        assert either_lens.post("logs", {"workload_uid": f"w{number}", "logs": [{"step": 1}]}).status_code == 200
        assert either_lens.post("logs", {"workload_uid": f"l{number}", "logs": [{"step": 1}]}).status_code == 200
    found = either_lens.get("/api/v1/workloads")
    assert found["total_count"] == 3
    listed = [(item["workload_uid"], item["step_count"], item["log_count"]) for item in found["workloads"]]
    assert listed == [("w4", 1, 1), ("w3", 1, 1), ("w2", 1, 1)]


@pytest.mark.parametrize("limit", ["_MAX_NAMES_LISTED", "_MAX_CHARACTERS_LISTED"])
def test_of_very_many_names_the_page_lists_those_of_the_latest_runs(
    lens: Lens, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(live, limit, 4)
    for run in ("r1", "r2", "r3"):
        lens.log(1, run=run, a=1.0, b=2.0)
    runs = lens.get("/page/live", workload="w")["overview"]["runs"]
    assert [(run["run"], run["metrics"]) for run in runs] == [("r1", []), ("r2", ["a", "b"]), ("r3", ["a", "b"])]
    assert [run["points"] for run in runs] == [2, 2, 2]


def test_what_was_refused_or_not_committed_takes_no_room(lens: Lens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_NAMES", 2)
    lens.log(1, a=1.0)
    engine = open_database(lens.database)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE training_performance RENAME TO elsewhere"))
    assert lens.post("metrics", named(["lost"])).status_code == 500
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO training_performance"))
    engine.dispose()
    lens.log(1, b=1.0)
    refusal(lens, "metrics", named(["c"]))
    assert lens.post("metrics", named(["a", "b"], step=2)).status_code == 200


def test_a_batch_says_which_part_is_beyond_a_limit(lens: Lens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_NAMES", 1)
    answer = lens.post("batch", {"metrics": named(["a", "b"]), "logs": {"workload_uid": "w", "logs": [{"step": 1}]}})
    results = answer.json()["data"]["results"]
    assert results["logs"]["success"]
    assert "1 metric names" in results["metrics"]["error"]


def test_one_senders_refusal_costs_those_beside_it_nothing(tmp_path: Path, start: StartLimited) -> None:
    lens = start(tmp_path / "lens.db", MAX_NAMES=1)
    requests.post(lens.url + METRICS, json=named(["a"]), timeout=20)
    sessions = [socket.create_connection(("127.0.0.1", lens.port), timeout=30) for _ in range(20)]
    for number, connection in enumerate(sessions):
        body = json.dumps(named(["a" if number % 2 else f"new {number}"], step=number)).encode()
        head = b"POST /api/v1/wandb/metrics HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        connection.sendall(head + body)
    statuses = [parsed(read_to_end(connection))[0] for connection in sessions]
    assert statuses == [400, 200] * 10
