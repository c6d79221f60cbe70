"""A backup with pending messages of any kind is restored."""

import io
from dataclasses import fields
from datetime import timedelta

import pytest

from app.audit.log import Actor
from app.backups.models import Job
from app.core.db.orm import writing
from app.database import health, health_alarms
from app.database.health import Health, Problem
from app.database.stored_values import PayloadValue
from app.insight import insight
from app.notifications import channels, digests, summaries, summary_settings, watchdogs
from app.notifications.default_templates import EVENTS
from app.notifications.messages import RenderedMessage
from app.notifications.models import Channel, DeliveryState
from app.notifications.templates import PLACEHOLDERS
from app.schedules import overdue_check

pytestmark = pytest.mark.slow

GIB = 1024**3
DAY = timedelta(days=1)
# What every backup restores unchanged, besides the fields of a `Notice`.
OF_THE_OUTBOX = {"audit", "job_ids"}
WELL = Health(True, True, True, True)
ILL = Health(True, True, True, True, problems=(Problem("database_damaged", "about it"),))


@pytest.fixture
def health_of(clock, monkeypatch):
    """Check a given health."""

    def check_health(found):
        monkeypatch.setattr(health, "examine", lambda _now: found)
        health_alarms.run_health_alerts(clock.advance(minutes=1))

    return check_health


@pytest.fixture
def waiting(ntfy_channel, mail_channel, ingest, clock, health_of, deliveries):
    """Queue messages of every kind; return the events."""
    insight.change_limits({"tells": True}, actor=Actor(), now=clock())
    queue_runs(ingest, clock)
    queue_destinations(ingest, clock)
    overdue_check.check_overdue(clock.advance(days=1, hours=8), None)
    ingest(job_name="late", began_at=clock())
    overdue_check.check_overdue(clock.advance(days=2), None)
    watchdogs.check_silence(clock.advance(days=3))
    ingest(job_name="late", began_at=clock.advance(minutes=1))
    watchdogs.check_silence(clock.advance(minutes=1))
    queue_channel_alarms(clock)
    health_of(ILL)
    health_of(WELL)
    queue_summaries(clock)
    rows = deliveries()
    assert {row.state for row in rows} == {DeliveryState.QUEUED}
    return {row.event for row in rows}


def queue_runs(ingest, clock):
    for number in range(12):
        ingest(began_at=clock.advance(days=1), examined_bytes=GIB, modified_files=210, message_count=number)
    ingest(began_at=clock.advance(days=1), examined_bytes=GIB, modified_files=90_000, broken_off_at=clock())
    with writing() as session:
        for job in session.query(Job):
            job.notification_event = "all"
    ingest(began_at=clock.advance(days=1), status="Error", errors=("broken",), error_count=1)
    for _recovered_and_fine in range(2):
        ingest(began_at=clock.advance(days=1))


def queue_destinations(ingest, clock):
    begun_at = clock()
    for name in ("one", "two", "three"):
        clock.now = begun_at
        for day in range(0, 40, 2):
            clock.now = begun_at + day * DAY
            quota = {"quota_total_bytes": 2000 * GIB, "quota_free_bytes": (25 if day > 36 else 300) * GIB}
            ingest(job_name=name, began_at=clock(), storage_bytes=(500 + day) * GIB, **quota)
        if name != "two":  # one message about the first, one about the others
            watchdogs.run_watchdogs(clock.advance(minutes=5))


def queue_channel_alarms(clock):
    with writing() as session:
        row = session.query(Channel).filter_by(kind=channels.EMAIL).one()
        row.failing_since_at, row.failing_error = clock() - 3 * DAY, "refused"
    watchdogs.check_channels(clock.advance(minutes=1))
    with writing() as session:
        session.query(Channel).filter_by(kind=channels.EMAIL).one().failing_since_at = None
    watchdogs.check_channels(clock.advance(minutes=1))


def queue_summaries(clock):
    ids = [row.id for row in channels.usable()]
    daily = {"is_enabled": True, "time": "11:00", "recipients": ""}
    summary_settings.save_daily_summary(**daily, actor=Actor(), now=clock())
    weekly = {"period": "weekly", "time": "06:00", "weekday": 0, "recipients": ""}
    summary_settings.save_digest(**weekly, channel_ids=ids, actor=Actor(), now=clock())
    summaries.send_now(actor=Actor(), now=clock())
    digests.send_now(actor=Actor(), now=clock())


@pytest.mark.parametrize("kind", ["db", "sql"])
def test_pending_messages_of_every_kind_are_restored(client, waiting, deliveries, kind):
    assert waiting == PLACEHOLDERS.keys() | set(EVENTS)
    before = [(row.event, row.payload, row.state) for row in deliveries()]
    client.sign_in()  # every earlier session has ended
    content = client.get(f"/api/database/backup?format={kind}", buffered=True).data
    form = {"database": (io.BytesIO(content), f"mine.{kind}")}
    answer = client.send("POST", "/api/database/restore", data=form, content_type="multipart/form-data")
    assert (answer.status_code, answer.get_json().get("error")) == (200, None)
    assert [(row.event, row.payload, row.state) for row in deliveries()] == before


def test_a_pending_message_may_have_each_field_of_a_notice():
    of_rows = {"event"}
    assert PayloadValue().fields.keys() == {field.name for field in fields(RenderedMessage)} - of_rows | OF_THE_OUTBOX
