"""A server killed in a long operation: the database is consistent, with all accepted data, or without any of it."""

import json
import random
import sqlite3
import threading
import time
from contextlib import closing, suppress
from datetime import timedelta
from http.client import HTTPException
from pathlib import Path

import pytest
from applications import ADMIN_PASSWORD
from factories import BEGAN_AT, report_body
from real_server import RealServer, real_server

from app.core.db import engine

pytestmark = pytest.mark.slow

RUNS = 150
LINES = [f"2026-11-20 03:00:01 +01 - [Information-Duplicati]: file {number} of many" for number in range(200)]


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> Path:
    """A database with runs and their logs."""
    folder = tmp_path_factory.mktemp("filled")
    with real_server(folder, ADMIN_PASSWORD=ADMIN_PASSWORD) as server:
        for number in range(RUNS):
            body = report_body(job_name=f"job {number % 5}", began_at=BEGAN_AT + timedelta(hours=number), lines=LINES)
            assert server.upload(body) == 200
    return folder / "duplistatus.db"


def sign_in(server: RealServer) -> dict[str, str]:
    with closing(server.connect()) as connection:
        body = json.dumps({"username": "admin", "password": ADMIN_PASSWORD})
        connection.request("POST", "/api/auth/login", body, {"X-CSRF-Token": "any"})
        answer = connection.getresponse()
        answer.read()
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
    token = server.request("GET", "/api/csrf", headers={"Cookie": cookie})[1]["token"]
    return {"Cookie": cookie, "X-CSRF-Token": token, "Content-Type": "application/json"}


def look_into(folder: Path) -> tuple[int, int, int]:
    """Return the number of runs, of runs counted by jobs, and of logs without a run; the file has to be intact."""
    with closing(sqlite3.connect(folder / "duplistatus.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchone() is None
        [(runs,)] = connection.execute("SELECT count(*) FROM runs")
        [(counted,)] = connection.execute("SELECT coalesce(sum(run_count), 0) FROM jobs")
        [(orphans,)] = connection.execute(
            "SELECT count(*) FROM run_logs WHERE run_row_id NOT IN (SELECT row_id FROM runs)"
        )
    return runs, counted, orphans


OPERATIONS = {
    "backup": ("GET", "/api/database/backup?format=db", None),
    "script": ("GET", "/api/database/backup?format=sql", None),
    "kept backup": ("POST", "/api/database/backups", None),
    "compact": ("POST", "/api/database/compact", None),
    "check": ("POST", "/api/database/integrity-check", None),
    "delete everything": ("POST", "/api/backups/cleanup", {"retentionPeriod": "Delete all data"}),
}


@pytest.mark.parametrize(("method", "path", "body"), OPERATIONS.values(), ids=OPERATIONS)
def test_killed_operation_leaves_a_consistent_database(filled, tmp_path, method, path, body):
    engine.copy_database(filled, tmp_path / "duplistatus.db")
    dice = random.Random(path)
    for _ in range(3):
        before = look_into(tmp_path)[0]
        server = RealServer(tmp_path, ADMIN_PASSWORD=ADMIN_PASSWORD)
        headers = sign_in(server)

        def work(server=server, headers=headers) -> None:
            with suppress(OSError, ValueError, HTTPException):
                server.request(method, path, json.dumps(body) if body else None, headers)

        worker = threading.Thread(target=work)
        worker.start()
        time.sleep(dice.uniform(0.0, 0.15))
        server.kill()
        worker.join()
        runs, counted, orphans = look_into(tmp_path)
        assert (counted, orphans) == (runs, 0)
        assert runs == before or path.endswith("cleanup")


BACK_TO_0005 = """
ALTER TABLE tasks DROP COLUMN last_error_details;
ALTER TABLE servers DROP COLUMN collect_error_details;
ALTER TABLE rejected_reports DROP COLUMN reason_details;
DROP TABLE sign_in_networks;
UPDATE alembic_version SET version_num = '0005';
"""


@pytest.mark.parametrize("wait_s", [0.3, 0.6, 0.9, 1.2])
def test_killed_start_is_followed_by_a_successful_one(filled, tmp_path, wait_s):
    engine.copy_database(filled, tmp_path / "duplistatus.db")
    with closing(sqlite3.connect(tmp_path / "duplistatus.db")) as connection, connection:
        connection.executescript(BACK_TO_0005)
    impatient = type("ImpatientServer", (RealServer,), {"patience_s": wait_s})
    with suppress(RuntimeError):
        impatient(tmp_path).kill()
    with real_server(tmp_path) as server:
        assert server.upload(report_body(began_at=BEGAN_AT + timedelta(days=90))) == 200
    assert look_into(tmp_path) == (RUNS + 1, RUNS + 1, 0)
