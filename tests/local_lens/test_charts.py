"""The chart library's files, without a browser."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from primus_lens_local.page.charts import load_chart_library

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def test_the_installed_files_are_the_official_ones() -> None:
    library = load_chart_library()
    assert library.problem is None
    assert set(library.files) == {"uplot.iife.min.js", "uplot.min.css"}


def test_a_missing_package_is_said_with_what_helps(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    library = load_chart_library()
    assert library.files == {}
    assert library.problem == "youplot cannot be read: the package is not installed"
    assert library.problem in caplog.text
    assert library.repair in caplog.text


def test_the_pinned_version_is_the_one_that_repairs() -> None:
    requirement = load_chart_library().repair.split()[-1]
    assert f'"{requirement}; ' in PYPROJECT.read_text(encoding="utf-8")
