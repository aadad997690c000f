"""The local Lens for tests: in this process (`lens`), or as the real command in its own process (`start_lens`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

pytest.importorskip("fastapi", reason="the local Lens needs the extra `local`")

from httpx import Response

with warnings.catch_warnings():
    # Newer Starlette prefers another package than httpx, which older Starlette does not know.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

from sqlalchemy import create_engine

from primus_lens_local.database import database_url
from primus_lens_local.server import create_app
from tests.support.postgresql import INSTALL, PostgreSQL, find_binaries, running_postgresql

SOURCE_FOLDER = Path(__file__).resolve().parents[2] / "src"
WORKLOAD = "/api/v1/workloads/w"


class Lens:
    """A running local Lens and the shortest way to talk to it."""

    def __init__(self, client: TestClient, database: str) -> None:
        self.client = client
        self.database = database

    def post(self, kind: str, body: Any) -> Response:
        """Post bytes or text as they are, anything else as JSON."""
        content = body if isinstance(body, (bytes, str)) else json.dumps(body)
        response: Response = self.client.post(f"/api/v1/wandb/{kind}", content=content)
        return response

    def log(self, step: int, time: float = 0.0, run: str = "r1", uid: str = "w", **values: float) -> None:
        """Report one step of a run."""
        metrics = [{"name": name, "value": value, "step": step, "timestamp": time} for name, value in values.items()]
        body = {"source": "wandb", "workload_uid": uid, "run_id": run, "metrics": metrics}
        assert self.post("metrics", body).status_code == 200

    def get(self, path: str, **parameters: Any) -> Any:
        """Get JSON, with status 200."""
        response = self.client.get(path, params=parameters)
        assert response.status_code == 200, response.text
        return response.json()

    def points(self, **parameters: Any) -> list[dict[str, Any]]:
        """Return the stored points of workload `w`."""
        points: list[dict[str, Any]] = self.get(f"{WORKLOAD}/metrics/data", **parameters)["data"]
        return points

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Read the database file itself."""
        engine = create_engine(database_url(self.database))
        try:
            with engine.connect() as connection:
                return [tuple(row) for row in connection.exec_driver_sql(sql)]
        finally:
            engine.dispose()


@pytest.fixture
def lens(tmp_path: Path) -> Iterator[Lens]:
    """A fresh local Lens."""
    database = tmp_path / "lens.db"
    with TestClient(create_app(str(database))) as client:
        yield Lens(client, str(database))


def run_cli(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start `primus-lens-local` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "primus_lens_local", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE_FOLDER), **environment},
    )


class LensProcess:
    """`primus-lens-local serve` on a free port."""

    def __init__(self, database: Path | str | None, *arguments: str, **environment: str) -> None:
        location = ["--database", str(database)] if database else []
        self.process = run_cli("serve", "--port", "0", *location, *arguments, **environment)
        assert self.process.stdout is not None
        self.announcement = self.process.stdout.readline()
        self.url = self.announcement.split()[-1]
        self.port = int(self.url.rsplit(":", 1)[1])


@pytest.fixture
def start_lens() -> Iterator[Callable[..., LensProcess]]:
    """Start local Lens processes; those still alive are killed at the end."""
    started: list[LensProcess] = []

    def start(database: Path | str | None, *arguments: str, **environment: str) -> LensProcess:
        started.append(LensProcess(database, *arguments, **environment))
        return started[-1]

    yield start
    for lens_process in started:
        lens_process.process.kill()
        lens_process.process.communicate()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A real PostgreSQL."""
    pytest.importorskip("psycopg", reason='no driver for PostgreSQL: pip install "psycopg[binary]"')
    binaries = find_binaries()
    if binaries is None:
        pytest.skip(INSTALL)
    with running_postgresql(binaries) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The location of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return str(tmp_path / "lens.db")
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.url(server.new_database())


@pytest.fixture
def either_lens(database: str) -> Iterator[Lens]:
    """A fresh local Lens on each kind of database."""
    with TestClient(create_app(database)) as client:
        yield Lens(client, database)
