"""Blocks hold what the points hold, on SQLite and PostgreSQL: nothing is lost however a run grows."""

from __future__ import annotations

import json
import math
import random
import time
from pathlib import Path
from typing import Any, Iterator

import pytest

pytest.importorskip("fastapi", reason="the local Lens needs the extra `local`")

from sqlalchemy import Engine, text

from primus_lens_local import series
from primus_lens_local.contract import decode_metrics
from primus_lens_local.database import open_database
from primus_lens_local.page.live import LiveWorkload
from primus_lens_local.series import MAX_BLOCKS
from primus_lens_local.store import write

from ..support.postgresql import INSTALL, PostgreSQL, find_binaries, running_postgresql

Values = dict[int, float]


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    pytest.importorskip("psycopg", reason='no driver for PostgreSQL: pip install "psycopg[binary]"')
    binaries = find_binaries()
    if binaries is None:
        pytest.skip(INSTALL)
    with running_postgresql(binaries) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    location = str(tmp_path / "lens.db")
    if request.param == "postgresql":
        server: PostgreSQL = request.getfixturevalue("postgresql")
        location = server.url(server.new_database())
    engine = open_database(location)
    yield engine
    engine.dispose()


def store(engine: Engine, values: Values, name: str = "loss", run: str = "r", start_s: float = 1.7e9) -> None:
    metrics = [
        {"name": name, "value": value, "step": step, "timestamp": start_s + step / 10} for step, value in values.items()
    ]
    body = {"source": "wandb", "workload_uid": "w", "run_id": run, "metrics": metrics}
    write(engine, [decode_metrics(json.dumps(body).encode())])


class Page:
    """Merges what is new into what it has, as the page's JavaScript does."""

    def __init__(self, engine: Engine, *metrics: str) -> None:
        self.engine = engine
        self.workload = LiveWorkload("w")
        self.metrics = metrics
        self.version = 0
        self.width = 0
        self.blocks: dict[str, dict[int, dict[str, Any]]] = {}
        self.answers = 0

    def refresh(self) -> None:
        for self.answers in range(1, 1000):
            answer = self.workload.read(self.engine, "wandb", ["r"], self.metrics, self.version, self.version)
            self.version = answer["version"]
            for metric, runs in answer["series"].items():
                self._merge(metric, runs.get("r"))
            if answer["complete"]:
                return
        raise AssertionError("it is never complete")

    def _merge(self, metric: str, columns: Any) -> None:
        if columns is None:
            return
        if metric not in self.blocks or columns["full"] or columns["width"] != self.width:
            self.blocks[metric] = {}
        self.width = columns["width"]
        for i, first in enumerate(columns["first"]):
            low = columns.get("low", columns["mean"])[i]
            high = columns.get("high", columns["mean"])[i]
            block = {"first": first, "low": low, "high": high, "mean": columns["mean"][i]}
            block["count"] = columns.get("count", [1] * (i + 1))[i]
            self.blocks[metric][(first + 2**31) // self.width] = block

    def holds(self, values: Values, metric: str = "loss") -> None:
        blocks = self.blocks[metric]
        assert len(blocks) <= MAX_BLOCKS
        assert sum(block["count"] for block in blocks.values()) == len(values)
        assert min(block["low"] for block in blocks.values()) == min(values.values())
        assert max(block["high"] for block in blocks.values()) == max(values.values())
        mean = sum(block["mean"] * block["count"] for block in blocks.values()) / len(values)
        assert math.isclose(mean, sum(values.values()) / len(values), rel_tol=1e-9, abs_tol=1e-12)


def noise(steps: range, seed: int = 0) -> Values:
    generator = random.Random(seed)
    return {step: generator.gauss(0, 1) for step in steps}


def test_a_short_run_is_its_points(engine: Engine) -> None:
    values = noise(range(-3, 50))
    store(engine, values)
    page = Page(engine, "loss")
    page.refresh()
    assert {block["first"]: block["mean"] for block in page.blocks["loss"].values()} == values


def test_a_long_run_keeps_its_extremes(engine: Engine) -> None:
    values = noise(range(20_000)) | {7_777: 1e6, 12_345: -1e6}
    store(engine, values)
    page = Page(engine, "loss")
    page.refresh()
    page.holds(values)


def test_a_run_that_grows_while_it_is_watched_is_always_whole(engine: Engine) -> None:
    values: Values = {}
    page = Page(engine, "loss")
    for start in range(0, 4_000, 250):
        new = noise(range(start, start + 250), seed=start)
        store(engine, new)
        values |= new
        page.refresh()
        page.holds(values)


def test_sparse_steps_stay_points_when_dense_ones_would_be_joined(engine: Engine) -> None:
    values = {step * 1_000_003: float(step) for step in range(300)}
    store(engine, values)
    page = Page(engine, "loss")
    page.refresh()
    assert sorted(block["first"] for block in page.blocks["loss"].values()) == sorted(values)


def test_what_comes_late_and_far_from_the_newest_step_is_found(engine: Engine) -> None:
    values = noise(range(5_000))
    store(engine, values)
    page = Page(engine, "loss", "late")
    page.refresh()
    # A second sender's clock is an hour behind, and it writes at old steps.
    late = dict.fromkeys((3, 2500), 5.0)
    store(engine, late, name="late", start_s=1.7e9 - 3600)
    page.refresh()
    page.holds(late, "late")
    page.holds(values)


def test_only_what_changed_is_read_and_sent_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    store(engine, noise(range(3_000)))
    page = Page(engine, "loss")
    page.refresh()
    read: list[int] = []
    original = series.read_blocks

    def counting(*arguments: Any, **options: Any) -> Iterator[Any]:
        for item in original(*arguments, **options):
            read.append(item[1])
            yield item

    monkeypatch.setattr(series, "read_blocks", counting)
    page.refresh()
    assert read == []
    store(engine, {3_000: 1.0})
    page.refresh()
    # The newest steps are read again, in case a second writer is a little behind.
    assert 1 <= len(read) <= 10


@pytest.mark.parametrize("name", ["__proto__", 'a"b', "a\\b", "a.b[0]", "$", "é🦊", "'; --", "%"])
def test_any_name_can_be_read(engine: Engine, name: str) -> None:
    store(engine, {0: 1.0, 1: 2.0}, name=name)
    page = Page(engine, name)
    page.refresh()
    page.holds({0: 1.0, 1: 2.0}, name)


def test_huge_values_have_a_mean(engine: Engine) -> None:
    values = dict.fromkeys(range(4000), 1.7e308)
    store(engine, values)
    page = Page(engine, "loss")
    page.refresh()
    for block in page.blocks["loss"].values():
        assert block["mean"] == pytest.approx(1.7e308)


def test_a_run_of_a_million_points_answers_quickly_with_few(tmp_path: Path) -> None:
    engine = open_database(str(tmp_path / "lens.db"))
    names = [f"m{i}" for i in range(10)]
    _store_many(engine, 100_000, names)
    page = Page(engine, *names)
    started = time.monotonic()
    answer = page.workload.read(engine, "wandb", ["r"], names, 0, 0)
    first_s = time.monotonic() - started
    assert all(answer["series"][name]["r"]["first"] for name in names)
    page.refresh()
    whole_s = time.monotonic() - started
    page.holds({step: float(step) for step in range(100_000)}, "m0")
    started = time.monotonic()
    page.workload.read(engine, "wandb", ["r"], names, 0, 0)
    again_s = time.monotonic() - started
    print(f"first picture {first_s:.2f} s, whole {whole_s:.2f} s, again {again_s:.3f} s")
    assert first_s < 2
    assert again_s < 0.5
    engine.dispose()


def _store_many(engine: Engine, steps: int, names: list[str]) -> None:
    """Fills the tables in SQL: a million points through the API would take a minute."""
    store(engine, {0: 0.0, steps - 1: steps - 1.0}, name=names[0])
    values = ",".join(f"'{name}', i + 0.0" for name in names)
    times = ",".join(f"'{name}', 1700000000000 + i" for name in names)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM training_performance"))
        connection.execute(
            text(
                f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {steps - 1}) "
                "INSERT INTO training_performance (workload_uid, run_id, data_source, iteration, pod_uuid, serial, "
                "performance, times_ms, first_time_ms, last_time_ms, created_at, updated_at) "
                f"SELECT 'w', 'r', 'wandb', i, '', 0, json_object({values}), json_object({times}), "
                "1700000000000 + i, 1700000000000 + i, '2026-01-01 00:00:00', '2026-01-01 00:00:00' FROM n"
            )
        )
        connection.execute(text(f"UPDATE run_summaries SET step_count = {steps}"))
        connection.execute(text("DELETE FROM metric_summaries"))
        for name in names:
            connection.execute(
                text(
                    "INSERT INTO metric_summaries (run_summary_id, name_key, name, step_count) "
                    f"SELECT id, '{name}', '{name}', {steps} FROM run_summaries"
                )
            )
