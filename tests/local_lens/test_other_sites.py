"""What a browser sends for another site is refused, with and without a token; every answer protects itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
import requests
from fastapi.testclient import TestClient
from httpx import Response
from starlette.websockets import WebSocketDisconnect

from primus_lens_local.generations import PREFIXES
from primus_lens_local.guards import HostNames
from primus_lens_local.listening import own_names
from primus_lens_local.routes import docs
from primus_lens_local.server import create_app

from .conftest import LensProcess

TOKEN = "correct-horse-battery"
ORIGIN = "http://127.0.0.1"
BODY = {"workload_uid": "w", "metrics": [{"name": "a", "value": 1.0}]}
LINK = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


@pytest.fixture(params=["open", "token"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TestClient]:
    """A server, and a client that is let in by it."""
    token = TOKEN if request.param == "token" else None
    app = create_app(str(tmp_path / "lens.db"), token)
    with TestClient(app, base_url=ORIGIN, headers={"authorization": f"Bearer {TOKEN}"}) as client:
        yield client


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"origin": ORIGIN}, 200),
        ({"origin": ORIGIN + ":80"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        (LINK, 403),
        ({"origin": "https://elsewhere.example"}, 403),
        ({"origin": ORIGIN + ":81"}, 403),
        ({"origin": "http://localhost"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://[::1"}, 403),
        ({"origin": "http://127.0.0.1:port"}, 403),
    ],
    ids=repr,
)
def test_another_site_neither_reads_nor_writes(client: TestClient, headers: dict[str, str], status: int) -> None:
    assert client.get("/api/v1/workloads", headers=headers).status_code == status
    for prefix in PREFIXES:
        posted = client.post(f"{prefix}/wandb/metrics", json=BODY, headers=headers)
        assert (posted.status_code, posted.json()["meta"]["code"]) == (status, 2000 if status == 200 else status)
        assert client.get(f"{prefix}/workloads/w/metrics/data", headers=headers).status_code == status
    assert client.get("/api/v1/workloads").json()["total_count"] == (status == 200)


@pytest.mark.parametrize("path", ["/", "/api/docs"])
@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 200),
        ({"sec-fetch-site": "same-site"}, 200),
        ({"sec-fetch-dest": "iframe"}, 403),
        ({"sec-fetch-dest": "script", "sec-fetch-mode": "no-cors"}, 403),
    ],
    ids=repr,
)
def test_a_link_on_another_site_opens_pages_only(
    client: TestClient, path: str, changes: dict[str, str], status: int
) -> None:
    assert client.get(path, headers={**LINK, **changes}).status_code == status
    assert client.post(path, headers={**LINK, **changes}).status_code == 403


def test_another_site_opens_no_websocket(client: TestClient) -> None:
    headers = {"origin": ORIGIN + ":81"}
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("/anything", headers=headers):
        pass
    assert refused.value.code == 1008


def protects_itself(answer: Response) -> bool:
    policy = answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy or "text/html" in answer.headers["content-type"]
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] in ("no-referrer", "same-origin")
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers.get_list("content-security-policy") == [policy]
    return True


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/api/docs", 200),
        ("/api/docs/assets/swagger-ui-bundle.js", 200),
        ("/api/openapi.json", 200),
        ("/api/v1/workloads", 200),
        ("/api/v1/workloads/w/metrics/data?start=x&end=y", 400),
        ("/v1/workloads/w/metrics/data", 200),
        ("/v1/nowhere", 404),
        ("/health", 200),
        ("/nowhere", 404),
        ("/page/about", 200),
        ("/page/static/app.js", 200),
        ("/page/static/nothing.js", 404),
        ("/page/charts/uplot.iife.min.js", 200),
        ("/page/charts/nothing.js", 404),
    ],
)
def test_every_answer_protects_itself(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert protects_itself(answer)


def test_refusals_protect_themselves_too(client: TestClient, tmp_path: Path) -> None:
    assert protects_itself(client.post("/api/v1/wandb/metrics", content=b"no JSON"))
    assert protects_itself(client.post("/api/v1/workloads"))
    assert protects_itself(client.get("/", headers={"origin": "null"}))
    with TestClient(create_app(str(tmp_path / "other.db"), TOKEN), base_url=ORIGIN) as stranger:
        for path in ("/", "/login", "/api/v1/workloads"):
            answer = stranger.get(path)
            assert answer.status_code == 401
            assert protects_itself(answer)


def test_an_error_of_the_server_protects_itself(tmp_path: Path) -> None:
    app: Any = create_app(str(tmp_path / "lens.db"))

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("a secret detail")

    with TestClient(app, base_url=ORIGIN, raise_server_exceptions=False) as client:
        answer = client.get("/broken")
    assert (answer.status_code, answer.json()) == (500, {"error": "internal server error"})
    assert protects_itself(answer)


def test_without_swagger_ui_the_page_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs, "_offline_assets", lambda: None)
    with TestClient(create_app(str(tmp_path / "lens.db")), base_url=ORIGIN) as client:
        page = client.get("/api/docs")
        assert (page.status_code, "pip install fastapi-offline" in page.text) == (503, True)
        assert "<script" not in page.text
        assert client.get("/api/openapi.json").status_code == 200


HOSTS = {
    "elsewhere.example": 403,
    "elsewhere.example:{port}": 403,
    "127.0.0.1.elsewhere.example": 403,
    "sub.lens.our.example": 403,
    "[::1": 403,
    ":80": 403,
    "localhost:{port}": 200,
    "127.0.0.1:{port}": 200,
    "[::1]:{port}": 200,
    "a-node": 200,
    "LENS.our.example.:{port}": 200,
    "b.example": 200,
}


def test_a_server_without_a_token_answers_to_its_own_names_only(
    tmp_path: Path, start_lens: Callable[..., LensProcess]
) -> None:
    options = ["--host", "0.0.0.0", "--no-token", "--allow-host", "lens.our.example", "--allow-host", "b.example"]
    lens = start_lens(tmp_path / "lens.db", *options)
    url = f"http://127.0.0.1:{lens.port}"
    for host, status in HOSTS.items():
        headers = {"host": host.format(port=lens.port)}
        answer = requests.get(f"{url}/api/v1/workloads", headers=headers, timeout=20)
        assert answer.status_code == status, host
        if status == 403:
            assert "--allow-host" in answer.json()["error"]
            assert "--token" in answer.json()["error"]
        for prefix in PREFIXES:
            posted = requests.post(f"{url}{prefix}/wandb/metrics", json=BODY, headers=headers, timeout=20)
            assert posted.status_code == status, host


def test_a_server_answers_to_the_names_of_its_machine() -> None:
    assert HostNames(["Node7.Cluster.example."]).allow("node7.cluster.example:8080")
    assert all(HostNames(own_names()).allow(name) for name in own_names())


def test_with_a_token_any_name_will_do(tmp_path: Path, start_lens: Callable[..., LensProcess]) -> None:
    lens = start_lens(tmp_path / "lens.db", PRIMUS_LENS_API_TOKEN=TOKEN)
    headers = {"host": "lens.elsewhere.example", "authorization": f"Bearer {TOKEN}"}
    assert requests.get(f"{lens.url}/api/v1/workloads", headers=headers, timeout=20).status_code == 200
    del headers["authorization"]
    assert requests.get(f"{lens.url}/api/v1/workloads", headers=headers, timeout=20).status_code == 401
