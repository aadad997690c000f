"""Where the data lives: from what the user typed to an engine whose tables exist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import platformdirs
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from primus_lens_local.tables import Base

_LOCK_WAIT_SECONDS = 30


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
        raise DatabaseError(_unusable(location, "this is not a database URL")) from error
    if url.get_backend_name() != "sqlite":
        raise DatabaseError(_unusable(location, f"{url.get_backend_name()} is not supported"))
    if url.database in (None, "", ":memory:"):
        raise DatabaseError(_unusable(location, "the local Lens keeps its data in a file"))
    return url


def open_database(location: str) -> Engine:
    """Open the database at `location`, creating the file, its folder and the tables where they are missing."""
    url = database_url(location)
    path = Path(url.database or "")
    if path.is_dir():
        raise DatabaseError(_unusable(str(path), "it is a directory"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError(_unusable(str(path), f"its folder cannot be created ({error.strerror})")) from error
    engine = create_engine(url, connect_args={"timeout": _LOCK_WAIT_SECONDS}, json_serializer=compact_json)
    event.listen(engine, "connect", _configure_sqlite)
    try:
        Base.metadata.create_all(engine)
    except SQLAlchemyError as error:
        engine.dispose()
        reason = str(getattr(error, "orig", None) or error)
        raise DatabaseError(_unusable(str(path), reason)) from error
    return engine


def compact_json(value: Any) -> str:
    """Serialise without spaces or ASCII escapes; refuse NaN, which no database would read back."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _configure_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _unusable(location: str, reason: str) -> str:
    return (
        f"cannot use the database {location}: {reason}. "
        "Give --database a writable SQLite file, for example --database ./lens.db"
    )
