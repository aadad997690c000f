"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "training_performance",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("workload_uid", sa.String(256), nullable=False),
        sa.Column("run_id", sa.String(256), nullable=False),
        sa.Column("data_source", sa.String(256), nullable=False),
        sa.Column("iteration", sa.Integer, nullable=False),
        sa.Column("pod_uuid", sa.String(256), nullable=False),
        sa.Column("serial", sa.Integer, nullable=False),
        sa.Column("performance", sa.JSON, nullable=False),
        sa.Column("times_ms", sa.JSON, nullable=False),
        sa.Column("first_time_ms", sa.BigInteger, nullable=False),
        sa.Column("last_time_ms", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("updated_at", sa.DateTime, nullable=False),
        sa.UniqueConstraint("workload_uid", "run_id", "data_source", "iteration", name="uq_training_performance_step"),
    )
    op.create_index("ix_training_performance_run_id", "training_performance", ["run_id"])
    op.create_table(
        "framework_detection",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("workload_uid", sa.String(256), nullable=False),
        sa.Column("pod_uuid", sa.String(256), nullable=False),
        sa.Column("pod_name", sa.String(256), nullable=False),
        sa.Column("namespace", sa.String(256), nullable=False),
        sa.Column("data_source", sa.String(256), nullable=False),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("evidence", sa.JSON, nullable=False),
        sa.Column("hints", sa.JSON, nullable=False),
        sa.Column("time_ms", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )
    op.create_index("ix_framework_detection_workload_uid", "framework_detection", ["workload_uid"])
    op.create_table(
        "wandb_logs",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("workload_uid", sa.String(256), nullable=False),
        sa.Column("run_id", sa.String(256), nullable=False),
        sa.Column("pod_uuid", sa.String(256), nullable=False),
        sa.Column("data_source", sa.String(256), nullable=False),
        sa.Column("step", sa.BigInteger, nullable=False),
        sa.Column("time_ms", sa.BigInteger, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )
    op.create_index("ix_wandb_logs_workload_run", "wandb_logs", ["workload_uid", "run_id"])
