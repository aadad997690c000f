"""The tables of the store, as mapped classes.

Times in columns that end in `_ms` are milliseconds since 1970 as the sender reported them; `created_at` and
`updated_at` are UTC, by this server's clock.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

MAX_ID_LENGTH = 256


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
        Index("ix_training_performance_run_id", "run_id"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
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


class FrameworkDetection(Base):
    """One detection report, as it came."""

    __tablename__ = "framework_detection"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
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

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    workload_uid: Mapped[str] = mapped_column(String(MAX_ID_LENGTH))
    run_id: Mapped[str] = mapped_column(String(MAX_ID_LENGTH))
    pod_uuid: Mapped[str] = mapped_column(String(MAX_ID_LENGTH))
    data_source: Mapped[str] = mapped_column(String(MAX_ID_LENGTH))
    step: Mapped[int] = mapped_column(BigInteger)
    time_ms: Mapped[int] = mapped_column(BigInteger)
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
