"""The history of messages over HTTP, and retries."""

import pytest
from factories import find_job, make_run
from sqlalchemy import select

from app.core.db.orm import writing
from app.core.instants import iso
from app.notifications import channels
from app.notifications.models import Delivery, DeliveryState
from app.notifications.outbox import queued

PATH = "/api/deliveries"


@pytest.fixture
def deliveries(db, clock):
    """Three messages, oldest first: failed, pending, delivered."""
    channels.save_settings("ntfy", "ntfy", {"url": "http://127.0.0.1:9", "topic": "x", "token": ""}, now=clock())
    for minute in range(3):
        make_run(status="Error", error_count=1, began_at=clock.advance(minutes=minute + 1))
    with writing() as session:
        rows = list(session.scalars(select(Delivery).order_by(Delivery.id)))
        rows[0].state, rows[0].attempts, rows[0].last_error = DeliveryState.FAILED, 9, "nobody listens"
        rows[2].state, rows[2].finished_at = DeliveryState.DELIVERED, clock()
    return [row.id for row in rows]


def ids(answer):
    return [found["id"] for found in answer.json["deliveries"]]


def test_newest_are_first(admin, deliveries):
    answer = admin.get(PATH)
    assert ids(answer) == deliveries[::-1]
    newest = answer.json["deliveries"][0]
    assert (newest["serverName"], newest["backupName"], newest["channelKind"]) == ("nas", "photos", "ntfy")
    assert newest["title"]


@pytest.mark.parametrize(("state", "at"), [("failed", 0), ("queued", 1), ("delivered", 2)])
def test_list_is_filtered_by_state(admin, deliveries, state, at):
    assert ids(admin.get(f"{PATH}?state={state}")) == [deliveries[at]]


def test_list_is_filtered_by_job_and_channel(admin, deliveries):
    job_id = find_job().id
    assert len(ids(admin.get(f"{PATH}?job={job_id}"))) == 3
    assert ids(admin.get(f"{PATH}?job={job_id + 1}")) == []
    assert ids(admin.get(f"{PATH}?channel=999")) == []


def test_pages_are_consecutive(admin, deliveries):
    first = admin.get(f"{PATH}?limit=2")
    second = admin.get(f"{PATH}?limit=2&before={first.json['nextBefore']}")
    assert ids(first) + ids(second) == deliveries[::-1]
    assert second.json["nextBefore"] is None


@pytest.mark.parametrize("query", ["state=lost", "limit=0", "limit=x", "job=0", "before=99999999999999999999"])
def test_invalid_query_is_named(admin, query):
    answer = admin.get(f"{PATH}?{query}")
    assert (answer.status_code, answer.json["error"].partition(":")[0]) == (400, query.partition("=")[0])


@pytest.mark.parametrize("at", [0, 1])
def test_pending_and_failed_messages_are_retried_at_once(admin, deliveries, db, clock, at):
    woken = []
    with queued.connected_to(lambda _sender: woken.append(True)):
        assert admin.send("POST", f"{PATH}/{deliveries[at]}/retry").status_code == 202
    db.session.expire_all()
    row = db.session.get(Delivery, deliveries[at])
    assert (row.state, row.attempts, row.next_attempt_at) == (DeliveryState.QUEUED, 0, clock())
    assert woken == [True]


def test_delivered_message_is_not_sent_twice(admin, deliveries):
    assert admin.send("POST", f"{PATH}/{deliveries[2]}/retry").status_code == 409


def test_unknown_message_is_not_found(admin):
    assert admin.send("POST", f"{PATH}/77/retry").status_code == 404


def test_failing_channels_are_reported_with_the_reason(admin, deliveries, clock):
    assert admin.get(f"{PATH}/failing").json == {"channels": []}
    with writing() as session:
        channels.record_failure(session, session.get(Delivery, deliveries[2]).channel_id, "nobody listens", clock())
    (found,) = admin.get(f"{PATH}/failing").json["channels"]
    assert (found["channelName"], found["error"], found["waiting"]) == ("ntfy", "nobody listens", 1)
    assert found["since"] == iso(clock())


@pytest.mark.parametrize("path", [PATH, f"{PATH}/failing"])
def test_visitor_sees_no_messages(client, path):
    assert client.get(path).status_code == 401
