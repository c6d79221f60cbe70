"""schedules learned from runs, grace periods of jobs, what collecting found besides runs, alarms about a full destination.

Revision: 0005, after 0004
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

DEFAULT_INTERVAL = "1D"
ALL_WEEKDAYS = 0b1111111
DEFAULT_TOLERANCE = "2h"
# Names and lengths of the grace periods as they were at this revision, in minutes.
TOLERANCE_MINUTES = {
    "no_tolerance": 0,
    "5min": 5,
    "15min": 15,
    "30min": 30,
    "1h": 60,
    "2h": 120,
    "4h": 240,
    "6h": 360,
    "12h": 720,
    "1d": 1440,
}


def added_columns() -> dict[str, list[sa.Column]]:
    """Return the new columns of each table, made anew at each call: a column belongs to one statement."""
    return {
        "servers": [
            sa.Column("encrypted_headers", sa.Text(), server_default="", nullable=False),
        ],
        "jobs": [
            sa.Column("interval_source", sa.String(length=16), server_default="default", nullable=False),
            sa.Column("overdue_tolerance", sa.String(length=16), nullable=True),
            sa.Column("overdue_at", sa.BigInteger(), nullable=True),
            sa.Column("learned_schedule", sa.Text(), nullable=True),
            sa.Column("collected_error", sa.Text(), nullable=True),
            sa.Column("collected_error_at", sa.BigInteger(), nullable=True),
            sa.Column("running_since_at", sa.BigInteger(), nullable=True),
            sa.Column("versions_collected_at", sa.BigInteger(), nullable=True),
            sa.Column("full_notified_days", sa.Integer(), nullable=True),
        ],
    }


def upgrade() -> None:
    """Upgrade. Schedules are learned when the application starts, with the figures of the jobs."""
    for table, columns in added_columns().items():
        for column in columns:
            op.add_column(table, column)
    op.create_index("ix_jobs_overdue_at", "jobs", ["overdue_at"])
    _keep_chosen_intervals()
    _leave_figures()


def downgrade() -> None:
    """Downgrade in place: a batch would create the tables anew, and the runs would be deleted with the old ones."""
    _leave_figures(anomalies="[]")
    op.drop_index("ix_jobs_overdue_at", table_name="jobs")
    for table, columns in added_columns().items():
        for column in reversed(columns):
            op.drop_column(table, column.name)


def _keep_chosen_intervals() -> None:
    """Keep the intervals in force that were not the default: who gave them was not recorded before."""
    setting = sa.table("settings", sa.column("key"), sa.column("value"))
    job = sa.table(
        "jobs",
        *(
            sa.column(name)
            for name in (
                "run_count",
                "interval_source",
                "expected_interval",
                "allowed_weekdays",
                "schedule_source",
                "next_expected_at",
                "overdue_at",
            )
        ),
    )
    stored = op.get_bind().scalar(sa.select(setting.c.value).where(setting.c.key == "overdue_tolerance"))
    minutes = TOLERANCE_MINUTES.get(json.loads(stored) if stored else DEFAULT_TOLERANCE, 120)
    is_chosen = (job.c.expected_interval != DEFAULT_INTERVAL) | (job.c.allowed_weekdays != ALL_WEEKDAYS)
    op.execute(job.update().where(is_chosen).values(interval_source="person"))
    op.execute(job.update().values(overdue_at=job.c.next_expected_at + minutes * 60_000))


def _leave_figures(**values: str) -> None:
    """Have the figures worked out at the next start: recent runs are packed in another form before and after this."""
    names = ("run_count", "needs_figures", "recent_runs", "anomalies")
    job = sa.table("jobs", *(sa.column(name) for name in names))
    op.execute(job.update().values(recent_runs=sa.null(), **values))
    op.execute(job.update().where(job.c.run_count > 0).values(needs_figures=sa.true()))
