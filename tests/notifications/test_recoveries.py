"""Recoveries: sent once, to destinations that were notified of the issue, and never without one."""

from datetime import timedelta

import pytest

from app.audit.log import Actor
from app.backups import run_deletion
from app.backups.models import Job
from app.core.db.orm import writing
from app.core.settings import store as settings_store
from app.notifications import channels, delivery
from app.notifications.models import Delivery
from app.schedules import overdue_check

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

pytestmark = pytest.mark.usefixtures("ntfy_channel")


@pytest.fixture
def notified(deliveries):
    """Return event and destination of every message so far."""
    return lambda: [(row.event, row.target) for row in deliveries()]


@pytest.fixture
def late(ingest, clock) -> Job:
    """A daily job with an overdue notification."""
    job = ingest()
    clock.now = job.next_expected_at + timedelta(hours=3)
    overdue_check.check_overdue(clock(), None)
    return job


def set_columns(job: Job, **values: object) -> None:
    with writing():
        for name, value in values.items():
            setattr(job, name, value)


def test_an_overdue_job_that_runs_is_notified_as_recovered_once(late, clock, ingest, notified, ntfy):
    expected_at = late.next_expected_at
    assert (late.trouble_kind, late.trouble_since_at) == ("Overdue", expected_at)
    job = ingest(began_at=clock())
    assert (job.trouble_kind, job.trouble_since_at) == (None, None)
    ingest(began_at=clock() + HOUR)
    assert notified() == [("overdueBackup", ""), ("recovered", "")]
    delivery.deliver_due(clock())
    sent = {push.json["title"]: push.json["message"] for push in ntfy.received}
    assert "Overdue, since 05/05/2031, 11:00 (3 hours ago)" in sent["💚 Recovered - photos @ nas"]


def test_a_failed_job_that_succeeds_is_notified_as_recovered(clock, ingest, notified):
    ingest(status="Fatal")
    ingest(status="Error", began_at=clock())
    ingest(began_at=clock() + HOUR)
    assert [event for event, _ in notified()] == ["warning", "warning", "recovered"]


def test_destinations_of_every_run_get_one_message_of_it(clock, ingest, notified):
    set_columns(ingest(), notification_event="all")
    ingest(status="Error", began_at=clock())
    ingest(began_at=clock() + HOUR)
    ingest(began_at=clock() + 2 * HOUR)
    assert [event for event, _ in notified()] == ["warning", "recovered", "success"]


def test_without_an_earlier_notification_there_is_no_recovery(clock, ingest, notified):
    set_columns(ingest(), notification_event="off")
    ingest(status="Fatal", began_at=clock())
    ingest(began_at=clock() + HOUR)
    assert notified() == []


def test_an_issue_without_a_channel_needs_no_recovery(clock, ingest, notified):
    channels.save_settings("ntfy", "ntfy", {}, now=clock(), is_enabled=False)
    assert ingest(status="Fatal").trouble_kind is None
    channels.save_settings("ntfy", "ntfy", {}, now=clock(), is_enabled=True)
    ingest(began_at=clock())
    assert notified() == []


def test_additional_destinations_are_notified_too(late, clock, ingest, notified):
    set_columns(late.server, additional_ntfy_topic="extra")
    ingest(began_at=clock())
    assert notified()[1:] == [("recovered", ""), ("recovered", "extra")]


def test_a_mute_delays_the_recovery_to_the_first_good_run_after_it(late, clock, ingest, notified):
    set_columns(late, muted_until=clock() + DAY)
    assert ingest(began_at=clock()).trouble_kind == "Overdue"
    ingest(began_at=clock.advance(days=1))
    assert [event for event, _ in notified()] == ["overdueBackup", "recovered"]


def test_a_late_run_before_a_newer_one_resolves_nothing(clock, ingest, notified):
    ingest(status="Error", began_at=clock())
    assert ingest(began_at=clock() - DAY).trouble_kind == "Error"
    assert [event for event, _ in notified()] == ["warning"]


def test_it_is_written_in_the_language_of_the_templates(late, db, clock, ingest):
    settings_store.put("notification_templates", {"language": "de"}, now=clock())
    ingest(began_at=clock())
    row = db.session.query(Delivery).filter_by(event="recovered").one()
    assert row.payload["title"] == "💚 Wieder OK - photos @ nas"
    assert row.payload["values"]["previous_status"] == "Überfällig"


def test_a_job_without_runs_has_no_recovery(late, clock, ingest):
    run_deletion.delete_runs_of_job("machine-1", "photos", actor=Actor(), now=clock())
    assert ingest(began_at=clock()).trouble_kind is None
