"""Revision 0004 on a filled database of revision 0003, upgraded as a start of the application does it; both databases.

The rows are those of the previous version: only the newest run determined state, figures and schedule of its job.
"""

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import flask_migrate
import pytest
import sqlalchemy as sa
from applications import close
from factories import BEGAN_AT, SENDER, find_job, find_overdue, make_report
from flask import Flask

from app.audit.log import AuditEntry
from app.backups import overview, repairs
from app.backups.models import Job, JobDay, Run, Server
from app.backups.run_logs import pack_log
from app.core.db import engine
from app.core.db.orm import db as application_db
from app.core.instants import iso, to_milliseconds
from app.factory import create_app
from app.reports.ingest import ingest_report
from app.runtime import runtime_of

DIRECTORY = str(engine.MIGRATIONS)
DAY, HOUR, MINUTE, MILLISECOND = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(milliseconds=1)
NOW = BEGAN_AT + HOUR
FUTURE = NOW + 1500 * DAY
KNOWN = {"storage_bytes": 1000, "version_count": 3, "examined_files": 50, "examined_bytes": 600}
RUN_FIGURES = ("id", "began_at", "status", "duration_s", "warning_count", "error_count", *KNOWN, "uploaded_bytes")
pytestmark = pytest.mark.slow


@pytest.fixture
def settings(settings_of_each_database):
    """Every test here runs on SQLite and on PostgreSQL."""
    return settings_of_each_database


class OldDatabase:
    """Write rows of revision 0003 with its columns; times may be given as datetimes."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        metadata = sa.MetaData()
        metadata.reflect(connection)
        self._tables = metadata.tables
        self._number = 0

    def insert(self, table: str, **values: Any) -> None:
        made = self._tables[table]
        for column in made.columns:
            if column.name not in values and not column.nullable and column.server_default is None:
                values[column.name] = "" if isinstance(column.type, sa.String) else 0
        stored = {name: _stored(value) for name, value in values.items()}
        self._connection.execute(made.insert().values(**stored))

    def job(self, name: str, *runs: dict[str, Any], server_id: str = "machine-1", **columns: Any) -> None:
        """A job whose newest run is the last one."""
        self._number += 1
        job_id, made = self._number, []
        for place, changes in enumerate(runs):
            began_at = changes.get("began_at", BEGAN_AT + place * DAY)
            duration_s = changes.get("duration_s", 120.0)
            made.append(
                {
                    "row_id": job_id * 100 + place,
                    "id": uuid.uuid4().bytes,
                    "job_id": job_id,
                    "began_at": began_at,
                    "ended_at": began_at + timedelta(seconds=duration_s),
                    "received_at": began_at + timedelta(seconds=duration_s),
                    "duration_s": duration_s,
                    "status": "Success",
                    "parsed_result": changes.get("status", "Success"),
                    "main_operation": "Backup",
                    "uploaded_bytes": 10,
                    **dict.fromkeys(("is_partial", "is_dry_run", "was_interrupted"), False),
                    **dict.fromkeys(("reported_quota_error", "reported_quota_warning"), False),
                    "available_versions": None,
                    **KNOWN,
                    **changes,
                }
            )
        newest = max(made, key=lambda run: run["began_at"])
        last = {
            f"last_{figure}" if figure != "id" else "last_run_id": newest[figure]
            for figure in RUN_FIGURES
            if figure in newest
        }
        usual = {
            "id": job_id,
            "server_id": server_id,
            "name": name,
            "created_at": BEGAN_AT,
            "run_count": len(made),
            "schedule_anchor_at": made[0]["began_at"],
            "next_expected_at": newest["began_at"] + DAY,
            "last_received_at": newest["received_at"],
            "total_uploaded_bytes": sum(run["uploaded_bytes"] for run in made),
            "recent_statuses": "".join(run["status"][0] for run in made),
        }
        self.insert("jobs", **usual | last | columns)
        for run in made:
            lines = run.pop("lines", ())
            self.insert("runs", **run)
            self.insert("run_logs", run_row_id=run["row_id"], packed=pack_log(lines, (), (), ()))


def _stored(value: Any) -> Any:
    return to_milliseconds(value) if isinstance(value, datetime) else value


ZEROS = dict.fromkeys((*KNOWN, "uploaded_bytes"), 0)
LIST = "Backups to consider: 05/04/2031 11:00:00"


def fill(old: OldDatabase) -> None:
    old.insert("servers", id="machine-1", name="nas", created_at=BEGAN_AT)
    future = {"began_at": FUTURE, "received_at": NOW}
    announced = {"announced_next_at": FUTURE + DAY, "next_expected_at": FUTURE + DAY}
    grid = {"schedule_anchor_at": FUTURE + DAY, "schedule_source": "duplicati"}
    old.job("future", {"began_at": BEGAN_AT - DAY}, {"status": "Warning", **future}, **announced, **grid)
    aborted = {"was_interrupted": True, "began_at": BEGAN_AT + DAY, **ZEROS}
    dry = {"is_dry_run": True, "began_at": BEGAN_AT + 2 * DAY, **ZEROS}
    old.job("aborted", {}, aborted, dry, trouble_kind=None)
    away = {"began_at": BEGAN_AT + DAY, "was_interrupted": True, **ZEROS}
    old.job("announced", {}, away, announced_next_at=BEGAN_AT + 3 * DAY, next_expected_at=BEGAN_AT + 3 * DAY)
    old.job("stopped", {}, {"was_interrupted": True, **KNOWN, "status": "Warning"}, {"is_partial": True})
    old.job("fatal", {}, {"status": "Fatal", **ZEROS})
    old.job("text", {}, {**ZEROS, "examined_files": 7, "examined_bytes": 8})
    old.job("normal", {}, {"storage_bytes": 1100, "version_count": 4})
    sync = {"main_operation": "Sync", **ZEROS, "uploaded_bytes": 5}
    kept = {"operation": "Sync", "is_overdue_check_enabled": False}
    old.job("mirror (Sync)", sync, sync, **kept)
    old.job("both", {}, {})
    old.job("both (Sync)", {**sync, "began_at": BEGAN_AT + HOUR}, {**sync, "began_at": BEGAN_AT + 9 * DAY}, **kept)
    old.job(
        "far",
        {},
        announced_next_at=BEGAN_AT + 500 * DAY,
        next_expected_at=BEGAN_AT + 500 * DAY,
        **{"schedule_anchor_at": BEGAN_AT + 500 * DAY, "schedule_source": "duplicati"},
    )
    collected = [
        {"began_at": FUTURE + place * DAY, "received_at": NOW, "duration_s": 60.0 + 900 * place} for place in range(3)
    ]
    old.job("collected", *collected)
    old.insert("servers", id="machine-2", name="laptop", created_at=BEGAN_AT)
    old.job("clock", future, server_id="machine-2")
    old.job("twins", *({**run, "duration_s": 60.0} for run in collected))


@pytest.fixture
def upgraded(app, settings, installed, clock) -> Iterator[Flask]:
    """The application after its first start on the old database; with a context."""
    with app.app_context():
        flask_migrate.downgrade(directory=DIRECTORY, revision="0003")
        with application_db.engine.begin() as connection:
            fill(OldDatabase(connection))
    close(app)
    again = create_app(settings, installed)
    runtime_of(again).clock = clock
    with again.app_context():
        yield again
        application_db.session.remove()
    close(again)


def runs_of(name: str) -> list[Run]:
    wanted = sa.select(Run).where(Run.job_id == find_job(name=name).id).order_by(Run.began_at)
    return list(application_db.session.scalars(wanted))


def days_of(name: str) -> list[tuple[int, int, int]]:
    days = application_db.session.scalars(
        sa.select(JobDay).where(JobDay.job_id == find_job(name=name).id).order_by(JobDay.day)
    )
    return [(day.run_count, day.success_count, day.last_storage_bytes) for day in days]


@pytest.mark.usefixtures("upgraded")
class TestUpgrade:
    def test_a_run_in_the_future_counts_as_of_its_reception(self):
        job = find_job(name="future")
        assert (job.last_began_at, job.state_began_at) == (NOW - 2 * MINUTE,) * 2
        assert (job.last_sent_began_at, job.state_status) == (FUTURE, "Warning")
        moved = runs_of("future")[-1]
        assert (moved.ended_at, moved.reported_began_at) == (NOW, FUTURE)

    def test_a_job_with_such_a_run_is_monitored_again(self):
        job = find_job(name="future")
        assert job.announced_next_at is None
        assert NOW < job.next_expected_at <= NOW + DAY
        assert job.schedule_source == "duplicati"
        assert "future" in [late.name for late in find_overdue(NOW + 2 * DAY)]

    def test_correct_runs_after_it_are_the_newest(self):
        ingest_report(make_report(job_name="future", began_at=NOW + DAY), now=NOW + DAY, actor=SENDER)
        assert find_job(name="future").state_status == "Success"

    def test_a_job_with_only_a_next_run_far_away_is_monitored_again(self):
        job = find_job(name="far")
        assert (job.announced_next_at, job.next_expected_at) == (None, BEGAN_AT + DAY)

    def test_runs_collected_at_the_same_time_keep_their_order(self):
        for name in ("collected", "twins"):
            runs = runs_of(name)
            assert [run.reported_began_at for run in runs] == [FUTURE, FUTURE + DAY, FUTURE + 2 * DAY]
            assert find_job(name=name).last_sent_began_at == FUTURE + 2 * DAY

    def test_unsaved_runs_do_not_affect_the_state(self):
        job = find_job(name="aborted")
        assert (job.state_began_at, job.next_expected_at) == (BEGAN_AT, BEGAN_AT + DAY)
        assert (job.last_outcome, job.last_began_at) == ("dry_run", BEGAN_AT + 2 * DAY)
        assert [run.outcome for run in runs_of("aborted")] == ["", "aborted", "dry_run"]
        assert [run.version_at for run in runs_of("aborted")] == [BEGAN_AT, None, None]

    def test_the_next_run_reported_by_an_unsaved_run_is_cleared(self):
        job = find_job(name="announced")
        assert (job.announced_next_at, job.next_expected_at) == (None, BEGAN_AT + DAY)

    def test_the_server_stores_how_far_its_clock_is_ahead(self):
        clocks = {server.id: server.clock_ahead_s for server in overview.overview(NOW, None).servers}
        # The newest report of the first one has the right time.
        assert clocks == {"machine-1": None, "machine-2": int((FUTURE + 2 * MINUTE - NOW).total_seconds())}
        noted = application_db.session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "server_clock_ahead"))
        assert [entry.target_id for entry in noted] == ["machine-2"]

    @pytest.mark.parametrize("name", ["aborted", "fatal"])
    def test_missing_figures_of_the_newest_run_are_those_of_the_previous_one(self, name):
        job = find_job(name=name)
        assert {figure: getattr(job, f"last_{figure}") for figure in KNOWN} == KNOWN

    def test_a_failed_run_still_determines_the_state(self):
        job = find_job(name="fatal")
        assert (job.state_status, job.next_expected_at) == ("Fatal", BEGAN_AT + 2 * DAY)

    def test_stopped_runs_that_saved_something_count_and_are_marked(self):
        assert [run.outcome for run in runs_of("stopped")] == ["", "stopped", "partial"]
        assert find_job(name="stopped").state_outcome == "partial"

    def test_storage_and_versions_missing_in_a_text_report_are_unknown(self):
        job = find_job(name="text")
        assert (job.last_storage_bytes, job.last_version_count, job.last_examined_files) == (1000, 3, 7)

    def test_days_carry_the_storage_forward(self):
        assert days_of("aborted") == [(1, 1, 1000), (0, 0, 1000), (0, 0, 1000)]
        assert days_of("fatal") == [(1, 1, 1000), (1, 0, 1000)]

    def test_a_normal_job_is_unchanged(self):
        job = find_job(name="normal")
        assert (job.state_run_id, job.state_began_at, job.state_status) == (job.last_run_id, BEGAN_AT + DAY, "Success")
        assert (job.last_storage_bytes, job.last_version_count, job.next_expected_at) == (1100, 4, BEGAN_AT + 2 * DAY)

    def test_a_stored_synchronisation_becomes_the_job_of_its_plain_name(self):
        job = find_job(name="mirror")
        assert (job.run_count, job.operation, job.is_overdue_check_enabled) == (2, "Sync", True)
        assert job.next_expected_at == BEGAN_AT + 2 * DAY

    def test_a_stored_synchronisation_is_merged_into_the_job_of_its_plain_name(self):
        job = find_job(name="both")
        assert (job.run_count, job.state_began_at, job.last_storage_bytes) == (4, BEGAN_AT + 9 * DAY, 1000)
        names = application_db.session.scalars(sa.select(Job.name)).all()
        assert [name for name in names if "Sync" in name] == []

    def test_only_the_lists_of_versions_are_left_to_do(self):
        assert application_db.session.scalar(sa.select(sa.func.count()).where(Job.needs_figures)) == 0
        state = repairs.progress()
        assert state.job_count == application_db.session.scalar(sa.select(sa.func.count()).select_from(Job))
        assert (state.done_runs, state.percent) == (0, 0)

    def test_the_api_returns_the_dates_that_were_sent(self, upgraded):
        client = upgraded.test_client()
        runs = client.get("/api/lastbackups/machine-1").get_json()["latest_backups"]
        assert {run["name"]: run["date"] for run in runs}["future"] == iso(FUTURE)

    def test_every_job_can_be_shown(self):
        jobs = {job.name: job for job in overview.overview(NOW, None).jobs}
        assert len(jobs) == 13
        for job in jobs.values():
            job.heartbeat_input(NOW).heartbeats(30)

    def test_a_second_upgrade_changes_nothing(self):
        before = {job.name: job.next_expected_at for job in application_db.session.scalars(sa.select(Job))}
        assert repairs.finish_migration(NOW) == 0
        assert {job.name: job.next_expected_at for job in application_db.session.scalars(sa.select(Job))} == before

    def test_a_downgrade_keeps_runs_and_their_dates(self):
        count = application_db.session.scalar(sa.select(sa.func.count()).select_from(Run))
        application_db.session.remove()
        application_db.engine.dispose()
        flask_migrate.downgrade(directory=DIRECTORY, revision="0003")
        with application_db.engine.connect() as connection:
            assert connection.scalar(sa.text("SELECT count(*) FROM runs")) == count
            began = sa.text("SELECT max(began_at) FROM runs")
            assert connection.scalar(began) == to_milliseconds(FUTURE + 2 * DAY)
            assert connection.scalar(sa.text("SELECT count(*) FROM run_logs")) == count
        flask_migrate.upgrade(directory=DIRECTORY)
        assert repairs.finish_migration(NOW) > 0
        assert find_job(name="future").last_began_at == NOW - 2 * MINUTE


def test_a_new_server_has_no_wrong_clock(upgraded):
    server = application_db.session.get(Server, "machine-1")
    assert (server.clock_ahead_s, server.seen_offsets) == (None, [])
