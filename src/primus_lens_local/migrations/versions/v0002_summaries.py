"""Summaries per run and metric, counted from what is stored; an index by time, in place of one by run alone."""

import hashlib
import json
from collections import Counter

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_ROWS_PER_FETCH = 1000


def upgrade() -> None:
    op.create_table(
        "run_summaries",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("workload_uid", sa.String(256), nullable=False),
        sa.Column("run_id", sa.String(256), nullable=False),
        sa.Column("data_source", sa.String(256), nullable=False),
        sa.Column("step_count", sa.BigInteger, nullable=False),
        sa.Column("first_iteration", sa.Integer, nullable=False),
        sa.Column("last_iteration", sa.Integer, nullable=False),
        sa.Column("first_time_ms", sa.BigInteger, nullable=False),
        sa.Column("last_time_ms", sa.BigInteger, nullable=False),
        sa.Column("longest_step_ms", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("workload_uid", "run_id", "data_source", name="uq_run_summaries_run"),
    )
    op.create_table(
        "metric_summaries",
        sa.Column("run_summary_id", _ROW_ID, sa.ForeignKey("run_summaries.id"), primary_key=True),
        sa.Column("name_key", sa.String(256), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("step_count", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.drop_index("ix_training_performance_run_id", "training_performance")
    op.create_index("ix_training_performance_time", "training_performance", ["workload_uid", "run_id", "last_time_ms"])
    _count_runs()
    _count_metrics(op.get_bind())


def _count_runs() -> None:
    op.execute(
        """
        INSERT INTO run_summaries (workload_uid, run_id, data_source, step_count, first_iteration, last_iteration,
                                   first_time_ms, last_time_ms, longest_step_ms)
        SELECT workload_uid, run_id, data_source, count(*), min(iteration), max(iteration),
               min(first_time_ms), max(last_time_ms), max(last_time_ms - first_time_ms)
        FROM training_performance GROUP BY workload_uid, run_id, data_source
        """
    )


def _count_metrics(connection: sa.Connection) -> None:
    summaries = sa.table(
        "metric_summaries",
        *(sa.column(name) for name in ("run_summary_id", "name_key", "name", "step_count")),
    )
    stored = sa.text(
        "SELECT run_summaries.id, CAST(times_ms AS TEXT) FROM training_performance JOIN run_summaries"
        " USING (workload_uid, run_id, data_source)"
    )
    counts: Counter[tuple[int, str]] = Counter()
    for summary_id, times_ms in connection.execute(stored, execution_options={"yield_per": _ROWS_PER_FETCH}):
        counts.update((summary_id, name) for name in json.loads(times_ms))
    rows = [
        {"run_summary_id": summary_id, "name_key": _name_key(name), "name": name, "step_count": count}
        for (summary_id, name), count in counts.items()
    ]
    if rows:
        connection.execute(sa.insert(summaries), rows)


def _name_key(name: str) -> str:
    return name if len(name) <= 128 else name[:64] + hashlib.sha256(name.encode()).hexdigest()
