"""A server killed during uploads: every accepted report is stored once, and notified or still to be."""

import http.client
import json
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from factories import BEGAN_AT, report_body
from real_server import RealServer, real_server

from app.plugin.testing.http_servers import Answer, recording_server

pytestmark = pytest.mark.slow

UPLOADS, SENDERS = 200, 16
# Messages without an earlier pending one of their job.
UNHELD = """SELECT count(*) FROM deliveries AS later WHERE state = 'queued' AND NOT EXISTS (
    SELECT * FROM deliveries AS earlier
    WHERE earlier.state = 'sending' AND earlier.job_id = later.job_id AND earlier.id < later.id)"""
SENDING_S = 0.02


def use_ntfy_server(database: Path, url: str) -> None:
    """Use a fake server for the standard channel before anything is sent."""
    with closing(sqlite3.connect(database)) as connection, connection:
        settings = json.dumps({"url": url, "topic": "test"})
        changed = connection.execute("UPDATE channels SET settings = ? WHERE kind = 'ntfy'", (settings,))
        assert changed.rowcount == 1


def rows(database: Path, statement: str) -> list[tuple]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(statement).fetchall()


def warning(number: int) -> bytes:
    """Return a report that is notified by default: run `number` of one of ten jobs."""
    began_at = BEGAN_AT + timedelta(minutes=number)
    return report_body(job_name=f"job {number % 10}", began_at=began_at, result="Warning")


def send_until(end: Callable[[], object], server: RealServer, end_after: int) -> set[int]:
    """Send all reports concurrently, and end the server meanwhile; return those that it accepted."""
    taken, lock, enough = set(), threading.Lock(), threading.Event()

    def send(number: int) -> None:
        try:
            status = server.upload(warning(number))
        except (OSError, http.client.HTTPException, ValueError):
            return
        assert status == 200
        with lock:
            taken.add(number)
            if len(taken) >= end_after:
                enough.set()

    with ThreadPoolExecutor(SENDERS) as pool:
        sent = [pool.submit(send, number) for number in range(UPLOADS)]
        assert enough.wait(60)
        end()
        for future in sent:
            future.result()
    return taken


@pytest.mark.parametrize("seed", range(3))
def test_killed_server_keeps_accepted_reports(tmp_path, seed):
    database = tmp_path / "duplistatus.db"
    with recording_server() as ntfy:
        ntfy.standard = Answer(delay_s=SENDING_S)
        server = RealServer(tmp_path)
        use_ntfy_server(database, ntfy.url)
        taken = send_until(server.kill, server, random.Random(seed).randrange(10, UPLOADS - 40))
        assert 0 < len(taken) < UPLOADS
        with real_server(tmp_path) as server:
            again = [server.upload(warning(number)) for number in sorted(taken)]
            assert again == [409] * len(taken)  # all have arrived
            status, summary = server.request("GET", "/api/summary")
            assert (status, rows(database, "PRAGMA integrity_check")) == (200, [("ok",)])
            runs = rows(database, "SELECT count(*), count(DISTINCT job_id || ' ' || began_at) FROM runs")[0]
            assert runs[0] == runs[1] == summary["totalBackupsRuns"]
            # A run that was stored without a response to the sender is complete as well.
            assert len(taken) <= runs[0] <= len(taken) + SENDERS
            assert rows(database, "SELECT sum(run_count) FROM jobs") == [(runs[0],)]
            assert rows(database, "SELECT sum(run_count) FROM job_days") == [(runs[0],)]
            assert rows(database, "SELECT count(*) FROM run_logs") == [(runs[0],)]
            assert rows(database, "SELECT count(*) FROM audit_log WHERE action = 'backup_upload'") == [(runs[0],)]
            assert rows(database, "SELECT count(*) FROM deliveries") == [(runs[0],)]
            await_deliveries(database, ntfy, runs[0])


def test_a_stopped_server_finishes_running_requests(tmp_path):
    server, statuses = RealServer(tmp_path, RUN_JOBS="false"), []
    taken = send_until(lambda: statuses.append(server.stop()), server, 40)
    assert statuses == [0]
    assert rows(tmp_path / "duplistatus.db", "SELECT count(*) FROM runs") == [(len(taken),)]


def await_deliveries(database: Path, ntfy, count: int) -> None:
    """Each run was notified, or is claimed by the killed delivery worker and will be notified when its claim ends.

    Messages of one job keep their order, so those of the job wait behind a claim.
    """
    deadline = time.monotonic() + 60
    while True:
        states = Counter(dict(rows(database, "SELECT state, count(*) FROM deliveries GROUP BY state")))
        [(unheld,)] = rows(database, UNHELD)
        if unheld == 0 and (states["sending"] <= 8 or time.monotonic() > deadline):
            break
        assert time.monotonic() < deadline, states
        time.sleep(0.05)
    assert set(states) <= {"delivered", "sending", "queued"}
    keys = {request.json.get("sequence_id") for request in ntfy.received}
    assert len(keys) >= states["delivered"]
    assert states.total() == count
    abandoned = rows(database, "SELECT count(*) FROM deliveries WHERE state = 'sending' AND claimed_until IS NULL")
    assert abandoned == [(0,)]
