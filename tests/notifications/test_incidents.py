"""Issues of jobs, and notifications of their recovery."""

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


def test_a_notified_failure_opens_an_issue():
    assert decision("Fatal").incident == Incident("Fatal", NOW)
    assert decision("Fatal").run == ALL


def test_a_failure_without_notification_needs_no_recovery():
    assert decision("Fatal", event="off").incident is None


def test_a_warning_opens_no_issue():
    assert (decision("Warning").run, decision("Warning").incident) == (ALL, None)


def test_a_continuing_issue_keeps_its_begin():
    assert decision("Fatal", LATE).incident == Incident("Fatal", EARLIER)
    assert decision("Fatal", LATE, event="off").incident == LATE


@pytest.mark.parametrize("incident", [LATE, BROKEN])
@pytest.mark.parametrize("event", ["all", "warnings", "errors"])
def test_a_good_run_is_notified_once_as_recovered_and_resolves_the_issue(incident: Incident, event: str):
    found = decision("Success", incident, event)
    assert (found.run, found.recovered, found.incident) == (NOBODY, ALL, None)


def test_a_good_run_without_an_issue_is_notified_if_all_runs_are():
    found = decision("Success", None, "all")
    assert (found.run, found.recovered) == (ALL, NOBODY)


@pytest.mark.parametrize(
    ("status", "incident", "event", "recovered", "ends"),
    [
        ("Warning", BROKEN, "warnings", NOBODY, False),  # is notified as a warning; the recovery waits for a good run
        ("Warning", BROKEN, "errors", ALL, True),  # this destination treats a warning as fine
        ("Warning", LATE, "warnings", NOBODY, True),  # the warning shows that it ran
        ("Warning", LATE, "errors", ALL, True),
        ("Unknown", LATE, "errors", ALL, True),
        ("Success", LATE, "off", STANDARD, True),  # overdue jobs are notified too
        ("Success", BROKEN, "off", NOBODY, True),  # and failures are not
        ("Error", LATE, "warnings", NOBODY, False),
    ],
)
def test_destinations_of_a_recovery(status: str, incident: Incident, event: str, recovered: Recipients, ends: bool):
    found = decision(status, incident, event)
    assert (found.recovered, found.incident is None) == (recovered, ends)


def test_each_kind_of_destination_follows_its_own_event():
    found = decision("Warning", LATE, "errors", additional="warnings")
    assert (found.run, found.recovered) == (ADDITIONAL, STANDARD)


def test_errors_in_a_run_of_another_status_are_no_recovery():
    found = decision("Success", LATE, "errors", error_count=2)
    assert (found.run, found.recovered, found.incident) == (ALL, NOBODY, LATE)


@pytest.mark.parametrize(("status", "incident"), [("Success", BROKEN), ("Fatal", None), ("Fatal", LATE)])
def test_a_run_that_arrives_after_a_newer_one_changes_no_issue(status: str, incident: Incident | None):
    found = decision(status, incident, "errors", is_newest=False)
    assert (found.recovered, found.incident) == (NOBODY, incident)
