"""Quiet hours of channels: which messages wait, which are exempt, and until when."""

from datetime import UTC, datetime, time, timedelta

import pytest
from sqlalchemy import select

from app.audit.log import Actor, AuditEntry
from app.notifications import channels, delivery, delivery_history
from app.notifications.channels import QuietHours
from app.notifications.models import Delivery
from app.schedules import overdue_check

NIGHT = QuietHours(time(22), time(7))
MORNING = datetime(2031, 5, 5, 7, tzinfo=UTC)


@pytest.fixture
def quiet_channel(ntfy_channel, clock):
    """Make the standard channel quiet from 22 to 7, and set the clock to midnight."""

    def set_hours(hours: QuietHours | None = NIGHT, *, lets_trouble_pass: bool = False) -> None:
        channels.set_quiet_hours(
            ntfy_channel.id, hours, lets_trouble_pass=lets_trouble_pass, actor=Actor(), now=clock()
        )

    clock.now = datetime(2031, 5, 5, 0, tzinfo=UTC)
    set_hours()
    return set_hours


def test_messages_wait_until_the_end_without_an_attempt(quiet_channel, clock, ingest, deliveries):
    ingest(status="Warning")
    assert delivery.deliver_due(clock()) == 0
    assert delivery.deliver_due(MORNING - timedelta(seconds=1)) == 0
    assert [row.attempts for row in deliveries()] == [0]
    assert delivery.deliver_due(MORNING) == 1


def test_another_channel_is_not_quiet(quiet_channel, clock, ingest, ntfy):
    channels.save_settings("ntfy", "pager", {"url": ntfy.url, "topic": "pager"}, now=clock())
    ingest(status="Warning")
    assert delivery.deliver_due(clock()) == 1
    assert [push.json["topic"] for push in ntfy.received] == ["pager"]


@pytest.mark.parametrize(("status", "passes"), [("Warning", 0), ("Error", 1), ("Fatal", 1)])
def test_failures_are_sent_if_issues_are_exempt(quiet_channel, clock, ingest, status: str, passes: int):
    quiet_channel(lets_trouble_pass=True)
    ingest(status=status)
    assert delivery.deliver_due(clock()) == passes


def test_overdue_jobs_are_sent_if_issues_are_exempt(quiet_channel, clock, ingest):
    quiet_channel(lets_trouble_pass=True)
    ingest()
    clock.now = datetime(2031, 5, 8, 23, tzinfo=UTC)
    overdue_check.check_overdue(clock(), None)
    assert delivery.deliver_due(clock()) == 1


def test_a_retry_waits_too(quiet_channel, clock, ingest, ntfy_channel):
    channels.save_settings("ntfy", "ntfy", {"url": "http://127.0.0.1:9"}, now=clock())
    clock.now = datetime(2031, 5, 4, 21, 59, 50, tzinfo=UTC)
    ingest(status="Warning")
    delivery.deliver_due(clock())
    delivery.deliver_due(clock.advance(hours=2))
    [past] = delivery_history.find_deliveries(limit=1, now=clock(), visible=None)
    assert (past.delivery.attempts, past.next_attempt_at) == (1, MORNING)


def test_the_history_shows_until_when_it_waits(quiet_channel, clock, ingest):
    ingest(status="Warning")
    [past] = delivery_history.find_deliveries(limit=1, now=clock(), visible=None)
    assert past.next_attempt_at == MORNING
    quiet_channel(None)
    [past] = delivery_history.find_deliveries(limit=1, now=clock(), visible=None)
    assert past.next_attempt_at == clock()


def test_changed_hours_apply_to_waiting_messages(quiet_channel, clock, ingest):
    ingest(status="Warning")
    delivery.deliver_due(clock())
    quiet_channel(None)
    assert delivery.deliver_due(clock()) == 1


def test_send_again_is_not_delayed(quiet_channel, clock, ingest, deliveries):
    ingest(status="Warning")
    delivery_history.retry_delivery(deliveries()[0].id, actor=Actor(), now=clock())
    assert delivery.deliver_due(clock()) == 1


def test_a_clock_that_is_set_back_delays_nothing_longer(quiet_channel, clock, ingest):
    ingest(status="Warning")
    delivery.deliver_due(clock())
    assert delivery.deliver_due(clock() - timedelta(days=100, hours=12)) == 1


def test_a_change_is_audited(quiet_channel, db):
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "quiet_hours_updated")).one()
    assert entry.details["new"] == {"from": "22:00", "until": "07:00", "letsTroublePass": False}
    assert db.session.scalars(select(Delivery)).all() == []
