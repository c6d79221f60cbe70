"""Measures an overdue check, and prints one line for each state of the jobs.

.venv/bin/python bench/checks.py                 10,000 jobs on 100 servers, SQLite .venv/bin/python bench/checks.py
--jobs 1000
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sqlalchemy import insert, update

from app.backups.models import Job, Server
from app.config import Settings
from app.core.db.orm import writing
from app.factory import create_app
from app.notifications import channels
from app.schedules import overdue_check

SERVERS = 100


def main() -> None:
    """Create the jobs, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="duplistatus-bench-"))
    try:
        app = create_app(Settings(data_dir=folder, run_jobs=False, log_level="ERROR"))
        now = datetime.now(UTC)
        with app.app_context():
            fill(options.jobs, now)
            show(f"{options.jobs:,} jobs, none late", options.rounds, lambda: overdue_check.check_overdue(now, None))
            late = now + timedelta(days=2)
            show(
                "all overdue, all notified in this check",
                options.rounds,
                lambda: overdue_check.check_overdue(late, None),
                delete_records,
            )
            show("all overdue, notified before", options.rounds, lambda: overdue_check.check_overdue(late, None))
            show("every plan worked out anew", options.rounds, overdue_check.recalculate_all)
    finally:
        shutil.rmtree(folder)


def fill(count: int, now: datetime) -> None:
    """Create jobs that ran an hour ago and run daily.

    Their two channels are not emptied.
    """
    began_at = now - timedelta(hours=1)
    servers = [{"id": f"machine-{number}", "name": f"server {number}", "created_at": now} for number in range(SERVERS)]
    jobs = [
        {
            "server_id": f"machine-{number % SERVERS}",
            "name": f"job {number}",
            "created_at": now,
            "run_count": 1,
            "last_began_at": began_at,
            "last_received_at": began_at,
            "last_status": "Success",
            "schedule_anchor_at": began_at,
            "next_expected_at": began_at + timedelta(days=1),
        }
        for number in range(count)
    ]
    with writing() as session:
        session.execute(insert(Server), servers)
        session.execute(insert(Job), jobs)
    for topic in ("first", "second"):
        channels.save_settings("ntfy", topic, {"url": "http://127.0.0.1:9", "topic": topic}, now=now)


def delete_records() -> None:
    """Delete the records of sent notifications."""
    with writing() as session:
        session.execute(update(Job).values(overdue_alerted_at=None, trouble_kind=None, trouble_since_at=None))


def show(title: str, rounds: int, work: Callable[[], object], before: Callable[[], object] = lambda: None) -> None:
    """Print the median of some rounds."""
    took_ms = []
    for _ in range(rounds):
        before()
        begin = time.perf_counter()
        work()
        took_ms.append((time.perf_counter() - begin) * 1000)
    print(f"{title:<36}{median(took_ms):>9.0f} ms")


if __name__ == "__main__":
    main()
