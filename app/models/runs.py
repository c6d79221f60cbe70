"""Finished backups: narrow rows for the figures, one compressed row for the log, one row a day for the charts."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.reports import Figure
from app.extensions import Model
from app.models.types import Bounded, Instant, RowId, UuidText, VersionTimes

MILLISECONDS_A_DAY = 86_400_000


class Run(Model):
    """One finished run of a backup job, as its report told it.

    `began_at` is what runs are ordered by. It is the begin that was sent, except where the clock of the machine was
    ahead: then that stands in `reported_began_at`, see `app.domain.reports.correct_clock`. A run is a copy of another
    one when the begin that was sent is the same.
    """

    __tablename__ = "runs"
    __table_args__ = (
        UniqueConstraint("job_id", "began_at"),
        Index("ix_runs_began_at", "began_at"),
        Index("ix_runs_reported_began_at", "job_id", "reported_began_at"),
    )

    row_id: Mapped[int] = mapped_column(RowId, primary_key=True)
    id: Mapped[str] = mapped_column(UuidText, unique=True)
    job_id: Mapped[int] = mapped_column(RowId, ForeignKey("jobs.id", ondelete="CASCADE"))
    duplicati_id: Mapped[str] = mapped_column(Text, default="")
    began_at: Mapped[datetime] = mapped_column(Instant)
    ended_at: Mapped[datetime] = mapped_column(Instant)
    reported_began_at: Mapped[datetime | None] = mapped_column(Instant)
    received_at: Mapped[datetime] = mapped_column(Instant)
    duration_s: Mapped[float]
    status: Mapped[str] = mapped_column(Text)
    parsed_result: Mapped[str] = mapped_column(Text)
    main_operation: Mapped[str] = mapped_column(Text, default="Backup")
    duplicati_version: Mapped[str | None] = mapped_column(Text)

    examined_files: Mapped[int] = mapped_column(BigInteger, default=0)
    examined_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    opened_files: Mapped[int] = mapped_column(BigInteger, default=0)
    opened_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    added_files: Mapped[int] = mapped_column(BigInteger, default=0)
    added_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    modified_files: Mapped[int] = mapped_column(BigInteger, default=0)
    modified_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    deleted_files: Mapped[int] = mapped_column(BigInteger, default=0)
    not_processed_files: Mapped[int] = mapped_column(BigInteger, default=0)
    too_large_files: Mapped[int] = mapped_column(BigInteger, default=0)
    files_with_error: Mapped[int] = mapped_column(BigInteger, default=0)
    added_folders: Mapped[int] = mapped_column(BigInteger, default=0)
    modified_folders: Mapped[int] = mapped_column(BigInteger, default=0)
    deleted_folders: Mapped[int] = mapped_column(BigInteger, default=0)
    added_symlinks: Mapped[int] = mapped_column(BigInteger, default=0)
    modified_symlinks: Mapped[int] = mapped_column(BigInteger, default=0)
    deleted_symlinks: Mapped[int] = mapped_column(BigInteger, default=0)

    uploaded_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    downloaded_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    storage_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    version_count: Mapped[int] = mapped_column(default=0)
    available_versions: Mapped[tuple[str, ...]] = mapped_column(VersionTimes, nullable=True)
    quota_total_bytes: Mapped[int | None] = mapped_column(BigInteger)
    quota_free_bytes: Mapped[int | None] = mapped_column(BigInteger)
    # Of which figures the report told nothing: bits of `domain.reports.Figure`. They are 0 or NULL above.
    not_told: Mapped[int] = mapped_column(default=0, server_default="0")
    # When the version was made that the run saved; NULL where it saved none.
    version_at: Mapped[datetime | None] = mapped_column(Instant)
    # Entries of the list of versions that could not be read for certain, and were left out.
    unread_versions: Mapped[int] = mapped_column(default=0, server_default="0")

    message_count: Mapped[int] = mapped_column(default=0)
    warning_count: Mapped[int] = mapped_column(default=0)
    error_count: Mapped[int] = mapped_column(default=0)

    is_partial: Mapped[bool] = mapped_column(default=False)
    is_dry_run: Mapped[bool] = mapped_column(default=False)
    was_interrupted: Mapped[bool] = mapped_column(default=False)
    reported_quota_error: Mapped[bool] = mapped_column(default=False)
    reported_quota_warning: Mapped[bool] = mapped_column(default=False)
    # What `domain.run_outcomes.Outcome` says: a dry run, aborted, stopped, partial, or nothing of these (empty).
    outcome: Mapped[str] = mapped_column(Bounded(16), default="", server_default="")
    # When the run before this one began, where the log says that it was broken off and sent no report.
    broken_off_at: Mapped[datetime | None] = mapped_column(Instant)
    # The ways in which the run was received: bits of `domain.reports.Format`.
    format: Mapped[int] = mapped_column(default=1, server_default="1")

    def tells(self, figure: str) -> bool:
        """Whether the report told a figure, by its name in `domain.reports.Figure`: `storage`, `version_count` …"""
        return not self.not_told & Figure[figure.upper()]

    @property
    def sent_began_at(self) -> datetime:
        """The begin that the machine sent, as the API gives it."""
        return self.reported_began_at or self.began_at


class RunLog(Model):
    """The texts of a run, two thirds of all bytes, and read for one run at a time.

    `packed` is what `domain.logs` packs: messages, warnings and errors.
    """

    __tablename__ = "run_logs"

    run_row_id: Mapped[int] = mapped_column(RowId, ForeignKey("runs.row_id", ondelete="CASCADE"), primary_key=True)
    packed: Mapped[bytes] = mapped_column(LargeBinary)


class JobDay(Model):
    """What a job did on one UTC day. Kept with each run, so that a chart over years reads days, not runs.

    `day` counts days since 1970. Sums run over all runs of the day; `last_…` are those of the day's last run, or what
    was known before it where it does not tell them. Runs that saved nothing are left out of `run_count`,
    `success_count` and `worst_status`.
    """

    __tablename__ = "job_days"
    __table_args__ = (
        # Leads to the days of a range, and holds all that a calendar over all jobs asks for.
        Index("ix_job_days_calendar", "day", "worst_status", "run_count"),
        {"sqlite_with_rowid": False},
    )

    job_id: Mapped[int] = mapped_column(RowId, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    day: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    run_count: Mapped[int]
    success_count: Mapped[int]
    uploaded_bytes: Mapped[int] = mapped_column(BigInteger)
    duration_s: Mapped[float]
    examined_files: Mapped[int] = mapped_column(BigInteger)
    examined_bytes: Mapped[int] = mapped_column(BigInteger)
    last_began_at: Mapped[datetime] = mapped_column(Instant)
    last_storage_bytes: Mapped[int] = mapped_column(BigInteger)
    last_version_count: Mapped[int]
    # Worst status of the day: 0 Success, 1 Unknown, 2 Warning, 3 Error, 4 Fatal.
    worst_status: Mapped[int]
