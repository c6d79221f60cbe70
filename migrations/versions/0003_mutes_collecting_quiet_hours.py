"""mutes that begin later, quiet hours, scheduled collecting, tags, what is unusual, sizes of destinations.

Revision: 0003, after 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def added_columns() -> dict[str, list[sa.Column]]:
    """The new columns of each table, made anew at each call: a column belongs to one statement."""
    return {
        "servers": [
            sa.Column("muted_from", sa.BigInteger(), nullable=True),
            sa.Column("mute_note", sa.Text(), server_default="", nullable=False),
            sa.Column("tags", sa.Text(), server_default="[]", nullable=False),
            sa.Column("collect_interval", sa.String(length=16), server_default="", nullable=False),
            sa.Column("next_collect_at", sa.BigInteger(), nullable=True),
            sa.Column("collected_at", sa.BigInteger(), nullable=True),
            sa.Column("collect_error", sa.Text(), nullable=True),
        ],
        "jobs": [
            sa.Column("muted_from", sa.BigInteger(), nullable=True),
            sa.Column("mute_note", sa.Text(), server_default="", nullable=False),
            sa.Column("trouble_kind", sa.String(length=16), nullable=True),
            sa.Column("trouble_since_at", sa.BigInteger(), nullable=True),
            sa.Column("anomalies", sa.Text(), server_default="[]", nullable=False),
            sa.Column("tags", sa.Text(), server_default="[]", nullable=False),
            sa.Column("last_quota_total_bytes", sa.BigInteger(), nullable=True),
            sa.Column("last_quota_free_bytes", sa.BigInteger(), nullable=True),
            sa.Column("quota_bytes", sa.BigInteger(), nullable=True),
            sa.Column("recent_runs", sa.LargeBinary(), nullable=True),
            sa.Column("growth_bytes", sa.Double(), nullable=True),
            sa.Column("deleted_began_at", sa.BigInteger(), nullable=True),
        ],
        "channels": [
            sa.Column("quiet_from", sa.String(length=5), nullable=True),
            sa.Column("quiet_until", sa.String(length=5), nullable=True),
            sa.Column("quiet_lets_trouble_pass", sa.Boolean(), server_default="0", nullable=False),
            sa.Column("failing_since_at", sa.BigInteger(), nullable=True),
            sa.Column("failing_error", sa.Text(), nullable=True),
            sa.Column("failure_told_at", sa.BigInteger(), nullable=True),
        ],
        "deliveries": [
            sa.Column("urgency", sa.Integer(), server_default="0", nullable=False),
        ],
    }


def upgrade() -> None:
    """Go forward."""
    for table, columns in added_columns().items():
        for column in columns:
            op.add_column(table, column)
    op.drop_index("ix_job_days_day", table_name="job_days")
    op.create_index("ix_job_days_calendar", "job_days", ["day", "worst_status", "run_count"])


def downgrade() -> None:
    """Go back, in place: a batch would make the tables anew, and with the old ones would go the runs."""
    op.drop_index("ix_job_days_calendar", table_name="job_days")
    op.create_index("ix_job_days_day", "job_days", ["day"])
    for table, columns in added_columns().items():
        for column in reversed(columns):
            op.drop_column(table, column.name)
