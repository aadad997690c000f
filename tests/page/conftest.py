"""A real browser on the real local Lens: Debian's chromium, driven by Playwright's Python package.

Every test ends with the checks that hold for each of them: no error in the console, no request to another origin.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any, Callable, Iterator
from urllib.parse import urlencode, urlsplit

import pytest
import requests

pytest.importorskip("playwright", reason="the page's tests drive a browser: pip install playwright")

from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from ..support.lens import Lens, running_lens

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A name for this machine that is not its own, as after DNS rebinding.
    "--host-resolver-rules=MAP stranger.example 127.0.0.1",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install chromium, or set CHROMIUM to a Chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


class View:
    """One browser window, with what went on in it."""

    def __init__(self, page: Page, lens: Lens) -> None:
        self.page = page
        self.lens = lens
        self.problems: list[str] = []
        self.requests: list[str] = []
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("dialog", lambda dialog: self.problems.append(f"dialog {dialog.message}") or dialog.dismiss())
        page.on("request", lambda request: self.requests.append(request.url))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(message.text)

    def open(self, workload: str | None = None, **parameters: str) -> Page:
        query = urlencode({"workload": workload, **parameters} if workload else parameters)
        self.page.goto(f"{self.lens.url}/?{query}")
        return self.page

    def close(self) -> None:
        """Ends the window and makes the checks. Must come before the server's end, which the console would report."""
        self.page.context.close()
        own = urlsplit(self.lens.url).netloc
        foreign = [url for url in self.requests if not url.startswith("data:") and urlsplit(url).netloc != own]
        assert (self.problems, foreign) == ([], [])

    def card(self, metric: str) -> Any:
        return self.page.locator(".card").filter(has=self.page.locator("h3", has_text=metric)).first

    def wait_for_step(self, metric: str, step: int, timeout_s: float = 10) -> None:
        self.page.wait_for_function(
            "([metric, step]) => [...document.querySelectorAll('.card')].some("
            "card => card.dataset.metric === metric && card.dataset.lastStep === String(step))",
            arg=[metric, step],
            timeout=timeout_s * 1000,
        )

    def picture(self, metric: str) -> str:
        """The pixels of a chart."""
        return str(self.card(metric).locator("canvas").evaluate("canvas => canvas.toDataURL()"))

    def colors(self, metric: str) -> int:
        """How many different colours a chart's pixels have: 1 is blank."""
        return int(
            self.card(metric)
            .locator("canvas")
            .evaluate(
                "c => new Set(new Uint32Array("
                "c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size"
            )
        )


@pytest.fixture
def view_of(browser: Browser) -> Iterator[Callable[..., View]]:
    """Open a window on a Lens; `view_of(lens, color_scheme="dark")` and the like set up the browser."""
    views: list[View] = []

    def make(lens: Lens, **context: Any) -> View:
        options = {"viewport": {"width": 1280, "height": 800}, **context}
        view = View(browser.new_context(**options).new_page(), lens)
        view.page.set_default_timeout(15_000)
        views.append(view)
        return view

    yield make
    for view in views:
        view.close()


@pytest.fixture
def view(view_of: Callable[..., View], lens: Lens) -> View:
    return view_of(lens)


Log = Callable[..., None]


@pytest.fixture
def log(lens: Lens, workload: str) -> Log:
    """Report steps as the exporter does: `log([3, 4], {"loss": [0.5, 0.4]}, run="r1")`."""

    def report(
        steps: list[int], values: dict[str, list[float]], run: str = "r1", time_s: float | None = None, **body: Any
    ) -> None:
        start = time.time() if time_s is None else time_s
        metrics = [
            {"name": name, "value": value, "step": step, "timestamp": start + 0.001 * (step - steps[0])}
            for name, series in values.items()
            for step, value in zip(steps, series, strict=True)
        ]
        sent = {"source": "wandb", "workload_uid": workload, "run_id": run, "metrics": metrics, **body}
        answer = requests.post(f"{lens.base_url}/wandb/metrics", json=sent, timeout=30)
        assert answer.status_code == 200, answer.text

    return report


@pytest.fixture
def detect(lens: Lens, workload: str) -> Callable[..., None]:
    """Report a detection."""

    def report(evidence: dict[str, Any], hints: dict[str, Any] | None = None) -> None:
        body = {"source": "wandb", "workload_uid": workload, "evidence": evidence, "hints": hints or {}}
        answer = requests.post(f"{lens.base_url}/wandb/detection", json=body, timeout=30)
        assert answer.status_code == 200, answer.text

    return report


@pytest.fixture
def empty_lens(tmp_path: Path) -> Iterator[Lens]:
    """A Lens that nothing was ever sent to."""
    with running_lens(tmp_path) as server:
        yield server
