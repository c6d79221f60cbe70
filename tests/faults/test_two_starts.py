"""Two processes that start at one moment on a PostgreSQL in which nothing is yet: both serve, and it is filled once."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from app.database import START_LOCK

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60
START = """
import sys
from pathlib import Path
from app.factory import create_app
from app.settings import Settings

create_app(Settings(data_dir=Path(sys.argv[1]), database_url=sys.argv[2], run_jobs=False, testing=True))
"""


def test_database_is_made_once(tmp_path, empty_postgres_url):
    engine = create_engine(empty_postgres_url)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": START_LOCK})
        command = [sys.executable, "-c", START, tmp_path, empty_postgres_url]
        processes = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        wait_until_both_wait(connection)
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": START_LOCK})
        told = [process.communicate(timeout=PATIENCE_S)[1] for process in processes]
        assert [process.returncode for process in processes] == [0, 0], told
        assert connection.scalar(text("SELECT count(*) FROM users")) == 1
        assert connection.scalar(text("SELECT count(*) FROM channels")) == 1
    engine.dispose()


def wait_until_both_wait(connection) -> None:
    """Wait until nothing but the lock keeps them apart."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    deadline = time.monotonic() + PATIENCE_S
    while connection.scalar(waiting) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
