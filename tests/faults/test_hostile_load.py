"""Slow connections and hostile bodies of every kind: no report of other senders is lost or rejected.

`bench/hostile.py` measures how long these take, alone and under load.
"""

import sqlite3
from collections import Counter
from contextlib import closing

import pytest
from hostile_bodies import hostile_bodies
from hostile_load import run_load
from real_server import real_server

pytestmark = [pytest.mark.slow, pytest.mark.load]

SECONDS = 30.0
SIZE = 16 * 1024 * 1024 - 8192
STORED = "SELECT count(*) FROM runs JOIN jobs ON jobs.id = runs.job_id WHERE jobs.server_id LIKE 'honest-%'"


def test_every_valid_report_is_stored(tmp_path):
    with real_server(tmp_path) as server:
        load = run_load(server.port, SECONDS, list(hostile_bodies(SIZE)))
        assert server.request("GET", "/api/ping") == (200, {"ok": True})
    assert load.statuses == Counter({200: len(load.honest_s)})
    assert set(load.hostile_statuses) <= {200, 400, 409, 413, 503}
    assert load.hostile_statuses
    assert load.asked_s
    with closing(sqlite3.connect(tmp_path / "duplistatus.db")) as connection:
        assert connection.execute(STORED).fetchone() == (len(load.honest_s),)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
