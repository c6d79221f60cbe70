"""When people hear that a job is in incident, and that it is fine again."""

from datetime import UTC, datetime, timedelta

import pytest

from app.notifications.messages import OVERDUE, Incident
from app.notifications.outbox import NOBODY, Recipients, decide_notifications

NOW = datetime(2031, 5, 4, 12, tzinfo=UTC)
EARLIER = NOW - timedelta(days=2)
ALL, STANDARD, ADDITIONAL = Recipients(True, True), Recipients(True, False), Recipients(False, True)
LATE, BROKEN = Incident(OVERDUE, EARLIER), Incident("Error", EARLIER)


def decision(
    status: str, incident: Incident | None = None, event: str = "warnings", additional: str | None = None, **more
):
    given = {"error_count": 0, "is_newest": True, **more}
    return decide_notifications(
        status=status,
        began_at=NOW,
        standard_event=event,
        additional_event=event if additional is None else additional,
        incident=incident,
        **given,
    )


def test_a_failure_that_is_told_begins_trouble():
    assert decision("Fatal").incident == Incident("Fatal", NOW)
    assert decision("Fatal").run == ALL


def test_a_failure_that_nobody_hears_of_is_nothing_to_come_back_from():
    assert decision("Fatal", event="off").incident is None


def test_a_warning_begins_no_trouble():
    assert (decision("Warning").run, decision("Warning").incident) == (ALL, None)


def test_trouble_that_goes_on_keeps_its_beginning():
    assert decision("Fatal", LATE).incident == Incident("Fatal", EARLIER)
    assert decision("Fatal", LATE, event="off").incident == LATE


@pytest.mark.parametrize("incident", [LATE, BROKEN])
@pytest.mark.parametrize("event", ["all", "warnings", "errors"])
def test_a_good_run_is_told_once_as_recovered_and_ends_the_trouble(incident: Incident, event: str):
    found = decision("Success", incident, event)
    assert (found.run, found.recovered, found.incident) == (NOBODY, ALL, None)


def test_a_good_run_without_trouble_is_told_to_those_who_want_all():
    found = decision("Success", None, "all")
    assert (found.run, found.recovered) == (ALL, NOBODY)


@pytest.mark.parametrize(
    ("status", "incident", "event", "recovered", "ends"),
    [
        ("Warning", BROKEN, "warnings", NOBODY, False),  # is told as a warning; "fine again" waits for a good run
        ("Warning", BROKEN, "errors", ALL, True),  # these people call a warning fine
        ("Warning", LATE, "warnings", NOBODY, True),  # the warning tells that it ran
        ("Warning", LATE, "errors", ALL, True),
        ("Unknown", LATE, "errors", ALL, True),
        ("Success", LATE, "off", STANDARD, True),  # lateness is told to them too
        ("Success", BROKEN, "off", NOBODY, True),  # and failures are not
        ("Error", LATE, "warnings", NOBODY, False),
    ],
)
def test_who_hears_that_all_is_well(status: str, incident: Incident, event: str, recovered: Recipients, ends: bool):
    found = decision(status, incident, event)
    assert (found.recovered, found.incident is None) == (recovered, ends)


def test_each_kind_of_destination_hears_what_its_own_event_asks_for():
    found = decision("Warning", LATE, "errors", additional="warnings")
    assert (found.run, found.recovered) == (ADDITIONAL, STANDARD)


def test_errors_in_a_run_of_another_status_are_no_good_news():
    found = decision("Success", LATE, "errors", error_count=2)
    assert (found.run, found.recovered, found.incident) == (ALL, NOBODY, LATE)


@pytest.mark.parametrize(("status", "incident"), [("Success", BROKEN), ("Fatal", None), ("Fatal", LATE)])
def test_a_run_that_arrives_after_a_newer_one_changes_no_trouble(status: str, incident: Incident | None):
    found = decision(status, incident, "errors", is_newest=False)
    assert (found.recovered, found.incident) == (NOBODY, incident)
