"""Concurrent reports, checks and changes on PostgreSQL: none is rejected, no report is lost."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count

import pytest
from applications import Client, close
from factories import BEGAN_AT, report_body

from app.backups.models import Run
from app.factory import create_app
from app.schedules import overdue_check

pytestmark = pytest.mark.slow

REPORTS, CHANGES, CHECKS = 30, 30, 20
SERVERS, JOBS = 4, 5


@pytest.fixture
def settings(settings_of_each_database):
    """A database that several processes may share."""
    return settings_of_each_database


@pytest.fixture
def apps(app, settings, registry):
    """Two applications on one database, like two processes."""
    second = create_app(settings, registry)
    second.test_client_class = Client
    for each in (app, second):
        each.config["PROPAGATE_EXCEPTIONS"] = False
    yield app, second
    close(second)


def send_reports(app, numbers):
    """Upload from some servers; return the statuses."""
    client, counts = app.test_client(), Counter()
    for number in numbers:
        place = {"server_id": f"m{number % SERVERS}", "job_name": f"job {number % JOBS}"}
        result = ("Success", "Warning", "Error")[number % 3]
        body = report_body(**place, began_at=BEGAN_AT + timedelta(minutes=number), result=result)
        # Each from its own address, otherwise the rate limit of uploads would count.
        sender = {"REMOTE_ADDR": f"10.0.{number // 250}.{number % 250}"}
        answer = client.post("/api/upload", data=body, content_type="application/json", environ_base=sender)
        counts["upload", answer.status_code] += 1
    return counts


def change_things(app, seed):
    """Merge, delete and set at random; return the statuses."""
    client, counts, dice = app.test_client(), Counter(), random.Random(seed)
    client.sign_in()
    token = client.csrf_headers()
    for _ in range(CHANGES):
        one, other = dice.sample(range(SERVERS), 2)
        job = f"job {dice.randrange(JOBS)}"
        plan = {"expectedInterval": dice.choice(["1D", "2D"]), "overdueBackupCheckEnabled": True}
        method, path, body = dice.choice(
            [
                ("POST", "/servers/merge", {"oldServerIds": [f"m{one}"], "targetServerId": f"m{other}"}),
                ("POST", "/backups/cleanup", {"retentionPeriod": "6 months"}),
                ("DELETE", "/backups/delete-job", {"serverId": f"m{one}", "backupName": job}),
                ("DELETE", f"/servers/m{one}", None),
                ("PATCH", f"/servers/m{one}", {"alias": "attic"}),
                ("POST", "/configuration/backup-settings", {"backupSettings": {f"m{one}:{job}": plan}}),
                ("POST", "/configuration/overdue-tolerance", {"overdue_tolerance": dice.choice(["1h", "2h"])}),
            ]
        )
        answer = client.open(f"/api{path}", method=method, json=body, headers=token)
        counts[path, answer.status_code] += 1
    return counts


def check(app, now):
    """Check for overdue jobs repeatedly."""
    with app.app_context():
        for number in range(CHECKS):
            overdue_check.check_overdue(now + timedelta(days=number), None)
    return Counter()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_no_concurrent_request_is_rejected(apps, db):
    numbers = count()
    with ThreadPoolExecutor() as pool:
        working = [
            pool.submit(work, app, *arguments)
            for app in apps
            for work, *arguments in (
                (send_reports, [next(numbers) for _ in range(REPORTS)]),
                (send_reports, [next(numbers) for _ in range(REPORTS)]),
                (change_things, next(numbers)),
                (check, BEGAN_AT + timedelta(days=9)),
            )
        ]
        counts = sum((work.result() for work in working), Counter())
    assert counts["upload", 200] == 4 * REPORTS
    assert not {answer for answer in counts if answer[1] >= 500}
    assert db.session.query(Run).count() <= 4 * REPORTS
