"""Values of the runs' summaries; what is stored already came as history."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("run_summaries", sa.Column("summary_count", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("metric_summaries", sa.Column("has_history", sa.Boolean, nullable=False, server_default=sa.true()))
    op.add_column("metric_summaries", sa.Column("summary_value", sa.Double))
    op.add_column("metric_summaries", sa.Column("summary_iteration", sa.Integer))
    op.add_column("metric_summaries", sa.Column("summary_time_ms", sa.BigInteger))
