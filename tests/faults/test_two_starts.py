"""Processes that start or end at the same time: the database is filled once, and no file is left next to it."""

import fcntl
import subprocess
import sys
import threading
import time
from pathlib import Path

import flask_migrate
import pytest
from applications import close
from sqlalchemy import create_engine, text

from app.config import Settings
from app.core.db import engine as db_engine
from app.core.db.engine import CLOSING_LOCK, MIGRATIONS, START_LOCK, START_LOCK_NAME
from app.core.logs import file_lock
from app.factory import bind, create_app

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60
START = """
import sys
from pathlib import Path
from app.factory import create_app
from app.config import Settings

create_app(Settings(data_dir=Path(sys.argv[1]), database_url=sys.argv[2], run_jobs=False, testing=True))
"""


def test_postgresql_is_filled_once(tmp_path, empty_postgres_url):
    engine = create_engine(empty_postgres_url)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": START_LOCK})
        processes = start(2, tmp_path, empty_postgres_url)
        waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        wait_until(lambda: connection.scalar(waiting) == 2)
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": START_LOCK})
        assert_all_started(processes)
        assert_filled_once(connection)
    engine.dispose()


def test_sqlite_is_filled_once(tmp_path):
    with (tmp_path / START_LOCK_NAME).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        processes = start(4, tmp_path)
        wait_until(lambda: waiting_for_file(tmp_path / START_LOCK_NAME) == 4)
        fcntl.flock(file, fcntl.LOCK_UN)
        assert_all_started(processes)
    engine = create_engine(f"sqlite:///{tmp_path / 'duplistatus.db'}")
    with engine.connect() as connection:
        assert_filled_once(connection)
    engine.dispose()


def test_sqlite_is_migrated_once(tmp_path, installed):
    app = bind(Settings(data_dir=tmp_path, testing=True), installed)
    with app.app_context():
        flask_migrate.upgrade(directory=str(MIGRATIONS), revision="0002")
    close(app)
    assert_all_started(start(4, tmp_path))
    assert len(list((tmp_path / "copies").glob("*.db"))) == 1


def test_processes_that_close_wait_for_each_other(settings, installed):
    """Otherwise each would see the other one as a user of the database, and both would leave the log."""
    app = create_app(settings, installed)
    lock = settings.data_dir / CLOSING_LOCK
    ending = threading.Thread(target=db_engine.close, args=(app,), kwargs={"is_quiet": True})
    with file_lock(lock):
        ending.start()
        wait_until(lambda: waiting_for_file(lock) == 1)
        assert ending.is_alive()
    ending.join(PATIENCE_S)
    assert not ending.is_alive()
    assert sorted(path.name for path in settings.data_dir.glob("duplistatus.db*")) == ["duplistatus.db"]


def start(count, folder, url=""):
    command = [sys.executable, "-c", START, folder, url]
    return [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(count)]


def assert_all_started(processes):
    errors = [process.communicate(timeout=PATIENCE_S)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), errors


def assert_filled_once(connection):
    assert connection.scalar(text("SELECT count(*) FROM users")) == 1
    assert connection.scalar(text("SELECT count(*) FROM channels")) == 1


def wait_until(is_so) -> None:
    """Wait until only the lock keeps the processes apart."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def waiting_for_file(path):
    """Return how many processes wait for the lock of a file, from Linux."""
    inode = f":{path.stat().st_ino} "
    return sum(" -> FLOCK " in line and inode in line for line in Path("/proc/locks").read_text().splitlines())
