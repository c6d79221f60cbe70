"""A SQLite file locked by another program: each request waits for a while, and not for those before it."""

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from factories import report_body

from app.core.db import orm

WAIT_S = 0.5
SENDERS = 6


@pytest.fixture
def locked(app, settings):
    """The database while another program writes to it."""
    with closing(sqlite3.connect(settings.data_dir / "duplistatus.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


@pytest.fixture(autouse=True)
def short_wait(app, monkeypatch):
    """Wait only as long as a test may take."""
    for name in ("LONGEST_WAIT_S", "REQUEST_WAIT_S"):
        monkeypatch.setattr(orm, name, WAIT_S)
    monkeypatch.setattr(orm, "LEAST_WAIT_S", WAIT_S / 50)
    app.config["PROPAGATE_EXCEPTIONS"] = False


def send(app, number: int):
    return app.test_client().post("/api/upload", data=report_body(server_id=f"m{number}"))


def test_waiting_times_do_not_add_up(app, locked):
    began = time.monotonic()
    with ThreadPoolExecutor(SENDERS) as pool:
        answers = list(pool.map(lambda number: send(app, number), range(SENDERS)))
    assert {answer.status_code for answer in answers} == {503}
    assert all(answer.headers["Retry-After"] for answer in answers)
    # One after the other they would wait as many times as there are senders.
    assert time.monotonic() - began < WAIT_S * (SENDERS - 1)


def test_request_that_writes_several_times_waits_once(app, locked):
    began = time.monotonic()
    assert app.test_client().post("/api/upload", data=b"no report").status_code == 503
    assert time.monotonic() - began < 2 * WAIT_S


def test_time_in_a_queue_counts(app, locked):
    began = time.monotonic()
    queued = {orm.ARRIVED: began - WAIT_S}
    answer = app.test_client().post("/api/upload", data=report_body(), environ_overrides=queued)
    assert answer.status_code == 503
    assert time.monotonic() - began < WAIT_S


def test_reports_wait_longer_than_users(app, locked, monkeypatch):
    monkeypatch.setattr(orm, "REQUEST_WAIT_S", 0.0)
    began = time.monotonic()
    assert app.test_client().sign_in().status_code == 503
    assert time.monotonic() - began < WAIT_S
    assert send(app, 1).status_code == 503
    assert time.monotonic() - began > WAIT_S


def test_reading_continues(admin, locked):
    assert admin.get("/api/summary").status_code == 200


def test_report_is_stored_when_the_lock_is_gone(app, locked):
    assert send(app, 1).status_code == 503
    locked.execute("ROLLBACK")
    assert send(app, 1).status_code == 200
