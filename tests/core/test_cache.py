"""A cached value is never older than the last commit of any process."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import pytest
from factories import BEGAN_AT, SENDER, make_report, make_run
from sqlalchemy import func, select, update

from app.backups import overview
from app.backups.models import Run, Server
from app.core.db.orm import cache, writing
from app.core.db.orm import db as database
from app.core.settings import store as settings_store
from app.reports.ingest import ingest_report

HOUR, NOW = timedelta(hours=1), BEGAN_AT + timedelta(hours=1)
OTHER_PROCESS = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("UPDATE servers SET name = 'renamed elsewhere'")
connection.commit()
"""
# Commits once for each line that it reads, and sometimes moves the write-ahead log into the file.
WRITING_PROCESS = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA synchronous = OFF")
for number, _line in enumerate(sys.stdin):
    connection.execute("UPDATE servers SET name = ?", (f"name {number}",))
    if number % 3 == 2:
        [(is_busy, *_)] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert not is_busy
    print("done", flush=True)
"""


@pytest.fixture
def settings(settings_of_each_database):
    """Every test here runs on SQLite and on PostgreSQL."""
    return settings_of_each_database


def count_runs() -> int:
    return database.session.scalar(select(func.count()).select_from(Run))


def test_value_is_built_once_while_nothing_changes(db):
    built = []
    for _ in range(3):
        assert cache().get("key", lambda: built.append(1) or "value") == "value"
    assert built == [1]


def test_value_is_built_again_after_a_commit(db):
    assert cache().get("runs", count_runs) == 0
    make_run()
    assert cache().get("runs", count_runs) == 1


def test_value_is_built_again_for_another_time(db):
    assert [cache().get("key", lambda moment=moment: moment, moment=moment) for moment in (1, 1, 2)] == [1, 1, 2]


def test_keys_do_not_mix(db):
    assert [cache().get(key, lambda key=key: key) for key in ("a", "b", "a")] == ["a", "b", "a"]


def test_value_of_a_failed_transaction_is_not_cached(db):
    with suppress(RuntimeError), writing() as session:
        session.add(Server(id="m-1", name="new", created_at=NOW))
        session.flush()
        assert len(overview.overview(NOW, None).servers) == 1
        raise RuntimeError
    assert overview.overview(NOW, None).servers == ()


def test_transaction_sees_its_own_settings_before_the_commit(db, clock):
    with writing():
        settings_store.put("overdue_tolerance", "4h", now=clock())
        assert settings_store.get("overdue_tolerance") == "4h"


def test_builder_that_raises_leaves_no_value(db):
    with pytest.raises(ZeroDivisionError):
        cache().get("key", lambda: 1 / 0)
    assert cache().get("key", lambda: "good") == "good"


def test_open_snapshot_of_a_reader_is_not_cached(app, db):
    """A reader that began before a commit reads after it: the old state must not be cached under the new one."""
    assert count_runs() == 0  # opens the snapshot

    def upload():
        with app.app_context():
            make_run()

    thread = threading.Thread(target=upload)
    thread.start()
    thread.join()
    assert cache().get("runs", count_runs) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_commit_of_another_process_is_seen(db):
    make_run()
    assert overview.overview(NOW, None).servers[0].name == "nas"
    subprocess.run([sys.executable, "-c", OTHER_PROCESS, db.engine.url.database], check=True)
    assert overview.overview(NOW, None).servers[0].name == "renamed elsewhere"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_each_commit_of_another_process_and_of_this_one_is_seen(db):
    """Two processes write in turn; after each commit the committed value is read."""
    make_run()
    command = [sys.executable, "-c", WRITING_PROCESS, db.engine.url.database]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        for number in range(9):
            db.session.commit()  # the log cannot be moved, and SQLite waits 5 s, while a transaction reads
            other.stdin.write("next\n")
            other.stdin.flush()
            assert other.stdout.readline() == "done\n"
            assert overview.overview(NOW, None).servers[0].name == f"name {number}"
            with writing() as session:
                session.execute(update(Server).values(name=f"own {number}"))
            assert overview.overview(NOW, None).servers[0].name == f"own {number}"
        other.stdin.close()
    assert other.returncode == 0


def test_concurrent_readers_never_see_less_than_was_stored(app, db):
    """Eight threads that each store and then read: every read shows at least what was stored before it began."""
    stored, lock, wrong = [0], threading.Lock(), []

    def work(number: int) -> None:
        with app.app_context():
            for step in range(12):
                report = make_report(job_name=f"job {number}", began_at=BEGAN_AT + step * HOUR)
                ingest_report(report, now=NOW, actor=SENDER)
                with lock:
                    stored[0] += 1
                for _ in range(3):
                    with lock:
                        least = stored[0]
                    seen = overview.overview(NOW, None).summary.run_count
                    if seen < least:
                        wrong.append((seen, least))
                database.session.remove()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert wrong == []
    assert overview.overview(NOW, None).summary.run_count == 96
