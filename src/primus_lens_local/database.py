"""Where the data lives: from what the user typed to an engine whose tables are those of this version."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import platformdirs
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from primus_lens_local.schema import SchemaError, upgrade

_LOCK_WAIT_SECONDS = 30
_CONNECT_SECONDS = 10
_DRIVER = "postgresql+psycopg"
_ADVICE = (
    "Give --database a writable SQLite file, for example --database ./lens.db, or a PostgreSQL URL: "
    f"{_DRIVER}://user:password@host/database"
)
_INSTALL_DRIVER = 'PostgreSQL needs psycopg: pip install "psycopg[binary]"'


class DatabaseError(Exception):
    """The database cannot be used; the message names it, says why and what to do next."""


def default_database() -> str:
    """Return the path of the database in the user's data directory."""
    return str(Path(platformdirs.user_data_dir("primus-lens", appauthor=False)) / "lens.db")


def database_url(location: str) -> URL:
    """Turn a path or an SQLAlchemy URL into a URL; raise DatabaseError for what the local Lens cannot use."""
    if "://" not in location:
        return URL.create("sqlite", database=str(Path(location).expanduser().absolute()))
    try:
        url = make_url(location)
    except ArgumentError as error:
        raise _unusable(location, "this is not a database URL") from error
    if url.get_backend_name() == "postgresql":
        return url.set(drivername=_DRIVER)
    if url.get_backend_name() != "sqlite":
        raise _unusable(_shown(url), f"{url.get_backend_name()} is not supported")
    if url.database in (None, "", ":memory:"):
        raise _unusable(location, "the local Lens keeps its data in a file")
    return url


def open_database(location: str) -> Engine:
    """Open the database at `location`; make what is missing and bring older tables up to this version."""
    url = database_url(location)
    engine = _sqlite(url) if url.get_backend_name() == "sqlite" else _postgresql(url)
    try:
        upgrade(engine)
    except (SQLAlchemyError, SchemaError) as error:
        engine.dispose()
        reason = str(getattr(error, "orig", None) or error)
        raise _unusable(_shown(url), " ".join(reason.split())) from error
    return engine


def for_writing(engine: Engine) -> Engine:
    """Return the same engine for transactions that write: one at a time, also among several servers."""
    return engine.execution_options(primus_lens_writes=True)


def compact_json(value: Any) -> str:
    """Serialise without spaces or ASCII escapes; refuse NaN, which no database would read back."""
    return _encode_json(value)


_encode_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def _sqlite(url: URL) -> Engine:
    path = Path(url.database or "")
    if path.is_dir():
        raise _unusable(str(path), "it is a directory")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(str(path), f"its folder cannot be created ({error.strerror})") from error
    _make_private(path)
    engine = create_engine(url, connect_args={"timeout": _LOCK_WAIT_SECONDS}, json_serializer=compact_json)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_private(path: Path) -> None:
    """Keep other users of the machine out of the database; SQLite gives the files beside it the same mode.

    One that only its group can read besides its owner was made so by somebody, and stays.
    """
    # SQLite itself says what is wrong with a file that cannot be made, and one of another user is not ours to change.
    with suppress(OSError):
        path.touch(mode=0o600)
        for file in (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal"))):
            if file.exists() and file.stat().st_mode & 0o007:
                file.chmod(0o600)


def _postgresql(url: URL) -> Engine:
    try:
        engine = create_engine(
            url,
            connect_args={"connect_timeout": _CONNECT_SECONDS},
            json_serializer=compact_json,
            pool_pre_ping=True,
        )
    except (ImportError, NoSuchModuleError) as error:
        raise _unusable(_shown(url), _INSTALL_DRIVER) from error
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def _configure_sqlite(connection: Any, _record: Any) -> None:
    # Python's own transaction control leaves CREATE TABLE and reads outside of transactions: `_begin_sqlite` does it.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA cache_size=-16384")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("primus_lens_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_postgresql(connection: Connection) -> None:
    if connection.get_execution_options().get("primus_lens_writes"):
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('primus_lens_local'))")


def _shown(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return url.database or ""
    return url.render_as_string(hide_password=True)


def _unusable(location: str, reason: str) -> DatabaseError:
    return DatabaseError(f"cannot use the database {location}: {reason.rstrip('.')}. {_ADVICE}")
