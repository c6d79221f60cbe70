"""What is queued, for whom, with which text; and that nothing is queued twice."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from statements import sent_statements

from app.core.db.orm import writing
from app.core.settings import store as settings_store
from app.notifications import channels, delivery, outbox
from app.notifications.models import Channel, Delivery

HOUR = timedelta(hours=1)


@pytest.fixture
def queued(db, clock, ingest):
    """Ingest a first good run, change job and server, then a run to notify; return its deliveries by destination."""

    def queue(job: dict[str, Any] | None = None, server: dict[str, Any] | None = None, **report: Any) -> set[tuple]:
        stored = ingest()
        with writing():
            db.session.query(Delivery).delete()
            for name, value in (job or {}).items():
                setattr(stored, name, value)
            for name, value in (server or {}).items():
                setattr(stored.server, name, value)
        began_at = stored.last_began_at + HOUR
        ingest(began_at=began_at, **{"status": "Warning", **report})
        rows = db.session.query(Delivery.target, Channel.kind).join(Channel, Channel.id == Delivery.channel_id)
        return {(kind, target) for target, kind in rows}

    return queue


NTFY, MAIL = ("ntfy", ""), ("email", "")


@pytest.mark.usefixtures("ntfy_channel", "mail_channel")
class TestDestinations:
    def test_a_warning_is_sent_through_every_channel(self, queued):
        assert queued() == {NTFY, MAIL}

    def test_a_good_run_is_not_notified_by_default(self, queued):
        assert queued(status="Success") == set()

    def test_a_good_run_is_notified_if_all_runs_are(self, queued):
        assert queued({"notification_event": "all"}, status="Success") == {NTFY, MAIL}

    def test_a_channel_disabled_for_the_job_is_left_out(self, queued):
        assert queued({"channel_switches": {"ntfy": False}}) == {MAIL}

    def test_additional_destinations_do_not_depend_on_the_switches(self, queued):
        job = {
            "channel_switches": {"ntfy": False, "email": False},
            "additional_emails": "a@example.org, b@example.org",
            "additional_ntfy_topic": " extra ",
        }
        assert queued(job) == {("email", "a@example.org"), ("email", "b@example.org"), ("ntfy", "extra")}

    def test_additional_destinations_follow_their_own_event(self, queued):
        job = {"notification_event": "off", "additional_event": "all", "additional_ntfy_topic": "extra"}
        assert queued(job, status="Success") == {("ntfy", "extra")}

    def test_without_an_event_of_their_own_they_follow_that_of_the_job(self, queued):
        assert queued({"notification_event": "off", "additional_ntfy_topic": "extra"}) == set()

    @pytest.mark.parametrize("status", ["Warning", "Error"])
    def test_missing_settings_of_the_job_are_those_of_its_server(self, queued, status):
        server = {"additional_emails": "a@example.org", "additional_ntfy_topic": "extra", "additional_event": "errors"}
        additional = {("email", "a@example.org"), ("ntfy", "extra")} if status == "Error" else set()
        assert queued(server=server, status=status) == {NTFY, MAIL} | additional

    def test_an_empty_text_of_the_job_overrides_its_server(self, queued):
        assert queued({"additional_ntfy_topic": ""}, {"additional_ntfy_topic": "extra"}) == {NTFY, MAIL}

    @pytest.mark.parametrize("owner", ["job", "server"])
    def test_muted_jobs_are_not_notified(self, queued, clock, owner):
        assert queued(**{owner: {"muted_until": clock() + HOUR}}) == set()

    def test_muting_ends(self, queued, clock):
        assert queued({"muted_until": clock()}) == {NTFY, MAIL}


def test_a_channel_without_complete_settings_gets_nothing(db, clock, queued, ntfy_channel):
    with writing() as session:
        session.add(
            Channel(kind="email", name="email", settings={"host": "mail"}, created_at=clock(), updated_at=clock())
        )
        session.add(Channel(kind="pigeon", name="pigeon", settings={}, created_at=clock(), updated_at=clock()))
    assert queued() == {NTFY}


def test_a_disabled_channel_gets_nothing_and_neither_do_additional_destinations(clock, queued, ntfy_channel):
    channels.save_settings("ntfy", "ntfy", {}, now=clock(), is_enabled=False)
    assert queued({"additional_ntfy_topic": "extra"}) == set()


def test_every_further_channel_of_a_kind_gets_its_message(clock, queued, ntfy_channel, ntfy):
    channels.save_settings("ntfy", "second", {"url": ntfy.url, "topic": "second"}, now=clock())
    assert len(channels.usable()) == 2
    queued()
    assert delivery.deliver_due(clock()) == 2
    assert {request.json["topic"] for request in ntfy.received} == {"main", "second"}


def test_an_event_is_queued_once_for_each_destination(db, clock, ingest, report, ntfy_channel):
    job = ingest()
    bad = report(status="Error")
    with writing() as session:
        counts = [
            outbox.queue_run_messages(session, job.server, job, bad, "0b7c0d7e-0000-4000-8000-000000000001", clock())
            for _ in range(2)
        ]
    assert counts == [1, 0]
    assert db.session.query(Delivery).count() == 1


def test_a_failing_transaction_queues_nothing(db, clock, ingest, report, ntfy_channel):
    job = ingest()
    with suppress(ZeroDivisionError), writing() as session:
        outbox.queue_run_messages(session, job.server, job, report(status="Error"), "1" * 32, clock())
        raise ZeroDivisionError
    assert db.session.query(Delivery).count() == 0


def test_a_run_without_destinations_needs_no_statement(db, clock, ingest, report):
    job = ingest()
    server, good = job.server, report()
    with sent_statements() as statements:
        assert outbox.queue_run_messages(db.session, server, job, good, "1" * 32, clock()) == 0
    assert statements == []


def test_waiting_workers_are_notified_after_the_commit(db, ingest, ntfy_channel):
    seen: list[int] = []

    def count_queued(_sender: object) -> None:
        seen.append(db.session.query(Delivery).count())

    with outbox.queued.connected_to(count_queued):
        ingest(status="Error")
        ingest(job_name="other")
    assert seen == [1]


def test_history_is_deleted_after_90_days(db, clock, ingest, ntfy_channel, ntfy):
    ingest(status="Error")
    delivery.deliver_due(clock())
    clock.advance(days=1)
    ingest(status="Error", job_name="other")  # this one is still pending, and is never deleted
    assert outbox.purge_history(clock() + timedelta(days=88), 90) == 0
    assert outbox.count_old(90, clock() + timedelta(days=90)) == 1
    assert outbox.purge_history(clock() + timedelta(days=90), 90) == 1
    assert outbox.purge_history(clock() + timedelta(days=400), 90) == 0


def test_the_text_uses_the_current_template(db, clock, ingest, ntfy_channel, ntfy):
    warning = {"title": "{status}: {backup_name}", "message": "**{server_alias}** {{x}} {nothing}", "tags": "a, b"}
    settings_store.put("notification_templates", {"language": "de", "warning": warning}, now=clock())
    job = ingest()
    with writing():
        job.server.alias = "the *big* one"
    ingest(status="Warning", began_at=job.last_began_at + HOUR)
    delivery.deliver_due(clock())
    sent = ntfy.received[0].json
    assert sent["title"] == "Warnung: photos"
    assert sent["message"] == r"**the \*big\* one (nas)** {x} "
    assert sent["markdown"] is True
    assert (sent["tags"], sent["priority"]) == (["a", "b"], 4)
