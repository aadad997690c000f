"""Giving the token, being logged out, looking only; the API's page; and what is left without charts."""

from __future__ import annotations

import shutil
import site
import time
from pathlib import Path
from typing import Callable

import pytest
import requests
from playwright.sync_api import Page

from ..support.lens import Lens, running_lens
from .conftest import View

TOKEN = "correct-horse-battery"
READ_TOKEN = "only-for-looking"
# To a name over plain http a browser does not say from which site a request comes, nor does it count as secure.
HOSTS = ["127.0.0.1", "stranger.example"]


@pytest.fixture(autouse=True)
def tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIMUS_LENS_API_TOKEN", TOKEN)
    monkeypatch.setenv("PRIMUS_LENS_READ_TOKEN", READ_TOKEN)


def report(lens: Lens) -> None:
    metrics = [{"name": "loss", "value": 1.5 - step, "step": step, "timestamp": time.time()} for step in (0, 1)]
    body = {"source": "wandb", "workload_uid": "w", "run_id": "r", "metrics": metrics}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert requests.post(f"{lens.base_url}/wandb/metrics", json=body, headers=headers, timeout=30).ok


def give(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Open").click()


def forget(view: View, *reported_by_the_browser: str) -> None:
    """Drop what the browser itself writes into the console about answers that the test is about."""
    view.problems[:] = [line for line in view.problems if not any(text in line for text in reported_by_the_browser)]


POST = """async () => (await fetch("/api/v1/wandb/metrics", {
    method: "POST", headers: {"X-Primus-Lens-Page-Key": localStorage.getItem("primus-lens-page-key")},
    body: '{"workload_uid": "written", "metrics": []}'})).status"""


@pytest.mark.parametrize("host", HOSTS)
def test_the_form_opens_the_page_that_was_asked_for(tmp_path: Path, view_of: Callable[..., View], host: str) -> None:
    with running_lens(tmp_path) as lens:
        report(lens)
        lens.url = lens.url.replace("127.0.0.1", host)
        view = view_of(lens)
        page = view.open("w", x="relative")
        give(page, "wrong")
        page.get_by_text("This is not the token.").wait_for()
        give(page, TOKEN)
        view.wait_for_step("loss", 1)
        assert page.url == f"{lens.url}/?workload=w&x=relative"
        assert page.evaluate(POST) == 200
        page.reload()
        view.wait_for_step("loss", 1)
        forget(view, "401")
        view.close()


@pytest.mark.parametrize("host", HOSTS)
def test_logging_out_closes_the_page_and_its_data(tmp_path: Path, view_of: Callable[..., View], host: str) -> None:
    with running_lens(tmp_path) as lens:
        report(lens)
        lens.url = lens.url.replace("127.0.0.1", host)
        view = view_of(lens)
        page = view.open("w", token=TOKEN)
        view.wait_for_step("loss", 1)
        assert "token" not in page.url
        page.get_by_role("button", name="Log out").click()
        page.get_by_label("Token").wait_for()
        assert page.evaluate("localStorage.getItem('primus-lens-page-key')") is None
        assert page.context.cookies() == []
        page.go_back()
        page.get_by_label("Token").wait_for()
        assert page.locator(".card").count() == 0
        forget(view, "401")
        view.close()


def test_a_restart_logs_everybody_out_and_says_where_to_log_in(tmp_path: Path, view_of: Callable[..., View]) -> None:
    with running_lens(tmp_path) as first:
        report(first)
        view = view_of(first)
        page = view.open("w", token=TOKEN)
        view.wait_for_step("loss", 1)
    page.get_by_text("The server does not answer").wait_for()
    with running_lens(tmp_path, int(first.url.rsplit(":", 1)[1])):
        page.get_by_role("link", name="log in again").click()
        give(page, TOKEN)
        view.wait_for_step("loss", 1)
        assert page.url == f"{first.url}/?workload=w"
        forget(view, "401", "ERR_CONNECTION_REFUSED")
        view.close()


def test_who_may_only_read_sees_it_and_cannot_post(tmp_path: Path, view_of: Callable[..., View]) -> None:
    with running_lens(tmp_path) as lens:
        report(lens)
        view = view_of(lens)
        page = view.open("w", token=READ_TOKEN)
        view.wait_for_step("loss", 1)
        page.get_by_text("read-only").wait_for()
        assert page.evaluate(POST) == 403
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert requests.get(f"{lens.base_url}/workloads", headers=headers, timeout=30).json()["total_count"] == 1
        forget(view, "403")
        view.close()


@pytest.mark.parametrize("options", [[], ["--no-token"]], ids=["token", "no token"])
def test_the_apis_page_works_and_asks_as_its_user(
    tmp_path: Path, view_of: Callable[..., View], options: list[str]
) -> None:
    with running_lens(tmp_path, 0, *options) as lens:
        report(lens)
        view = view_of(lens)
        view.page.goto(f"{lens.url}/api/docs?token={TOKEN}")
        page = view.page
        row = (
            page.locator("#operations-workloads-list_workloads_api_v1_workloads_get, .opblock-get")
            .filter(has_text="/api/v1/workloads")
            .filter(has_not_text="{workload_uid}")
            .first
        )
        row.click()
        row.get_by_role("button", name="Try it out").click()
        row.get_by_role("button", name="Execute").click()
        row.get_by_text('"workload_uid": "w"').first.wait_for()
        view.close()


def test_without_a_token_nobody_is_logged_in_or_out(view: View) -> None:
    page = view.open()
    page.locator("main .empty, main table").first.wait_for()
    assert page.get_by_role("button", name="Log out").count() == 0


@pytest.fixture(params=["changed", "missing"])
def broken_library(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands before the installed package on the server's path."""
    folder = tmp_path / "planted" / "youplot" / "vendor"
    installed = next(
        Path(path, "youplot", "vendor") for path in site.getsitepackages() if Path(path, "youplot").is_dir()
    )
    shutil.copytree(installed, folder)
    (folder.parent / "__init__.py").write_text("raise SystemExit('the package was imported')")
    if request.param == "missing":
        (folder / "uplot.iife.min.js").unlink()
    else:
        with (folder / "uplot.iife.min.js").open("a") as library:
            library.write("\ndocument.title = 'taken over';")
    monkeypatch.setenv("PYTHONPATH", str(folder.parents[1]))


@pytest.mark.usefixtures("broken_library")
def test_a_changed_chart_library_switches_the_charts_off_and_nothing_else(
    tmp_path: Path, view_of: Callable[..., View]
) -> None:
    with running_lens(tmp_path) as lens:
        report(lens)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        for name in ("uplot.iife.min.js", "uplot.min.css"):
            answer = requests.get(f"{lens.url}/page/charts/{name}", headers=headers, timeout=30)
            assert (answer.status_code, "the charts are off" in answer.json()["error"]) == (503, True)
        points = requests.get(f"{lens.base_url}/workloads/w/metrics/data", headers=headers, timeout=30).json()
        assert points["total_count"] == 2
        view = view_of(lens)
        page = view.open("w", token=TOKEN)
        view.wait_for_step("loss", 1)
        page.get_by_role("heading", name="Charts are off").wait_for()
        assert "uplot.iife.min.js" in page.locator(".empty p").inner_text()
        assert "pip install" in page.locator(".command code").inner_text()
        assert view.card("loss").locator(".now").inner_text() == "0.5"
        assert page.locator("canvas").count() == 0
        assert "taken over" not in page.title()
        page.get_by_role("link", name="Runs").click()
        page.locator("tbody tr").first.wait_for()
        forget(view, "503", "MIME type")
        view.close()
    assert "the page's charts are off" in (tmp_path / "lens.log").read_text()
