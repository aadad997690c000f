"""The summary of a run on the page: numbers beside the run's metrics, not charts."""

from __future__ import annotations

import time
from typing import Any, Callable

import pytest
import requests
from playwright.sync_api import Locator, Page, expect

from ..support.lens import Lens
from .conftest import Log, View

EVIL = "<img src=x onerror=alert(1)>"
LONG = "eval/" + "long" * 200 + "/the end"


@pytest.fixture
def summarize(lens: Lens, workload: str) -> Callable[..., None]:
    """Report values of a run's summary: `summarize({"best": 0.5}, run="r1", step=3)`."""

    def report(values: dict[str, float], run: str = "r1", step: int = 0) -> None:
        metrics = [
            {"name": name, "value": value, "step": step, "timestamp": time.time(), "tags": {"kind": "summary"}}
            for name, value in values.items()
        ]
        body = {"source": "wandb", "workload_uid": workload, "run_id": run, "metrics": metrics}
        answer = requests.post(f"{lens.base_url}/wandb/metrics", json=body, timeout=30)
        assert answer.status_code == 200, answer.text

    return report


Summarize = Callable[..., None]


def shown(page: Page) -> dict[str, str]:
    """The summary values on the page, once there are some."""
    page.locator(".summary dl > div").first.wait_for()
    entries = page.locator(".summary dl > div").all()
    return {entry.locator("dt").inner_text(): entry.locator("dd").inner_text() for entry in entries}


def fold(page: Page, run: str) -> Locator:
    return page.locator("tbody tr").filter(has_text=run).get_by_role("button")


def test_the_newest_summary_stands_below_its_run_and_others_open_on_a_click(
    view: View, log: Log, summarize: Summarize, workload: str
) -> None:
    log([0, 1], {"loss": [2.0, 1.0]}, run="first")
    log([0, 1], {"loss": [2.0, 1.0]}, run="second")
    summarize({"best_acc": 0.98765, "summary/loss": 0.0123}, run="first")
    summarize({"best_acc": 0.5}, run="second", step=1)
    page = view.open(workload, tab="runs")
    assert shown(page) == {"best_acc": "0.5"}
    title = page.locator(".summary dl > div").get_attribute("title")
    assert title is not None
    assert title.startswith("0.5, set at step 1, 20")
    assert fold(page, "first").inner_text() == "Summary: 2 values"
    fold(page, "second").click()
    expect(page.locator(".summary")).to_have_count(0)
    fold(page, "first").click()
    assert shown(page) == {"best_acc": "0.98765", "loss": "0.0123"}
    expect(fold(page, "first")).to_be_focused()
    expect(fold(page, "first")).to_have_attribute("aria-expanded", "true")


def test_a_new_value_appears_by_itself(view: View, log: Log, summarize: Summarize, workload: str) -> None:
    log([0], {"loss": [2.0]})
    page = view.open(workload, tab="runs")
    page.locator("tbody tr").wait_for()
    assert page.get_by_role("button", name="Summary").count() == 0
    summarize({"best": 1.0})
    page.locator(".summary dd").get_by_text("1", exact=True).wait_for()
    summarize({"best": 2.0})
    page.locator(".summary dd").get_by_text("2", exact=True).wait_for()


def test_a_value_of_the_summary_alone_is_no_chart(view: View, log: Log, summarize: Summarize, workload: str) -> None:
    summarize({"auc": 0.9})
    page = view.open(workload)
    page.get_by_role("heading", name="No metric with a curve").wait_for()
    log([0, 1], {"loss": [2.0, 1.0]})
    summarize({"summary/loss": 0.5, "auc": 0.95}, step=1)
    view.wait_for_step("loss", 1)
    assert page.locator(".card h3").all_inner_texts() == ["loss"]
    log([2], {"auc": [0.97]})
    view.wait_for_step("auc", 2)
    page.get_by_role("link", name="Runs").click()
    assert shown(page) == {"auc": "0.95", "loss": "0.5"}
    headings = page.locator("thead th").all_inner_texts()
    assert headings[-2:] == ["loss", "auc"]


@pytest.mark.parametrize("width", [1280, 400])
def test_two_hundred_values_long_and_hostile_names_fit_and_stay_text(
    view_of: Callable[..., View], lens: Lens, log: Log, summarize: Summarize, workload: str, width: int
) -> None:
    names = [EVIL, LONG, "__proto__", 'quote" and \\', "\u202ertl", *(f"eval/task_{index:03}" for index in range(195))]
    for run in ("__proto__", EVIL):
        log([0], {"loss": [1.0]}, run=run)
        summarize({name: float(index) for index, name in enumerate(names)}, run=run)
    view = view_of(lens, viewport={"width": width, "height": 800})
    page = view.open(workload, tab="runs")
    found = shown(page)
    assert len(found) == 200
    assert (found[EVIL], found["__proto__"], found[f"{LONG[:256]}…"]) == ("0", "2", "1")
    fold(page, "__proto__").click()
    expect(page.locator(".summary")).to_have_count(2)
    assert page.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for entry in (page.locator(".summary dl > div").first, page.locator(".summary dl > div").last):
        box: Any = entry.bounding_box()
        assert (box["x"] >= 0, box["x"] + box["width"] <= width) == (True, True)
