"""Servers that report without an id, and names of any form; on both databases."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from factories import BEGAN_AT, SENDER, find_job, make_report, make_run, report_body
from sqlalchemy import select

from app.accounts.models import ServerAccess, User
from app.audit.log import Actor, AuditEntry
from app.backups import merging, overview
from app.backups.models import Job, Run, Server
from app.collector import store as collector_store
from app.collector.responses import Machine
from app.collector.targets import Order, find_target
from app.core.db.orm import writing
from app.core.settings import store as settings_store
from app.reports.ingest import ingest_report
from app.sharing import badges, status_page

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NAMELESS = {"server_id": "", "server_name": "nas"}


@pytest.fixture
def settings(settings_of_each_database):
    """Every test here runs on SQLite and on PostgreSQL."""
    return settings_of_each_database


@pytest.fixture(autouse=True)
def database(db):
    """A database, open for the test."""


def servers(db) -> dict[str, str]:
    db.session.commit()
    return {server.id: server.name for server in db.session.scalars(select(Server).order_by(Server.id))}


def run_counts(db) -> dict[str, int]:
    db.session.commit()
    return dict(db.session.execute(select(Job.server_id, Job.run_count)).all())


class TestWithoutAnId:
    def test_the_only_server_of_the_name_gets_the_run(self, db):
        make_run(server_id="m-1", server_name="nas")
        make_run(server_id="m-2", server_name="attic")
        make_run(**NAMELESS, began_at=BEGAN_AT + HOUR)
        assert run_counts(db) == {"m-1": 2, "m-2": 1}

    def test_an_unknown_name_creates_a_server(self, db):
        make_run(server_id="m-2", server_name="attic")
        make_run(**NAMELESS)
        make_run(**NAMELESS, began_at=BEGAN_AT + HOUR)
        assert servers(db) == {"m-2": "attic", "name:nas": "nas"}
        assert run_counts(db)["name:nas"] == 2

    def test_an_ambiguous_name_creates_a_server_too(self, db):
        make_run(server_id="m-1", server_name="nas")
        make_run(server_id="m-2", server_name="nas")
        make_run(**NAMELESS)
        assert run_counts(db) == {"m-1": 1, "m-2": 1, "name:nas": 1}

    def test_name_stays_with_its_server_when_another_server_gets_it(self, db):
        make_run(server_id="m-1", server_name="nas")
        make_run(server_id="m-2", server_name="nas")
        make_run(**NAMELESS)
        with writing() as session:
            session.delete(session.get(Server, "m-2"))
        make_run(**NAMELESS, began_at=BEGAN_AT + HOUR)
        assert run_counts(db) == {"m-1": 1, "name:nas": 2}

    def test_a_duplicate_is_recognised(self, client):
        body = report_body(extra={"machine-id": ""})
        assert [client.post("/api/upload", data=body).status_code for _ in range(2)] == [200, 409]

    def test_server_without_id_is_found_by_its_name(self, client):
        client.post("/api/upload", data=report_body(extra={"machine-id": None}))
        answer = client.get("/api/lastbackup/nas").get_json()
        assert (answer["server"]["name"], answer["latest_backup"]["name"]) == ("nas", "photos")


class TestLaterId:
    def known_by_name(self) -> Job:
        make_run(**NAMELESS)
        return find_job("name:nas")

    def test_server_with_the_id_takes_over_jobs_and_runs(self, db):
        job_id = self.known_by_name().id
        make_run(server_id="m-1", server_name="nas", began_at=BEGAN_AT + HOUR)
        assert servers(db) == {"m-1": "nas"}
        job = find_job("m-1")
        assert (job.id, job.run_count) == (job_id, 2)

    def test_job_keeps_its_schedule_and_settings(self, db):
        job = self.known_by_name()
        with writing() as session:
            session.merge(job).expected_interval = "1W"
            server = session.get(Server, "name:nas")
            server.alias, server.tags, server.created_at = "Storage", ["home"], BEGAN_AT - DAY
        make_run(server_id="m-1", server_name="nas", job_name="music")
        server = db.session.get(Server, "m-1")
        assert (server.alias, server.tags, server.created_at) == ("Storage", ["home"], BEGAN_AT - DAY)
        assert find_job("m-1").expected_interval == "1W"

    def test_accounts_keep_their_access(self, db):
        self.known_by_name()
        with writing() as session:
            session.add(ServerAccess(user_id=session.scalar(select(User.id)), server_id="name:nas"))
        make_run(server_id="m-1", server_name="nas", began_at=BEGAN_AT + HOUR)
        assert db.session.scalars(select(ServerAccess.server_id)).all() == ["m-1"]

    def test_badges_and_the_status_page_continue_to_show_it(self, clock):
        self.known_by_name()
        badges.create_badge(
            slug="nas", label="NAS", server_id="name:nas", job_name="photos", actor=Actor(), now=clock()
        )
        page = {"slug": "ours", "is_enabled": True, "shows_all": False}
        page |= {"server_ids": ["name:nas", "other"], "jobs": [["name:nas", "photos"], ["other", "x"]]}
        settings_store.put("status_page", page, now=clock())
        make_run(server_id="m-1", server_name="nas", began_at=BEGAN_AT + HOUR)
        [badge] = badges.list_badges()
        assert (badge.server_id, badge.job_name) == ("m-1", "photos")
        changed = settings_store.get("status_page")
        assert changed == page | {"server_ids": ["m-1", "other"], "jobs": [["m-1", "photos"], ["other", "x"]]}
        assert [job.server_id for job in overview.overview(clock(), None).jobs] == ["m-1"]
        assert status_page.StatusPage(**{**changed, "jobs": (), "server_ids": ("m-1",)}).shows(
            overview.overview(clock(), None).jobs[0]
        )

    def test_the_audit_log_records_it(self, db):
        self.known_by_name()
        make_run(server_id="m-1", server_name="nas", began_at=BEGAN_AT + HOUR)
        entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "server_identified")).one()
        assert (entry.target_id, entry.details) == ("m-1", {"serverName": "nas", "oldServerId": "name:nas"})

    def test_a_later_report_by_name_creates_its_own_server(self, db):
        self.known_by_name()
        make_run(server_id="m-1", server_name="nas", began_at=BEGAN_AT + HOUR)
        make_run(**NAMELESS, began_at=BEGAN_AT + 2 * HOUR)
        assert run_counts(db) == {"m-1": 3}

    def test_a_second_id_of_that_name_is_another_server(self, db):
        self.known_by_name()
        make_run(server_id="m-1", server_name="nas", began_at=BEGAN_AT + HOUR)
        make_run(server_id="m-2", server_name="nas")
        assert run_counts(db) == {"m-1": 2, "m-2": 1}

    def test_a_server_known_by_its_id_takes_over_nothing(self, db):
        make_run(server_id="m-1", server_name="nas")
        make_run(server_id="m-2", server_name="nas")
        make_run(**NAMELESS)
        make_run(server_id="m-1", server_name="nas", began_at=BEGAN_AT + HOUR)
        assert run_counts(db) == {"m-1": 2, "m-2": 1, "name:nas": 1}

    def test_a_run_stored_by_name_is_not_stored_again_with_the_id(self, client, db):
        assert client.post("/api/upload", data=report_body(extra={"machine-id": ""})).status_code == 200
        assert client.post("/api/upload", data=report_body()).status_code == 409
        assert run_counts(db) == {"machine-1": 1}

    def test_collecting_adds_the_id_as_well(self, db, clock):
        self.known_by_name()
        target = find_target(Order(hostname="127.0.0.1", port=8200, password="x", scheme="http"), None)
        collector_store.remember_server(target, Machine("m-1", "nas"), may_change=True, actor=Actor(), now=clock())
        assert servers(db) == {"m-1": "nas"}
        assert find_job("m-1").run_count == 1

    def test_concurrent_first_reports_with_the_id_are_all_stored(self, app, db):
        self.known_by_name()
        barrier = threading.Barrier(6)

        def send(number: int) -> None:
            server_id = "m-1" if number % 2 else ""
            report = make_report(server_id=server_id, server_name="nas", began_at=BEGAN_AT + number * HOUR)
            with app.app_context():
                barrier.wait(10)
                ingest_report(report, now=report.ended_at, actor=SENDER)

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(send, range(1, 7)))
        assert run_counts(db) == {"m-1": 7}

    def test_adding_the_id_twice_changes_nothing(self, db, clock):
        self.known_by_name()
        for _ in range(2):
            with writing() as session:
                merging.assign_id(session, "nas", "m-1", actor=SENDER, now=clock())
        assert servers(db) == {"m-1": "nas"}


class TestNames:
    @pytest.mark.parametrize("length", [255, 256, 4000])
    def test_names_and_ids_of_any_length_are_stored(self, client, db, length):
        extra = dict.fromkeys(("machine-id", "machine-name", "backup-name", "backup-id"), "ü" * length)
        assert client.post("/api/upload", data=report_body(extra=extra)).status_code == 200
        assert client.post("/api/upload", data=report_body(extra=extra)).status_code == 409
        job = db.session.scalars(select(Job)).one()
        stored = (job.server_id, job.name, job.server.name, db.session.scalar(select(Run.duplicati_id)))
        assert [len(name) for name in stored] == [255] * 4
        assert all((name == "ü" * 255) == (length == 255) for name in stored)

    def test_long_names_with_different_ends_are_different_jobs(self, client, db):
        for end in "ab":
            client.post("/api/upload", data=report_body(extra={"backup-name": "x" * 300 + end}))
        assert len(db.session.scalars(select(Job)).all()) == 2

    def test_a_long_server_name_without_an_id_is_one_server(self, client, db):
        for hour in range(2):
            extra = {"machine-id": "", "machine-name": "n" * 255}
            client.post("/api/upload", data=report_body(began_at=BEGAN_AT - hour * HOUR, extra=extra))
        [(server_id, count)] = run_counts(db).items()
        assert (len(server_id), server_id[:6], count) == (255, "name:n", 2)

    def test_a_command_line_run_is_stored_under_its_own_name(self, client, db):
        title = f"Duplicati Backup report for Duplicati.CommandLine (, {'0af1' * 16}, nas)"
        values = "MainOperation: Backup\nParsedResult: Success\nBeginTime: x (1935658800)\nDuration: 00:01:00"
        answer = client.post("/api/upload", data=f"{title}\n\n{values}\n", content_type="text/plain")
        assert answer.status_code == 200
        job = find_job("name:nas", "Duplicati.CommandLine")
        assert job.duplicati_id == "0af1" * 16


class TestMixedIds:
    def reported(self, *ids: str, **changes: Any) -> Job:
        for place, duplicati_id in enumerate(ids):
            make_run(began_at=BEGAN_AT + place * HOUR, duplicati_id=duplicati_id, **changes)
        return find_job()

    @pytest.mark.parametrize(
        ("ids", "is_mixed"),
        [
            (("DB-1", "DB-1"), False),
            (("DB-1", "DB-2", "DB-2"), False),  # moved to another database once
            (("DB-1", "DB-2", "DB-1"), True),
            (("DB-1", "DB-2", "DB-3"), False),
            (("DB-1", "", "DB-1"), False),
            (("DB-1", "DB-2", "DB-1", "DB-1"), True),
        ],
    )
    def test_alternating_ids_are_detected(self, ids, is_mixed):
        assert self.reported(*ids).has_mixed_ids == is_mixed

    def test_insight_reports_it(self, admin):
        self.reported("DB-1", "DB-2", "DB-1")
        [job] = admin.get("/api/insight").get_json()["servers"][0]["backups"]
        assert job["hasMixedBackupIds"] is True
