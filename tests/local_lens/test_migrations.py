"""Databases of other versions: older ones open and keep everything, newer ones are left alone."""

from __future__ import annotations

import sqlite3
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from alembic import command, op
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, text

from primus_lens_local.database import DatabaseError, database_url, open_database
from primus_lens_local.server import create_app
from primus_lens_local.tables import Base

from .conftest import WORKLOAD, Lens
from .test_process import failure
from .test_summaries import curves, metric, of_summary, send, summary

FIRST_VERSION = Path(__file__).parent / "data" / "first_version.sql"


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    path = tmp_path / "lens.db"
    connection = sqlite3.connect(path)
    connection.executescript(FIRST_VERSION.read_text(encoding="utf-8"))
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    return path


def contents(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def test_a_file_of_the_first_version_opens_with_all_that_it_holds(old_file: Path) -> None:
    with TestClient(create_app(str(old_file))) as client:
        lens = Lens(client, str(old_file))
        values = {(p["run_id"], p["iteration"], p["metric_name"]): (p["value"], p["timestamp"]) for p in lens.points()}
        assert values == {
            ("r1", -7, "loss"): (2.0, 999_000),
            ("r1", 1, "loss"): (0.1 + 0.2, 1_001_000),
            ("r1", 1, "lr"): (0.5, 1_001_000),
            ("r1", 1, "acc"): (5e-324, 1_003_500),
            ("r1", 2, "loss"): (0.25, 1_004_000),
            ("r1", 3, 'name\' "%s"'): (1.0, 1_005_000),
            ("r1", 3, "n" * 300): (2.0, 1_005_000),
            ("r2", 1, "loss"): (1 / 3, 1_000_000),
        }
        counted = lens.get(f"{WORKLOAD}/metrics/available")["metrics"]
        expected = {"acc": 1, "loss": 4, "lr": 1, "n" * 300: 1, 'name\' "%s"': 1}
        assert {metric["name"]: metric["count"] for metric in counted} == expected
        sources = lens.get(f"{WORKLOAD}/metrics/sources")["data_sources"]
        assert sources == [{"name": "tensorboard", "count": 1}, {"name": "wandb", "count": 4}]
        assert [run["step_count"] for run in lens.get(f"{WORKLOAD}/runs")["runs"]] == [4, 1]
        assert lens.get(f"{WORKLOAD}/framework-detection")["evidence"] == {"hardware": {"gpu_count": 8}}
        assert lens.get("/api/v1/workloads")["workloads"][0]["log_count"] == 1


def test_an_older_file_is_written_on(old_file: Path) -> None:
    with TestClient(create_app(str(old_file))) as client:
        lens = Lens(client, str(old_file))
        lens.log(3, time=1006.0, **{"n" * 300: 5.0, "loss": 1.0})
        lens.log(4, time=1007.0, loss=1.0)
        counted = {metric["name"]: metric["count"] for metric in lens.get(f"{WORKLOAD}/metrics/available")["metrics"]}
        assert (counted["n" * 300], counted["loss"]) == (1, 6)
        assert lens.points(start=1_004_500, end=1_006_000, metrics="n" * 300)[0]["value"] == 5.0


@pytest.mark.parametrize("origin", ["new", "old"])
def test_the_migrations_lead_to_the_tables_of_the_code(tmp_path: Path, old_file: Path, origin: str) -> None:
    engine = open_database(str(old_file if origin == "old" else tmp_path / "new.db"))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


def test_the_migrations_lead_to_the_tables_of_the_code_on_either_database(database: str) -> None:
    engine = open_database(database)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


def make_version_two(location: str) -> None:
    """Make a database as the version before the summaries left it."""
    config = Config()
    config.set_main_option("script_location", str(files("primus_lens_local") / "migrations"))
    engine = create_engine(database_url(location))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.execute(
            text(
                "INSERT INTO training_performance (workload_uid, run_id, data_source, iteration, pod_uuid, serial,"
                " performance, times_ms, first_time_ms, last_time_ms, created_at, updated_at) VALUES ('w', 'r1',"
                " 'wandb', 1, 'p', 0, :performance, :times_ms, 1000, 1000, '2026-01-01', '2026-01-01')"
            ),
            {"performance": '{"run_id":"r1","loss":0.5}', "times_ms": '{"loss":1000}'},
        )
        connection.execute(
            text(
                "INSERT INTO run_summaries (workload_uid, run_id, data_source, step_count, first_iteration,"
                " last_iteration, first_time_ms, last_time_ms, longest_step_ms)"
                " VALUES ('w', 'r1', 'wandb', 1, 1, 1, 1000, 1000, 0)"
            )
        )
        connection.execute(text("INSERT INTO metric_summaries VALUES (1, 'loss', 'loss', 1)"))
    engine.dispose()


def test_a_database_from_before_the_summaries_keeps_all_and_takes_them(database: str) -> None:
    make_version_two(database)
    with TestClient(create_app(database)) as client:
        lens = Lens(client, database)
        assert (summary(lens), curves(lens)) == ({}, [["loss"]])
        assert [run["summary_count"] for run in lens.get(f"{WORKLOAD}/runs")["runs"]] == [0]
        send(
            lens, metric("loss", 0.25, step=2), of_summary("summary/loss", 0.1, step=2), of_summary("acc", 0.9, step=2)
        )
        assert (summary(lens), curves(lens)) == ({"acc": 0.9, "loss": 0.1}, [["loss"]])
        assert [point["value"] for point in lens.points(metrics="loss")] == [0.5, 0.25]
        counted = {metric["name"]: metric["count"] for metric in lens.get(f"{WORKLOAD}/metrics/available")["metrics"]}
        assert counted == {"loss": 2, "acc": 1, "summary/loss": 1}


def test_opening_twice_changes_nothing(old_file: Path) -> None:
    open_database(str(old_file)).dispose()
    after_first = contents(old_file)
    open_database(str(old_file)).dispose()
    assert contents(old_file) == after_first


def test_a_file_of_a_newer_version_is_refused_and_left_alone(old_file: Path) -> None:
    open_database(str(old_file)).dispose()
    connection = sqlite3.connect(old_file)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    before = contents(old_file)
    errors = failure("serve", "--port", "0", "--database", str(old_file))
    assert "newer version" in errors
    assert "pip install --upgrade" in errors
    assert contents(old_file) == before


def test_a_migration_that_fails_leaves_the_old_tables(old_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(old_file)

    def full_disk(*_: Any, **__: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(op, "execute", full_disk)
        with pytest.raises((DatabaseError, sqlite3.OperationalError), match="disk is full"):
            open_database(str(old_file))
    assert contents(old_file) == before
    open_database(str(old_file)).dispose()


def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE training_performance (id INTEGER, workload_uid TEXT)")
    connection.close()
    before = contents(tmp_path / "other.db")
    with pytest.raises(DatabaseError, match="is not the local Lens'"):
        open_database(str(tmp_path / "other.db"))
    assert contents(tmp_path / "other.db") == before
