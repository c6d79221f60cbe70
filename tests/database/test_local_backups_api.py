"""The database's state, its copies, and what is kept, over HTTP."""

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

COPIES, SCHEDULE, RETENTION = "/api/database/backups", "/api/database/backup-schedule", "/api/database/retention"


@pytest.fixture
def runs(db):
    for days in range(6):
        make_run(began_at=BEGAN_AT - timedelta(days=days))


def test_state_tells_size_and_reach(admin, runs):
    told = admin.get("/api/database/state").get_json()
    assert (told["isSqlite"], told["name"], told["runCount"]) == (True, "duplistatus.db", 6)
    assert told["oldestRun"] == "2031-04-29T11:00:00.000Z"
    assert told["size"] > told["freeBytes"] >= 0


def test_a_whole_database_is_said_to_be_whole(admin, runs):
    told = admin.send("POST", "/api/database/integrity-check").get_json()
    assert told == {"isWhole": True, "damages": []}


def test_damages_are_named(admin, runs, settings):
    with closing(sqlite3.connect(settings.data_dir / "duplistatus.db")) as connection:
        connection.execute("DELETE FROM servers")  # without foreign keys, as a strange program would
        connection.commit()
    told = admin.send("POST", "/api/database/integrity-check").get_json()
    assert told == {"isWhole": False, "damages": ["1 rows of jobs belong to nothing"]}


def test_compacting_gives_back_what_is_not_used(admin, db, settings):
    with writing() as session:
        session.execute(text("CREATE TABLE ballast (text)"))
        session.execute(text("INSERT INTO ballast VALUES (randomblob(3000000))"))
    with writing() as session:
        session.execute(text("DROP TABLE ballast"))
    assert admin.get("/api/database/state").get_json()["freeBytes"] >= 3_000_000
    assert admin.send("POST", "/api/database/compact").get_json()["freedBytes"] >= 3_000_000
    assert admin.get("/api/database/state").get_json()["freeBytes"] == 0


def test_compacting_without_room_is_refused(admin, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: type("Usage", (), {"free": 0})())
    answer = admin.send("POST", "/api/database/compact")
    assert (answer.status_code, "free disk" in answer.get_json()["error"]) == (500, True)


def test_a_copy_is_made_listed_fetched_restored_and_deleted(app, admin, runs):
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
def test_no_other_file_can_be_fetched(admin, name):
    assert admin.get(f"{COPIES}/{name}").status_code == 404


def test_the_schedule_is_chosen_field_by_field(admin, clock):
    assert admin.get(SCHEDULE).get_json()["every"] == "off"
    admin.send("PATCH", SCHEDULE, json={"every": "daily", "at": "13:00"})
    told = admin.send("PATCH", SCHEDULE, json={"keep": 3}).get_json()
    assert told == {
        "every": "daily",
        "weekday": 6,
        "at": "13:00",
        "keep": 3,
        "nextDue": "2031-05-04T13:00:00.000Z",
        "failedAt": None,
    }


@pytest.mark.parametrize("wrong", [{"every": "hourly"}, {"at": "7:00"}, {"keep": 0}, {"weekday": 7}, {"what": 1}])
def test_a_schedule_that_makes_no_sense_is_refused(admin, wrong):
    assert admin.send("PATCH", SCHEDULE, json=wrong).status_code == 400


def test_a_clean_up_is_told_first_and_done_when_it_is_wanted(admin, runs, db):
    admin.send("PATCH", RETENTION, json={"runCount": 4})
    told = admin.send("POST", f"{RETENTION}/cleanup").get_json()
    assert (told["runs"], told["jobs"][0]["backupName"], told["jobs"][0]["wouldKeep"]) == (2, "photos", 4)
    other = admin.send("POST", f"{RETENTION}/cleanup", json={"runCount": 1}).get_json()
    assert (other["runs"], admin.get(RETENTION).get_json()["runCount"]) == (5, 4)
    done = admin.send("POST", f"{RETENTION}/cleanup", json={"dryRun": False}).get_json()
    assert done == {"deletedRuns": 2, "jobs": 1, "deletedDeliveries": 0, "deletedLogFiles": 0}
    db.session.rollback()
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "cleanup_executed")).one()
    assert entry.username == "admin"


@pytest.mark.parametrize("wrong", [{"runDays": -1}, {"runCount": "9"}, {"deliveryDays": 0}, {"days": 3}])
def test_rules_that_make_no_sense_are_refused(admin, wrong):
    assert admin.send("PATCH", RETENTION, json=wrong).status_code == 400


class TestOnPostgres:
    @pytest.fixture
    def settings(self, settings, postgres_url):
        return replace(settings, database_url=postgres_url)

    def test_what_only_sqlite_can_is_refused_with_what_to_use_instead(self, admin):
        for method, path in (
            ("GET", "/api/database/backup"),
            ("POST", COPIES),
            ("PATCH", SCHEDULE),
            ("POST", "/api/database/integrity-check"),
        ):
            answer = admin.send(method, path, json={})
            assert (answer.status_code, "pg_dump" in answer.get_json()["error"]) == (501, True), path

    def test_the_rest_works_there_too(self, admin, runs):
        state = admin.get("/api/database/state").get_json()
        assert (state["isSqlite"], state["runCount"]) == (False, 6)
        assert admin.send("POST", "/api/database/compact").get_json() == {"freedBytes": 0}
        assert admin.send("POST", f"{RETENTION}/cleanup", json={"runCount": 1}).get_json()["runs"] == 5
