"""Faults of disk, database, schedule and delivery on a real SQLite file: health says so, and uploads are not lost."""

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
    """Asks for the health once what was found before is old; gives status and body."""

    def ask(**later: float):
        clock.advance(seconds=31)
        clock.advance(**later)
        answer = client.get("/api/health")
        return answer.status_code, answer.get_json()

    return ask


@pytest.fixture
def wrong(settings, monkeypatch):
    """Runs the doctor; gives the lines about what is wrong."""
    monkeypatch.setenv("DATA_DIR", str(settings.data_dir))
    monkeypatch.delenv("DATABASE_URL", raising=False)

    def run() -> list[str]:
        told = CliRunner().invoke(main, ["doctor"])
        return [line.removeprefix("WRONG ") for line in told.output.splitlines() if line.startswith("WRONG")]

    return run


@pytest.fixture
def file(app, settings) -> Path:
    """The file of the database, with everything in it."""
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
    """Leave no room on the disk of a folder."""
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

    def test_it_is_a_503_with_its_reason_until_there_is_room_again(self, app, client, settings, ask):
        assert ask()[0] == 200
        ballast = fill(settings.data_dir)
        # What the log has been given already may be written over; the rest is not there.
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

    def test_the_doctor_says_so_too(self, app, client, settings, wrong):
        fill(settings.data_dir)
        while client.post("/api/upload", data=report_body()).status_code != 503:
            pass
        assert [line for line in wrong() if line.startswith("disk ")]

    def test_little_room_is_a_503_before_writing_fails(self, settings, ask):
        ballast = fill(settings.data_dir)
        os.truncate(ballast, ballast.stat().st_size - 500_000)
        status, body = ask()
        assert (status, body["reason"], body["connectionHealth"]) == (503, "low_disk_space", True)


def test_a_large_disk_has_a_limit_of_its_own(app, ask, monkeypatch):
    monkeypatch.setattr(checks, "measure_disk", lambda folder: checks.DiskSpace(folder, 199 * MIB, 10**12))
    status, body = ask()
    assert (status, body["reason"]) == (503, "low_disk_space")


class TestDamage:
    @pytest.mark.parametrize("table", ["users", "sessions", "jobs", "runs", "servers", "settings", "audit_log"])
    def test_damaged_pages_of_any_table_are_a_503_everywhere(self, app, client, file, ask, table, wrong):
        for _ in range(3):
            client.post("/api/upload", data=report_body())
        self.damage(app, file, table)
        status, body = ask()
        assert (status, body["reason"]) == (503, "database_damaged")
        assert [line for line in wrong() if line.startswith("database")]

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
    def test_no_address_answers_500(self, app, admin, file, table):
        admin.post("/api/upload", data=report_body())
        self.damage(app, file, table)
        for path in READ:
            answer = admin.get(path)
            assert answer.status_code in (200, 302, 303, 404, 503), path
            assert (answer.status_code == 503) <= (b"damaged" in answer.data), path

    def test_a_large_file_is_known_to_be_damaged_once_damage_was_met(self, app, client, file, ask, monkeypatch):
        monkeypatch.setattr(checks, "SMALL_BYTES", 0)
        self.damage(app, file, "users")
        client.sign_in()
        assert ask()[1]["reason"] == "database_damaged"

    def test_a_file_that_is_none_any_more(self, app, client, file, ask):
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
    """Have the application read the file anew: pages that it has read would hide the damage."""
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

    def test_a_lock_for_good_is_said(self, locked, ask, wrong):
        status, body = ask()
        assert (status, body["reason"]) == (503, "database_locked")

    def test_who_is_signed_in_gets_details_and_does_not_wait_either(self, admin, clock, file):
        clock.advance(minutes=5)  # else the visit would not be noted anyway
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            body = admin.get("/api/health").get_json()
            other.execute("ROLLBACK")
        assert [problem["code"] for problem in body["problems"]] == ["database_locked"]
        assert "database is locked" in body["connectionHealthError"]

    def test_a_writer_of_this_process_is_not_waited_for_long(self, app, ask):
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
    def test_an_examination_is_made_at_most_every_half_minute(self, app, client, clock, monkeypatch):
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

    def test_nobody_waits_for_one_that_hangs(self, app, client, clock, monkeypatch):
        ends = threading.Event()
        client.get("/api/health")
        clock.advance(seconds=31)
        monkeypatch.setattr(health, "inspect_now", lambda _now: ends.wait(60) and health.Health(True, True, True, True))
        monkeypatch.setattr(health, "PATIENCE_S", 0.2)
        answers = [client.get("/api/health") for _ in range(3)]
        ends.set()
        assert {(answer.status_code, answer.get_json()["reason"]) for answer in answers} == {(503, "no_answer")}

    def test_meanwhile_others_get_the_former_result(self, app, client, clock, monkeypatch):
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
        """Changes the schema by hand, as a migration does that is not what it was when it ran."""

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
    def test_columns_are_compared_with_the_models(self, app, admin, changed, ask, wrong, statement, named):
        changed(statement)
        status, body = ask()
        assert (status, body.get("reason", "")) == ((503, "schema_differs") if named else (200, ""))
        lines = [line for line in wrong() if line.startswith("schema")]
        assert bool(lines) == bool(named)
        assert named in "".join(lines)
        details = admin.get("/api/health").get_json().get("problems", [])
        assert named in "".join(problem["text"] for problem in details)

    def test_answers_say_what_is_the_matter(self, client, changed):
        changed("ALTER TABLE jobs DROP COLUMN deleted_began_at")
        answer = client.get("/api/summary")
        assert (answer.status_code, answer.get_json()["error"]) == (
            503,
            "The database lacks tables or columns that this version needs",
        )

    @pytest.mark.parametrize("column", ["jobs.deleted_began_at", "users.last_login_ip"])
    def test_the_start_says_so_in_one_sentence_and_goes_on(self, app, settings, registry, changed, caplog, column):
        table, _, name = column.partition(".")
        changed(f"ALTER TABLE {table} DROP COLUMN {name}")
        with caplog.at_level("ERROR"):
            started = create_app(settings, registry)
        said = [record.getMessage() for record in caplog.records if "schema" in record.getMessage()]
        assert len(said) == 1
        assert f"{column} is missing" in said[0]
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

    def test_a_check_that_has_not_run_for_long(self, clock, ask):
        self.ran("overdue-backup-check", clock())
        assert ask(minutes=14)[0] == 200
        status, body = ask(minutes=2)
        assert (status, body["reason"]) == (503, "overdue_check_late")

    def test_every_three_intervals_count_where_they_are_longer(self, clock, ask):
        control.choose_interval("2hours", actor=Actor(), now=clock())
        self.ran("overdue-backup-check", clock())
        assert ask(hours=5)[0] == 200
        assert ask(hours=2)[0] == 503

    def test_a_check_that_is_switched_off_is_not_missed(self, clock, ask):
        control.choose_interval("disabled", actor=Actor(), now=clock())
        self.ran("overdue-backup-check", clock())
        assert ask(days=2)[0] == 200

    def test_a_schedule_without_the_overdue_check_is_known_by_the_other_check(self, clock, ask):
        control.choose_interval("disabled", actor=Actor(), now=clock())
        self.ran("alarm-check", clock())
        assert ask(minutes=20)[1]["reason"] == "overdue_check_late"

    def test_a_check_that_fails(self, clock, ask):
        self.ran("overdue-backup-check", clock(), last_error="ZeroDivisionError: division by zero")
        assert ask()[1]["reason"] == "overdue_check_failed"

    def test_after_a_start_there_is_time_for_the_first_check(self, clock, ask):
        self.ran("overdue-backup-check", clock() - timedelta(days=3))
        health.record_scheduler_start(clock())
        assert ask(minutes=10)[0] == 200
        assert ask(minutes=10)[0] == 503

    def test_a_new_installation_without_scheduled_work_is_healthy(self, ask):
        assert ask(days=30)[0] == 200

    def test_a_task_that_was_stopped_by_an_administrator_is_not_missed(self, app, clock, ask):
        background.start_jobs(app)
        try:
            self.ran("overdue-backup-check", clock())
            self.ran("alarm-check", clock() + timedelta(hours=1))
            background.jobs_of(app).schedule.stop_task("overdue-backup-check")
            assert ask(minutes=50)[0] == 200
        finally:
            background.stop_jobs(app)

    def test_a_schedule_that_has_ended(self, app, ask):
        background.start_jobs(app)
        try:
            assert ask()[0] == 200
            background.jobs_of(app).schedule.stop()
            assert ask()[1]["reason"] == "schedule_stopped"
        finally:
            background.jobs_of(app).schedule = None
            background.stop_jobs(app)

    def test_a_delivery_worker_that_has_died(self, app, ask):
        background.start_jobs(app)
        try:
            courier = background.jobs_of(app).worker
            courier._is_stopping.set()
            courier._wake.set()
            courier._thread.join()
            assert ask()[1]["reason"] == "delivery_worker_stopped"
        finally:
            background.stop_jobs(app)

    def test_messages_that_nobody_sends(self, clock, ask):
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
