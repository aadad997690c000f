"""A real PostgreSQL for tests: Debian's binaries, a data folder of its own, a free port, a fresh database per test."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, Iterator

INSTALL = "PostgreSQL is not installed: apt-get install postgresql"
PASSWORD = "not-so-secret"
_START_SECONDS = 60


def find_binaries() -> Path | None:
    """Returns the folder with initdb and postgres; Debian keeps it off the PATH."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: -float(folder.parent.name))
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


class PostgreSQL:
    def __init__(self, port: int) -> None:
        self.port = port

    def url(self, database: str, password: str = PASSWORD) -> str:
        return f"postgresql+psycopg://lens:{password}@127.0.0.1:{self.port}/{database}"

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        import psycopg

        address = {"host": "127.0.0.1", "port": self.port, "user": "lens", "password": PASSWORD}
        with psycopg.connect(**address, dbname=database, autocommit=True) as connection:  # type: ignore[arg-type]
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def new_database(self) -> str:
        name = f"lens_{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name}")
        return name


@contextlib.contextmanager
def running_postgresql(binaries: Path) -> Iterator[PostgreSQL]:
    # Not below pytest's folder, which the user that PostgreSQL runs as may not enter; a short path, for its socket.
    folder = Path(tempfile.mkdtemp(prefix="lens-postgresql-"))
    account = _unprivileged()
    try:
        (folder / "password").write_text(PASSWORD)
        if account is not None:
            for path in (folder, folder / "password"):
                os.chown(path, account.pw_uid, account.pw_gid)
        identity: dict[str, Any] = {"user": account.pw_uid, "group": account.pw_gid} if account else {}
        options = ["--username=lens", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "--encoding=UTF8"]
        initdb = [str(binaries / "initdb"), f"--pgdata={folder / 'data'}", "--locale=C", "--no-sync", *options]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **identity)
        server = PostgreSQL(_free_port())
        settings = [
            f"port={server.port}",
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={folder}",
            "fsync=off",
        ]
        command = [str(binaries / "postgres"), "-D", str(folder / "data")]
        for setting in settings:
            command += ["-c", setting]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, **identity)
        try:
            _wait_until_ready(server, process, folder / "log")
            yield server
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=_START_SECONDS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root: returns whom to be then."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _wait_until_ready(server: PostgreSQL, process: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg

    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            server.execute("SELECT 1")
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text()}") from None
            time.sleep(0.05)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
