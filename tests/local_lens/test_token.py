"""Tokens: who passes, what a session of a browser is worth, and what never shows a token."""

from __future__ import annotations

import asyncio
import itertools
import re
import sqlite3
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
import requests
from fastapi.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from primus_lens_local import guesses, sessions
from primus_lens_local.auth import TokenAuth
from primus_lens_local.generations import PREFIXES
from primus_lens_local.server import create_app
from primus_lens_local.sessions import Right, Sessions

from ..support import coroutines
from .conftest import LensProcess

TOKEN = "correct-Token.with~signs"
READ_TOKEN = "only-for-looking"
BEARER = {"authorization": f"Bearer {TOKEN}"}
BODY = {"workload_uid": "w", "run_id": "r", "metrics": [{"name": "a", "value": 1.0}]}
ORIGIN = "http://127.0.0.1"
COOKIE = "primus_lens"
MISSING = "a valid bearer token is required"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(guesses, "DELAY_SECONDS", 0.01)
    app = create_app(str(tmp_path / "lens.db"), TOKEN, READ_TOKEN)
    with TestClient(app, base_url=ORIGIN) as client:
        yield client


def log_in(client: TestClient, token: str = TOKEN) -> dict[str, str]:
    """Give a token as a browser does; return the headers that the page sends then. The client keeps the cookie."""
    welcome = client.post("/login", data={"token": token}, headers={"origin": ORIGIN})
    assert welcome.status_code == 200
    match = re.search('data-key="([^"]+)"', welcome.text)
    assert match
    return {"x-primus-lens-page-key": match[1], "sec-fetch-site": "same-origin"}


def envelope(code: int, message: str) -> dict[str, Any]:
    return {"meta": {"code": code, "message": message}, "data": None, "tracing": None}


def test_the_bearer_token_opens_the_api(client: TestClient) -> None:
    assert client.post("/api/v1/wandb/metrics", json=BODY, headers=BEARER).status_code == 200
    assert client.get("/api/v1/workloads", headers=BEARER).json()["total_count"] == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": TOKEN},
        {"authorization": "Bearer"},
        {"authorization": b"Bearer \xff"},
        {"cookie": f"{COOKIE}={TOKEN}"},
        {"cookie": f"{COOKIE}="},
        {"cookie": "\x01=;;"},
        {"x-primus-lens-page-key": TOKEN},
    ],
    ids=lambda headers: repr(headers).replace(TOKEN, "TOKEN"),
)
def test_others_are_refused_in_the_words_of_the_api(client: TestClient, headers: dict[str, Any]) -> None:
    posted = client.post("/api/v1/wandb/metrics", json=BODY, headers=headers)
    assert (posted.status_code, posted.json()) == (401, envelope(401, MISSING))
    got = client.get("/api/v1/workloads", headers=headers)
    assert (got.status_code, got.json(), got.headers["www-authenticate"]) == (401, {"error": MISSING}, "Bearer")
    posted = client.post("/v1/wandb/metrics", json=BODY, headers=headers)
    assert (posted.status_code, posted.json()) == (401, envelope(401, MISSING))
    got = client.get("/v1/workloads/w/metrics/data", headers=headers)
    assert (got.status_code, got.json()) == (401, envelope(401, MISSING))
    assert client.get("/api/v1/workloads", headers=BEARER).json()["total_count"] == 0


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api/docs",
        "/api/docs/assets/swagger-ui.css",
        "/api/openapi.json",
        "/page/about",
        "/page/static/app.js",
        "/page/charts/uplot.min.css",
        "/api/v1/nothing",
        "/v1/workloads/w/metrics/data",
        "/v1/nothing",
        "/anything",
        "/%2e%2e/health",
        "/health/",
        "//elsewhere.example",
    ],
)
def test_every_path_but_health_is_closed(client: TestClient, path: str) -> None:
    assert client.get("/health").status_code == 200
    for query in ("", "?token=wrong"):
        assert client.get(f"{ORIGIN}{path}{query}", follow_redirects=False).status_code == 401


def test_a_websocket_is_closed_too(client: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("/anything"):
        pass
    assert refused.value.code == 1008


def test_a_browser_gets_a_form_and_for_the_token_a_session(client: TestClient) -> None:
    page = client.get("/?workload=a%26b")
    assert (page.status_code, 'action="/login?workload=a%26b"' in page.text) == (401, True)
    wrong = client.post("/login?workload=a%26b", data={"token": "<b>wrong"})
    assert (wrong.status_code, "not the token" in wrong.text, "<b>wrong" in wrong.text) == (401, True, False)
    welcome = client.post("/login?workload=a%26b", data={"token": TOKEN})
    assert 'data-target="/?workload=a%26b"' in welcome.text
    assert TOKEN not in welcome.text
    cookie = welcome.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Secure" not in cookie
    assert TOKEN not in cookie
    assert client.get("/").status_code == 200
    assert client.get("/login").status_code == 401


def test_a_link_with_the_token_opens_the_page_without_it(client: TestClient) -> None:
    welcome = client.get("/", params={"workload": "a b", "token": TOKEN, "run": '"><script>'})
    assert welcome.status_code == 200
    assert 'data-target="/?workload=a+b&amp;run=%22%3E%3Cscript%3E"' in welcome.text
    assert TOKEN not in welcome.text
    assert client.get("/").status_code == 200


def test_data_need_the_cookie_and_the_key_of_one_session(client: TestClient) -> None:
    page = log_in(client)
    first_cookie = client.cookies[COOKIE]
    assert client.get("/api/v1/workloads", headers=page).status_code == 200
    assert client.post("/api/v1/wandb/metrics", json=BODY, headers=page).status_code == 200
    for headers in ({}, {"x-primus-lens-page-key": "wrong"}):
        refused = client.get("/api/v1/workloads", headers={**headers, "sec-fetch-site": "same-origin"})
        assert (refused.status_code, "/login" in refused.json()["error"]) == (401, True)
    other = log_in(client)
    client.cookies.clear()
    assert client.get("/api/v1/workloads", headers=other).status_code == 401
    client.cookies.set(COOKIE, first_cookie)
    assert client.get("/api/v1/workloads", headers=other).status_code == 401
    assert client.get("/api/v1/workloads", headers=page).status_code == 200


def test_a_session_is_no_bearer(client: TestClient) -> None:
    page = log_in(client)
    secrets = (client.cookies[COOKIE], page["x-primus-lens-page-key"])
    client.cookies.clear()
    for secret in secrets:
        assert client.get("/api/v1/workloads", headers={"authorization": f"Bearer {secret}"}).status_code == 401


def test_a_cookie_of_the_same_name_from_another_port_shuts_nobody_out(client: TestClient) -> None:
    page = log_in(client)
    cookies = f"{COOKIE}=planted; broken[=]; {COOKIE}={client.cookies[COOKIE]}; {COOKIE}=planted"
    client.cookies.clear()
    assert client.get("/api/v1/workloads", headers={**page, "cookie": cookies}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": ORIGIN}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "same-origin", "origin": "https://127.0.0.1"}, 200),
        ({}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ORIGIN + ":9999"}, 403),
        ({"origin": "https://127.0.0.1"}, 403),
        ({"origin": "http://[::1"}, 403),
        ({"sec-fetch-site": "same-site", "origin": ORIGIN}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-origin", "origin": ORIGIN + ":9999"}, 403),
        ({"sec-fetch-site": "new-kind-of-site"}, 403),
    ],
    ids=repr,
)
def test_a_session_writes_from_its_own_origin_only(client: TestClient, headers: dict[str, str], status: int) -> None:
    page = {**log_in(client), **headers}
    if "sec-fetch-site" not in headers:
        del page["sec-fetch-site"]
    answer = client.post("/api/v1/wandb/metrics", json=BODY, headers=page)
    assert answer.status_code == status
    assert answer.json()["meta"]["code"] == (2000 if status == 200 else status)
    assert client.get("/api/v1/workloads", headers=BEARER).json()["total_count"] == (status == 200)


def test_logging_out_ends_the_session_on_the_server(client: TestClient) -> None:
    page = log_in(client)
    cookie = client.cookies[COOKIE]
    other = log_in(client)
    other_cookie = client.cookies[COOKIE]
    client.cookies.set(COOKIE, cookie)
    client.cookies.delete(COOKIE)
    out = client.post("/logout", headers={**page, "cookie": f"{COOKIE}={cookie}"})
    assert (out.status_code, "Max-Age=0" in out.headers["set-cookie"]) == (204, True)
    assert client.get("/", headers={"cookie": f"{COOKIE}={cookie}"}).status_code == 401
    assert client.get("/api/v1/workloads", headers={**page, "cookie": f"{COOKIE}={cookie}"}).status_code == 401
    assert client.get("/api/v1/workloads", headers={**other, "cookie": f"{COOKIE}={other_cookie}"}).status_code == 200


def test_nobody_is_logged_out_by_the_cookie_alone(client: TestClient) -> None:
    page = log_in(client)
    assert client.post("/logout", headers={"origin": ORIGIN}).status_code == 401
    assert client.get("/api/v1/workloads", headers=page).status_code == 200


def test_a_session_ends_with_its_server_and_with_time(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = log_in(client)
    with TestClient(create_app(str(tmp_path / "lens.db"), TOKEN), base_url=ORIGIN, cookies=client.cookies) as again:
        assert again.get("/api/v1/workloads", headers=page).status_code == 401
    later = time.monotonic() + sessions.SESSION_SECONDS
    monkeypatch.setattr(sessions.time, "monotonic", lambda: later)
    assert client.get("/api/v1/workloads", headers=page).status_code == 401


def test_sessions_are_bounded_and_readers_end_none_of_writers() -> None:
    kept = Sessions()
    writer, _ = kept.open(Right.WRITE)
    readers = [kept.open(Right.READ)[0] for _ in range(2000)]
    assert kept.find(writer)
    assert sum(kept.find(reader) is not None for reader in readers) == 500
    assert kept.find(readers[-1])
    assert kept.find(readers[0]) is None


def test_two_servers_of_one_host_have_cookies_of_their_own(client: TestClient) -> None:
    names = set()
    for host in ("localhost:8080", "localhost:8081", "localhost", "[::1]:8080"):
        answer = client.post("/login", data={"token": TOKEN}, headers={"host": host})
        names.add((host, answer.headers["set-cookie"].partition("=")[0]))
    assert {name for host, name in names} == {"primus_lens_8080", "primus_lens_8081", "primus_lens"}


def test_the_read_only_token_reads_and_posts_nothing(client: TestClient) -> None:
    reader = {"authorization": f"Bearer {READ_TOKEN}"}
    assert client.get("/api/v1/workloads", headers=reader).status_code == 200
    page = log_in(client, READ_TOKEN)
    assert client.get("/page/workloads", headers=page).status_code == 200
    assert client.get("/page/about", headers=page).json()["session"] == "read"
    assert client.get("/v1/workloads/w/metrics/data", headers=reader).json()["meta"]["code"] == 4004
    for headers, prefix in itertools.product((reader, page), PREFIXES):
        for kind in ("metrics", "logs", "detection", "batch"):
            posted = client.post(f"{prefix}/wandb/{kind}", json=BODY, headers=headers)
            assert (posted.status_code, posted.json()["meta"]["code"]) == (403, 403)
            assert "read-only token" in posted.json()["meta"]["message"]
    assert client.get("/api/v1/workloads", headers=BEARER).json()["total_count"] == 0
    assert client.post("/logout", headers=page).status_code == 204


def test_the_page_learns_which_right_its_session_has(client: TestClient) -> None:
    assert client.get("/page/about", headers=log_in(client)).json()["session"] == "write"
    assert client.get("/page/about", headers=BEARER).json()["session"] is None


def test_a_link_on_another_site_opens_the_page_with_the_session(client: TestClient) -> None:
    # A browser does not send the cookie with such a link, but with what the answer makes it ask.
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    answer = client.get("/?workload=w", headers=link)
    assert (answer.status_code, 'data-target="/?workload=w"' in answer.text) == (200, True)
    assert 'data-key=""' in answer.text
    assert "set-cookie" not in answer.headers


def test_a_long_form_is_not_read(client: TestClient) -> None:
    assert client.post("/login", content=b"token=" + b"x" * 100_000).status_code == 401


async def ask(app: Any, headers: dict[str, str], client: str) -> int:
    """Return the status of one request."""
    statuses = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        statuses.append(message.get("status"))

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": "/x", "query_string": b"", "headers": raw, "client": (client, 1)}
    await app({**scope, "scheme": "http"}, receive, send)
    return int(statuses[0])


async def answers_200(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


def test_wrong_tokens_wait_within_bounds_and_the_right_one_never_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guesses, "DELAY_SECONDS", 3600)
    wrong = {"authorization": "Bearer wrong"}

    async def check() -> None:
        app = TokenAuth(answers_200, TOKEN)
        tasks = [asyncio.create_task(ask(app, wrong, f"10.0.0.{i // 10}")) for i in range(300)]
        await asyncio.sleep(0.5)
        waiting = [task for task in tasks if not task.done()]
        assert len(waiting) == guesses.MAX_WAITING
        assert sum(not task.done() for task in tasks[:10]) == guesses.MAX_WAITING_OF_ONE_CLIENT
        assert {task.result() for task in tasks if task.done()} == {429}
        assert await ask(app, BEARER, "10.0.0.0") == 200
        assert await ask(app, {}, "10.0.0.0") == 401
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        again = asyncio.create_task(ask(app, wrong, "10.0.0.0"))
        await asyncio.sleep(0.1)
        assert not again.done()
        again.cancel()

    coroutines.run(check())


def test_too_many_wrong_tokens_say_when_to_come_again(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guesses, "MAX_WAITING", 0)
    posted = client.post("/api/v1/wandb/metrics", json=BODY, headers={"authorization": "Bearer wrong"})
    assert (posted.status_code, posted.json()["meta"]["code"]) == (429, 429)
    assert MISSING in posted.json()["meta"]["message"]
    assert int(posted.headers["retry-after"]) >= 1
    assert client.post("/login", data={"token": "wrong"}).status_code == 429
    assert client.get("/?token=wrong").status_code == 429
    assert client.post("/login", data={"token": TOKEN}).status_code == 200


def test_each_way_to_give_a_wrong_token_costs_time(tmp_path: Path, start_lens: Callable[..., LensProcess]) -> None:
    lens = start_lens(tmp_path / "lens.db", PRIMUS_LENS_API_TOKEN=TOKEN)
    for kind in ("bearer", "form", "address"):
        began = time.monotonic()
        if kind == "bearer":
            answer = requests.get(f"{lens.url}/", headers={"authorization": "Bearer x"}, timeout=60)
        elif kind == "form":
            answer = requests.post(f"{lens.url}/login", data={"token": "x"}, timeout=60)
        else:
            answer = requests.get(f"{lens.url}/?token=x", timeout=60)
        assert answer.status_code == 401
        assert time.monotonic() - began >= guesses.DELAY_SECONDS
    lens.process.terminate()
    _, errors = lens.process.communicate(timeout=20)
    assert "a wrong token came, the last from 127.0.0.1" in errors


def test_behind_tls_the_cookie_stays_there(tmp_path: Path, start_lens: Callable[..., LensProcess]) -> None:
    lens = start_lens(tmp_path / "lens.db", PRIMUS_LENS_API_TOKEN=TOKEN)
    headers = {"x-forwarded-proto": "https", "host": "lens.example", "origin": "https://lens.example"}
    welcome = requests.post(f"{lens.url}/login", data={"token": TOKEN}, headers=headers, timeout=20)
    assert welcome.status_code == 200
    assert welcome.headers["set-cookie"].endswith("; Secure")


def test_given_tokens_are_never_printed_or_stored(tmp_path: Path, start_lens: Callable[..., LensProcess]) -> None:
    tokens = {"PRIMUS_LENS_API_TOKEN": TOKEN, "PRIMUS_LENS_READ_TOKEN": READ_TOKEN}
    lens = start_lens(tmp_path / "lens.db", **tokens)
    url = f"{lens.url}/api/v1/workloads"
    assert requests.get(url, timeout=20).status_code == 401
    assert requests.get(url, timeout=20, headers=BEARER).status_code == 200
    assert requests.get(f"{lens.url}/?token={TOKEN}", timeout=20).status_code == 200
    assert requests.get(f"{lens.url}/?token={READ_TOKEN}", timeout=20).status_code == 200
    lens.process.terminate()
    output = lens.announcement + "".join(lens.process.communicate(timeout=20))
    written = "\n".join(sqlite3.connect(tmp_path / "lens.db").iterdump())
    for token in (TOKEN, READ_TOKEN):
        assert token not in output
        assert token not in written
