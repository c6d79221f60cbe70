"""runs that saved nothing, clocks that are ahead, figures that were not told, versions of a job, copies of a run.

Revision: 0004, after 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

DAY_MS = 86_400_000
LATEST_NEXT_RUN_MS = 400 * DAY_MS
# Bits of `domain.reports.Figure` as they were at this revision.
STORAGE, VERSION_COUNT, VERSION_LIST, FILES, QUOTA, UPLOADED = 1, 2, 4, 8, 16, 32


def added_columns() -> dict[str, list[sa.Column]]:
    """The new columns of each table, made anew at each call: a column belongs to one statement."""
    return {
        "servers": [
            sa.Column("clock_ahead_s", sa.BigInteger(), nullable=True),
            sa.Column("seen_offsets", sa.Text(), server_default="[]", nullable=False),
        ],
        "jobs": [
            sa.Column("last_reported_began_at", sa.BigInteger(), nullable=True),
            sa.Column("last_outcome", sa.String(length=16), server_default="", nullable=False),
            sa.Column("last_broken_off_at", sa.BigInteger(), nullable=True),
            sa.Column("not_told", sa.Integer(), server_default="63", nullable=False),
            sa.Column("packed_versions", sa.LargeBinary(), nullable=True),
            sa.Column("unread_versions", sa.Integer(), server_default="0", nullable=False),
            sa.Column("state_run_id", sa.LargeBinary(length=16), nullable=True),
            sa.Column("state_began_at", sa.BigInteger(), nullable=True),
            sa.Column("state_status", sa.Text(), nullable=True),
            sa.Column("state_outcome", sa.String(length=16), server_default="", nullable=False),
            sa.Column("state_duration_s", sa.Double(), server_default="0", nullable=False),
            sa.Column("state_warning_count", sa.Integer(), server_default="0", nullable=False),
            sa.Column("state_error_count", sa.Integer(), server_default="0", nullable=False),
            sa.Column("has_mixed_ids", sa.Boolean(), server_default="0", nullable=False),
            sa.Column("needs_figures", sa.Boolean(), server_default="0", nullable=False),
            sa.Column("needs_versions", sa.Boolean(), server_default="0", nullable=False),
        ],
        "runs": [
            sa.Column("reported_began_at", sa.BigInteger(), nullable=True),
            sa.Column("not_told", sa.Integer(), server_default="0", nullable=False),
            sa.Column("version_at", sa.BigInteger(), nullable=True),
            sa.Column("unread_versions", sa.Integer(), server_default="0", nullable=False),
            sa.Column("outcome", sa.String(length=16), server_default="", nullable=False),
            sa.Column("broken_off_at", sa.BigInteger(), nullable=True),
            sa.Column("format", sa.Integer(), server_default="1", nullable=False),
        ],
        "rejected_reports": [
            sa.Column("digest", sa.LargeBinary(length=32), nullable=True),
            sa.Column("attempts", sa.Integer(), server_default="1", nullable=False),
        ],
    }


def upgrade() -> None:
    """Go forward. Figures of the jobs concerned are worked out anew when the application starts."""
    for table, columns in added_columns().items():
        for column in columns:
            op.add_column(table, column)
    _repair_runs()
    _repair_jobs()
    op.create_index("ix_runs_reported_began_at", "runs", ["job_id", "reported_began_at"])


def downgrade() -> None:
    """Go back, in place: a batch would make the tables anew, and with the old ones would go the runs."""
    op.drop_index("ix_runs_reported_began_at", table_name="runs")
    runs = sa.table("runs", sa.column("job_id"), sa.column("began_at"), sa.column("reported_began_at"))
    other = runs.alias()
    # A run that had to make room for another one keeps the begin that was worked out for it.
    is_free = ~sa.exists().where((other.c.job_id == runs.c.job_id) & (other.c.began_at == runs.c.reported_began_at))
    is_moved = runs.c.reported_began_at.is_not(None) & is_free
    op.execute(runs.update().where(is_moved).values(began_at=runs.c.reported_began_at))
    for table, columns in added_columns().items():
        for column in reversed(columns):
            op.drop_column(table, column.name)


def _repair_runs() -> None:
    run = sa.table(
        "runs",
        *(
            sa.column(name)
            for name in (
                "row_id",
                "job_id",
                "began_at",
                "ended_at",
                "received_at",
                "duration_s",
                "status",
                "main_operation",
                "is_partial",
                "is_dry_run",
                "was_interrupted",
                "uploaded_bytes",
                "storage_bytes",
                "version_count",
                "available_versions",
                "examined_files",
                "quota_total_bytes",
                "quota_free_bytes",
                "reported_began_at",
                "outcome",
                "not_told",
                "version_at",
            )
        ),
    )
    has_failed = run.c.status.in_(("Error", "Fatal"))
    # A stopped run that uploaded nothing, or failed, saved no version; what its log says is looked at later.
    is_saved = run.c.is_partial | ((run.c.uploaded_bytes > 0) & ~has_failed)
    outcome = sa.case(
        (run.c.is_dry_run, "dry_run"),
        (run.c.was_interrupted & ~is_saved, "aborted"),
        (run.c.is_partial, "partial"),
        (run.c.was_interrupted, "stopped"),
        else_="",
    )
    is_special = run.c.is_dry_run | run.c.was_interrupted | run.c.is_partial
    op.execute(run.update().where(is_special).values(outcome=outcome))
    # Nothing was told where nothing is stored and no version is counted: a text report, or a run that did not get so far.
    is_incomplete = has_failed | (run.c.outcome != "")
    told_nothing = (run.c.storage_bytes == 0) & (run.c.version_count == 0)
    op.execute(run.update().where(told_nothing).values(not_told=STORAGE + VERSION_COUNT))
    for bit, is_zero in (
        (STORAGE, (run.c.storage_bytes == 0) & (run.c.version_count != 0) & is_incomplete),
        (VERSION_COUNT, (run.c.version_count == 0) & (run.c.storage_bytes != 0) & is_incomplete),
        (FILES, (run.c.examined_files == 0) & (is_incomplete | (run.c.main_operation == "Sync"))),
        (VERSION_LIST, run.c.available_versions.is_(None)),
        (QUOTA, run.c.quota_total_bytes.is_(None) & run.c.quota_free_bytes.is_(None) & (is_incomplete | told_nothing)),
        (UPLOADED, (run.c.uploaded_bytes == 0) & told_nothing & ~is_incomplete),
    ):
        op.execute(run.update().where(is_zero).values(not_told=run.c.not_told + bit))
    op.execute(
        run.update()
        .where(~has_failed & run.c.outcome.not_in(("dry_run", "aborted")))
        .values(version_at=run.c.began_at - run.c.began_at % 1000)
    )
    # A clock that was ahead by more than a day: the end counts as of the reception.
    connection = op.get_bind()
    columns = (run.c.row_id, run.c.job_id, run.c.began_at, run.c.ended_at, run.c.received_at, run.c.duration_s)
    ahead = sa.select(*columns).where(run.c.began_at - run.c.received_at > DAY_MS)
    taken: set[tuple[int, int]] = set()
    errors: dict[tuple[int, int], int] = {}
    for row in connection.execute(ahead.order_by(run.c.job_id, run.c.began_at.desc())).all():
        # Runs of one collection were received at one moment: the newest, which is the first here, says for all of
        # them by how much the clock was ahead, so that they keep their order.
        error = errors.setdefault((row.job_id, row.received_at), row.ended_at - row.received_at)
        ended_at = min(row.ended_at - error, row.received_at)
        began_at = ended_at - int(row.duration_s * 1000)
        # The begins of a job have to differ.
        while (row.job_id, began_at) in taken or connection.scalar(
            sa.select(run.c.row_id).where((run.c.job_id == row.job_id) & (run.c.began_at == began_at))
        ):
            began_at -= 1
        taken.add((row.job_id, began_at))
        connection.execute(
            run.update()
            .where(run.c.row_id == row.row_id)
            .values(
                reported_began_at=row.began_at,
                began_at=began_at,
                ended_at=ended_at,
                version_at=sa.case((run.c.version_at.is_not(None), began_at - began_at % 1000), else_=None),
            )
        )


def _repair_jobs() -> None:
    job = sa.table(
        "jobs",
        *(
            sa.column(name)
            for name in (
                "id",
                "name",
                "operation",
                "run_count",
                "schedule_anchor_at",
                "schedule_source",
                "announced_next_at",
                "last_run_id",
                "last_began_at",
                "last_received_at",
                "last_status",
                "last_duration_s",
                "last_warning_count",
                "last_error_count",
                "state_run_id",
                "state_began_at",
                "state_status",
                "state_duration_s",
                "state_warning_count",
                "state_error_count",
                "not_told",
                "needs_figures",
                "needs_versions",
            )
        ),
    )
    run = sa.table("runs", *(sa.column(name) for name in ("job_id", "outcome", "not_told", "reported_began_at")))
    op.execute(
        job.update().values(
            state_run_id=job.c.last_run_id,
            state_began_at=job.c.last_began_at,
            state_status=job.c.last_status,
            state_duration_s=job.c.last_duration_s,
            state_warning_count=job.c.last_warning_count,
            state_error_count=job.c.last_error_count,
        )
    )
    op.execute(job.update().where(job.c.run_count > 0).values(not_told=0))
    told_nothing_of = run.c.not_told.op("&")(STORAGE + VERSION_COUNT + FILES + QUOTA + UPLOADED) != 0
    is_special = (run.c.outcome != "") | run.c.reported_began_at.is_not(None) | told_nothing_of
    concerned = sa.select(run.c.job_id).where(is_special)
    is_kept_sync = (job.c.operation == "Sync") & job.c.name.like("% (Sync)")
    is_silenced = (job.c.announced_next_at - job.c.last_received_at > LATEST_NEXT_RUN_MS) | (
        (job.c.schedule_source == "duplicati") & (job.c.schedule_anchor_at - job.c.last_received_at > LATEST_NEXT_RUN_MS)
    )
    is_concerned = job.c.id.in_(concerned) | is_kept_sync | is_silenced
    op.execute(job.update().where(is_concerned).values(needs_figures=sa.true()))
    op.execute(job.update().where(job.c.run_count > 0).values(needs_versions=sa.true()))
