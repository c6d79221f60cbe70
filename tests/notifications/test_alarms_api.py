"""Mutes, quiet hours and limits of alarms over HTTP."""

from datetime import timedelta

import pytest
from factories import make_run

from app.core.instants import iso
from app.notifications import channels

JOB = "/api/servers/machine-1/backup/photos/mute"
SERVER = "/api/servers/machine-1/mute"


@pytest.fixture
def later(db, clock):
    """Return a time some hours from now, in the format of the API."""
    make_run()
    return lambda hours: iso(clock() + timedelta(hours=hours))


@pytest.mark.parametrize(("path", "name"), [(JOB, "photos"), (SERVER, None)])
def test_a_mute_is_set_listed_and_ended(admin, later, path, name):
    answer = admin.send("PUT", path, json={"until": later(2), "note": "new disk"})
    assert (answer.status_code, answer.json["backupName"], answer.json["active"]) == (200, name, True)
    (listed,) = admin.get("/api/mutes").json["mutes"]
    assert listed == answer.json
    assert (listed["serverName"], listed["from"], listed["until"], listed["note"]) == (
        "nas",
        None,
        later(2),
        "new disk",
    )
    assert admin.send("DELETE", path).status_code == 200
    assert admin.get("/api/mutes").json == {"mutes": []}
    assert admin.send("DELETE", path).status_code == 404


def test_a_maintenance_is_scheduled(admin, later):
    answer = admin.send("PUT", JOB, json={"from": later(1), "until": later(2)})
    assert (answer.json["from"], answer.json["active"]) == (later(1), False)


@pytest.mark.parametrize("body", [{}, {"until": "soon"}, {"until": "2001-01-01T00:00:00Z"}, {"until": None}])
def test_a_mute_without_a_valid_end_is_rejected(admin, later, body):
    answer = admin.send("PUT", JOB, json=body)
    assert (answer.status_code, "until" in answer.json["error"]) == (400, True)


@pytest.mark.parametrize("path", ["/api/servers/nobody/mute", "/api/servers/machine-1/backup/letters/mute"])
def test_unknown_targets_are_not_muted(admin, later, path):
    assert admin.send("PUT", path, json={"until": later(2)}).status_code == 404


def test_a_channel_gets_quiet_hours_and_loses_them(admin, db, clock):
    row = channels.save_settings("ntfy", "ntfy", {"url": "http://127.0.0.1:9", "topic": "x"}, now=clock())
    path = f"/api/channels/{row.id}/quiet-hours"
    body = {"from": "22:00", "until": "06:30", "letsTroublePass": True}
    assert admin.send("PUT", path, json=body).status_code == 200
    (shown,) = admin.get("/api/channels").json["channels"]
    assert (shown["quietFrom"], shown["quietUntil"], shown["letsTroublePass"]) == ("22:00", "06:30", True)
    assert (shown["enabled"], shown["complete"], shown["failingSince"]) == (True, True, None)
    assert admin.send("DELETE", path).json["quietFrom"] is None


@pytest.mark.parametrize(
    ("begin", "end", "field"), [("22", "06:30", "from"), ("22:00", "25:00", "until"), ("22:00", "22:00", "until")]
)
def test_invalid_quiet_hours_are_named(admin, db, clock, begin, end, field):
    row = channels.save_settings("ntfy", "ntfy", {"url": "http://127.0.0.1:9", "topic": "x"}, now=clock())
    answer = admin.send("PUT", f"/api/channels/{row.id}/quiet-hours", json={"from": begin, "until": end})
    assert (answer.status_code, field in answer.json["error"]) == (400, True)


def test_limits_are_shown_and_saved(admin):
    before = {"silenceHours": 48, "channelFailureHours": 2, "destinationFull": True}
    assert admin.get("/api/alarm-limits").json == before
    wanted = {"silenceHours": 0, "channelFailureHours": 12, "destinationFull": False}
    assert admin.send("PUT", "/api/alarm-limits", json=wanted).json == wanted
    assert admin.get("/api/alarm-limits").json == wanted
    hours = {"silenceHours": 24, "channelFailureHours": 12}
    assert admin.send("PUT", "/api/alarm-limits", json=hours).json == hours | {"destinationFull": False}
    answer = admin.send("PUT", "/api/alarm-limits", json=wanted | {"silenceHours": -1})
    assert (answer.status_code, "silenceHours" in answer.json["error"]) == (400, True)
