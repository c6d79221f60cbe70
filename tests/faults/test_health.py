"""Faults of disk, database, schedule and delivery on a real SQLite file: health reports them, uploads are not lost."""

import os
import sqlite3
import subprocess
import threading
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from applications import close
from click.testing import CliRunner
from factories import report_body
from sqlalchemy import text

from app.audit.log import Actor
from app.cli import main
from app.core.db.orm import db as database
from app.core.db.orm import writing
from app.database import checks, health
from app.factory import create_app
from app.notifications import channels
from app.notifications.models import Delivery
from app.plugin.testing.applications import ADMIN_PASSWORD
from app.scheduling import background, control
from app.scheduling.control import Task

MIB = 1024 * 1024
READ = (
    "/",
    "/login",
    "/api/summary",
    "/api/dashboard",
    "/api/servers",
    "/api/users",
    "/api/channels",
    "/api/configuration/unified",
    "/api/audit-log",
    "/api/deliveries",
    "/nothing",
)


@pytest.fixture
def ask(client, clock):
    """Request the health after the cached result expired; return status and body."""

    def ask(**later: float):
        clock.advance(seconds=31)
        clock.advance(**later)
        answer = client.get("/api/health")
        return answer.status_code, answer.get_json()

    return ask


@pytest.fixture
def doctor_findings(settings, monkeypatch):
    """Run the doctor; return the lines with problems."""
    monkeypatch.setenv("DATA_DIR", str(settings.data_dir))
    monkeypatch.delenv("DATABASE_URL", raising=False)

    def run() -> list[str]:
        result = CliRunner().invoke(main, ["doctor"])
        return [line.removeprefix("WRONG ") for line in result.output.splitlines() if line.startswith("WRONG")]

    return run


@pytest.fixture
def file(app, settings) -> Path:
    """Return the file of the database, with all its data."""
    path = settings.data_dir / "duplistatus.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@contextmanager
def tmpfs(folder: Path, size: str):
    folder.mkdir(mode=0o700)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Fill the disk of a folder."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as ballast:
        for size in (MIB, 4096, 512):
            with suppress(OSError):
                while ballast.write(b"x" * size) == size:
                    pass
    return path


class TestFullDisk:
    @pytest.fixture
    def settings(self, settings, tmp_path):
        with tmpfs(tmp_path / "small", "12m") as folder:
            yield replace(settings, data_dir=folder)

    def test_full_disk_is_a_503_with_its_reason_until_space_is_free(self, app, client, settings, ask):
        assert ask()[0] == 200
        ballast = fill(settings.data_dir)
        # What the log has received already may be overwritten; the rest does not exist.
        while client.post("/api/upload", data=report_body()).status_code != 503:
            pass
        status, body = ask()
        assert (status, body["status"], body["reason"]) == (503, "degraded", "disk_full")
        assert body["connectionHealth"] is False
        known = {"username": "admin", "password": ADMIN_PASSWORD}
        answer = client.post("/api/auth/login", headers={"X-CSRF-Token": "x"}, json=known)
        assert (answer.status_code, answer.get_json()["errorCode"]) == (503, "DATABASE_NOT_READY")
        assert b"The disk is full" in client.post("/api/upload", data=report_body()).data
        ballast.unlink()
        assert ask()[0] == 200
        assert client.post("/api/upload", data=report_body()).status_code == 200

    def test_doctor_reports_it_too(self, app, client, settings, doctor_findings):
        fill(settings.data_dir)
        while client.post("/api/upload", data=report_body()).status_code != 503:
            pass
        assert [line for line in doctor_findings() if line.startswith("disk ")]

    def test_low_disk_space_is_a_503_before_writing_fails(self, settings, ask):
        ballast = fill(settings.data_dir)
        os.truncate(ballast, ballast.stat().st_size - 500_000)
        status, body = ask()
        assert (status, body["reason"], body["connectionHealth"]) == (503, "low_disk_space", True)


def test_a_large_disk_has_its_own_limit(app, ask, monkeypatch):
    monkeypatch.setattr(checks, "measure_disk", lambda folder: checks.DiskSpace(folder, 199 * MIB, 10**12))
    status, body = ask()
    assert (status, body["reason"]) == (503, "low_disk_space")


class TestDamage:
    @pytest.mark.parametrize("table", ["users", "sessions", "jobs", "runs", "servers", "settings", "audit_log"])
    def test_damaged_pages_of_any_table_are_a_503_everywhere(self, app, client, file, ask, table, doctor_findings):
        for _ in range(3):
            client.post("/api/upload", data=report_body())
        self.damage(app, file, table)
        status, body = ask()
        assert (status, body["reason"]) == (503, "database_damaged")
        assert [line for line in doctor_findings() if line.startswith("database")]

    def test_signing_in_and_uploads_answer_503_and_not_500(self, app, client, file):
        self.damage(app, file, "users")
        self.damage(app, file, "servers")
        answer = client.sign_in()
        assert (answer.status_code, answer.get_json()["errorCode"]) == (503, "DATABASE_NOT_READY")
        answer = client.post("/api/upload", data=report_body())
        assert (answer.status_code, "damaged" in answer.get_json()["error"]) == (503, True)

    def test_pages_answer_503(self, app, admin, file):
        self.damage(app, file, "servers")
        answer = admin.get("/")
        assert (answer.status_code, "The database is damaged" in answer.text) == (503, True)

    @pytest.mark.parametrize("table", ["users", "sessions", "jobs", "runs", "servers", "settings", "channels"])
    def test_no_route_answers_500(self, app, admin, file, table):
        admin.post("/api/upload", data=report_body())
        self.damage(app, file, table)
        for path in READ:
            answer = admin.get(path)
            assert answer.status_code in (200, 302, 303, 404, 503), path
            assert (answer.status_code == 503) <= (b"damaged" in answer.data), path

    def test_a_large_damaged_file_is_reported_after_the_first_error(self, app, client, file, ask, monkeypatch):
        monkeypatch.setattr(checks, "SMALL_BYTES", 0)
        self.damage(app, file, "users")
        client.sign_in()
        assert ask()[1]["reason"] == "database_damaged"

    def test_an_invalid_database_file_is_reported(self, app, client, file, ask):
        forget_connections(app)
        file.write_bytes(b"garbage! " * 9000)
        status, body = ask()
        assert (status, body["reason"]) == (503, "database_damaged")
        assert client.post("/api/upload", data=report_body()).status_code == 503

    def damage(self, app, file, table: str) -> None:
        """Write garbage over the pages of a table."""
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            size = connection.execute("PRAGMA page_size").fetchone()[0]
            roots = connection.execute("SELECT rootpage FROM sqlite_schema WHERE tbl_name = ?", (table,)).fetchall()
        forget_connections(app)
        with file.open("r+b") as content:
            for (root,) in filter(lambda row: row[0], roots):
                content.seek((root - 1) * size)
                content.write(b"\xa5" * size)


def forget_connections(app) -> None:
    """Let the application read the file again: cached pages would hide the damage."""
    with app.app_context():
        database.session.remove()
        for engine in database.engines.values():
            engine.dispose()


class TestLock:
    @pytest.fixture
    def locked(self, file):
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield other
            other.execute("ROLLBACK")

    def test_a_permanent_lock_is_reported(self, locked, ask, doctor_findings):
        status, body = ask()
        assert (status, body["reason"]) == (503, "database_locked")

    def test_signed_in_users_get_details_without_waiting_either(self, admin, clock, file):
        clock.advance(minutes=5)  # otherwise the visit would not be recorded anyway
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            body = admin.get("/api/health").get_json()
            other.execute("ROLLBACK")
        assert [problem["code"] for problem in body["problems"]] == ["database_locked"]
        assert "database is locked" in body["connectionHealthError"]

    def test_a_writer_of_this_process_is_waited_for_briefly(self, app, ask):
        holds, ends = threading.Event(), threading.Event()

        def hold() -> None:
            with app.app_context(), writing():
                holds.set()
                ends.wait(60)

        writer = threading.Thread(target=hold)
        writer.start()
        holds.wait(60)
        status, body = ask()
        ends.set()
        writer.join()
        assert (status, body["reason"]) == (503, "database_locked")
        assert ask()[0] == 200


class TestKeptResult:
    def test_a_check_is_made_at_most_every_30_seconds(self, app, client, clock, monkeypatch):
        count = 0

        def examine(_now):
            nonlocal count
            count += 1
            return health.Health(True, True, True, True)

        monkeypatch.setattr(health, "inspect_now", examine)
        for _ in range(20):
            client.get("/api/health")
            clock.advance(seconds=3)
        assert count == 2

    def test_a_hanging_check_delays_no_request(self, app, client, clock, monkeypatch):
        ends = threading.Event()
        client.get("/api/health")
        clock.advance(seconds=31)
        monkeypatch.setattr(health, "inspect_now", lambda _now: ends.wait(60) and health.Health(True, True, True, True))
        monkeypatch.setattr(health, "PATIENCE_S", 0.2)
        answers = [client.get("/api/health") for _ in range(3)]
        ends.set()
        assert {(answer.status_code, answer.get_json()["reason"]) for answer in answers} == {(503, "no_answer")}

    def test_others_get_the_previous_result_meanwhile(self, app, client, clock, monkeypatch):
        client.get("/api/health")
        clock.advance(seconds=31)
        begins, ends = threading.Event(), threading.Event()

        def examine(_now):
            begins.set()
            ends.wait(60)
            return health.Health(True, True, True, False, problems=(health.Problem("disk_full", ""),))

        monkeypatch.setattr(health, "inspect_now", examine)
        monkeypatch.setattr(health, "PATIENCE_S", 30.0)
        first = threading.Thread(target=client.application.test_client().get, args=("/api/health",))
        first.start()
        begins.wait(60)
        assert client.get("/api/health").status_code == 200
        ends.set()
        first.join()
        assert client.get("/api/health").status_code == 503


class TestSchema:
    @pytest.fixture
    def changed(self, app):
        """Change the schema as a migration does that was modified after it had run."""

        def change(*statements: str) -> None:
            with app.app_context(), database.engine.begin() as connection:
                for statement in statements:
                    connection.execute(text(statement))

        return change

    @pytest.mark.parametrize(
        ("statement", "named"),
        [
            ("ALTER TABLE jobs DROP COLUMN deleted_began_at", "jobs.deleted_began_at is missing"),
            ("ALTER TABLE runs RENAME COLUMN duration_s TO seconds", "runs.duration_s is missing"),
            ("DROP TABLE leases", "table leases is missing"),
            ("CREATE TABLE notes AS SELECT 1", ""),
        ],
    )
    def test_columns_are_compared_with_the_models(self, app, admin, changed, ask, doctor_findings, statement, named):
        changed(statement)
        status, body = ask()
        assert (status, body.get("reason", "")) == ((503, "schema_differs") if named else (200, ""))
        lines = [line for line in doctor_findings() if line.startswith("schema")]
        assert bool(lines) == bool(named)
        assert named in "".join(lines)
        details = admin.get("/api/health").get_json().get("problems", [])
        assert named in "".join(problem["text"] for problem in details)

    def test_responses_report_the_problem(self, client, changed):
        changed("ALTER TABLE jobs DROP COLUMN deleted_began_at")
        answer = client.get("/api/summary")
        assert (answer.status_code, answer.get_json()["error"]) == (
            503,
            "The database lacks tables or columns that this version needs",
        )

    @pytest.mark.parametrize("column", ["jobs.deleted_began_at", "users.last_login_ip"])
    def test_the_start_reports_it_in_one_message_and_continues(self, app, settings, registry, changed, caplog, column):
        table, _, name = column.partition(".")
        changed(f"ALTER TABLE {table} DROP COLUMN {name}")
        with caplog.at_level("ERROR"):
            started = create_app(settings, registry)
        logged = [record.getMessage() for record in caplog.records if "schema" in record.getMessage()]
        assert len(logged) == 1
        assert f"{column} is missing" in logged[0]
        answer = started.test_client().get("/api/health")
        assert (answer.status_code, answer.get_json()["reason"]) == (503, "schema_differs")
        close(started)


class TestWork:
    @pytest.fixture(autouse=True)
    def _context(self, db):
        pass

    @staticmethod
    def ran(name: str, at, **values) -> None:
        with writing() as session:
            session.merge(Task(name=name, last_started_at=at, **values))

    def test_a_check_that_has_not_run_for_long_is_reported(self, clock, ask):
        self.ran("overdue-backup-check", clock())
        assert ask(minutes=14)[0] == 200
        status, body = ask(minutes=2)
        assert (status, body["reason"]) == (503, "overdue_check_late")

    def test_every_three_intervals_count_if_they_are_longer(self, clock, ask):
        control.choose_interval("2hours", actor=Actor(), now=clock())
        self.ran("overdue-backup-check", clock())
        assert ask(hours=5)[0] == 200
        assert ask(hours=2)[0] == 503

    def test_a_disabled_check_is_not_missed(self, clock, ask):
        control.choose_interval("disabled", actor=Actor(), now=clock())
        self.ran("overdue-backup-check", clock())
        assert ask(days=2)[0] == 200

    def test_a_schedule_without_the_overdue_check_is_detected_by_the_other_check(self, clock, ask):
        control.choose_interval("disabled", actor=Actor(), now=clock())
        self.ran("alarm-check", clock())
        assert ask(minutes=20)[1]["reason"] == "overdue_check_late"

    def test_a_failing_check_is_reported(self, clock, ask):
        self.ran("overdue-backup-check", clock(), last_error="ZeroDivisionError: division by zero")
        assert ask()[1]["reason"] == "overdue_check_failed"

    def test_the_first_check_after_a_start_has_time(self, clock, ask):
        self.ran("overdue-backup-check", clock() - timedelta(days=3))
        health.record_scheduler_start(clock())
        assert ask(minutes=10)[0] == 200
        assert ask(minutes=10)[0] == 503

    def test_a_new_installation_without_scheduled_work_is_healthy(self, ask):
        assert ask(days=30)[0] == 200

    def test_a_task_stopped_by_an_administrator_is_not_missed(self, app, clock, ask):
        background.start_jobs(app)
        try:
            self.ran("overdue-backup-check", clock())
            self.ran("alarm-check", clock() + timedelta(hours=1))
            background.jobs_of(app).schedule.stop_task("overdue-backup-check")
            assert ask(minutes=50)[0] == 200
        finally:
            background.stop_jobs(app)

    def test_a_stopped_scheduler_is_reported(self, app, ask):
        background.start_jobs(app)
        try:
            assert ask()[0] == 200
            background.jobs_of(app).schedule.stop()
            assert ask()[1]["reason"] == "schedule_stopped"
        finally:
            background.jobs_of(app).schedule = None
            background.stop_jobs(app)

    def test_a_dead_delivery_worker_is_reported(self, app, ask):
        background.start_jobs(app)
        try:
            worker = background.jobs_of(app).worker
            worker._is_stopping.set()
            worker._wake.set()
            worker._thread.join()
            assert ask()[1]["reason"] == "delivery_worker_stopped"
        finally:
            background.stop_jobs(app)

    def test_unsent_messages_are_reported(self, clock, ask):
        with writing() as session:
            session.add(
                Delivery(
                    idempotency_key="5bd7a35c-6f5c-4b4e-9d0e-2d0a0f6b1c11",
                    event="run",
                    event_key="k",
                    payload={},
                    channel_id=channels.standard("ntfy").id,
                    created_at=clock(),
                    next_attempt_at=clock(),
                )
            )
        assert ask(minutes=10)[0] == 200
        assert ask(minutes=5)[1]["reason"] == "deliveries_late"
