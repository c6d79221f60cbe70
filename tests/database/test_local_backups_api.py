"""State, backups and retention of the database over HTTP."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from factories import BEGAN_AT, make_run
from sqlalchemy import select, text

from app.audit.log import AuditEntry
from app.core.db.orm import writing

pytestmark = pytest.mark.slow

COPIES, SCHEDULE, RETENTION = "/api/database/backups", "/api/database/backup-schedule", "/api/database/retention"


@pytest.fixture
def runs(db):
    for days in range(6):
        make_run(began_at=BEGAN_AT - timedelta(days=days))


def test_state_has_size_and_history(admin, runs):
    body = admin.get("/api/database/state").get_json()
    assert (body["isSqlite"], body["name"], body["runCount"]) == (True, "duplistatus.db", 6)
    assert body["oldestRun"] == "2031-04-29T11:00:00.000Z"
    assert body["size"] > body["freeBytes"] >= 0


def test_an_intact_database_is_reported_as_intact(admin, runs):
    body = admin.send("POST", "/api/database/integrity-check").get_json()
    assert body == {"isWhole": True, "damages": []}


def test_damage_is_described(admin, runs, settings):
    with closing(sqlite3.connect(settings.data_dir / "duplistatus.db")) as connection:
        connection.execute("DELETE FROM servers")  # without foreign keys, as another program would
        connection.commit()
    body = admin.send("POST", "/api/database/integrity-check").get_json()
    assert body == {"isWhole": False, "damages": ["1 rows of jobs belong to nothing"]}


def test_compacting_frees_unused_space(admin, db, settings):
    with writing() as session:
        session.execute(text("CREATE TABLE ballast (text)"))
        session.execute(text("INSERT INTO ballast VALUES (randomblob(3000000))"))
    with writing() as session:
        session.execute(text("DROP TABLE ballast"))
    assert admin.get("/api/database/state").get_json()["freeBytes"] >= 3_000_000
    assert admin.send("POST", "/api/database/compact").get_json()["freedBytes"] >= 3_000_000
    assert admin.get("/api/database/state").get_json()["freeBytes"] == 0


def test_compacting_without_free_space_is_rejected(admin, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: type("Usage", (), {"free": 0})())
    answer = admin.send("POST", "/api/database/compact")
    assert (answer.status_code, "free disk" in answer.get_json()["error"]) == (500, True)


def test_a_backup_is_created_listed_downloaded_restored_and_deleted(app, admin, runs):
    made = admin.send("POST", COPIES)
    assert (made.status_code, made.get_json()["kind"]) == (201, "manual")
    name = made.get_json()["name"]
    assert [copy["name"] for copy in admin.get(COPIES).get_json()["backups"]] == [name]
    fetched = admin.get(f"{COPIES}/{name}", buffered=True)
    assert fetched.data.startswith(b"SQLite format 3\0")
    assert name in fetched.headers["Content-Disposition"]
    assert fetched.headers["Cache-Control"] == "no-store"
    restored = admin.send("POST", f"{COPIES}/{name}/restore").get_json()
    assert (restored["success"], restored["requiresReauth"]) == (True, True)
    assert admin.get(COPIES).status_code == 401
    client = app.test_client()
    client.sign_in()
    kinds = {copy["kind"] for copy in client.get(COPIES).get_json()["backups"]}
    assert kinds == {"manual", "safety-backup"}
    assert client.send("DELETE", f"{COPIES}/{name}").status_code == 200
    assert client.get(f"{COPIES}/{name}").status_code == 404


@pytest.mark.parametrize(
    "name", ["..%2Fduplistatus.db", "%2E%2E%2Fduplistatus.db", "duplistatus.db", ".duplistatus.key"]
)
def test_no_other_file_can_be_downloaded(admin, name):
    assert admin.get(f"{COPIES}/{name}").status_code == 404


def test_the_schedule_is_set_field_by_field(admin, clock):
    assert admin.get(SCHEDULE).get_json()["every"] == "off"
    admin.send("PATCH", SCHEDULE, json={"every": "daily", "at": "13:00"})
    body = admin.send("PATCH", SCHEDULE, json={"keep": 3}).get_json()
    assert body == {
        "every": "daily",
        "weekday": 6,
        "at": "13:00",
        "keep": 3,
        "nextDue": "2031-05-04T13:00:00.000Z",
        "failedAt": None,
    }


@pytest.mark.parametrize("wrong", [{"every": "hourly"}, {"at": "7:00"}, {"keep": 0}, {"weekday": 7}, {"what": 1}])
def test_an_invalid_schedule_is_rejected(admin, wrong):
    assert admin.send("PATCH", SCHEDULE, json=wrong).status_code == 400


def test_a_cleanup_is_previewed_first_and_run_on_request(admin, runs, db):
    admin.send("PATCH", RETENTION, json={"runCount": 4})
    body = admin.send("POST", f"{RETENTION}/cleanup").get_json()
    assert (body["runs"], body["jobs"][0]["backupName"], body["jobs"][0]["wouldKeep"]) == (2, "photos", 4)
    other = admin.send("POST", f"{RETENTION}/cleanup", json={"runCount": 1}).get_json()
    assert (other["runs"], admin.get(RETENTION).get_json()["runCount"]) == (5, 4)
    done = admin.send("POST", f"{RETENTION}/cleanup", json={"dryRun": False}).get_json()
    assert done == {"deletedRuns": 2, "jobs": 1, "deletedDeliveries": 0, "deletedLogFiles": 0}
    db.session.rollback()
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "cleanup_executed")).one()
    assert entry.username == "admin"


@pytest.mark.parametrize("wrong", [{"runDays": -1}, {"runCount": "9"}, {"deliveryDays": 0}, {"days": 3}])
def test_invalid_rules_are_rejected(admin, wrong):
    assert admin.send("PATCH", RETENTION, json=wrong).status_code == 400


class TestOnPostgres:
    @pytest.fixture
    def settings(self, settings, postgres_url):
        return replace(settings, database_url=postgres_url)

    def test_sqlite_functions_are_rejected_with_the_alternative(self, admin):
        for method, path in (
            ("GET", "/api/database/backup"),
            ("POST", COPIES),
            ("PATCH", SCHEDULE),
            ("POST", "/api/database/integrity-check"),
        ):
            answer = admin.send(method, path, json={})
            assert (answer.status_code, "pg_dump" in answer.get_json()["error"]) == (501, True), path

    def test_the_rest_works_on_postgresql_too(self, admin, runs):
        state = admin.get("/api/database/state").get_json()
        assert (state["isSqlite"], state["runCount"]) == (False, 6)
        assert admin.send("POST", "/api/database/compact").get_json() == {"freedBytes": 0}
        assert admin.send("POST", f"{RETENTION}/cleanup", json={"runCount": 1}).get_json()["runs"] == 5
