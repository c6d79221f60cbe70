"""Mutes: who sets them, that they end automatically, and that an overdue job is notified afterwards."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from app.audit.log import Actor, AuditEntry
from app.core.errors import Refused
from app.notifications import mutes
from app.schedules import overdue_check

HOUR = timedelta(hours=1)
TARGETS = [("machine-1", None), ("machine-1", "photos")]

pytestmark = pytest.mark.usefixtures("ntfy_channel")


@pytest.fixture
def mute(clock):
    """Mute for some hours, by default the job."""

    def mute(job_name: str | None = "photos", *, hours: int = 1, **given) -> mutes.Mute:
        until_at = clock() + hours * HOUR
        return mutes.mute("machine-1", job_name, until_at=until_at, actor=Actor(), now=clock(), **given)

    return mute


@pytest.mark.parametrize(("server_id", "job_name"), TARGETS)
def test_an_overdue_job_is_notified_when_the_mute_ends(ingest, clock, mute, server_id, job_name):
    clock.now = ingest().next_expected_at + timedelta(days=1)
    mute(job_name, hours=2)
    assert overdue_check.check_overdue(clock(), None).notified_count == 0
    assert overdue_check.check_overdue(clock.advance(hours=2), None).notified_count == 1


@pytest.mark.parametrize(("server_id", "job_name"), TARGETS)
def test_a_run_during_the_mute_is_not_notified(ingest, clock, mute, deliveries, server_id, job_name):
    ingest()
    mute(job_name)
    ingest(status="Error", began_at=clock())
    assert deliveries() == []


def test_a_scheduled_maintenance_begins_at_its_time(ingest, clock, mute, deliveries):
    ingest()
    mute(hours=3, since_at=clock() + 2 * HOUR)
    ingest(status="Error", began_at=clock())
    clock.advance(hours=2)
    ingest(status="Error", began_at=clock())
    assert len(deliveries()) == 1


def test_ending_it_enables_messages_at_once(ingest, clock, mute, deliveries):
    ingest()
    mute()
    mutes.unmute("machine-1", "photos", actor=Actor(), now=clock())
    ingest(status="Error", began_at=clock())
    assert len(deliveries()) == 1
    with pytest.raises(Refused, check=lambda error: error.status == 404):
        mutes.unmute("machine-1", "photos", actor=Actor(), now=clock())


def test_the_list_contains_current_mutes_of_visible_servers(ingest, clock, mute):
    ingest()
    mute(None, note="  new   disk ")
    mute(hours=5, since_at=clock() + HOUR)
    found = mutes.list_mutes(clock(), None)
    assert [(one.job_name, one.note, one.is_active(clock())) for one in found] == [
        (None, "new disk", True),
        ("photos", "", False),
    ]
    assert mutes.list_mutes(clock(), frozenset()) == []
    assert len(mutes.list_mutes(clock.advance(hours=2), frozenset({"machine-1"}))) == 1


@pytest.mark.parametrize("given", [{"hours": 0}, {"hours": -1}, {"hours": 24 * 400}, {"note": "x" * 501}])
def test_invalid_values_are_rejected(ingest, mute, given):
    ingest()
    with pytest.raises(Refused):
        mute(**given)


def test_a_mute_that_would_end_before_it_begins_is_rejected(ingest, clock, mute):
    ingest()
    with pytest.raises(Refused, match="until"):
        mute(since_at=clock() + 2 * HOUR)


def test_unknown_targets_are_not_muted(ingest, mute):
    ingest()
    with pytest.raises(Refused, check=lambda error: error.status == 404):
        mute("letters")


def test_both_are_audited(ingest, clock, mute, db):
    ingest()
    mute(note="new disk")
    mutes.unmute("machine-1", "photos", actor=Actor(username="ann"), now=clock())
    muted, unmuted = db.session.scalars(select(AuditEntry).where(AuditEntry.target_type == "job")).all()
    assert (muted.action, muted.target_id, muted.details["note"]) == ("job_muted", "machine-1:photos", "new disk")
    assert (unmuted.action, unmuted.username) == ("job_unmuted", "ann")
