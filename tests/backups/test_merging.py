"""Merging servers loses nothing, and the figures are right afterwards; on both databases."""

from datetime import timedelta

import pytest
from factories import BEGAN_AT, find_job, make_run
from sqlalchemy import func, select

from app.accounts.models import ServerAccess, User
from app.audit.log import Actor, AuditEntry
from app.backups import overview
from app.backups.merging import merge_servers
from app.backups.models import Job, JobDay, Run, RunLog, Server
from app.core.db.orm import writing
from app.core.errors import Refused

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def settings(settings_of_each_database):
    """Every test here runs on SQLite and on PostgreSQL."""
    return settings_of_each_database


@pytest.fixture
def merge(db, clock):
    """Merge into the server `new`."""
    return lambda *old_ids: merge_servers(list(old_ids), "new", actor=Actor(username="admin"), now=clock())


@pytest.fixture
def change(db):
    """Set attributes of a server, or of one of its jobs."""

    def change(server_id: str, job_name: str | None = None, **values) -> None:
        with writing() as session:
            if job_name is None:
                row = session.get_one(Server, server_id)
            else:
                row = session.scalars(select(Job).where(Job.server_id == server_id, Job.name == job_name)).one()
            for name, value in values.items():
                setattr(row, name, value)

    return change


def server(db, server_id: str = "new") -> Server:
    db.session.commit()
    return db.session.get_one(Server, server_id, populate_existing=True)


def figures(job: Job) -> tuple:
    return job.run_count, job.total_uploaded_bytes, job.recent_statuses, job.last_began_at, job.last_storage_bytes


def test_runs_of_the_same_job_are_combined(db, merge):
    make_run(server_id="old", uploaded_bytes=1, status="Warning")
    make_run(server_id="new", uploaded_bytes=2, storage_bytes=7, began_at=BEGAN_AT + DAY)
    merge("old")
    assert figures(find_job("new")) == (2, 3, "WS", BEGAN_AT + DAY, 7)


def test_newest_run_of_the_old_server_becomes_the_newest(db, merge):
    make_run(server_id="new", began_at=BEGAN_AT - DAY, storage_bytes=1)
    make_run(server_id="old", storage_bytes=9)
    merge("old")
    job = find_job("new")
    assert (job.last_began_at, job.last_storage_bytes) == (BEGAN_AT, 9)
    assert job.next_expected_at > BEGAN_AT


def test_days_count_all_runs(db, merge):
    make_run(server_id="old", uploaded_bytes=1)
    make_run(server_id="new", uploaded_bytes=2, began_at=BEGAN_AT + HOUR)
    merge("old")
    assert [(day.run_count, day.uploaded_bytes) for day in db.session.scalars(select(JobDay))] == [(2, 3)]


def test_run_at_the_same_time_is_kept_once(db, merge):
    make_run(server_id="old", uploaded_bytes=1)
    kept = make_run(server_id="new", uploaded_bytes=2).id
    merge("old")
    assert list(db.session.scalars(select(Run.id))) == [kept]
    assert db.session.scalar(select(func.count()).select_from(RunLog)) == 1
    assert find_job("new").total_uploaded_bytes == 2


def test_job_of_only_the_old_server_moves_with_its_settings(db, merge, change):
    make_run(server_id="new")
    make_run(server_id="old", job_name="music", uploaded_bytes=5)
    change("old", "music", notification_event="errors", expected_interval="3D")
    merge("old")
    job = find_job("new", "music")
    assert (job.run_count, job.total_uploaded_bytes) == (1, 5)
    assert (job.notification_event, job.expected_interval) == ("errors", "3D")


def test_settings_of_the_target_are_unchanged(db, merge, change):
    make_run(server_id="new")
    make_run(server_id="old", began_at=BEGAN_AT - DAY)
    change("new", "photos", notification_event="all", additional_emails="mine@example.org")
    change("old", "photos", notification_event="off", additional_emails="theirs@example.org")
    merge("old")
    job = find_job("new")
    assert (job.notification_event, job.additional_emails) == ("all", "mine@example.org")


def test_missing_settings_of_the_target_come_from_the_old_server(db, merge, change):
    make_run(server_id="new")
    make_run(server_id="old", began_at=BEGAN_AT - DAY)
    change("old", "photos", additional_emails="theirs@example.org")
    change("old", additional_ntfy_topic="topic")
    merge("old")
    assert find_job("new").additional_emails == "theirs@example.org"
    assert server(db).additional_ntfy_topic == "topic"


def test_first_value_that_is_not_blank_is_used(db, merge, change):
    for server_id in ("new", "old-1", "old-2", "old-3"):
        make_run(server_id=server_id)
    change("new", alias="  ", note="own")
    change("old-1", alias="", note="first")
    change("old-2", alias=" second ", note="second", url="https://nas:8200", encrypted_password="x")
    change("old-3", alias="third", url="https://other:8200")
    merge("old-1", "old-2", "old-3")
    merged = server(db)
    assert (merged.alias, merged.note, merged.url) == ("second", "own", "https://nas:8200")
    assert merged.encrypted_password == "x"


def test_several_servers_are_merged_in_one_call(db, merge):
    for number, server_id in enumerate(("new", "old-1", "old-2")):
        make_run(server_id=server_id, began_at=BEGAN_AT + number * HOUR)
    merge("old-1", "old-2", "old-1", "nobody")
    assert list(db.session.scalars(select(Server.id))) == ["new"]
    assert find_job("new").run_count == 3


def test_duplicati_ids_become_one(db, merge):
    make_run(server_id="old", duplicati_id="DB-7", began_at=BEGAN_AT - DAY)
    make_run(server_id="new", duplicati_id="DB-1")
    assert merge("old") == 0  # stored under the target's id while moving
    assert set(db.session.scalars(select(Run.duplicati_id))) == {"DB-1"}


def test_jobs_of_the_target_with_several_duplicati_ids_are_counted(db, merge):
    make_run(server_id="new", duplicati_id="DB-7", began_at=BEGAN_AT - DAY)
    make_run(server_id="new", duplicati_id="DB-1")
    make_run(server_id="old", job_name="music")
    assert merge("old") == 1
    assert {run.duplicati_id for run in db.session.scalars(select(Run)) if run.job_id == find_job("new").id} == {"DB-1"}


def test_accounts_with_access_to_the_old_server_can_see_the_target(db, merge, clock):
    make_run(server_id="new")
    make_run(server_id="old")
    account = {"password_hash": "x", "sees_all_servers": False, "created_at": clock(), "updated_at": clock()}
    with writing() as session:
        session.add_all([User(id="u1", username="one", **account), User(id="u2", username="two", **account)])
        session.flush()
        session.add_all(ServerAccess(user_id=user, server_id="old") for user in ("u1", "u2"))
        session.add(ServerAccess(user_id="u2", server_id="new"))
    merge("old")
    assert {(row.user_id, row.server_id) for row in db.session.scalars(select(ServerAccess))} == {
        ("u1", "new"),
        ("u2", "new"),
    }


def test_overview_shows_the_merged_server(db, merge, clock):
    make_run(server_id="old", uploaded_bytes=1)
    make_run(server_id="new", uploaded_bytes=2, began_at=BEGAN_AT + HOUR)
    merge("old")
    summary = overview.overview(clock(), None).summary
    assert (summary.server_count, summary.run_count, summary.uploaded_bytes) == (1, 2, 3)


def test_unknown_target_changes_nothing_and_is_recorded(db, merge):
    make_run(server_id="old")
    with pytest.raises(Refused, check=lambda error: error.status == 404):
        merge("old")
    assert db.session.get(Server, "old") is not None
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "servers_merged")).one()
    assert (entry.status, entry.target_id) == ("error", "new")


def test_failure_in_the_middle_changes_nothing(db, merge, monkeypatch):
    make_run(server_id="old")
    make_run(server_id="new", began_at=BEGAN_AT + HOUR)

    def fail(*_arguments):
        raise RuntimeError("power cut")

    monkeypatch.setattr("app.schedules.next_run.recalculate_next_run", fail)
    with pytest.raises(RuntimeError):
        merge("old")
    assert find_job("old").run_count == find_job("new").run_count == 1


def test_merge_is_recorded(db, merge):
    make_run(server_id="old")
    make_run(server_id="new", server_name="box")
    merge("old")
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "servers_merged")).one()
    assert (entry.category, entry.target_type, entry.target_id, entry.status) == ("server", "server", "new", "success")
    assert entry.details == {
        "serverName": "box",
        "oldServerIds": ["old"],
        "mergedCount": 1,
        "backupIdsNormalized": 0,
    }


class TestSchedules:
    def both(self, change, **values):
        for server_id, hours in (("old", 0), ("new", 1)):
            for day in range(3):
                make_run(server_id=server_id, server_name=server_id, began_at=BEGAN_AT + day * DAY + hours * HOUR)
        change("old", "photos", **values)

    def test_a_chosen_schedule_is_moved_as_a_whole(self, change, merge):
        chosen = {"interval_source": "person", "schedule_source": "person", "schedule_anchor_at": BEGAN_AT + 5 * HOUR}
        self.both(change, expected_interval="2D", allowed_weekdays=0b0111110, **chosen)
        merge("old")
        job = find_job("new")
        assert (job.expected_interval, job.allowed_weekdays) == ("2D", 0b0111110)
        assert {name: getattr(job, name) for name in chosen} == chosen

    def test_an_accepted_suggestion_stays_accepted(self, change, merge):
        offer = {"interval_source": "person", "schedule_source": "person", "schedule_anchor_at": None}
        self.both(change, expected_interval="3D", **offer)
        merge("old")
        job = find_job("new")
        assert job.next_expected_at == job.state_began_at + 3 * DAY

    def test_the_choice_for_the_target_is_unchanged(self, change, merge):
        self.both(change, expected_interval="2D", interval_source="person")
        change("new", "photos", expected_interval="1W", interval_source="person")
        merge("old")
        assert find_job("new").expected_interval == "1W"

    def test_without_a_choice_the_schedule_is_learned_from_all_runs(self, change, merge):
        self.both(change)
        merge("old")
        assert find_job("new").interval_source == "default"
