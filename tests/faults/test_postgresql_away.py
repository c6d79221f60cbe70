"""PostgreSQL that stops and starts during uploads: accepted reports are stored once, and health reports the reason."""

import http.client
import threading
import time
from contextlib import suppress
from datetime import timedelta

import psycopg
import pytest
from databases import own_postgres_server
from factories import BEGAN_AT, report_body
from real_server import RealServer, real_server

pytestmark = pytest.mark.slow

SENDERS = 4


@pytest.fixture
def postgres():
    with own_postgres_server() as running:
        running.execute("CREATE DATABASE away")
        running.execute("ALTER DATABASE away SET synchronous_commit = on")  # accepted reports have to be kept
        yield running


def send_until(ended: threading.Event, server: RealServer, sender: int, accepted: list, statuses: set) -> None:
    """Send one report after the other; record which were accepted."""
    number = 0
    while not ended.is_set():
        body = report_body(server_id=f"m{sender}", began_at=BEGAN_AT + timedelta(minutes=number))
        with suppress(OSError, ValueError, http.client.HTTPException):
            status = server.upload(body)
            statuses.add(status)
            if status == 200:
                accepted.append((sender, number))
        number += 1


def wait_for(condition) -> None:
    ends_at = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < ends_at
        time.sleep(0.1)


def test_accepted_reports_survive_a_database_outage(postgres, tmp_path):
    url = postgres.url("away")
    accepted, statuses, ended = [], set(), threading.Event()
    with real_server(tmp_path, DATABASE_URL=url) as server:
        work = (ended, server)
        senders = [threading.Thread(target=send_until, args=(*work, n, accepted, statuses)) for n in range(SENDERS)]
        for sender in senders:
            sender.start()
        wait_for(lambda: len(accepted) > 40)
        postgres.stop_at_once()
        wait_for(lambda: 503 in statuses)
        wait_for(lambda: server.request("GET", "/api/health")[0] == 503)
        assert server.request("GET", "/api/health")[1]["reason"] == "database_unreachable"
        assert server.request("GET", "/api/ping") == (200, {"ok": True})
        before = len(accepted)
        postgres.start()
        wait_for(lambda: len(accepted) > before + 40)
        ended.set()
        for sender in senders:
            sender.join()
        wait_for(lambda: server.request("GET", "/api/health")[0] == 200)
    assert statuses <= {200, 409, 503}
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        stored = connection.execute(
            "SELECT server_id, (coalesce(reported_began_at, began_at) - %s) / 60000"
            " FROM runs JOIN jobs ON jobs.id = runs.job_id",
            (int(BEGAN_AT.timestamp() * 1000),),
        ).fetchall()
    assert len(stored) == len(set(stored))
    assert {(f"m{sender}", number) for sender, number in accepted} <= set(stored)
