"""The overdue check: which jobs are overdue, who is notified, how often; and that it is fast."""

from dataclasses import astuple
from datetime import timedelta

import pytest
from factories import find_overdue
from sqlalchemy import insert, select, update
from statements import sent_statements

from app.audit.log import SYSTEM, AuditEntry
from app.backups.models import Job, Server
from app.core.db.orm import db as database
from app.core.db.orm import writing
from app.core.settings import store as settings_store
from app.notifications import channels, delivery, outbox
from app.notifications.models import Delivery
from app.schedules import overdue_check

DAY, MILLISECOND = timedelta(days=1), timedelta(milliseconds=1)


@pytest.fixture
def late(ingest, clock, ntfy_channel) -> Job:
    """A daily job whose deadline passed just now."""
    job = ingest()
    clock.now = job.next_expected_at + timedelta(hours=2) + MILLISECOND
    return job


@pytest.fixture
def change(db):
    """Set columns of every job, or of every server."""

    def change(table: type = Job, **values: object) -> None:
        with writing() as session:
            session.execute(update(table).values(values))

    return change


def notified(clock) -> int:
    return overdue_check.check_overdue(clock(), None).notified_count


def test_at_its_deadline_a_job_is_not_overdue(late, clock):
    assert find_overdue(clock() - MILLISECOND) == []
    assert find_overdue(clock()) == [late]


def test_an_overdue_job_is_counted_and_notified(late, clock, ingest, ntfy):
    ingest(job_name="fresh", began_at=clock())
    assert astuple(overdue_check.check_overdue(clock(), None)) == (2, 2, 1, 1)
    delivery.deliver_due(clock())
    [push] = ntfy.received
    assert push.json["title"] == "🕑 Overdue - photos @ nas"
    assert "04/05/2031, 11:00 (1 day ago)" in push.json["message"]
    assert "05/05/2031, 11:00 (2 hours ago)" in push.json["message"]
    assert "Interval: 1D, grace period: 2 hours" in push.json["message"]


def test_waiting_workers_are_notified_of_new_messages(late, clock):
    calls: list[object] = []
    with outbox.queued.connected_to(lambda sender: calls.append(sender)):
        notified(clock)
        notified(clock)
    assert len(calls) == 1


def test_the_time_of_the_check_is_stored(late, clock):
    overdue_check.check_overdue(clock(), None)
    assert overdue_check.last_check_at() == clock()


def test_a_job_with_a_disabled_check_is_skipped(late, clock, change):
    change(is_overdue_check_enabled=False)
    assert astuple(overdue_check.check_overdue(clock(), None)) == (1, 0, 0, 0)


def test_the_standard_event_is_ignored(late, clock, change):
    change(notification_event="off", additional_ntfy_topic="extra")
    notified(clock)
    assert _targets() == [""]


def test_additional_destinations_are_notified_unless_their_event_is_off(late, clock, change):
    change(additional_event="errors", additional_ntfy_topic="extra")
    notified(clock)
    assert _targets() == ["", "extra"]


def test_a_disabled_channel_is_not_notified(late, clock, change):
    change(channel_switches={"ntfy": False})
    assert notified(clock) == 1  # contract: counts as notified, so that it is not tried at every check
    assert _targets() == []


@pytest.mark.parametrize("table", [Job, Server])
def test_a_muted_job_is_notified_when_the_mute_ends(late, clock, change, table):
    change(table, muted_until=clock() + timedelta(hours=1))
    assert notified(clock) == 0
    clock.advance(hours=1)
    assert notified(clock) == 1


@pytest.mark.parametrize("table", [Job, Server])
def test_a_later_maintenance_delays_nothing(late, clock, change, table):
    change(table, muted_from=clock() + timedelta(hours=1), muted_until=clock() + timedelta(hours=2))
    assert notified(clock) == 1


class TestSeveralJobs:
    """The overdue jobs of one check are notified in one message for each destination."""

    @pytest.fixture
    def fleet(self, late, ingest, change):
        """Jobs on two servers, all as overdue as `late`."""

        def add(count: int) -> None:
            for number in range(count):
                ingest(job_name=f"job {number:02}", server_id="machine-2", server_name="attic")

        return add

    def test_they_share_a_message(self, fleet, late, clock, ntfy):
        fleet(2)
        assert notified(clock) == 3
        assert delivery.deliver_due(clock()) == 1
        [push] = ntfy.received
        assert push.json["title"] == "🕑 Overdue backup jobs: 3"
        lines = push.json["message"].splitlines()
        assert lines[0] == "These backup jobs are overdue:"
        assert lines[2:] == [
            "• attic: job 00, expected 05/05/2031, 11:00",
            "• attic: job 01, expected 05/05/2031, 11:00",
            "• nas: photos, expected 05/05/2031, 11:00",
        ]

    def test_each_destination_is_notified_of_its_own_jobs(self, fleet, late, clock, deliveries):
        fleet(2)
        with writing():
            late.additional_ntfy_topic = "photographers"
        notified(clock)
        assert [(row.target, row.event) for row in deliveries()] == [
            ("", "overdueBackups"),
            ("photographers", "overdueBackup"),
        ]

    def test_a_long_list_names_the_first_and_counts_the_rest(self, fleet, clock, ntfy):
        fleet(60)
        assert notified(clock) == 61
        delivery.deliver_due(clock())
        [push] = ntfy.received
        assert push.json["message"].endswith("• and more: 36")
        assert len(push.json["message"].encode()) < 4096

    def test_it_has_the_priority_of_the_message_about_one(self, fleet, clock, ntfy):
        loud = {"title": "x", "message": "x", "priority": "max", "tags": "siren"}
        settings_store.put("notification_templates", {"overdueBackup": loud}, now=clock())
        fleet(1)
        notified(clock)
        delivery.deliver_due(clock())
        assert (ntfy.received[0].json["priority"], ntfy.received[0].json["tags"]) == (5, ["siren"])

    def test_names_are_unchanged(self, ingest, late, clock, ntfy):
        ingest(job_name="*a* {count} [b](https://c)")
        notified(clock)
        delivery.deliver_due(clock())
        assert "nas: *a* {count} [b](https://c), expected" in ntfy.received[0].json["message"]

    def test_the_audit_log_names_them(self, fleet, clock, db):
        fleet(1)
        notified(clock)
        delivery.deliver_due(clock())
        entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "notification_sent")).one()
        assert entry.details["backups"] == ["attic:job 00", "nas:photos"]


@pytest.mark.parametrize("interval", ["1D 2h", "x1D"])
def test_an_invalid_interval_sends_no_notification(late, clock, change, interval):
    change(expected_interval=interval)
    assert notified(clock) == 0


@pytest.mark.parametrize(
    ("frequency", "again_after"),
    [("onetime", None), ("every_day", DAY), ("every_week", 7 * DAY), ("every_month", 30 * DAY)],
)
def test_repeats_follow_the_frequency(late, clock, frequency, again_after):
    settings_store.put("notification_frequency", frequency, now=clock())
    assert notified(clock) == 1
    began_at = clock()
    clock.now = began_at + (again_after or 300 * DAY) - MILLISECOND
    assert notified(clock) == 0
    clock.now = began_at + (again_after or 300 * DAY)
    assert notified(clock) == (1 if again_after else 0)


def test_a_job_that_ran_and_is_overdue_again_is_notified_at_once(late, clock, ingest):
    settings_store.put("notification_frequency", "onetime", now=clock())
    assert notified(clock) == 1
    clock.advance(minutes=1)
    job = ingest(began_at=clock())
    assert notified(clock) == 0
    clock.now = job.next_expected_at + timedelta(hours=3)
    assert notified(clock) == 1


def test_reset_notifications_are_sent_again(late, clock):
    assert notified(clock) == 1
    clock.advance(minutes=5)
    overdue_check.reset_alerts(None)
    assert notified(clock) == 1
    assert len(_targets()) == 2


def test_a_change_of_the_tolerance_applies_at_once(late, clock):
    overdue_check.save_tolerance("1d", actor=SYSTEM, now=clock())
    assert find_overdue(clock()) == []


def test_rescheduling_repairs_every_job(late, clock, change):
    expected_at = late.next_expected_at
    change(next_expected_at=None, overdue_at=None)
    assert notified(clock) == 0
    overdue_check.recalculate_all(None)
    assert late.next_expected_at == expected_at


def test_without_any_channel_an_overdue_job_counts_as_notified(late, clock):
    channels.save_settings("ntfy", "ntfy", {}, now=clock(), is_enabled=False)
    assert notified(clock) == 1
    assert notified(clock) == 0


@pytest.mark.slow
def test_a_check_needs_no_more_statements_for_ten_thousand_jobs_than_for_a_thousand(db, late, clock):
    """How long it takes is measured by `bench/run.py`."""

    def counted() -> tuple[int, overdue_check.OverdueStatistics]:
        with sent_statements() as statements:
            found = overdue_check.check_overdue(clock(), None)
        return len(statements), found

    _add_late_jobs(late, range(1000))
    few, _ = counted()
    _add_late_jobs(late, range(1000, 10_000), overdue_alerted_at=clock())
    many, found = counted()
    assert (found.overdue_count, found.notified_count) == (10_001, 0)
    assert many < few


def _add_late_jobs(job: Job, numbers: range, **changes: object) -> None:
    template = {name: value for name, value in _columns(job).items() if name not in ("id", "name")} | changes
    with writing() as session:
        session.execute(insert(Job), [{**template, "name": f"job {number}"} for number in numbers])


def _columns(job: Job) -> dict[str, object]:
    return {column.key: getattr(job, column.key) for column in Job.__mapper__.column_attrs}


def _targets() -> list[str]:
    return list(database.session.scalars(select(Delivery.target).order_by(Delivery.id)))
