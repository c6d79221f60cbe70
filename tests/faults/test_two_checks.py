"""Two processes that check for overdue jobs at the same time, on one PostgreSQL: nothing is notified twice.

The full test is `CHECKS=1000 pytest tests/faults/test_two_checks.py -s`.
"""

import os
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from factories import make_run
from sqlalchemy import select

from app.notifications import channels
from app.notifications.models import Delivery

pytestmark = pytest.mark.slow

CHECKS, JOBS = int(os.environ.get("CHECKS", "25")), 12
ROOT = Path(__file__).resolve().parents[2]
# Each input line is a time; the output is the number of jobs that this process notified.
CHECKER = """
import sys
from datetime import datetime
from pathlib import Path
from app.factory import create_app
from app.config import Settings
from app.schedules import overdue_check

app = create_app(Settings(data_dir=Path(sys.argv[1]), database_url=sys.argv[2], run_jobs=False, testing=True))
print("ready", flush=True)
for line in sys.stdin:
    with app.app_context():
        print(overdue_check.check_overdue(datetime.fromisoformat(line.strip()), None).notified_count, flush=True)
"""


@pytest.fixture
def settings(settings_of_each_database):
    """A database that both processes share."""
    return settings_of_each_database


@pytest.fixture
def checkers(app, settings):
    """Two processes that wait for times on their input."""
    command = [sys.executable, "-c", CHECKER, str(settings.data_dir), settings.database_url]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
    yield processes
    for process in processes:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_each_overdue_job_is_notified_once_at_each_check(checkers, db, clock, capsys):
    channels.save_settings("ntfy", "ntfy", {"url": "http://127.0.0.1:9", "topic": "t"}, now=clock())
    for number in range(JOBS):
        make_run(now=clock(), job_name=f"job {number}")
    shares = Counter()
    for _ in range(CHECKS):
        now = clock.advance(days=2)
        for process in checkers:
            process.stdin.write(f"{now.isoformat()}\n")
            process.stdin.flush()
        notified = [int(process.stdout.readline()) for process in checkers]
        assert sum(notified) == JOBS
        shares.update(number for number, count in enumerate(notified) if count)
    db.session.commit()
    messages = list(db.session.scalars(select(Delivery)))
    named = Counter((name, row.created_at) for row in messages for name in row.payload["audit"].get("backups", ()))
    assert set(named.values()) == {1}
    assert len(named) == CHECKS * JOBS
    assert clock.now - min(row.created_at for row in messages) == timedelta(days=2 * (CHECKS - 1))
    with capsys.disabled():
        print(f" [{CHECKS} checks by two processes: first {shares[0]} times and {shares[1]} times]", end="")  # noqa: T201
