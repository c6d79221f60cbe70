"""Two processes on one PostgreSQL create the same row at once: the second one finds it, or reports a conflict."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from duplicati_server import PASSWORD, duplicati_server
from sqlalchemy import insert, select, text

from app.audit.log import Actor
from app.backups.models import Job, Server
from app.collector import store as collector_store
from app.collector.responses import CollectedJob, JobSchedule, Machine
from app.collector.targets import Order, find_target
from app.core.db.orm import SHARED_LOCK
from app.core.settings import store as settings_store
from app.core.settings.store import StoredSetting
from app.notifications.models import Channel

PATIENCE_S = 30


@pytest.fixture
def settings(settings_of_each_database):
    """A database that several processes may share."""
    return settings_of_each_database


@contextmanager
def made_by_another(app, db, statement, lock=SHARED_LOCK):
    """Yield a function that runs a verb in a thread while the row of a statement is uncommitted; it is committed then.

    The other process takes the lock of an upload first, or none, like a program other than ours.
    """
    pool = ThreadPoolExecutor(1)

    def in_context(verb, *arguments):
        with app.app_context():
            return verb(*arguments)

    def meanwhile(verb, *arguments):
        running = pool.submit(in_context, verb, *arguments)
        wait_for_blocked(db, running)
        connection.commit()
        return running.result(PATIENCE_S)

    with pool, db.engine.connect() as connection:
        if lock is not None:
            connection.execute(lock)
        connection.execute(statement)
        yield meanwhile


def wait_for_blocked(db, running: Future) -> None:
    """Wait until the thread waits for the row of the other, after it has searched in vain."""
    blocked = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    deadline = time.monotonic() + PATIENCE_S
    with db.engine.connect() as watcher:
        while not running.done() and not watcher.scalar(blocked):
            watcher.rollback()  # activities that were read stay the same within a transaction
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def server(db, clock):
    """A known server."""
    db.session.add(Server(id="nas", name="nas", created_at=clock()))
    db.session.commit()


on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@on_postgresql
def test_setting_stored_first_by_another_process_is_updated(app, db, clock):
    stored = insert(StoredSetting).values(key="public_url", value="theirs", updated_at=clock())
    with made_by_another(app, db, stored, lock=None) as meanwhile:
        meanwhile(lambda: settings_store.put("public_url", "ours", now=clock()))
    assert settings_store.get("public_url") == "ours"


@on_postgresql
def test_server_with_a_concurrent_first_report_gets_its_address(app, db, clock):
    reported = insert(Server).values(id="nas", name="nas", created_at=clock())
    with duplicati_server() as duplicati, made_by_another(app, db, reported) as meanwhile:
        order = Order(hostname="127.0.0.1", port=duplicati.port, password=PASSWORD, scheme="http")
        target = find_target(order, None)
        meanwhile(
            lambda: (
                collector_store.remember_server(
                    target, Machine("nas", "nas"), may_change=True, actor=Actor(), now=clock()
                ).id
            )
        )
    kept = db.session.scalars(select(Server)).one()
    assert (kept.id, kept.url, kept.has_password) == ("nas", str(target.endpoint.address), True)


@on_postgresql
def test_job_with_a_concurrent_first_report_gets_its_schedule(app, db, clock, server):
    reported = insert(Job).values(server_id="nas", name="Photos", created_at=clock())
    scheduled = CollectedJob("3", "Photos", JobSchedule("1W", 0b1111111, None))
    with made_by_another(app, db, reported) as meanwhile:
        assert meanwhile(collector_store.apply_schedules, "nas", [scheduled], clock(), []) == 1
    job = db.session.scalars(select(Job)).one()
    assert (job.duplicati_id, job.expected_interval) == ("3", "1W")


@on_postgresql
def test_unexpected_conflict_may_be_retried(app, db, clock, admin):
    app.config["PROPAGATE_EXCEPTIONS"] = False
    theirs = insert(Channel).values(kind="email", name="email", settings={}, created_at=clock(), updated_at=clock())
    ours = {"host": "mail.example", "port": 25, "connectionType": "plain", "username": "me"}
    ours |= {"requireAuth": False, "mailto": "me@mail.example", "fromAddress": "me@mail.example"}
    with made_by_another(app, db, theirs, lock=None) as meanwhile:
        answer = meanwhile(lambda: admin.send("POST", "/api/configuration/email", json=ours))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.get_json()["error"] == "Someone else just changed this; reload and try again"
