"""Workers of Gunicorn, loaded before the fork and after it: no report is lost, each message is sent once."""

import json
import os
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from applications import close
from factories import BEGAN_AT, report_body
from flask import appcontext_pushed
from real_server import GunicornServer, PreloadingGunicornServer, real_server
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from app.accounts import passwords
from app.audit.log import Actor
from app.backups.models import Run
from app.config import Settings
from app.core.db import orm
from app.core.db.orm import ExactCache, cache
from app.core.db.orm import db as database
from app.core.settings import store as settings_store
from app.factory import create_app
from app.notifications import channels
from app.plugin.testing.http_servers import recording_server
from app.reports import ingest, reader_process
from app.runtime import runtime_of
from app.scheduling import background, tasks
from app.scheduling.control import Task

pytest.importorskip("gunicorn")

REPORTS, SENDERS = 60, 10
CHECK = "overdue-backup-check"


class GunicornWithFactory(GunicornServer):
    """Workers that create the application themselves."""

    command = (*GunicornServer.command[:-1], "app.factory:create_app()")


@pytest.fixture
def settings(settings_of_each_database):
    """Both databases."""
    return settings_of_each_database


@pytest.fixture
def environment(settings):
    """Return the environment of a server on the same database."""
    return {"DATABASE_URL": settings.database_url} if settings.database_url else {}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [GunicornServer, PreloadingGunicornServer])
def test_no_report_is_lost_and_each_message_is_sent_once(kind, app, settings, environment):
    with recording_server() as ntfy:
        with app.app_context():
            channels.save_settings("ntfy", "ntfy", {"url": ntfy.url, "topic": "main"}, now=datetime.now(UTC))
        with real_server(settings.data_dir, kind=kind, **environment) as server, ThreadPoolExecutor(SENDERS) as senders:
            bodies = [report_of(number) for number in range(REPORTS)]
            assert Counter(senders.map(server.upload, bodies)) == {200: REPORTS}
            ntfy.wait_for(REPORTS, timeout_s=60)
        titles = Counter(push.json["title"] for push in ntfy.received)
    assert titles == {f"⚠️ Error - job {number} @ nas": 1 for number in range(REPORTS)}
    with app.app_context():
        assert database.session.scalar(select(func.count()).select_from(Run)) == REPORTS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "ending"),
    [
        (GunicornServer, signal.SIGTERM),
        (GunicornServer, signal.SIGINT),
        (PreloadingGunicornServer, signal.SIGTERM),
        (GunicornWithFactory, signal.SIGTERM),
    ],
)
def test_a_stop_leaves_no_files_next_to_the_database(tmp_path, kind, ending):
    server = kind(tmp_path)
    with ThreadPoolExecutor(SENDERS) as senders:
        bodies = [report_of(number) for number in range(REPORTS)]
        assert Counter(senders.map(server.upload, bodies)) == {200: REPORTS}
    assert server.stop(ending) == 0
    assert sorted(path.name for path in tmp_path.glob("duplistatus.db*")) == ["duplistatus.db"]
    with closing(sqlite3.connect(f"file:{tmp_path}/duplistatus.db?mode=ro&immutable=1", uri=True)) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (REPORTS,)


@pytest.mark.slow
def test_scheduled_tasks_run_in_forked_workers(tmp_path):
    settings = Settings(data_dir=tmp_path, run_jobs=False, testing=True)
    app = create_app(settings)
    with app.app_context():
        every_minute = {CHECK: {"cronExpression": "*/1 * * * *", "enabled": True}}
        settings_store.put("cron_tasks", every_minute, now=datetime.now(UTC))
    with real_server(tmp_path, kind=PreloadingGunicornServer), app.app_context():
        deadline = time.monotonic() + 100
        while database.session.get(Task, CHECK) is None:
            assert time.monotonic() < deadline
            database.session.rollback()
            time.sleep(0.2)
    close(app)


@pytest.mark.slow
def test_workers_initialise_an_empty_folder_one_after_another(tmp_path):
    for number in range(3):
        log = tmp_path / f"{number}.log"
        arguments = f"--error-logfile={log}"
        with real_server(tmp_path / str(number), kind=GunicornServer, GUNICORN_CMD_ARGS=arguments) as server:
            assert {server.request("GET", "/api/health")[0] for _ in range(20)} == {200}
        logged = log.read_text()
        assert (logged.count("Booting worker"), "Exception" in logged, "exited" in logged) == (4, False, False)


def report_of(number):
    return report_body(job_name=f"job {number}", began_at=BEGAN_AT + timedelta(minutes=number), result="Error")


def in_child(work, meanwhile=lambda: None):
    """Fork, run a function in the child and one in the parent; return the result of the child as text."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover (the child)
        try:
            os.write(writer, repr(work()).encode())
        except BaseException as error:
            os.write(writer, f"failed: {error!r}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    meanwhile()
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text


class TestFork:
    def test_the_start_leaves_no_connection_open(self, app):
        with app.app_context():
            assert [engine.pool.checkedin() for engine in database.engines.values()] == [0] * len(database.engines)
        assert runtime_of(app).find(ExactCache) is None

    def test_a_child_has_its_own_connections(self, app):
        with app.app_context():
            pools = [engine.pool for engine in database.engines.values()]
            watcher = cache()

        def work():
            with app.app_context():
                own = [engine.pool for engine in database.engines.values()]
                return {id(pool) for pool in own}.isdisjoint({id(pool) for pool in pools}), cache() is watcher

        assert in_child(work) == "(True, False)"

    def test_parent_and_child_read_and_write_concurrently(self, app, client, clock):
        client.post("/api/upload", data=report_of(0), content_type="application/json")

        def send(numbers):
            for number in numbers:
                answer = app.test_client().post("/api/upload", data=report_of(number), content_type="application/json")
                assert answer.status_code == 200
            return app.test_client().get("/api/summary").get_json()["totalBackups"]

        assert "failed" not in in_child(lambda: send(range(1, 20)), meanwhile=lambda: send(range(20, 40)))
        assert send([]) == 40

    def test_locks_held_by_threads_of_the_parent_are_free(self, app):
        with app.app_context():
            found = cache()
        let_go, held = threading.Event(), threading.Event()

        def hold():
            locks = (orm._write_lock, reader_process._process._lock, passwords._seats, passwords._seats)
            with ExitStack() as stack:
                for lock in (*locks, found._lock, found._watcher._lock):
                    stack.enter_context(lock)
                held.set()
                let_go.wait(60)

        holder = threading.Thread(target=hold)
        holder.start()
        held.wait(60)

        def work():
            with app.app_context():
                settings_store.put("silence_hours", 7, now=datetime.now(UTC))
                passwords.hash_password("x")
                filler = {"log": "x" * 2 * reader_process.LARGE_BYTES}
                body = json.dumps({**json.loads(report_of(0)), "Filler": filler}).encode()
                ingest.receive_report(body, now=datetime.now(UTC), actor=Actor())
                return settings_store.get("silence_hours")

        try:
            assert in_child(work) == "7"
        finally:
            let_go.set()
            holder.join()

    def test_a_child_holds_leases_under_its_own_name(self):
        assert in_child(lambda: tasks.HOLDER) != repr(tasks.HOLDER)

    def test_a_child_starts_its_own_jobs(self, app):
        background.start_jobs(app)
        inherited = replace(background.jobs_of(app))
        background.stop_jobs(app)  # at a fork its threads must not be within SQLite
        jobs = background.jobs_of(app)
        jobs.schedule, jobs.worker = inherited.schedule, inherited.worker

        def work():
            deadline = time.monotonic() + 60
            while background.jobs_of(app).schedule is None and time.monotonic() < deadline:
                time.sleep(0.05)
            own = background.jobs_of(app).schedule
            names = {thread.name for thread in threading.enumerate()}
            return (
                own is not inherited.schedule,
                own.is_running,
                names >= {"delivery-worker", "APScheduler"},
            )

        assert in_child(work) == "(True, True, True)"

    def test_a_parent_that_forks_at_once_starts_no_jobs(self, app):
        background.start_jobs_soon(app)
        for _worker in range(3):  # the later ones, too: one may replace the first
            assert in_child(lambda: background.jobs_of(app).pending is not None) == "True"
            assert background.jobs_of(app).pending is None
        assert background.jobs_of(app).schedule is None

    def test_jobs_without_a_fork_start_automatically(self, app):
        background.start_jobs_soon(app)
        deadline = time.monotonic() + 60
        while background.jobs_of(app).schedule is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        background.stop_jobs(app)

    def test_a_stop_ends_jobs_that_are_being_started(self, app, monkeypatch):
        is_under_way, may_go_on = threading.Event(), threading.Event()

        def starting(sender, **_details):
            is_under_way.set()
            assert may_go_on.wait(60)

        monkeypatch.setattr(background, "SETTLE_S", 0)
        with appcontext_pushed.connected_to(starting, app):
            background.start_jobs_soon(app)
            assert is_under_way.wait(60)
        threading.Timer(0.3, may_go_on.set).start()
        background.stop_jobs(app)
        assert may_go_on.is_set()
        assert background.jobs_of(app).schedule is None
        assert {thread.name for thread in threading.enumerate()}.isdisjoint(
            {"start-jobs", "delivery-worker", "APScheduler"}
        )

    def test_a_failed_start_is_not_repeated_after_a_stop(self, app, monkeypatch):
        monkeypatch.setattr(background, "SETTLE_S", 0)
        tries = threading.Semaphore(0)

        def failing(app):
            tries.release()
            raise OperationalError("SELECT 1", {}, Exception("away"))

        monkeypatch.setattr(background, "start_jobs", failing)
        background.start_jobs_soon(app)
        assert tries.acquire(timeout=60)
        background.stop_jobs(app)
        assert "start-jobs" not in {thread.name for thread in threading.enumerate()}

    def test_uwsgi_without_threads_is_reported_at_the_start(self, app, monkeypatch):
        monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(has_threads=False))
        with pytest.raises(RuntimeError, match="--enable-threads"):
            background.start_jobs_in_workers(app)

    def test_the_master_of_uwsgi_starts_no_jobs(self, app, monkeypatch):
        uwsgi = SimpleNamespace(has_threads=True, worker_id=lambda: 0)
        monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)
        background.start_jobs_in_workers(app)
        assert background.jobs_of(app).pending is None

        def work():
            uwsgi.post_fork_hook()  # once more: Python has warned already, which uWSGI does if asked to
            return background.jobs_of(app).pending is not None

        for _worker in range(2):
            assert in_child(work) == "True"
        uwsgi.post_fork_hook()  # if it forks no workers
        assert background.cancel_start(app)

    def test_a_uwsgi_worker_with_lazy_apps_starts_jobs(self, app, monkeypatch):
        monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(has_threads=True, worker_id=lambda: 2))
        background.start_jobs_in_workers(app)
        assert background.cancel_start(app)

    def test_an_application_without_jobs_starts_none(self, app):
        assert in_child(lambda: background.jobs_of(app).pending is not None) == "False"
