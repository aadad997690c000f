"""What the page shows, and that names are only ever text."""

from __future__ import annotations

import re
from typing import Any, Callable

import pytest
import requests

from ..support.lens import Lens
from .conftest import Log, View

EVIL = "<img src=x onerror=alert(1)>"


def test_an_empty_server_says_what_to_do(empty_lens: Lens, view_of: Callable[..., View]) -> None:
    page = view_of(empty_lens).open()
    page.get_by_role("heading", name="No workload yet").wait_for()
    command = page.locator(".command code").inner_text()
    assert "export WORKLOAD_UID=" in command
    assert f"export PRIMUS_LENS_API_BASE_URL={empty_lens.url}/api/v1" in command


@pytest.mark.parametrize(
    ("tab", "heading", "command"),
    [
        ("metrics", "No metrics yet", None),
        ("framework", "No framework detected", None),
        ("system", "No system metrics", "PRIMUS_LENS_WANDB_ENHANCE_METRICS=true"),
        ("runs", "No runs yet", None),
    ],
)
def test_an_empty_tab_says_what_to_do(view: View, workload: str, tab: str, heading: str, command: str | None) -> None:
    page = view.open(workload, tab=tab)
    page.get_by_role("heading", name=heading).wait_for()
    assert command is None or command in page.locator(".command").inner_text()


def test_names_stay_text_wherever_they_are_shown(empty_lens: Lens, view_of: Callable[..., View]) -> None:
    view = view_of(empty_lens)
    for run in (EVIL, "__proto__"):
        metrics = [
            {"name": name, "value": 1.0, "step": step, "timestamp": 1.0}
            for name in (EVIL, f"{EVIL}/x", "__proto__", 'quote" and \\', "a,b&c=d#e?f%20")
            for step in (0, 1)
        ]
        body = {"source": EVIL, "workload_uid": EVIL, "run_id": run, "metrics": metrics}
        assert requests.post(f"{empty_lens.base_url}/wandb/metrics", json=body, timeout=30).ok
        evidence = {"wandb": {"id": run, "name": EVIL, "config": {EVIL: EVIL}}, "software": {"packages": {EVIL: EVIL}}}
        detection = {
            "source": EVIL,
            "workload_uid": EVIL,
            "evidence": evidence,
            "hints": {"primary_indicators": [EVIL]},
        }
        assert requests.post(f"{empty_lens.base_url}/wandb/detection", json=detection, timeout=30).ok
    page = view.open()
    page.get_by_role("link", name=EVIL).click()
    view.wait_for_step(EVIL, 1)
    view.wait_for_step('quote" and \\', 1)
    assert page.locator(".card h3").first.inner_text()
    page.locator(".card .u-over").first.hover()
    page.locator(".tooltip:not([hidden])").get_by_text(EVIL).first.wait_for()
    for tab in ("Runs", "Framework", "System"):
        page.get_by_role("link", name=tab).click()
        page.locator("main .page, main .empty").first.wait_for()
    assert page.locator("img").count() == 0


def test_two_runs_are_drawn_over_each_other_and_switched_by_the_legend(view: View, log: Log, workload: str) -> None:
    log([0, 1, 2], {"loss": [3.0, 2.0, 1.0]}, run="slow")
    log([0, 1, 2], {"loss": [3.0, 1.0, 0.1]}, run="fast")
    page = view.open(workload)
    card = view.card("loss")
    view.wait_for_step("loss", 2)
    assert card.get_attribute("data-lines") == "2"
    both = view.picture("loss")
    page.get_by_role("checkbox", name="slow").uncheck()
    page.wait_for_function("() => document.querySelector('.card').dataset.lines === '1'")
    assert view.picture("loss") != both
    assert "hide=slow" in page.url
    color = page.locator("label:has-text('fast') i").get_attribute("style")
    page.reload()
    view.wait_for_step("loss", 2)
    assert card.get_attribute("data-lines") == "1"
    assert page.locator("label:has-text('fast') i").get_attribute("style") == color


def test_metrics_are_grouped_by_prefix_and_system_metrics_have_their_own_tab(
    view: View, log: Log, workload: str
) -> None:
    names = ["val/loss", "train/loss", "loss", "_primus_sys_cpu_percent", "_primus_gpu_0_util", "_primus_gpu_1_util"]
    log([0, 1], {name: [1.0, 2.0] for name in names})
    page = view.open(workload)
    view.wait_for_step("train/loss", 1)
    assert page.locator(".group h2").all_inner_texts() == ["train", "val", "metrics"]
    assert page.locator(".card h3").all_inner_texts() == ["train/loss", "val/loss", "loss"]
    page.get_by_role("link", name="System").click()
    view.wait_for_step("GPU utilisation, %", 1)
    assert page.locator(".card h3").all_inner_texts() == ["CPU, %", "GPU utilisation, %"]
    assert view.card("GPU utilisation").get_attribute("data-lines") == "2"


def test_search_narrows_a_hundred_metrics_of_which_only_the_visible_are_drawn(
    view: View, log: Log, workload: str
) -> None:
    log(list(range(50)), {f"layer_{i:02}/norm": [float(i + j) for j in range(50)] for i in range(100)})
    page = view.open(workload)
    view.wait_for_step("layer_00/norm", 49)
    assert page.locator(".card").count() == 100
    assert page.locator(".card canvas").count() < 30
    page.get_by_label("Search metrics").fill("LAYER_77")
    view.wait_for_step("layer_77/norm", 49)
    assert page.locator(".card").count() == 1
    assert "search=LAYER_77" in page.url
    page.get_by_label("Search metrics").fill("")
    page.locator(".card").last.scroll_into_view_if_needed()
    view.wait_for_step("layer_99/norm", 49)
    assert page.locator(".card canvas").count() < 30


def test_x_axis_smoothing_and_zoom_change_the_picture_and_come_back_with_the_address(
    view: View, log: Log, workload: str
) -> None:
    log(list(range(200)), {"loss": [float((i * 7919) % 100) for i in range(200)]})
    page = view.open(workload)
    view.wait_for_step("loss", 199)
    plain = view.picture("loss")
    page.get_by_label("X axis").select_option("relative")
    assert view.picture("loss") != plain
    page.get_by_label("X axis").select_option("step")
    assert view.picture("loss") == plain
    page.get_by_label("Smoothing").fill("0.9")
    smooth = view.picture("loss")
    assert smooth != plain
    page.reload()
    view.wait_for_step("loss", 199)
    assert view.picture("loss") == smooth
    box = page.locator(".u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + 60, steps=3)
    page.mouse.up()
    page.get_by_role("button", name="Reset zoom").click()
    page.mouse.move(0, 0)
    assert view.picture("loss") == smooth


def test_the_runs_tab_has_a_row_for_each_run(view: View, log: Log, detect: Callable[..., None], workload: str) -> None:
    log([0, 1, 2], {"train/loss": [3.0, 2.0, 0.25], "lr": [1e-5, 1e-5, 1e-5]}, run="abc")
    detect({"wandb": {"id": "abc", "name": "brave-fox-1"}, "environment": {"RANK": "3", "NODE_RANK": "1"}})
    page = view.open(workload, tab="runs")
    row = page.locator("tbody tr").filter(has_text="brave-fox-1")
    row.wait_for()
    text = row.inner_text()
    assert "node 1 · rank 3" in text
    cells = row.locator("td.n").all_inner_texts()
    assert cells == ["0 s", "3", "2", "6", "0.25", "1.000e-5"]


def test_the_framework_tab_reads_well(view: View, log: Log, detect: Callable[..., None], workload: str) -> None:
    detect(
        {
            "wrapper_frameworks": {"lightning": {"detected": True, "version": "2.6"}},
            "base_frameworks": {"megatron": {"detected": True, "version": "0.19"}},
            "hardware": {"gpu_arch": "mi300x", "gpu_count": 8},
            "software": {"packages": {"torch": "2.9"}},
        },
        {"confidence": "high", "primary_indicators": ["import.lightning"]},
    )
    page = view.open(workload, tab="framework")
    page.get_by_text("import.lightning").first.wait_for()
    headline = re.sub(r"\s+", " ", page.locator(".headline").inner_text())
    assert "Wrapper lightning 2.6" in headline
    assert "Base megatron 0.19" in headline
    assert "mi300x" in page.locator(".facts").inner_text()


def test_whatever_a_report_holds_is_shown_as_text(
    view: View, log: Log, detect: Callable[..., None], workload: str
) -> None:
    odd = {"toString": 1, "valueOf": [None]}
    detect(
        {
            "wrapper_frameworks": {"lightning": {"detected": True, "version": odd}},
            "system": {"platform": odd, "cpus": [1, {}], "none": None, "empty": []},
            "wandb": {"config": {"odd": odd}},
        }
    )
    page = view.open(workload, tab="framework")
    headline = page.locator(".headline")
    headline.get_by_text("lightning").wait_for()
    assert '"toString":1' in headline.inner_text()
    system = page.locator(".facts section", has_text="System")
    assert system.locator("dt").all_inner_texts() == ["platform", "cpus"]
    assert system.locator("dd").all_inner_texts() == ['{"toString":1,"valueOf":[null]}', "[1,{}]"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_systems_colours_until_told(
    view_of: Callable[..., View], lens: Lens, log: Log, workload: str, scheme: Any
) -> None:
    log([0, 1], {"loss": [1.0, 2.0]})
    view = view_of(lens, color_scheme=scheme)
    page = view.open(workload)
    view.wait_for_step("loss", 1)
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == {"light": "rgb(246, 247, 248)", "dark": "rgb(20, 23, 27)"}[scheme]
    assert view.colors("loss") > 5
    other = {"light": "dark", "dark": "light"}[scheme]
    before = view.picture("loss")
    while page.locator("#theme").inner_text() != f"Theme: {other}":
        page.locator("#theme").click()
    assert page.locator("html").get_attribute("data-theme") == other
    assert view.picture("loss") != before
    page.reload()
    assert page.locator("html").get_attribute("data-theme") == other


def test_a_phone_shows_one_column_without_scrolling_sideways(
    view_of: Callable[..., View], lens: Lens, log: Log, workload: str
) -> None:
    log([0, 1], {"train/a_rather_long_name_of_a_metric/of_some_layer": [1.0, 2.0], "loss": [1.0, 2.0]})
    view = view_of(lens, viewport={"width": 400, "height": 800})
    page = view.open(workload)
    view.wait_for_step("loss", 1)
    for tab in ("Framework", "System", "Runs", "Metrics"):
        page.get_by_role("link", name=tab).click()
        page.locator("main .page, main .empty, main .card").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_two_data_sources_are_chosen_between(view: View, log: Log, workload: str) -> None:
    log([0], {"loss": [1.0]})
    log([0], {"mlflow_loss": [1.0]}, source="mlflow")
    page = view.open(workload)
    view.wait_for_step("loss", 0)
    assert page.get_by_label("Data source").locator("option").all_inner_texts() == ["WandB", "mlflow"]
    page.get_by_label("Data source").select_option("mlflow")
    view.wait_for_step("mlflow_loss", 0)
