"""Alarms about duplistatus itself: sent once, with or without the outbox, and resolved once."""

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


def unhealthy(*codes: str, can_write: bool = True, reads: bool = True) -> Health:
    problems = tuple(Problem(code, f"about {code}") for code in codes)
    return Health(reads, reads, reads, can_write, problems=problems)


@pytest.fixture
def check_health(db, clock, monkeypatch, ntfy_channel):
    """Check a given health; return the number of messages."""

    def check_health(found: Health, **later: float) -> int:
        monkeypatch.setattr(health, "examine", lambda _now: found)
        return health_alarms.run_health_alerts(clock.advance(**later))

    return check_health


@pytest.fixture
def received(clock, ntfy):
    """Return what has arrived, after the outbox was delivered."""

    def read() -> list[str]:
        delivery.deliver_due(clock())
        return [push.json["title"] for push in ntfy.received]

    return read


FAILS, WORKS = "🩺 duplistatus needs attention", "💚 duplistatus has recovered"


def test_nothing_is_notified_while_all_is_healthy(check_health, received):
    assert (check_health(WELL), check_health(WELL, days=1), received()) == (0, 0, [])


def test_a_problem_and_its_end_are_notified_once(check_health, received, ntfy):
    for _ in range(3):
        check_health(unhealthy("overdue_check_failed"), minutes=1)
    assert received() == [FAILS]
    assert "The overdue check is not running (about overdue_check_failed)" in ntfy.received[0].json["message"]
    for _ in range(3):
        check_health(WELL, minutes=1)
    assert received() == [FAILS, WORKS]
    check_health(unhealthy("overdue_check_failed"), minutes=1)
    assert received() == [FAILS, WORKS, FAILS]


def test_a_further_problem_is_notified_too(check_health, received, ntfy):
    check_health(unhealthy("overdue_check_failed"))
    received()
    check_health(unhealthy("schema_differs", "overdue_check_failed"), minutes=1)
    assert received() == [FAILS, FAILS]
    assert "overdue" not in ntfy.received[1].json["message"]
    check_health(unhealthy("overdue_check_failed"), minutes=1)
    check_health(WELL, minutes=1)
    assert received() == [FAILS, FAILS, WORKS]


@pytest.mark.parametrize("code", ["database_locked", "database_unreachable", "no_answer", "overdue_check_late"])
def test_a_temporary_problem_is_notified_if_it_lasts(check_health, received, code):
    found = unhealthy(code, can_write=False)
    assert check_health(found) == 0
    assert check_health(found, minutes=4) == 0
    assert check_health(WELL, seconds=30) == 0
    assert check_health(found, minutes=1) == 0
    assert check_health(found, minutes=5) == 1
    assert check_health(found, minutes=5) == 0


class TestWithoutTheOutbox:
    def test_with_a_full_disk_it_is_sent_at_once_and_once(self, check_health, ntfy, deliveries):
        for _ in range(3):
            check_health(unhealthy("disk_full", "low_disk_space", can_write=False), minutes=1)
        assert [push.json["title"] for push in ntfy.received] == [FAILS]
        assert "The disk is full, so reports are lost" in ntfy.received[0].json["message"]
        assert deliveries() == []

    def test_its_end_is_sent_through_the_outbox(self, check_health, received):
        check_health(unhealthy("disk_full", can_write=False))
        assert check_health(WELL, minutes=1) == 1
        assert check_health(WELL, minutes=1) == 0
        assert received() == [FAILS, WORKS]

    def test_an_undelivered_notification_is_retried(self, check_health, ntfy):
        ntfy.answers = [Answer(500)]
        assert check_health(unhealthy("disk_full", can_write=False)) == 0
        assert check_health(unhealthy("disk_full", can_write=False), minutes=1) == 1
        assert check_health(unhealthy("disk_full", can_write=False), minutes=1) == 0

    def test_an_unreadable_database_does_not_prevent_it(self, check_health, ntfy, monkeypatch, db):
        check_health(WELL)

        def reject(*_arguments):
            raise faults.DATABASE_ERRORS[1]("file is not a database")

        with monkeypatch.context() as patch:
            patch.setattr(settings_store, "get_several", reject)
            patch.setattr(channels, "usable", reject)
            assert check_health(unhealthy("database_damaged", can_write=False, reads=False), minutes=1) == 1
        assert [push.json["title"] for push in ntfy.received] == [FAILS]

    @pytest.mark.parametrize("code", ["delivery_worker_stopped", "deliveries_late"])
    def test_a_stopped_delivery_worker_is_notified_by_others(self, check_health, ntfy, db, deliveries, code):
        for _ in range(3):
            check_health(unhealthy(code), minutes=1)
        assert [push.json["title"] for push in ntfy.received] == [FAILS]
        assert deliveries() == []
        db.session.commit()
        [entry] = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "notification_sent"))
        assert entry.details["problems"] == [code]

    def test_another_process_does_not_repeat_it(self, check_health, ntfy):
        check_health(unhealthy("deliveries_late"))
        runtime_of(current_app).take(health_alarms.AlertState)
        assert check_health(unhealthy("deliveries_late"), minutes=1) == 0
        assert len(ntfy.received) == 1

    def test_the_external_monitor_is_notified(self, check_health, ntfy, clock):
        url = f"{ntfy.url}/api/push/x"
        external_monitor.save({"is_enabled": True, "url": url}, actor=Actor(), now=clock())
        check_health(unhealthy("disk_full", can_write=False))
        assert [request.path for request in ntfy.received][1:] == ["/api/push/x?status=down&msg=disk_full&ping="]


class TestFreeSpace:
    @pytest.fixture
    def free(self, monkeypatch):
        def free(mib: float) -> None:
            space = lambda folder: DiskSpace(folder, int(mib * 1024**2), 100 * GIB)  # noqa: E731
            monkeypatch.setattr(checks, "measure_disk", space)

        return free

    def test_it_is_notified_while_messages_can_still_be_sent(self, check_health, received, free, ntfy):
        free(501)
        check_health(WELL)
        assert received() == []
        free(499)
        check_health(WELL, minutes=1)
        assert received() == [FAILS]
        assert "Free disk space is low (499.00 MB" in ntfy.received[0].json["message"]
        free(540)
        check_health(WELL, minutes=1)
        assert received() == [FAILS]
        free(560)
        check_health(WELL, minutes=1)
        assert received() == [FAILS, WORKS]

    def test_a_small_disk_has_a_smaller_limit_by_default(self, check_health, received, monkeypatch, clock):
        monkeypatch.setattr(checks, "measure_disk", lambda folder: DiskSpace(folder, 300 * 1024**2, GIB))
        check_health(WELL)
        assert received() == []
        health_alarms.save_free_space_limit(400, actor=Actor(), now=clock())
        check_health(WELL, minutes=1)
        assert received() == [FAILS]

    def test_zero_disables_it(self, check_health, received, free, clock):
        health_alarms.save_free_space_limit(0, actor=Actor(), now=clock())
        free(201)
        check_health(WELL)
        assert received() == []

    @pytest.mark.parametrize("mib", [-1, 100_000_001])
    def test_an_invalid_limit_is_rejected(self, db, clock, mib):
        with pytest.raises(Refused, match="freeSpaceMiB"):
            health_alarms.save_free_space_limit(mib, actor=Actor(), now=clock())


class TestIntegrity:
    def test_an_intact_file_is_reported_as_intact(self, app, db):
        assert tasks.run_task(app, tasks.INTEGRITY_CHECK).message == "Integrity check passed"
        assert settings_store.get("integrity_failure") is None

    def test_damage_is_reported_until_a_check_finds_none(self, app, db, clock, monkeypatch):
        monkeypatch.setattr(checks, "SMALL_BYTES", 0)
        with monkeypatch.context() as patch:
            patch.setattr(checks, "find_damage", lambda _path: "Page 7 is never used")
            assert "damaged: Page 7" in tasks.run_task(app, tasks.INTEGRITY_CHECK).message
        runtime_of(current_app).take(checks.SeenDamage)  # as after a start
        assert health.examine(clock.advance(minutes=1)).reason == "database_damaged"
        tasks.run_task(app, tasks.INTEGRITY_CHECK)
        assert health.examine(clock.advance(minutes=1)).is_healthy

    def test_others_can_write_meanwhile(self, app, db, settings):
        with writing():
            assert checks.find_damage(settings.data_dir / "duplistatus.db") == ""


def test_both_processes_check(app, db, monkeypatch):
    looked = []
    monkeypatch.setattr(health_alarms, "run_health_alerts", lambda now: looked.append(now) or 0)
    tasks.run_task(app, health.ALARM_CHECK)
    assert len(looked) == 1


def test_a_disabled_channel_is_not_notified(check_health, ntfy, db):
    with writing() as session:
        session.query(Channel).update({"is_enabled": False})
    assert check_health(unhealthy("disk_full", can_write=False)) == 0
    assert check_health(replace(WELL), minutes=1) == 0
    assert ntfy.received == []


def test_the_worker_checks_every_30_seconds(app, monkeypatch):
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
