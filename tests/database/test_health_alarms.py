"""Alarms about duplistatus itself: told once, by the outbox or without it, and taken back once."""

from dataclasses import replace
from datetime import timedelta

import pytest
from flask import current_app
from sqlalchemy import select

from app.audit.log import Actor, AuditEntry
from app.core.db import faults
from app.core.db.orm import writing
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.database import checks, external_monitor, health, health_alarms
from app.database.checks import DiskSpace
from app.database.health import Health, Problem
from app.notifications import channels, delivery
from app.notifications.models import Channel
from app.plugin.testing.http_servers import Answer
from app.runtime import runtime_of
from app.scheduling import tasks

WELL = Health(True, True, True, True)
GIB = 1024**3


def ill(*codes: str, can_write: bool = True, reads: bool = True) -> Health:
    problems = tuple(Problem(code, f"about {code}") for code in codes)
    return Health(reads, reads, reads, can_write, problems=problems)


@pytest.fixture
def look(db, clock, monkeypatch, ntfy_channel):
    """Looks with a health that is given, and gives the number of messages."""

    def look(found: Health, **later: float) -> int:
        monkeypatch.setattr(health, "examine", lambda _now: found)
        return health_alarms.run_health_alerts(clock.advance(**later))

    return look


@pytest.fixture
def received(clock, ntfy):
    """What has arrived, after the outbox was delivered."""

    def read() -> list[str]:
        delivery.deliver_due(clock())
        return [push.json["title"] for push in ntfy.received]

    return read


FAILS, WORKS = "🩺 duplistatus needs attention", "💚 duplistatus has recovered"


def test_nothing_is_told_while_all_is_well(look, received):
    assert (look(WELL), look(WELL, days=1), received()) == (0, 0, [])


def test_a_problem_is_told_once_and_its_end_once(look, received, ntfy):
    for _ in range(3):
        look(ill("overdue_check_failed"), minutes=1)
    assert received() == [FAILS]
    assert "The overdue check is not running (about overdue_check_failed)" in ntfy.received[0].json["message"]
    for _ in range(3):
        look(WELL, minutes=1)
    assert received() == [FAILS, WORKS]
    look(ill("overdue_check_failed"), minutes=1)
    assert received() == [FAILS, WORKS, FAILS]


def test_a_further_problem_is_told_too(look, received, ntfy):
    look(ill("overdue_check_failed"))
    received()
    look(ill("schema_differs", "overdue_check_failed"), minutes=1)
    assert received() == [FAILS, FAILS]
    assert "overdue" not in ntfy.received[1].json["message"]
    look(ill("overdue_check_failed"), minutes=1)
    look(WELL, minutes=1)
    assert received() == [FAILS, FAILS, WORKS]


@pytest.mark.parametrize("code", ["database_locked", "database_unreachable", "no_answer", "overdue_check_late"])
def test_what_may_pass_is_told_when_it_lasts(look, received, code):
    found = ill(code, can_write=False)
    assert look(found) == 0
    assert look(found, minutes=4) == 0
    assert look(WELL, seconds=30) == 0
    assert look(found, minutes=1) == 0
    assert look(found, minutes=5) == 1
    assert look(found, minutes=5) == 0


class TestWithoutTheOutbox:
    def test_with_a_full_disk_it_is_sent_at_once_and_once(self, look, ntfy, deliveries):
        for _ in range(3):
            look(ill("disk_full", "low_disk_space", can_write=False), minutes=1)
        assert [push.json["title"] for push in ntfy.received] == [FAILS]
        assert "The disk is full, so reports are lost" in ntfy.received[0].json["message"]
        assert deliveries() == []

    def test_its_end_goes_through_the_outbox(self, look, received):
        look(ill("disk_full", can_write=False))
        assert look(WELL, minutes=1) == 1
        assert look(WELL, minutes=1) == 0
        assert received() == [FAILS, WORKS]

    def test_one_that_got_through_to_nobody_is_tried_again(self, look, ntfy):
        ntfy.answers = [Answer(500)]
        assert look(ill("disk_full", can_write=False)) == 0
        assert look(ill("disk_full", can_write=False), minutes=1) == 1
        assert look(ill("disk_full", can_write=False), minutes=1) == 0

    def test_a_database_that_cannot_be_read_is_no_obstacle(self, look, ntfy, monkeypatch, db):
        look(WELL)

        def refuse(*_arguments):
            raise faults.DATABASE_ERRORS[1]("file is not a database")

        with monkeypatch.context() as patch:
            patch.setattr(settings_store, "get_several", refuse)
            patch.setattr(channels, "usable", refuse)
            assert look(ill("database_damaged", can_write=False, reads=False), minutes=1) == 1
        assert [push.json["title"] for push in ntfy.received] == [FAILS]

    @pytest.mark.parametrize("code", ["delivery_worker_stopped", "deliveries_late"])
    def test_a_stopped_delivery_worker_is_told_by_others(self, look, ntfy, db, deliveries, code):
        for _ in range(3):
            look(ill(code), minutes=1)
        assert [push.json["title"] for push in ntfy.received] == [FAILS]
        assert deliveries() == []
        db.session.commit()
        [entry] = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "notification_sent"))
        assert entry.details["problems"] == [code]

    def test_another_process_does_not_repeat_it(self, look, ntfy):
        look(ill("deliveries_late"))
        runtime_of(current_app).take(health_alarms.AlertState)
        assert look(ill("deliveries_late"), minutes=1) == 0
        assert len(ntfy.received) == 1

    def test_the_external_monitor_hears_of_it(self, look, ntfy, clock):
        url = f"{ntfy.url}/api/push/x"
        external_monitor.save({"is_enabled": True, "url": url}, actor=Actor(), now=clock())
        look(ill("disk_full", can_write=False))
        assert [request.path for request in ntfy.received][1:] == ["/api/push/x?status=down&msg=disk_full&ping="]


class TestFreeSpace:
    @pytest.fixture
    def free(self, monkeypatch):
        def free(mib: float) -> None:
            space = lambda folder: DiskSpace(folder, int(mib * 1024**2), 100 * GIB)  # noqa: E731
            monkeypatch.setattr(checks, "measure_disk", space)

        return free

    def test_it_is_told_while_messages_can_still_be_sent(self, look, received, free, ntfy):
        free(501)
        look(WELL)
        assert received() == []
        free(499)
        look(WELL, minutes=1)
        assert received() == [FAILS]
        assert "Free disk space is low (499.00 MB" in ntfy.received[0].json["message"]
        free(540)
        look(WELL, minutes=1)
        assert received() == [FAILS]
        free(560)
        look(WELL, minutes=1)
        assert received() == [FAILS, WORKS]

    def test_a_small_disk_has_a_smaller_limit_until_one_is_chosen(self, look, received, monkeypatch, clock):
        monkeypatch.setattr(checks, "measure_disk", lambda folder: DiskSpace(folder, 300 * 1024**2, GIB))
        look(WELL)
        assert received() == []
        health_alarms.save_free_space_limit(400, actor=Actor(), now=clock())
        look(WELL, minutes=1)
        assert received() == [FAILS]

    def test_zero_is_never(self, look, received, free, clock):
        health_alarms.save_free_space_limit(0, actor=Actor(), now=clock())
        free(201)
        look(WELL)
        assert received() == []

    @pytest.mark.parametrize("mib", [-1, 100_000_001])
    def test_a_limit_that_cannot_be_meant(self, db, clock, mib):
        with pytest.raises(Refused, match="freeSpaceMiB"):
            health_alarms.save_free_space_limit(mib, actor=Actor(), now=clock())


class TestIntegrity:
    def test_a_whole_file_is_said_to_be(self, app, db):
        assert tasks.run_task(app, tasks.INTEGRITY_CHECK).message == "Integrity check passed"
        assert settings_store.get("integrity_failure") is None

    def test_damage_is_kept_until_a_check_finds_none(self, app, db, clock, monkeypatch):
        monkeypatch.setattr(checks, "SMALL_BYTES", 0)
        with monkeypatch.context() as patch:
            patch.setattr(checks, "find_damage", lambda _path: "Page 7 is never used")
            assert "damaged: Page 7" in tasks.run_task(app, tasks.INTEGRITY_CHECK).message
        runtime_of(current_app).take(checks.SeenDamage)  # as after a start
        assert health.examine(clock.advance(minutes=1)).reason == "database_damaged"
        tasks.run_task(app, tasks.INTEGRITY_CHECK)
        assert health.examine(clock.advance(minutes=1)).is_healthy

    def test_others_write_meanwhile(self, app, db, settings):
        with writing():
            assert checks.find_damage(settings.data_dir / "duplistatus.db") == ""


def test_both_who_look_look(app, db, monkeypatch):
    looked = []
    monkeypatch.setattr(health_alarms, "run_health_alerts", lambda now: looked.append(now) or 0)
    tasks.run_task(app, health.ALARM_CHECK)
    assert len(looked) == 1


def test_a_channel_that_is_off_hears_nothing(look, ntfy, db):
    with writing() as session:
        session.query(Channel).update({"is_enabled": False})
    assert look(ill("disk_full", can_write=False)) == 0
    assert look(replace(WELL), minutes=1) == 0
    assert ntfy.received == []


def test_the_worker_looks_every_half_minute(app, monkeypatch):
    from app.notifications import delivery_worker

    looked = []
    monkeypatch.setattr(health_alarms, "run_health_alerts", looked.append)
    worker = delivery_worker.DeliveryWorker(app, on_clock_change=lambda: None)
    worker._check_health()
    assert looked == []
    worker._looked_s -= delivery_worker.HEALTH_PERIOD_S
    worker._check_health()
    worker._check_health()
    assert len(looked) == 1
    assert timedelta(seconds=delivery_worker.HEALTH_PERIOD_S) <= health.KEPT
