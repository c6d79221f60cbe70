"""Fine again: told once, to those who were told of the trouble, and never out of the blue."""

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
def told(deliveries):
    """Reads event and destination of every message so far."""
    return lambda: [(row.event, row.target) for row in deliveries()]


@pytest.fixture
def late(ingest, clock) -> Job:
    """A daily job that people were told is late."""
    job = ingest()
    clock.now = job.next_expected_at + timedelta(hours=3)
    overdue_check.check_overdue(clock(), None)
    return job


def set_columns(job: Job, **values: object) -> None:
    with writing():
        for name, value in values.items():
            setattr(job, name, value)


def test_a_late_job_that_runs_is_told_to_be_fine_again_once(late, clock, ingest, told, ntfy):
    expected_at = late.next_expected_at
    assert (late.trouble_kind, late.trouble_since_at) == ("Overdue", expected_at)
    job = ingest(began_at=clock())
    assert (job.trouble_kind, job.trouble_since_at) == (None, None)
    ingest(began_at=clock() + HOUR)
    assert told() == [("overdueBackup", ""), ("recovered", "")]
    delivery.deliver_due(clock())
    sent = {push.json["title"]: push.json["message"] for push in ntfy.received}
    assert "Overdue, since 05/05/2031, 11:00 (3 hours ago)" in sent["💚 Recovered - photos @ nas"]


def test_a_failed_job_that_succeeds_is_told_to_be_fine_again(clock, ingest, told):
    ingest(status="Fatal")
    ingest(status="Error", began_at=clock())
    ingest(began_at=clock() + HOUR)
    assert [event for event, _ in told()] == ["warning", "warning", "recovered"]


def test_those_who_want_to_hear_of_every_run_hear_one_message_of_it(clock, ingest, told):
    set_columns(ingest(), notification_event="all")
    ingest(status="Error", began_at=clock())
    ingest(began_at=clock() + HOUR)
    ingest(began_at=clock() + 2 * HOUR)
    assert [event for event, _ in told()] == ["warning", "recovered", "success"]


def test_nothing_is_told_when_nothing_was_told_before(clock, ingest, told):
    set_columns(ingest(), notification_event="off")
    ingest(status="Fatal", began_at=clock())
    ingest(began_at=clock() + HOUR)
    assert told() == []


def test_trouble_that_found_no_channel_is_nothing_to_come_back_from(clock, ingest, told):
    channels.save_settings("ntfy", "ntfy", {}, now=clock(), is_enabled=False)
    assert ingest(status="Fatal").trouble_kind is None
    channels.save_settings("ntfy", "ntfy", {}, now=clock(), is_enabled=True)
    ingest(began_at=clock())
    assert told() == []


def test_additional_destinations_hear_it_too(late, clock, ingest, told):
    set_columns(late.server, additional_ntfy_topic="extra")
    ingest(began_at=clock())
    assert told()[1:] == [("recovered", ""), ("recovered", "extra")]


def test_in_a_mute_nothing_is_told_and_the_first_good_run_after_it_is(late, clock, ingest, told):
    set_columns(late, muted_until=clock() + DAY)
    assert ingest(began_at=clock()).trouble_kind == "Overdue"
    ingest(began_at=clock.advance(days=1))
    assert [event for event, _ in told()] == ["overdueBackup", "recovered"]


def test_a_run_that_arrives_late_after_a_newer_one_ends_nothing(clock, ingest, told):
    ingest(status="Error", began_at=clock())
    assert ingest(began_at=clock() - DAY).trouble_kind == "Error"
    assert [event for event, _ in told()] == ["warning"]


def test_it_is_written_in_the_language_of_the_templates(late, db, clock, ingest):
    settings_store.put("notification_templates", {"language": "de"}, now=clock())
    ingest(began_at=clock())
    row = db.session.query(Delivery).filter_by(event="recovered").one()
    assert row.payload["title"] == "💚 Wieder OK - photos @ nas"
    assert row.payload["values"]["previous_status"] == "Überfällig"


def test_a_job_without_runs_comes_back_from_nothing(late, clock, ingest):
    run_deletion.delete_runs_of_job("machine-1", "photos", actor=Actor(), now=clock())
    assert ingest(began_at=clock()).trouble_kind is None
