"""The token: who passes, what a browser does, and what never shows it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
import requests
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from primus_lens_local.auth import COOKIE
from primus_lens_local.server import create_app

from .conftest import LensProcess, run_cli

TOKEN = "s3cret-Token.with~signs"
BEARER = {"authorization": f"Bearer {TOKEN}"}
BODY = {"workload_uid": "w", "run_id": "r", "metrics": [{"name": "a", "value": 1.0}]}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(create_app(str(tmp_path / "lens.db"), TOKEN), base_url="http://127.0.0.1") as client:
        yield client


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
    ],
    ids=lambda headers: repr(headers).replace(TOKEN, "TOKEN"),
)
def test_others_are_refused_in_the_words_of_the_api(client: TestClient, headers: dict[str, Any]) -> None:
    posted = client.post("/api/v1/wandb/metrics", json=BODY, headers=headers)
    message = "a valid bearer token is required"
    envelope = {"meta": {"code": 401, "message": message}, "data": None, "tracing": None}
    assert (posted.status_code, posted.json()) == (401, envelope)
    got = client.get("/api/v1/workloads", headers=headers)
    assert (got.status_code, got.json(), got.headers["www-authenticate"]) == (401, {"error": message}, "Bearer")
    assert client.get("/api/v1/workloads", headers=BEARER).json()["total_count"] == 0


@pytest.mark.parametrize(
    "path", ["/", "/api/docs", "/api/openapi.json", "/page/anything", "/%2e%2e/health", "/health/"]
)
def test_every_path_but_health_is_closed(client: TestClient, path: str) -> None:
    assert client.get("/health").status_code == 200
    assert client.get(path, follow_redirects=False).status_code == 401


def test_a_websocket_is_closed_too(client: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("/anything"):
        pass
    assert refused.value.code == 1008


def test_a_browser_gets_a_form_and_then_a_cookie(client: TestClient) -> None:
    page = client.get("/", headers={"accept": "text/html"})
    assert (page.status_code, '<form method="post" action="/login">' in page.text) == (401, True)
    wrong = client.post("/login", data={"token": "<b>wrong"}, headers={"accept": "text/html"})
    assert (wrong.status_code, "not the token" in wrong.text, "<b>wrong" in wrong.text) == (401, True, False)
    welcome = client.post("/login", data={"token": TOKEN})
    cookie = welcome.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert TOKEN not in welcome.text
    assert client.get("/api/v1/workloads").status_code == 200


def test_a_link_with_the_token_opens_the_page_without_it(client: TestClient) -> None:
    welcome = client.get(
        "/workloads/a b", params={"token": TOKEN, "run": '"><script>'}, headers={"accept": "text/html"}
    )
    assert welcome.status_code == 200
    assert 'content="0;url=/workloads/a%20b?run=%22%3E%3Cscript%3E"' in welcome.text
    assert TOKEN not in welcome.text
    assert client.get("/api/v1/workloads").status_code == 200


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "//evil.example/%0d%0ax"])
def test_a_link_leads_to_this_server_only(client: TestClient, path: str) -> None:
    welcome = client.get(f"http://127.0.0.1{path}", params={"token": TOKEN}, headers={"accept": "text/html"})
    assert "url=/evil.example" in welcome.text


def test_a_long_form_is_not_read(client: TestClient) -> None:
    assert client.post("/login", content=b"token=" + b"x" * 100_000).status_code == 401


def test_the_token_of_the_environment_is_never_printed(tmp_path: Path, start_lens: Callable[..., LensProcess]) -> None:
    lens = start_lens(tmp_path / "lens.db", PRIMUS_LENS_API_TOKEN=TOKEN)
    url = f"{lens.url}/api/v1/workloads"
    assert requests.get(url, timeout=20).status_code == 401
    assert requests.get(url, timeout=20, headers=BEARER).status_code == 200
    assert requests.get(f"{lens.url}/?token={TOKEN}", timeout=20).status_code == 200
    lens.process.terminate()
    output = lens.announcement + "".join(lens.process.communicate(timeout=20))
    assert TOKEN not in output
    assert TOKEN not in "\n".join(sqlite3.connect(tmp_path / "lens.db").iterdump())


def test_an_argument_comes_before_the_environment(tmp_path: Path, start_lens: Callable[..., LensProcess]) -> None:
    lens = start_lens(tmp_path / "lens.db", "--token", TOKEN, PRIMUS_LENS_API_TOKEN="other")
    assert requests.get(f"{lens.url}/api/v1/workloads", timeout=20, headers=BEARER).status_code == 200


@pytest.mark.parametrize("token", ["two words", "ünï", "line\nbreak"])
def test_a_token_that_no_header_can_carry_is_refused(tmp_path: Path, token: str) -> None:
    process = run_cli("serve", "--port", "0", "--database", str(tmp_path / "lens.db"), "--token", token)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "token" in errors
    assert token not in errors


def test_an_open_address_without_a_token_is_a_warning(tmp_path: Path, start_lens: Callable[..., LensProcess]) -> None:
    lens = start_lens(tmp_path / "lens.db", "--host", "0.0.0.0")
    lens.process.terminate()
    _, errors = lens.process.communicate(timeout=20)
    assert "PRIMUS_LENS_API_TOKEN" in errors
