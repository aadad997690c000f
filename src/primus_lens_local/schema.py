"""The tables' versions: brings an older database up to this version's tables, and knows a newer or a foreign one.

The migrations are Alembic's, in `migrations/versions`. All of them run in one transaction: a database is never left
half-way.
"""

from __future__ import annotations

from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect

_BASELINE = "0001"
_FIRST_TABLE = "training_performance"
# What the first tables had, which were made before versions were kept; the cluster's table has less.
_BASELINE_COLUMNS = frozenset({"id", "workload_uid", "run_id", "data_source", "iteration", "performance", "times_ms"})


class SchemaError(Exception):
    """The tables are not ours to use; the message says why and what to do."""


def upgrade(engine: Engine) -> None:
    """Make the tables, or bring them up to date."""
    config = Config()
    config.set_main_option("script_location", str(files("primus_lens_local") / "migrations").replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    # An up-to-date database is only read: another server may be writing to it.
    with engine.connect() as connection:
        if _version(connection) == scripts.get_current_head():
            return
    with engine.execution_options(primus_lens_writes=True).begin() as connection:
        config.attributes["connection"] = connection
        version = _version(connection)
        if version is None and inspect(connection).has_table(_FIRST_TABLE):
            _check_baseline(connection)
            command.stamp(config, _BASELINE)
        elif version is not None and version not in {script.revision for script in scripts.walk_revisions()}:
            raise SchemaError(
                f"a newer version of the local Lens made it (its tables are at {version}, this version knows "
                f"{scripts.get_current_head()}). Upgrade with: pip install --upgrade primus-lens-wandb-exporter"
            )
        command.upgrade(config, "head")


def _version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _check_baseline(connection: Connection) -> None:
    columns = {column["name"] for column in inspect(connection).get_columns(_FIRST_TABLE)}
    if not columns >= _BASELINE_COLUMNS:
        raise SchemaError(f"its table {_FIRST_TABLE} is not the local Lens' (the cluster's?), which needs its own")
