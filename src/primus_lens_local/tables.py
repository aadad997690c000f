"""The tables of the store, as mapped classes. What changes here needs a migration in `migrations/versions`.

Times in columns that end in `_ms` are milliseconds since 1970 as the sender reported them; `created_at` and
`updated_at` are UTC, by this server's clock.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Optional

from sqlalchemy import JSON, BigInteger, Double, ForeignKey, Index, Integer, String, Text, UniqueConstraint, true
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

MAX_ID_LENGTH = 256
# SQLite numbers rows by itself only where the type is exactly INTEGER, which has 64 bits there.
_ROW_ID = BigInteger().with_variant(Integer, "sqlite")


def utc_now() -> datetime:
    """Return the current UTC time without a zone: SQLite keeps none."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


class Base(DeclarativeBase):
    """The registry of all tables."""


class TrainingPerformance(Base):
    """All metrics of one step of one run.

    The cluster keeps one row per (workload, step); here a run is part of the key, so that two runs of one
    workload do not overwrite each other.
    """

    __tablename__ = "training_performance"
    __table_args__ = (
        UniqueConstraint("workload_uid", "run_id", "data_source", "iteration", name="uq_training_performance_step"),
        Index("ix_training_performance_time", "workload_uid", "run_id", "last_time_ms"),
    )

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True)
    workload_uid: Mapped[str] = mapped_column(String(MAX_ID_LENGTH))
    run_id: Mapped[str] = mapped_column(String(MAX_ID_LENGTH))
    data_source: Mapped[str] = mapped_column(String(MAX_ID_LENGTH))
    iteration: Mapped[int] = mapped_column(Integer)
    """The step as int32."""
    pod_uuid: Mapped[str] = mapped_column(String(MAX_ID_LENGTH))
    """The pod that wrote last."""
    serial: Mapped[int] = mapped_column(Integer, default=0)
    """Kept for queries written for the cluster; always 0 here."""
    performance: Mapped[dict[str, Any]] = mapped_column(JSON)
    """`{"loss": 0.5, "lr": 0.001, "run_id": "r1"}`: metric name to value, and the run."""
    times_ms: Mapped[dict[str, int]] = mapped_column(JSON)
    """`{"loss": 1700000000000}`: when each metric was logged."""
    first_time_ms: Mapped[int] = mapped_column(BigInteger)
    last_time_ms: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)


class RunSummary(Base):
    """What `training_performance` holds of one run from one source, kept in the same transaction.

    It answers "which runs, how many steps, when" without reading a million rows.
    """

    __tablename__ = "run_summaries"
    __table_args__ = (UniqueConstraint("workload_uid", "run_id", "data_source", name="uq_run_summaries_run"),)

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True)
    workload_uid: Mapped[str] = mapped_column(String(MAX_ID_LENGTH))
    run_id: Mapped[str] = mapped_column(String(MAX_ID_LENGTH))
    data_source: Mapped[str] = mapped_column(String(MAX_ID_LENGTH))
    step_count: Mapped[int] = mapped_column(BigInteger)
    first_iteration: Mapped[int] = mapped_column(Integer)
    last_iteration: Mapped[int] = mapped_column(Integer)
    first_time_ms: Mapped[int] = mapped_column(BigInteger)
    last_time_ms: Mapped[int] = mapped_column(BigInteger)
    longest_step_ms: Mapped[int] = mapped_column(BigInteger)
    """The longest time between two metrics of one step: bounds a search by time."""
    summary_count: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """How many of its metrics have a summary value."""


class MetricSummary(Base):
    """How many steps of a run have a metric, and its value in the summary that the user's code made of the run.

    The last three are null for a metric that never came as a value of the summary.
    """

    __tablename__ = "metric_summaries"
    __table_args__ = ({"sqlite_with_rowid": False},)

    run_summary_id: Mapped[int] = mapped_column(_ROW_ID, ForeignKey("run_summaries.id"), primary_key=True)
    name_key: Mapped[str] = mapped_column(String(MAX_ID_LENGTH), primary_key=True)
    """The name, or for a long one its beginning and digest: an index of PostgreSQL holds no long texts."""
    name: Mapped[str] = mapped_column(Text)
    step_count: Mapped[int] = mapped_column(BigInteger)
    has_history: Mapped[bool] = mapped_column(server_default=true())
    """Whether any of its points was logged; one that came as a value of the summary alone has no curve."""
    summary_value: Mapped[Optional[float]] = mapped_column(Double)
    summary_iteration: Mapped[Optional[int]] = mapped_column(Integer)
    summary_time_ms: Mapped[Optional[int]] = mapped_column(BigInteger)


class FrameworkDetection(Base):
    """One detection report, as it came."""

    __tablename__ = "framework_detection"

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True)
    workload_uid: Mapped[str] = mapped_column(String(MAX_ID_LENGTH), index=True)
    pod_uuid: Mapped[str] = mapped_column(String(MAX_ID_LENGTH))
    pod_name: Mapped[str] = mapped_column(String(MAX_ID_LENGTH))
    namespace: Mapped[str] = mapped_column(String(MAX_ID_LENGTH))
    data_source: Mapped[str] = mapped_column(String(MAX_ID_LENGTH))
    type: Mapped[str]
    version: Mapped[str]
    evidence: Mapped[dict[str, Any]] = mapped_column(JSON)
    hints: Mapped[dict[str, Any]] = mapped_column(JSON)
    time_ms: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class WandbLog(Base):
    """One entry of a logs request; `step` is the full int64."""

    __tablename__ = "wandb_logs"
    __table_args__ = (Index("ix_wandb_logs_workload_run", "workload_uid", "run_id"),)

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True)
    workload_uid: Mapped[str] = mapped_column(String(MAX_ID_LENGTH))
    run_id: Mapped[str] = mapped_column(String(MAX_ID_LENGTH))
    pod_uuid: Mapped[str] = mapped_column(String(MAX_ID_LENGTH))
    data_source: Mapped[str] = mapped_column(String(MAX_ID_LENGTH))
    step: Mapped[int] = mapped_column(BigInteger)
    time_ms: Mapped[int] = mapped_column(BigInteger)
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
