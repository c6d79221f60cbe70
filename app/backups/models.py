"""Tables of servers, jobs, runs, their logs and the sums of days."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.db.orm import Bounded, Instant, Json, Model, Recorded, RowId, UuidText, VersionTimes, unpack_times
from app.reports.parser import Figure

ALL_WEEKDAYS = 0b1111111
DEFAULT_INTERVAL = "1D"


class Job(Model):
    """A backup job on a server, with settings and statistics.

    Settings are columns, so that two concurrent saves do not overwrite each other. The newest run's figures are copied
    here by `app.backups.job_stats`, so that the dashboard reads one row per job, however many runs there are.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("server_id", "name"),
        Index("ix_jobs_next_expected_at", "next_expected_at"),
        Index("ix_jobs_overdue_at", "overdue_at"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    server_id: Mapped[str] = mapped_column(ForeignKey("servers.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    # What runs here: backups, or other operations of Duplicati for a job, which are stored if enabled.
    operation: Mapped[str] = mapped_column(Recorded(200), default="Backup", server_default="Backup")
    duplicati_id: Mapped[str] = mapped_column(Bounded(255), default="", server_default="")
    created_at: Mapped[datetime] = mapped_column(Instant)

    # Notification rules.
    notification_event: Mapped[str] = mapped_column(Bounded(16), default="warnings", server_default="warnings")
    channel_switches: Mapped[dict[str, bool]] = mapped_column(Json, default=dict, server_default="{}")
    additional_event: Mapped[str | None] = mapped_column(Bounded(16))
    additional_emails: Mapped[str | None] = mapped_column(Text)
    additional_ntfy_topic: Mapped[str | None] = mapped_column(Text)
    # No messages from `muted_from` (none: at once) until `muted_until`: a mute, or an announced maintenance.
    muted_from: Mapped[datetime | None] = mapped_column(Instant)
    muted_until: Mapped[datetime | None] = mapped_column(Instant)
    mute_note: Mapped[str] = mapped_column(Text, default="", server_default="")
    # The open incident that was notified: "Overdue", "Error" or "Fatal", and since when.
    trouble_kind: Mapped[str | None] = mapped_column(Bounded(16))
    trouble_since_at: Mapped[datetime | None] = mapped_column(Instant)
    # Anomalies of the newest run: dicts of the fields of `app.insight.anomalies.Anomaly`.
    anomalies: Mapped[list[dict[str, Any]]] = mapped_column(Json, default=list, server_default="[]")
    tags: Mapped[list[str]] = mapped_column(Json, default=list, server_default="[]")

    # Schedule.
    is_overdue_check_enabled: Mapped[bool] = mapped_column(default=True, server_default="1")
    expected_interval: Mapped[str] = mapped_column(Text, default=DEFAULT_INTERVAL, server_default=DEFAULT_INTERVAL)
    allowed_weekdays: Mapped[int] = mapped_column(default=ALL_WEEKDAYS, server_default=str(ALL_WEEKDAYS))
    # Source of interval and weekdays: "default", "imported", "duplicati" or "person". A learned schedule replaces only
    # the first two.
    interval_source: Mapped[str] = mapped_column(Bounded(16), default="default", server_default="default")
    # The grace period of this job by its name in `app.schedules.overdue.TOLERANCES`; NULL: the global one.
    overdue_tolerance: Mapped[str | None] = mapped_column(Bounded(16))
    schedule_anchor_at: Mapped[datetime | None] = mapped_column(Instant)
    # The schedule that the runs show, see `app.schedules.learned`; NULL: nothing yet.
    learned_schedule: Mapped[dict[str, Any] | None] = mapped_column(Json)
    # Source of the anchor: "guess" (the first run), "duplicati" or "person".
    schedule_source: Mapped[str] = mapped_column(Bounded(16), default="guess", server_default="guess")
    # The next run that Duplicati announced with the newest one; it takes precedence over the grid.
    announced_next_at: Mapped[datetime | None] = mapped_column(Instant)
    next_expected_at: Mapped[datetime | None] = mapped_column(Instant)
    # The end of the grace period: without a run the job is overdue after this instant.
    overdue_at: Mapped[datetime | None] = mapped_column(Instant)
    overdue_alerted_at: Mapped[datetime | None] = mapped_column(Instant)

    # Sums of all runs.
    run_count: Mapped[int] = mapped_column(default=0, server_default="0")
    total_uploaded_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    # One letter for each of the newest runs (S W E F U), oldest first.
    recent_statuses: Mapped[str] = mapped_column(Bounded(100), default="", server_default="")
    # A few figures of each of the newest runs, packed by `app.reports.outcomes`.
    recent_runs: Mapped[bytes | None] = mapped_column(LargeBinary)
    # Daily growth of the destination; recomputed once a week.
    growth_bytes: Mapped[float | None] = mapped_column()
    # The shortest sent warning about the destination's free space: 30 or 7 days; NULL: none.
    full_notified_days: Mapped[int | None] = mapped_column()

    # The newest run of any outcome; the API returns it as the last one. `last_reported_began_at` as in a run.
    last_run_id: Mapped[str | None] = mapped_column(UuidText)
    last_began_at: Mapped[datetime | None] = mapped_column(Instant)
    # The same after all runs of a job were deleted, still shown in its settings; unused once it has runs again.
    deleted_began_at: Mapped[datetime | None] = mapped_column(Instant)
    last_reported_began_at: Mapped[datetime | None] = mapped_column(Instant)
    last_received_at: Mapped[datetime | None] = mapped_column(Instant)
    last_status: Mapped[str | None] = mapped_column(Text)
    last_outcome: Mapped[str] = mapped_column(Bounded(16), default="", server_default="")
    last_broken_off_at: Mapped[datetime | None] = mapped_column(Instant)
    last_duration_s: Mapped[float] = mapped_column(default=0.0, server_default="0")
    # Files, storage, quota and versions are those of the newest run that has them.
    last_examined_files: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    last_examined_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    last_uploaded_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    last_storage_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    # The size of the destination as the newest report has it; and as entered by a person, which takes precedence.
    last_quota_total_bytes: Mapped[int | None] = mapped_column(BigInteger)
    last_quota_free_bytes: Mapped[int | None] = mapped_column(BigInteger)
    quota_bytes: Mapped[int | None] = mapped_column(BigInteger)
    last_version_count: Mapped[int] = mapped_column(default=0, server_default="0")
    last_message_count: Mapped[int] = mapped_column(default=0, server_default="0")
    last_warning_count: Mapped[int] = mapped_column(default=0, server_default="0")
    last_error_count: Mapped[int] = mapped_column(default=0, server_default="0")
    last_available_versions: Mapped[tuple[str, ...]] = mapped_column(VersionTimes, nullable=True)
    last_duplicati_version: Mapped[str | None] = mapped_column(Text)
    # The figures that no run of the job had so far: bits of `app.reports.parser.Figure`, initially all.
    not_told: Mapped[int] = mapped_column(default=63, server_default="63")
    # The restorable versions as far as known: those of the newest list and the run's own. Packed, since the pages that
    # show all jobs do not need them, and a job without lists has hundreds.
    packed_versions: Mapped[bytes | None] = mapped_column(LargeBinary)
    unread_versions: Mapped[int] = mapped_column(default=0, server_default="0")

    # The newest run that decides the state of the job: neither a dry run nor one that saved nothing.
    state_run_id: Mapped[str | None] = mapped_column(UuidText)
    state_began_at: Mapped[datetime | None] = mapped_column(Instant)
    state_status: Mapped[str | None] = mapped_column(Text)
    state_outcome: Mapped[str] = mapped_column(Bounded(16), default="", server_default="")
    state_duration_s: Mapped[float] = mapped_column(default=0.0, server_default="0")
    state_warning_count: Mapped[int] = mapped_column(default=0, server_default="0")
    state_error_count: Mapped[int] = mapped_column(default=0, server_default="0")

    # Results of collecting besides runs: the newest error that Duplicati recorded for the job, the start of a running
    # operation that locks the job's database, and when the list of versions was read from the server.
    collected_error: Mapped[str | None] = mapped_column(Text)
    collected_error_at: Mapped[datetime | None] = mapped_column(Instant)
    running_since_at: Mapped[datetime | None] = mapped_column(Instant)
    versions_collected_at: Mapped[datetime | None] = mapped_column(Instant)

    # Several backup-ids alternate under this name: Duplicati has two jobs of the same name.
    has_mixed_ids: Mapped[bool] = mapped_column(default=False, server_default="0")
    # Deferred work of a migration or import: statistics and schedule, and lists of versions in stored logs.
    needs_figures: Mapped[bool] = mapped_column(default=False, server_default="0")
    needs_versions: Mapped[bool] = mapped_column(default=False, server_default="0")

    server: Mapped["Server"] = relationship(back_populates="jobs")

    @property
    def last_versions(self) -> tuple[str, ...]:
        """The known restorable versions, newest first."""
        return unpack_times(self.packed_versions or b"")

    @property
    def last_sent_began_at(self) -> datetime | None:
        """The start of the newest run as the server sent it."""
        return self.last_reported_began_at or self.last_began_at


class Server(Model):
    """One Duplicati installation, identified by its machine-id.

    Holds the notification defaults of its jobs. A server that has reported only its name has a generated id, see
    `app.backups.merging`.
    """

    __tablename__ = "servers"

    id: Mapped[str] = mapped_column(String(255), primary_key=True)
    name: Mapped[str] = mapped_column(Bounded(255), index=True)
    alias: Mapped[str] = mapped_column(Bounded(255), default="", server_default="")
    note: Mapped[str] = mapped_column(Text, default="", server_default="")
    url: Mapped[str] = mapped_column(Text, default="", server_default="")
    encrypted_password: Mapped[str] = mapped_column(Text, default="", server_default="")
    # Extra request headers for collecting, a JSON object, encrypted: they may hold credentials of a proxy.
    encrypted_headers: Mapped[str] = mapped_column(Text, default="", server_default="")
    verifies_certificate: Mapped[bool] = mapped_column(default=True, server_default="1")
    # Defaults for jobs whose own value is NULL.
    additional_event: Mapped[str | None] = mapped_column(Bounded(16))
    additional_emails: Mapped[str | None] = mapped_column(Text)
    additional_ntfy_topic: Mapped[str | None] = mapped_column(Text)
    muted_from: Mapped[datetime | None] = mapped_column(Instant)
    muted_until: Mapped[datetime | None] = mapped_column(Instant)
    mute_note: Mapped[str] = mapped_column(Text, default="", server_default="")
    tags: Mapped[list[str]] = mapped_column(Json, default=list, server_default="[]")
    # How often its logs are collected, as an interval text; empty: never automatically.
    collect_interval: Mapped[str] = mapped_column(Bounded(16), default="", server_default="")
    next_collect_at: Mapped[datetime | None] = mapped_column(Instant)
    collected_at: Mapped[datetime | None] = mapped_column(Instant)
    collect_error: Mapped[str | None] = mapped_column(Text)
    # The error as `dump_refusal` writes it; NULL in older rows.
    collect_error_details: Mapped[dict[str, Any] | None] = mapped_column(Json)
    # By how many seconds its clock was ahead at its newest report; NULL if it was not.
    clock_ahead_s: Mapped[int | None] = mapped_column(BigInteger)
    # UTC offsets of its local time, as its reports showed them; see `app.reports.versions.add_offset`.
    seen_offsets: Mapped[list[Any]] = mapped_column(Json, default=list, server_default="[]")
    created_at: Mapped[datetime] = mapped_column(Instant)

    jobs: Mapped[list["Job"]] = relationship(
        back_populates="server", cascade="all, delete-orphan", passive_deletes=True, order_by="Job.name"
    )

    @property
    def display_name(self) -> str:
        """The alias, else the name."""
        return self.alias or self.name

    @property
    def has_password(self) -> bool:
        """Whether a Duplicati password is stored."""
        return bool(self.encrypted_password)

    @property
    def has_headers(self) -> bool:
        """Whether extra request headers are stored."""
        return bool(self.encrypted_headers)


# Runs: narrow rows for the figures, one compressed row for the log, one row per day for the charts


class Run(Model):
    """One finished run of a backup job, as reported.

    Runs are ordered by `began_at`. It is the start as sent, except if the server's clock was ahead: then the start as
    sent is in `reported_began_at`, see `app.reports.parser.correct_clock`. Two runs are copies if their starts as sent
    are equal.
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
    # The figures that the report lacks: bits of `app.reports.parser.Figure`. They are 0 or NULL above.
    not_told: Mapped[int] = mapped_column(default=0, server_default="0")
    # The time of the version that the run saved; NULL if none.
    version_at: Mapped[datetime | None] = mapped_column(Instant)
    # Number of ambiguous entries of the list of versions, which were skipped.
    unread_versions: Mapped[int] = mapped_column(default=0, server_default="0")

    message_count: Mapped[int] = mapped_column(default=0)
    warning_count: Mapped[int] = mapped_column(default=0)
    error_count: Mapped[int] = mapped_column(default=0)

    is_partial: Mapped[bool] = mapped_column(default=False)
    is_dry_run: Mapped[bool] = mapped_column(default=False)
    was_interrupted: Mapped[bool] = mapped_column(default=False)
    reported_quota_error: Mapped[bool] = mapped_column(default=False)
    reported_quota_warning: Mapped[bool] = mapped_column(default=False)
    # `app.reports.outcomes.Outcome`: a dry run, aborted, stopped, partial, or empty.
    outcome: Mapped[str] = mapped_column(Bounded(16), default="", server_default="")
    # Start of the previous run if the log says that it was interrupted and sent no report.
    broken_off_at: Mapped[datetime | None] = mapped_column(Instant)
    # The formats in which the run was received: bits of `app.reports.parser.Format`.
    format: Mapped[int] = mapped_column(default=1, server_default="1")

    def has_figure(self, figure: str) -> bool:
        """Return whether the report has a figure, by its lower-case name in `Figure`."""
        return not self.not_told & Figure[figure.upper()]

    @property
    def sent_began_at(self) -> datetime:
        """The start as the server sent it, which the API returns."""
        return self.reported_began_at or self.began_at


class RunLog(Model):
    """The log of a run; two thirds of all bytes, read for one run at a time.

    `packed` is the result of `app.backups.run_logs.pack_log`: messages, warnings and errors.
    """

    __tablename__ = "run_logs"

    run_row_id: Mapped[int] = mapped_column(RowId, ForeignKey("runs.row_id", ondelete="CASCADE"), primary_key=True)
    packed: Mapped[bytes] = mapped_column(LargeBinary)


class JobDay(Model):
    """The sums of a job on one UTC day.

    Charts over years read days, not runs.

    `day` counts days since 1970. Sums run over all runs of the day; `last_…` are those of the day's last run, or the
    values known before it if it lacks them. Runs that saved nothing are excluded from `run_count`, `success_count` and
    `worst_status`.
    """

    __tablename__ = "job_days"
    __table_args__ = (
        # Covers the query for a range of days, and all columns of a calendar over all jobs.
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
