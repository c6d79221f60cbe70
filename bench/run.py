"""Measures the program against its performance goals, and prints one table.

    make bench                                  6,000 runs (20 servers, 60 jobs)
    .venv/bin/python bench/run.py --runs 1000000    50 servers, 500 jobs

Every rate is shown beside that of a bare Flask "hello" with the same waitress options, measured in the same round.
"""

import argparse
import itertools
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from app.backups.run_logs import pack_log
from app.config import Settings
from app.core.db.orm import db
from app.demo import ServerSpec, fill_demo, fleet, invent_log
from app.factory import create_app
from bench.load import Measured, drive, http_request
from bench.reports import make_reports
from bench.servers import PASSWORD, Person, Running, duplistatus, hello

CONNECTIONS = 8


def main() -> None:
    """Create the data, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=6000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--keep", type=Path, help="keep the data here, and use it again when it is there")
    options = parser.parse_args()
    servers, jobs = (50, 500) if options.runs >= 100_000 else (20, 60)
    interval = timedelta(hours=24)
    plans = fleet(servers, jobs, interval)
    folder = options.keep or Path(tempfile.mkdtemp(prefix="duplistatus-bench-"))
    try:
        if not (folder / "duplistatus.db").exists():
            build(folder, plans, options.runs // jobs, interval)
        size_bytes = sum(file.stat().st_size for file in folder.glob("duplistatus.db*"))
        rounds = [measure(folder, plans, options.seconds) for _ in range(options.rounds)]
        show(rounds, options.runs, size_bytes)
    finally:
        if options.keep is None:
            shutil.rmtree(folder)


def build(folder: Path, plans: tuple[ServerSpec, ...], runs_a_job: int, interval: timedelta) -> None:
    """Fill a database.

    Packed 20 KB logs come from a pool, since packing a million takes longer than storing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    app = create_app(Settings(data_dir=folder, run_jobs=False, log_level="WARNING", admin_password=PASSWORD))
    pool: list[bytes] = []

    def pack(run: dict[str, Any], rng: Random) -> bytes:
        if len(pool) < 200:
            pool.append(pack_log(*invent_log(run, rng, least_bytes=19_000), ()))
        return pool[rng.randrange(len(pool))]

    now = datetime.now(UTC)
    with app.app_context():
        steady = tuple(
            replace(plan, jobs=tuple(replace(job, problem_rate=0.03) for job in plan.jobs)) for plan in plans
        )
        filled = fill_demo(now - interval * runs_a_job, now, servers=steady, pack=pack)
        db.session.remove()
        with db.engine.connect() as connection:
            connection.exec_driver_sql("COMMIT")  # a checkpoint cannot run within a transaction
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    print(f"built {filled.run_count:,} runs of {filled.job_count} jobs on {filled.server_count} servers")


def measure(folder: Path, plans: tuple[ServerSpec, ...], seconds: float) -> dict[str, Any]:
    """Measure everything once; what writes gets a fresh copy of the data."""
    found: dict[str, Any] = {}
    with hello() as bare:
        found["hello"] = repeat(bare, "/", seconds)
    with duplistatus(folder) as running:
        user = Person(running.port)
        found["start"] = running.start_s
        cookies = user.headers()
        server_id = plans[0].id
        found["summary"] = repeat(running, "/api/summary", seconds)
        found["lastbackups"] = repeat(running, f"/api/lastbackups/{server_id}", seconds)
        found["dashboard"] = repeat(running, "/api/dashboard", seconds, cookies)
        found["page"] = repeat(running, "/", seconds, cookies, connections=1)
        found["detail page"] = repeat(running, f"/detail/{server_id}", seconds, cookies, connections=1)
        found["overdue"] = timed(lambda: user.call("POST", "/api/notifications/check-overdue"))
        found["memory"] = running.memory_mb()
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "data"
        shutil.copytree(folder, copy)
        with duplistatus(copy) as running:
            reports = make_reports(list(plans), 200_000)
            headers = {"Content-Type": "application/json"}
            requests = (http_request("/api/upload", method="POST", headers=headers, body=body) for body in reports)
            prepared = iter(list(itertools.islice(requests, int(1500 * seconds))))
            found["upload"] = drive(running.port, prepared, connections=CONNECTIONS, seconds=seconds)
            found["upload memory"] = running.memory_mb()
    return found


def repeat(
    running: Running, path: str, seconds: float, headers: dict[str, str] | None = None, connections: int = CONNECTIONS
) -> Measured:
    """Request one URL repeatedly, after a short warm-up."""
    request = itertools.repeat(http_request(path, headers=headers))
    drive(running.port, request, connections=connections, seconds=0.3)
    return drive(running.port, request, connections=connections, seconds=seconds)


def timed(work: Callable[[], object]) -> float:
    """Return the milliseconds that a call takes."""
    begin = datetime.now(UTC)
    work()
    return (datetime.now(UTC) - begin).total_seconds() * 1000


def show(rounds: list[dict[str, Any]], runs: int, size_bytes: int) -> None:
    """Print the medians of all rounds."""
    bare = median(found["hello"].per_second for found in rounds)
    print(f"\n{runs:,} runs, median of {len(rounds)} rounds, {CONNECTIONS} connections unless noted otherwise")
    print(f"{'work':<34}{'per second':>12}{'of hello':>10}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'failed':>8}")
    for key, title in (
        ("hello", "bare Flask hello"),
        ("summary", "GET /api/summary"),
        ("lastbackups", "GET /api/lastbackups/<id>"),
        ("dashboard", "GET /api/dashboard"),
        ("page", "GET / (1 connection)"),
        ("detail page", "GET /detail/<id> (1 connection)"),
        ("upload", "POST /api/upload, 20 KB"),
    ):
        rate, p50, p95, p99 = (
            median(getattr(found[key], figure) for found in rounds)
            for figure in ("per_second", "p50_ms", "p95_ms", "p99_ms")
        )
        failed = sum(found[key].failures for found in rounds)
        print(f"{title:<34}{rate:>12,.0f}{rate / bare:>10.2f}{p50:>9.2f}{p95:>9.2f}{p99:>9.2f}{failed:>8}")
    print(f"\noverdue check             {median(found['overdue'] for found in rounds):8.0f} ms")
    print(f"start until health        {median(found['start'] for found in rounds):8.2f} s")
    print(f"memory after reads        {median(found['memory'] for found in rounds):8.0f} MB")
    print(f"memory after uploads      {median(found['upload memory'] for found in rounds):8.0f} MB")
    print(f"disk for each run         {size_bytes / runs:8.0f} bytes")


if __name__ == "__main__":
    main()
