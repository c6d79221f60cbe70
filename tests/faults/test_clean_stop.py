"""A stopped server leaves one complete file, and a restore that leftover files cannot affect."""

import http.client
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from factories import BEGAN_AT, report_body
from real_server import ROOT, RealServer, real_server

from app.core.db import engine
from app.core.db.engine import SERVING_LOCK

pytestmark = pytest.mark.slow


def upload_until_it_ends(server: RealServer, number: int, taken: list[int], enough: threading.Event) -> None:
    for minute in range(100_000):
        body = report_body(job_name=f"job {number}", began_at=BEGAN_AT + timedelta(minutes=minute))
        try:
            if server.upload(body) != 200:
                return
        except (OSError, ValueError, http.client.HTTPException):
            return
        taken.append(minute)
        if len(taken) >= 20:
            enough.set()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_stop_during_uploads_leaves_no_files_next_to_the_database(tmp_path, ending):
    server = RealServer(tmp_path)
    taken, enough = [], threading.Event()
    senders = [threading.Thread(target=upload_until_it_ends, args=(server, n, taken, enough)) for n in range(4)]
    for sender in senders:
        sender.start()
    assert enough.wait(60)
    assert server.stop(ending) == 0
    for sender in senders:
        sender.join(20)
    assert sorted(path.name for path in tmp_path.glob("duplistatus.db*")) == ["duplistatus.db"]
    with closing(sqlite3.connect(f"file:{tmp_path}/duplistatus.db?mode=ro&immutable=1", uri=True)) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone()[0] >= len(taken)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


class HangingServer(RealServer):
    """A server that never ends."""

    hang = "import threading; from app import cli; cli.close_app = lambda app: threading.Event().wait(); cli.serve()"
    command = (sys.executable, "-c", hang)


def test_stop_of_a_hanging_server_leaves_all_data_in_the_file(tmp_path):
    server = HangingServer(tmp_path)
    assert server.upload(report_body()) == 200
    assert server.stop() == 0
    assert [path for path in tmp_path.glob("duplistatus.db-wal") if path.stat().st_size] == []
    with closing(sqlite3.connect(f"file:{tmp_path}/duplistatus.db?mode=ro&immutable=1", uri=True)) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)


def restore(data_dir, *arguments) -> tuple[int, str]:
    command = [sys.executable, "-c", "from app.cli import main; main()", "restore", *map(str, arguments)]
    environment = {"PATH": "/usr/bin:/bin", "DATA_DIR": str(data_dir), "TZ": "UTC"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stdout + ended.stderr


def test_restore_is_rejected_while_a_server_runs_and_works_after_a_kill(tmp_path):
    data = tmp_path / "data"
    server = RealServer(data)
    engine.copy_database(data / "duplistatus.db", tmp_path / "mine.db")
    for minute in range(30):
        assert server.upload(report_body(began_at=BEGAN_AT.replace(minute=minute))) == 200
    status, output = restore(data, tmp_path / "mine.db")
    assert (status, "stop it first" in output) == (1, True)
    server.kill()
    assert (data / "duplistatus.db-wal").stat().st_size > 0
    status, output = restore(data, tmp_path / "mine.db")
    assert (status, "was restored" in output) == (0, True)
    assert sorted(path.name for path in data.glob("duplistatus.db*")) == ["duplistatus.db"]
    with real_server(data) as server:
        assert server.upload(report_body()) == 200
    with closing(sqlite3.connect(data / "duplistatus.db")) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    [kept] = (data / "copies").glob("*-safety-backup-*.db")
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (30,)


def test_a_start_removes_partial_backups_unless_another_server_runs(tmp_path):
    def leave() -> list:
        (tmp_path / "temp" / "tmpabc").mkdir(parents=True, exist_ok=True)
        (tmp_path / "copies").mkdir(exist_ok=True)
        left = [tmp_path / "temp" / "tmpabc" / "copy.db", tmp_path / "temp" / "tmpxyz"]
        left += [tmp_path / "copies" / "duplistatus-safety-backup.unfinished", tmp_path / "duplistatus.db.unfinished"]
        for path in left:
            path.write_bytes(b"x")
        return left

    left = leave()
    with real_server(tmp_path):
        assert [path for path in left if path.exists()] == []
        left = leave()
        with real_server(tmp_path):
            assert [path for path in left if not path.exists()] == []
    assert (tmp_path / SERVING_LOCK).exists()


def test_killed_restore_leaves_the_old_database_or_the_new_one(tmp_path):
    data, backup = tmp_path / "data", tmp_path / "mine.db"
    with real_server(data) as server:
        engine.copy_database(data / "duplistatus.db", backup)
        for minute in range(40):
            assert server.upload(report_body(began_at=BEGAN_AT + timedelta(minutes=minute))) == 200
    full = tmp_path / "full.db"
    engine.copy_database(data / "duplistatus.db", full)
    environment = {"PATH": "/usr/bin:/bin", "DATA_DIR": str(data), "TZ": "UTC"}

    def restore(path: Path, seconds: float) -> None:
        command = [sys.executable, "-c", "from app.cli import main; main()", "restore", str(path)]
        with suppress(subprocess.TimeoutExpired):  # which kills it
            subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=seconds, check=True)

    began_at = time.monotonic()
    restore(full, 120)
    complete = time.monotonic() - began_at
    seen = set()
    for tenth in range(3, 11):  # how long a restore takes depends on the computer
        restore(backup, complete * tenth / 10)
        with closing(sqlite3.connect(data / "duplistatus.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            seen |= set(connection.execute("SELECT count(*) FROM runs"))
    assert seen <= {(40,), (0,)}
    with real_server(data) as server:
        assert not list((data / "temp").iterdir())
        assert server.upload(report_body(began_at=BEGAN_AT + timedelta(days=1))) == 200
