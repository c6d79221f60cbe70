"""No page, request or report fails on any value that a restore accepts."""

import sqlite3
from contextlib import closing, suppress
from datetime import timedelta

import pytest
from factories import BEGAN_AT, make_run, report_body

from app.accounts import api_keys
from app.audit.log import SYSTEM
from app.backups import servers
from app.core.db.engine import copy_database
from app.core.db.orm import db as database
from app.core.errors import Refused
from app.database import inspection
from app.notifications import channels, mutes, watchdogs
from app.schedules import overdue_check

TABLES = (
    *("jobs", "deliveries", "runs", "servers", "channels", "users", "audit_log", "tasks", "leases", "api_keys"),
    *("rejected_reports", "job_days", "run_logs", "settings", "sign_in_networks", "server_access"),
)
ODD = ("x", -1, 2**63 - 1, "null", "[]", "{}", b"\xff")
PAGES = (
    *("/", "/charts", "/charts.csv", "/collect", "/connect", "/consoles", "/metrics", "/palette", "/settings/"),
    *(
        f"/settings/?tab={tab}"
        for tab in ("users", "server", "servers", "uploads", "audit", "database-maintenance", "notifications", "ntfy")
    ),
    *("/detail/machine-1", "/detail/machine-1/job?backup=photos", "/detail/machine-1/schedule?backup=photos"),
    *("/detail/machine-1/backup/{run}", "/detail/machine-1/backup/{run}/versions", "/detail/machine-1/names"),
    *("/api/dashboard", "/api/servers", "/api/detail/machine-1", "/api/audit-log", "/api/deliveries", "/api/mutes"),
    *("/api/summary", "/api/lastbackups/nas", "/api/configuration/unified", "/api/users"),
    *("/api/api-keys", "/api/rejected-reports", "/api/insight", "/api/chart-data/aggregated", "/api/channels"),
    *("/api/session", "/api/servers/duplicates", "/api/reception"),
)


@pytest.fixture
def filled(app, admin, db, clock, settings):
    """Fill each table; return the number of the run, and a copy of the database in this state."""
    app.config["PROPAGATE_EXCEPTIONS"] = False
    channels.save_settings("ntfy", "ntfy", {"url": "http://127.0.0.1:9", "topic": "main"}, now=clock())
    for day in range(3):
        run = make_run(now=clock(), began_at=BEGAN_AT - timedelta(days=3 - day), version_count=2, status="Warning")
    run = make_run(now=clock(), began_at=BEGAN_AT, status="Error", errors=("broken",), error_count=1)
    run_id = run.id
    servers.change_password("machine-1", "secret", actor=SYSTEM, now=clock())
    mutes.mute("machine-1", "photos", until_at=clock() + timedelta(days=1), note="x", actor=SYSTEM, now=clock())
    api_keys.create_key("script", "admin", now=clock())
    admin.post("/api/upload", data=b"{}", content_type="application/json")
    db.session.execute(db.text("INSERT INTO tasks VALUES ('overdue-backup-check', 1, 1.5, 'x', NULL)"))
    db.session.execute(db.text("INSERT INTO leases VALUES ('tasks', 'x', 1)"))
    db.session.commit()
    copy = settings.data_dir / "pristine.db"
    copy_database(settings.data_dir / "duplistatus.db", copy)
    return run_id, copy


def odd_columns(path, table, value) -> list[str]:
    """Return the columns of a table in which a restore accepts a value."""
    columns = database.metadata.tables[table].columns
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return [column.name for column in columns if is_accepted(connection, table, column.name, value)]


def is_accepted(connection, table, column, value) -> bool:
    connection.execute("BEGIN")
    try:
        connection.execute(f'UPDATE "{table}" SET "{column}" = ?', (value,))
        inspection._check_values(connection)
        return connection.execute("PRAGMA foreign_key_check").fetchone() is None
    except (Refused, sqlite3.Error):
        return False
    finally:
        connection.execute("ROLLBACK")


def failures(app, admin, clock, run_id) -> list[str]:
    """Return what fails now."""
    found = []
    for page in PAGES:
        answer = admin.get(page.format(run=run_id), buffered=True)
        if answer.status_code >= 500:
            found.append(f"{page}: {answer.status_code}")
    began_at = BEGAN_AT + timedelta(hours=1)
    answer = admin.post(
        "/api/upload", data=report_body(began_at=began_at, result="Error"), content_type="application/json"
    )
    if answer.status_code != 200:
        found.append(f"upload: {answer.status_code} {answer.get_json()}")
    for work in (lambda now: overdue_check.check_overdue(now, None), watchdogs.run_watchdogs):
        try:
            work(clock() + timedelta(days=9))
        except Exception as error:
            database.session.rollback()
            found.append(f"{work}: {error!r}")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("table", TABLES)
def test_restored_invalid_values_cause_no_errors(app, admin, filled, clock, settings, table):
    run_id, copy = filled
    failing = []
    with closing(sqlite3.connect(settings.data_dir / "duplistatus.db", isolation_level=None)) as live:
        live.execute("PRAGMA synchronous = OFF")
        for value in ODD:
            columns = odd_columns(copy, table, value)
            for column in columns:
                with suppress(sqlite3.IntegrityError):
                    live.execute(f'UPDATE "{table}" SET "{column}" = ?', (value,))
            database.session.rollback()
            if columns and (found := failures(app, admin, clock, run_id)):
                failing.append((columns, value, found))
            with closing(sqlite3.connect(copy)) as pristine:
                pristine.backup(live)
    database.session.rollback()
    assert failing == []
