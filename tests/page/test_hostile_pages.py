"""A hostile page in the browser of somebody who uses a Lens: it can neither write nor read, whatever it tries."""

from __future__ import annotations

import contextlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Iterator
from urllib.parse import urlsplit

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Page

from ..support.lens import Lens, running_lens

TOKEN = "correct-horse-battery"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
HOSTILE_PAGE = Path(__file__).with_name("hostile.html").read_text(encoding="utf-8")


class HostileServer(ThreadingHTTPServer):
    """Serves the page, and keeps the cookies that browsers bring."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _HostileHandler)
        self.cookies: set[str] = set()


class _HostileHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, HostileServer)
        if self.headers["Cookie"]:
            self.server.cookies.add(self.headers["Cookie"])
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(HOSTILE_PAGE.encode())

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def hostile_server() -> Iterator[HostileServer]:
    server = HostileServer()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def hostile() -> Iterator[HostileServer]:
    with hostile_server() as server:
        yield server


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser of somebody who lets popups open."""
    context = browser.new_context()
    context.set_default_timeout(30_000)
    yield context
    context.close()


@contextlib.contextmanager
def lens_with_data(directory: Path, *options: str, port: int = 0) -> Iterator[Lens]:
    with running_lens(directory, port, *options) as lens:
        metric = {"name": "loss", "value": 1.0, "step": 0, "timestamp": time.time()}
        body = {"source": "wandb", "workload_uid": "victim", "run_id": "r", "metrics": [metric]}
        assert requests.post(f"{lens.base_url}/wandb/metrics", json=body, headers=BEARER, timeout=30).ok
        yield lens


def stored(lens: Lens) -> list[str]:
    answer = requests.get(f"{lens.base_url}/workloads", headers=BEARER, timeout=30)
    return [workload["workload_uid"] for workload in answer.json()["workloads"]]


def use(context: BrowserContext, lens: Lens, token: str | None) -> Page:
    """Open the page as its user does."""
    page = context.new_page()
    page.goto(f"{lens.url}/?workload=victim" + (f"&token={token}" if token else ""))
    page.get_by_role("heading", name="loss").wait_for()
    return page


@pytest.mark.parametrize("token", [TOKEN, None], ids=["logged in", "no token"])
@pytest.mark.parametrize(
    ("own_host", "hostile_host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "localhost"),
        ("127.0.0.1", "stranger.example"),
        # Over plain http to a name, the browser does not say that it is another site's request.
        ("stranger.example", "stranger.example"),
    ],
)
def test_a_page_of_another_port_or_host_neither_writes_nor_reads(
    tmp_path: Path, context: BrowserContext, hostile: HostileServer, own_host: str, hostile_host: str, token: str | None
) -> None:
    options = ["--token", token] if token else ["--allow-host", own_host]
    with lens_with_data(tmp_path, *options) as lens:
        lens.url = lens.url.replace("127.0.0.1", own_host)
        used = use(context, lens, token)
        page = context.new_page()
        page.goto(f"http://{hostile_host}:{hostile.server_port}/")
        assert page.evaluate("(target) => attack(target)", lens.url) == []
        assert stored(lens) == ["victim"]
        used.reload()
        used.get_by_role("heading", name="loss").wait_for()
        page.close()
        used.close()


def test_the_cookie_that_another_port_gets_opens_no_data(
    tmp_path: Path, context: BrowserContext, hostile: HostileServer
) -> None:
    with lens_with_data(tmp_path, "--token", TOKEN) as lens:
        use(context, lens, TOKEN)
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{hostile.server_port}/")
        (cookie,) = hostile.cookies
        assert cookie.startswith(f"primus_lens_{urlsplit(lens.url).port}=")
        forged = {"Cookie": cookie, "Origin": lens.url, "Sec-Fetch-Site": "same-origin"}
        assert requests.get(f"{lens.url}/", headers=forged, timeout=30).status_code == 200
        for path in ("/api/v1/workloads", "/page/workloads", "/page/about", "/api/openapi.json"):
            answer = requests.get(f"{lens.url}{path}", headers=forged, timeout=30)
            assert (answer.status_code, "victim" in answer.text) == (401, False)
        for path in ("/api/v1/wandb/metrics", "/logout"):
            body = {"workload_uid": "stolen", "metrics": []}
            assert requests.post(f"{lens.url}{path}", json=body, headers=forged, timeout=30).status_code == 401
        page.close()


@pytest.mark.parametrize("options", [["--host", "127.0.0.1"], ["--host", "0.0.0.0", "--no-token"]], ids=" ".join)
def test_a_page_whose_name_was_bound_to_this_server_reads_nothing(
    tmp_path: Path, context: BrowserContext, options: list[str]
) -> None:
    page = context.new_page()
    # The page comes while its name still leads to the stranger's own server; its requests go where it leads then.
    with hostile_server() as strangers_own:
        page.goto(f"http://stranger.example:{strangers_own.server_port}/")
    with lens_with_data(tmp_path, *options, port=strangers_own.server_port) as lens:
        script = """async () => {
            const post = {method: "POST", body: '{"workload_uid": "stolen", "metrics": []}'};
            const answers = [await fetch("/api/v1/workloads"), await fetch("/api/v1/wandb/metrics", post)];
            return Promise.all(answers.map((answer) => answer.text()));
        }"""
        for answer in page.evaluate(script):
            assert "does not answer to the host name 'stranger.example'" in answer
        assert stored(lens) == ["victim"]
        page.close()


def test_a_link_on_another_site_opens_the_page_of_who_is_logged_in(
    tmp_path: Path, context: BrowserContext, hostile: HostileServer
) -> None:
    with lens_with_data(tmp_path, "--token", TOKEN) as lens:
        use(context, lens, TOKEN)
        page = context.new_page()
        page.goto(f"http://stranger.example:{hostile.server_port}/")
        script = (
            "(href) => document.body.append(Object.assign(document.createElement('a'), {href, text: 'the loss curve'}))"
        )
        page.evaluate(script, f"{lens.url}/?workload=victim")
        page.get_by_text("the loss curve").click()
        page.get_by_role("heading", name="loss").wait_for()
        assert page.url == f"{lens.url}/?workload=victim"
        page.close()
