"""Measures the import of a large database of the reference.

    .venv/bin/python bench/import_old.py --runs 1000000 --log-bytes 1300

The sample databases of old releases have 1,300 bytes of log per run; Duplicati sends up to 20 KB.
"""

import argparse
import json
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from app.config import Settings
from app.demo import fleet, invent_log, invent_runs
from app.factory import create_app
from app.legacy_import.importing import import_database

SERVERS, JOBS = 50, 500
LOGS_IN_ALL = 400
TABLES = """
CREATE TABLE db_version (version TEXT PRIMARY KEY, applied_at DATETIME DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE servers (id TEXT PRIMARY KEY, name TEXT NOT NULL, server_url TEXT DEFAULT '', alias TEXT DEFAULT '',
    note TEXT DEFAULT '', server_password TEXT DEFAULT '', created_at DATETIME DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE configurations (key TEXT PRIMARY KEY NOT NULL, value TEXT);
INSERT INTO db_version (version) VALUES ('4.0');
"""
TEXTS = ("id", "server_id", "backup_name", "backup_id", "date", "status", "messages_array", "warnings_array")
TEXTS += ("errors_array", "available_backups", "main_operation", "parsed_result", "version", "begin_time", "end_time")
NUMBERS = ("duration_seconds", "size", "uploaded_size", "examined_files", "warnings", "errors", "deleted_files")
NUMBERS += ("modified_files", "opened_files", "added_files", "size_of_modified_files", "size_of_added_files")
NUMBERS += ("size_of_opened_files", "messages_actual_length", "known_file_size", "backup_list_count")
INDEXED = ("server_id", "date", "begin_time", "end_time", "backup_id")


def main() -> None:
    """Create, import, import again, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--log-bytes", type=int, default=1300)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        import_once(options.child)
        return
    folder = Path(tempfile.mkdtemp(prefix="duplistatus-import-"))
    try:
        made = make_old_database(folder / "backups.db", options.runs, options.log_bytes)
        old_bytes = (folder / "backups.db").stat().st_size
        print(f"{made} runs with logs of {options.log_bytes} bytes, {old_bytes / 1e6:.1f} MB")
        for what in ("import", "import again"):
            child = [sys.executable, __file__, "--child", str(folder)]
            print(f"{what}: {subprocess.run(child, check=True, capture_output=True, text=True).stdout.strip()}")
        new_bytes = sum(file.stat().st_size for file in (folder / "data").glob("duplistatus.db*"))
        share = 1 - new_bytes / old_bytes
        print(f"afterwards {new_bytes / 1e6:.1f} MB: {share:.0%} smaller, {new_bytes / made:.0f} bytes a run")
    finally:
        shutil.rmtree(folder)


def import_once(folder: Path) -> None:
    """Import into a data directory beside the old file; print time and peak memory."""
    app = create_app(Settings(data_dir=folder / "data", run_jobs=False, log_level="WARNING"))
    start, cpu_start = time.perf_counter(), time.process_time()
    with app.app_context():
        runs = import_database(folder / "backups.db", now=datetime.now(UTC)).counts["runs"]
    took = f"{time.perf_counter() - start:.1f} s ({time.process_time() - cpu_start:.1f} s of processor time)"
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{runs.taken} taken, {runs.known} known, {runs.left} left in {took}, {peak_mb:.0f} MB at the peak")


def make_old_database(path: Path, run_count: int, log_bytes: int) -> int:
    """Fill a file like version 1.4.2; logs are drawn from a few hundred.

    Return the number of runs.
    """
    rng, now = Random(4), datetime.now(UTC).replace(microsecond=0)
    plans = fleet(SERVERS, JOBS, timedelta(hours=24))
    a_job = run_count // JOBS
    logs: list[list[str]] = []
    with sqlite3.connect(path) as connection:
        connection.executescript(TABLES)
        columns = [f"{name} TEXT" for name in TEXTS] + [f"{name} INTEGER NOT NULL DEFAULT 0" for name in NUMBERS]
        connection.execute(f"CREATE TABLE backups ({', '.join(columns)}, created_at DATETIME, PRIMARY KEY (id))")
        insert = f"INSERT INTO backups VALUES ({', '.join('?' * (len(columns) + 1))})"
        for server in plans:
            connection.execute("INSERT INTO servers (id, name) VALUES (?, ?)", (server.id, server.name))
            for job in server.jobs:
                # A few runs are missing, as in reality: a longer time has enough of them.
                runs = invent_runs(job, now - timedelta(hours=25 * a_job + 240), now, rng)
                for run in islice(runs, a_job):
                    if len(logs) < LOGS_IN_ALL:
                        logs.append([json.dumps(lines) for lines in invent_log(run, rng, least_bytes=log_bytes)])
                    connection.execute(insert, old_row(server.id, job.name, run, rng.choice(logs), rng))
        for name in INDEXED:
            connection.execute(f"CREATE INDEX idx_backups_{name} ON backups ({name})")
        made = connection.execute("SELECT count(*) FROM backups").fetchone()[0]
    connection.close()
    return int(made)


def old_row(server_id: str, job_name: str, run: dict, lists: list[str], rng: Random) -> list:
    """Return one run as a row of the old table."""
    began_at, ended_at = (f"{run[name]:%Y-%m-%dT%H:%M:%S}.000Z" for name in ("began_at", "ended_at"))
    texts = [str(uuid.UUID(int=rng.getrandbits(128), version=4)), server_id, job_name, "DB-1", began_at, run["status"]]
    texts += [*lists, "[]", "Backup", run["parsed_result"], run["duplicati_version"], began_at, ended_at]
    names = ("duration_s", "examined_bytes", "uploaded_bytes", "examined_files", "warning_count", "error_count")
    names += ("deleted_files", "modified_files", "opened_files", "added_files", "modified_bytes", "added_bytes")
    names += ("opened_bytes", "message_count", "storage_bytes", "version_count")
    return [*texts, *(run.get(name, 0) for name in names), f"{run['ended_at']:%Y-%m-%d %H:%M:%S}"]


if __name__ == "__main__":
    main()
