"""Sending: retries, claims, failing channels, and that nothing is lost or sent twice."""

import socket
import threading
from collections import Counter
from concurrent.futures import wait
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from time import perf_counter
from uuid import uuid4

import pytest
from sqlalchemy import insert, select

from app import plugin
from app.audit.log import Actor, AuditEntry
from app.backups.models import Job
from app.core.db.orm import writing
from app.database import secrets
from app.notifications import channels, delivery
from app.notifications.channels import QuietHours
from app.notifications.delivery import MOST_TRIES
from app.notifications.models import Delivery, Urgency
from app.plugin.testing.http_servers import Answer
from app.plugin.testing.mail_servers import mail_server
from app.runtime import runtime_of
from app.schedules import overdue_check

pytestmark = pytest.mark.slow

DOWN = Answer(503, b'{"error": "down for a moment"}')
GONE = Answer(404, b'{"error": "no such topic"}')


@pytest.fixture
def audit_of(db):
    """Return the audit entries of an action."""

    def read(action: str) -> list[AuditEntry]:
        return list(db.session.scalars(select(AuditEntry).where(AuditEntry.action == action)))

    return read


@pytest.fixture
def in_background(app):
    """Start a thread with an application context."""

    def start(work) -> threading.Thread:
        def run() -> None:
            with app.app_context():
                work()

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    return start


@pytest.mark.usefixtures("ntfy_channel")
class TestOneChannel:
    def test_a_message_is_delivered_once(self, clock, ingest, ntfy, deliveries):
        ingest(status="Error")
        assert delivery.deliver_due(clock()) == 1
        assert delivery.deliver_due(clock()) == 0
        assert len(ntfy.received) == 1
        [row] = deliveries()
        assert (row.state, row.attempts, row.last_error) == ("delivered", 1, None)
        assert row.finished_at is not None

    def test_a_delivery_is_audited(self, clock, ingest, ntfy, audit_of):
        ingest(status="Error")
        delivery.deliver_due(clock())
        [entry] = audit_of("notification_sent")
        assert (entry.category, entry.username, entry.status) == ("system", "system", "success")
        assert entry.details == {
            "type": "backup",
            "channel": "NTFY",
            "serverId": "machine-1",
            "serverName": "nas",
            "backupName": "photos",
            "backupStatus": "Error",
            "url": ntfy.url,
            "topic": "main",
        }

    def test_an_additional_topic_is_audited_as_additional(self, clock, ingest, audit_of):
        job = ingest(job_name="good")
        with writing():
            job.server.additional_ntfy_topic = "extra"
        ingest(status="Error")
        delivery.deliver_due(clock())
        assert sorted((e.details["channel"], e.details["topic"]) for e in audit_of("notification_sent")) == [
            ("Additional NTFY", "extra"),
            ("NTFY", "main"),
        ]

    def test_a_failed_attempt_is_delayed_with_a_reason(self, clock, ingest, ntfy, deliveries, audit_of):
        ntfy.standard = DOWN
        ingest(status="Error")
        assert delivery.deliver_due(clock()) == 0
        [row] = deliveries()
        assert (row.state, row.attempts) == ("queued", 1)
        assert "down for a moment" in row.last_error
        assert timedelta(seconds=20) < row.next_attempt_at - clock() < timedelta(seconds=40)
        assert audit_of("notification_failed") == []

    def test_it_is_not_retried_before_its_time(self, clock, ingest, ntfy):
        ntfy.standard = DOWN
        ingest(status="Error")
        delivery.deliver_due(clock())
        delivery.deliver_due(clock.advance(seconds=15))
        assert len(ntfy.received) == 1

    def test_a_later_attempt_delivers_with_the_same_key(self, clock, ingest, ntfy, deliveries):
        ntfy.answers = [DOWN, DOWN]
        ingest(status="Error")
        for _ in range(3):
            delivery.deliver_due(clock())
            clock.advance(minutes=5)
        assert [row.state for row in deliveries()] == ["delivered"]
        assert len({request.json["sequence_id"] for request in ntfy.received}) == 1
        assert len(ntfy.received) == 3

    def test_after_the_last_attempt_it_fails_and_is_audited(self, clock, ingest, ntfy, deliveries, audit_of):
        ntfy.standard = DOWN
        ingest(status="Error")
        for _ in range(MOST_TRIES + 3):
            delivery.deliver_due(clock())
            clock.advance(hours=12)
        assert len(ntfy.received) == MOST_TRIES
        [row] = deliveries()
        assert row.state == "failed"
        [entry] = audit_of("notification_failed")
        assert entry.status == "error"
        assert "down for a moment" in entry.error_message
        assert entry.details["error"] == entry.error_message

    def test_a_permanent_failure_is_not_retried(self, clock, ingest, ntfy, deliveries):
        ntfy.standard = GONE
        ingest(status="Error")
        delivery.deliver_due(clock())
        delivery.deliver_due(clock.advance(hours=1))
        assert len(ntfy.received) == 1
        assert [row.state for row in deliveries()] == ["failed"]

    def test_a_failing_channel_makes_one_attempt_a_pass(self, clock, ingest, ntfy, deliveries):
        ntfy.standard = DOWN
        for number in range(10):
            ingest(status="Error", job_name=f"job {number}")
        delivery.deliver_due(clock())
        assert len(ntfy.received) <= delivery.WORKERS_PER_CHANNEL
        ntfy.standard = Answer()
        delivery.deliver_due(clock.advance(minutes=1))
        assert [row.state for row in deliveries()] == ["delivered"] * 10

    def test_a_queue_is_processed_in_one_pass(self, clock, ingest, ntfy):
        for number in range(20):
            ingest(status="Error", job_name=f"job {number}")
        assert delivery.deliver_due(clock()) == 20

    def test_a_message_of_a_dead_process_is_sent_after_its_claim_expired(self, clock, ingest, ntfy, deliveries):
        ingest(status="Error")
        with writing() as session:
            session.query(Delivery).update(
                {"state": "sending", "claimed_until": clock() + delivery.CLAIM, "attempts": 1}
            )
        assert delivery.deliver_due(clock()) == 0
        assert delivery.deliver_due(clock.advance(seconds=delivery.CLAIM.total_seconds() + 1)) == 1
        [row] = deliveries()
        assert (row.state, row.attempts, row.claimed_until) == ("delivered", 2, None)

    def test_a_claim_from_before_the_clock_was_set_back_has_expired(self, clock, ingest):
        ingest(status="Error")
        with writing() as session:
            far = clock() + timedelta(days=300)
            session.query(Delivery).update({"state": "sending", "claimed_until": far})
        assert delivery.deliver_due(clock()) == 1

    def test_an_attempt_scheduled_before_the_clock_was_set_back_is_due(self, clock, ingest):
        ingest(status="Error")
        assert delivery.deliver_due(clock() - timedelta(days=300)) == 1

    @pytest.mark.parametrize("hours", [1, 12, 24 * 300])
    def test_a_retry_scheduled_by_another_clock_is_due(self, clock, ingest, ntfy, hours):
        ntfy.answers = [DOWN]
        ingest(status="Error")
        delivery.deliver_due(clock())
        assert delivery.deliver_due(clock() - timedelta(hours=hours)) == 1

    def test_two_delivery_workers_send_each_message_once(self, in_background, clock, ingest, ntfy):
        for number in range(12):
            ingest(status="Error", job_name=f"job {number}")
        ntfy.standard = Answer(delay_s=0.02)

        threads = [in_background(lambda: delivery.deliver_due(clock())) for _ in range(3)]
        for thread in threads:
            thread.join()
        titles = [request.json["title"] for request in ntfy.received]
        assert len(titles) == len(set(titles)) == 12

    def test_a_late_failure_does_not_undo_the_result_of_another_worker(self, clock, ingest, ntfy, deliveries):
        ingest(status="Error")
        [claimed] = delivery._claim(clock(), delivery.Counter(), set())
        later = clock.advance(minutes=10)
        assert delivery.deliver_due(later) == 1
        delivery._record(delivery.Outcome(claimed, None, plugin.DeliveryError("too late")), later)
        assert [row.state for row in deliveries()] == ["delivered"]

    def test_the_database_is_not_locked_while_a_message_is_sent(self, in_background, clock, ingest, ntfy):
        ingest(status="Error")
        ntfy.standard = Answer(delay_s=1.0)
        sending = in_background(lambda: delivery.deliver_due(clock()))
        ntfy.wait_for(1)
        ingest(job_name="meanwhile")
        assert sending.is_alive()
        sending.join()

    def test_a_long_text_is_cut_to_the_limit_of_the_channel(self, clock, ingest, ntfy):
        ingest(status="Error", errors=tuple(f"line {number} äöü" for number in range(2000)))
        delivery.deliver_due(clock())
        sent = ntfy.received[0].json["message"]
        assert len(sent.encode()) <= 4096
        assert sent.endswith("…")

    def test_log_lines_are_sent_unchanged(self, clock, ingest, ntfy):
        line = r"C:\Users\*_x_ <b> [a](https://b) {status} `c`"
        ingest(status="Error", errors=(line,), warnings=("first",))
        delivery.deliver_due(clock())
        sent = ntfy.received[0].json
        assert f"{line}\nfirst" in sent["message"]
        assert "markdown" not in sent


def test_a_slow_destination_does_not_delay_another(clock, ingest, in_background, ntfy_channel, ntfy):
    with mail_server() as mail:
        recipients = {"mailto": "a@example.org", "from_address": "w@example.org"}
        server = {"host": mail.host, "port": mail.port, "connection_type": "plain"}
        channels.save_settings("email", "email", {**server, **recipients}, now=clock())
        for number in range(6):
            ingest(status="Error", job_name=f"job {number}")
        released = threading.Event()
        ntfy.standard = Answer(until=released)
        sending = in_background(lambda: delivery.deliver_due(clock()))
        mail.wait_for(6)
        waiting = len(ntfy.received)
        released.set()
        sending.join()
    assert waiting < 6
    assert len(ntfy.received) == 6


def test_a_failing_channel_does_not_block_another(clock, ingest, ntfy_channel, mail_channel, ntfy, deliveries):
    ingest(status="Error")
    assert delivery.deliver_due(clock()) == 1
    assert sorted(row.state for row in deliveries()) == ["delivered", "queued"]


def test_email_is_audited_with_its_server(clock, ingest, audit_of):
    with mail_server() as mail:
        settings = {"host": mail.host, "port": mail.port, "connection_type": "plain", "requires_login": False}
        recipients = {"mailto": "a@example.org", "from_address": "w@example.org"}
        channels.save_settings("email", "email", {**settings, **recipients}, now=clock())
        channels.save_settings("ntfy", "ntfy", {}, now=clock(), is_enabled=False)
        ingest(status="Error")
        assert delivery.deliver_due(clock()) == 1
    [entry] = audit_of("email_sent")
    assert {name: entry.details[name] for name in ("channel", "host", "port", "connectionType", "secure")} == {
        "channel": "Email",
        "host": mail.host,
        "port": mail.port,
        "connectionType": "plain",
        "secure": False,
    }
    assert [entry.details[name] for name in ("requireTLS", "ignoreTLS", "requireAuth")] == [False, True, False]


def test_no_secret_is_stored_in_an_error(db, clock, ingest, ntfy, deliveries):
    token = "tk_verysecret"
    channels.save_settings("ntfy", "ntfy", {"url": ntfy.url, "topic": "main", "token": token}, now=clock())
    ntfy.standard = Answer(403, f'{{"error": "the token {token} is bad"}}'.encode())
    ingest(status="Error")
    delivery.deliver_due(clock())
    [row] = deliveries()
    assert row.last_error.endswith("the token *** is bad")
    assert all(token not in str(entry.details) for entry in db.session.scalars(select(AuditEntry)))


def test_an_undecryptable_secret_fails_only_its_delivery(app, clock, ingest, ntfy_channel, ntfy, deliveries):
    channels.save_settings("ntfy", "second", {"url": ntfy.url, "topic": "second", "token": "x"}, now=clock())
    ingest(status="Error")
    with writing():
        row = next(row for row in channels.list_channels() if row.name == "second")
        row.settings = {**row.settings, "token": "not what encrypt writes"}
    assert delivery.deliver_due(clock()) == 1
    assert sorted(row.state for row in deliveries()) == ["delivered", "queued"]
    assert secrets.Undecryptable.__name__ in next(row.last_error for row in deliveries() if row.last_error)


def test_an_exception_of_a_plugin_is_one_failed_delivery(app, clock, ingest, ntfy_channel, deliveries, monkeypatch):
    def explode(_channel: object, _message: object) -> None:
        raise RuntimeError("boom")

    kind = runtime_of(app).registry.channels["ntfy"]
    monkeypatch.setattr(kind, "send", explode)
    ingest(status="Error")
    assert delivery.deliver_due(clock()) == 0
    [row] = deliveries()
    assert "RuntimeError" in row.last_error
    assert "boom" not in row.last_error


def test_part_of_a_secret_appears_neither_in_messages_nor_in_the_log(
    app, db, clock, ingest, ntfy, deliveries, monkeypatch, caplog
):
    def quote_a_part(channel: object, _message: object) -> None:
        channel.settings["token"].encode("ascii")

    kind = runtime_of(app).registry.channels["ntfy"]
    monkeypatch.setattr(kind, "send", quote_a_part)
    settings = {"url": ntfy.url, "topic": "main", "token": "pass\u0141word"}
    monkeypatch.setattr(kind.Settings._declared_fields["token"], "validators", [])
    channels.save_settings("ntfy", "ntfy", settings, now=clock())
    ingest(status="Error")
    delivery.deliver_due(clock())
    assert not [
        part for part in ("\u0141", "0141", "word", "position") if part in deliveries()[0].last_error + caplog.text
    ]


class TestRetryAfter:
    """Retry-After of a server is respected, within limits."""

    @pytest.mark.parametrize(
        ("status", "asked", "seconds"),
        [
            (429, "3", 3),
            (503, "3", 3),
            (429, "600", 600),
            (429, "0", 1),
            (429, "99999999999999", 24 * 3600),
        ],
    )
    def test_next_attempt_follows_retry_after(
        self, clock, ingest, ntfy_channel, ntfy, deliveries, status, asked, seconds
    ):
        ntfy.answers = [Answer(status, headers={"Retry-After": asked})]
        ingest(status="Error")
        delivery.deliver_due(clock())
        [row] = deliveries()
        waits = row.next_attempt_at - clock()
        assert timedelta(seconds=seconds) <= waits < timedelta(seconds=seconds + 20)
        assert delivery.deliver_due(clock.advance(seconds=waits.total_seconds() - 1)) == 0
        assert delivery.deliver_due(clock.advance(seconds=1)) == 1

    def test_retry_after_as_a_date_is_parsed(self, clock, ingest, ntfy_channel, ntfy, deliveries):
        at = format_datetime(datetime.now(UTC) + timedelta(hours=3), usegmt=True)
        ntfy.answers = [Answer(429, headers={"Retry-After": at})]
        ingest(status="Error")
        delivery.deliver_due(clock())
        waits = deliveries()[0].next_attempt_at - clock()
        assert timedelta(hours=2) < waits < timedelta(hours=4)

    @pytest.mark.parametrize(("status", "asked"), [(500, "3"), (429, "soon"), (429, "-5"), (429, ""), (429, "Mon, 99")])
    def test_invalid_retry_after_keeps_the_usual_delay(
        self, clock, ingest, ntfy_channel, ntfy, deliveries, status, asked
    ):
        ntfy.answers = [Answer(status, headers={"Retry-After": asked})]
        ingest(status="Error")
        delivery.deliver_due(clock())
        assert timedelta(seconds=20) < deliveries()[0].next_attempt_at - clock() < timedelta(seconds=40)

    def test_a_constant_retry_after_of_a_second_does_not_use_up_the_attempts(
        self, clock, ingest, ntfy_channel, ntfy, deliveries
    ):
        ntfy.standard = Answer(429, headers={"Retry-After": "1"})
        ingest(status="Error")
        for _ in range(3):
            delivery.deliver_due(clock())
            clock.now = deliveries()[0].next_attempt_at
        assert clock() - deliveries()[0].created_at > timedelta(minutes=7)

    def test_longer_delay_was_not_scheduled_by_another_clock(self, clock, ingest, ntfy_channel, ntfy):
        ntfy.answers = [Answer(429, headers={"Retry-After": "36000"})]
        ingest(status="Error")
        delivery.deliver_due(clock())
        assert delivery.deliver_due(clock.advance(hours=9)) == 0
        assert delivery.deliver_due(clock() - timedelta(days=300)) == 1


class TestStop:
    """Messages being sent when the process stops are sent by the next one, soon."""

    def test_hanging_message_is_released(self, clock, ingest, ntfy_channel, ntfy, deliveries, monkeypatch):
        monkeypatch.setattr(delivery, "LAST_SENDS_S", 0.1)
        answer_now, stopping = threading.Event(), threading.Event()
        ntfy.answers = [Answer(until=answer_now)]
        ingest(status="Error")
        stopping_soon = threading.Thread(target=lambda: (ntfy.wait_for(1), stopping.set()))
        stopping_soon.start()
        assert delivery.deliver_due(clock(), stopping) == 0
        stopping_soon.join()
        [row] = deliveries()
        assert (row.state, row.last_error) == ("sending", None)
        assert row.claimed_until <= clock() + timedelta(seconds=60)
        assert delivery.deliver_due(clock.advance(seconds=61)) == 1
        answer_now.set()
        first, second = ntfy.received
        assert first.json.get("sequence_id") == second.json.get("sequence_id")

    def test_message_that_ends_in_time_is_recorded(self, clock, ingest, ntfy_channel, ntfy, deliveries):
        stopping = threading.Event()
        ntfy.answers = [Answer(delay_s=0.3)]
        ingest(status="Error")
        stopping_soon = threading.Thread(target=lambda: (ntfy.wait_for(1), stopping.set()))
        stopping_soon.start()
        assert delivery.deliver_due(clock(), stopping) == 1
        stopping_soon.join()
        assert deliveries()[0].state == "delivered"

    def test_no_further_message_is_started(self, clock, ingest, ntfy_channel, ntfy):
        stopping = threading.Event()
        stopping.set()
        ingest(status="Error")
        assert delivery.deliver_due(clock(), stopping) == 0
        assert ntfy.received == []


def test_slow_mail_server_uses_one_attempt_and_is_reported(clock, ingest, deliveries, monkeypatch):
    monkeypatch.setattr("plugins.email.TIMEOUT_S", 0.3)
    over = threading.Event()

    def wait_for_release() -> None:
        with suppress(OSError), listener.accept()[0] as caller:
            while not over.wait(0.05):
                caller.sendall(b"220-x\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=wait_for_release, daemon=True).start()
        place = {"host": "127.0.0.1", "port": listener.getsockname()[1], "connection_type": "plain"}
        recipients = {"mailto": "admin@example.org", "from_address": "watch@example.org"}
        channels.save_settings("email", "email", place | recipients, now=clock())
        channels.save_settings("ntfy", "ntfy", {}, now=clock(), is_enabled=False)
        ingest(status="Error")
        assert delivery.deliver_due(clock()) == 0
        over.set()
    [row] = deliveries()
    assert (row.state, row.attempts) == ("queued", 1)
    assert "did not answer within" in row.last_error
    [failing] = channels.failing_channels()
    assert (failing.kind, failing.error) == ("email", row.last_error)


class TestHangingChannel:
    """A hanging plugin delays neither the others nor its own error."""

    @pytest.fixture
    def release(self, app, clock, ntfy_channel, monkeypatch):
        """Webhooks hang until it is set."""
        release = threading.Event()
        kind = runtime_of(app).registry.channels["webhook"]
        monkeypatch.setattr(delivery, "LONGEST_SEND_S", 0.1)
        monkeypatch.setattr(delivery, "LOOK_AGAIN_S", 0.05)
        monkeypatch.setattr(kind, "send", lambda _channel, _message: release.wait(60))
        channels.save_settings("webhook", "hook", {"url": "http://127.0.0.1:9/"}, now=clock())
        yield release
        release.set()

    def test_reason_is_reported_and_the_other_channel_continues(self, clock, ingest, ntfy, deliveries, release):
        ingest(status="Error")
        assert delivery.deliver_due(clock()) == 1
        assert len(ntfy.received) == 1
        [row] = [row for row in deliveries() if row.state == "queued"]
        assert "did not end within" in row.last_error
        assert [failing.error for failing in channels.failing_channels()] == [row.last_error]

    def test_hanging_channel_uses_no_more_threads_than_allowed(
        self, app, clock, ingest, ntfy, deliveries, release, monkeypatch
    ):
        for number in range(6):
            ingest(status="Error", job_name=f"job {number}")
        for _ in range(4):
            delivery.deliver_due(clock.advance(minutes=10))
        assert len(ntfy.received) == 6
        assert sum(row.attempts for row in deliveries() if row.state == "queued") == 2
        monkeypatch.setattr(delivery, "LONGEST_SEND_S", 30.0)
        release.set()
        wait(runtime_of(app).part(delivery.StuckSends))
        delivery.deliver_due(clock.advance(minutes=10))
        assert {row.state for row in deliveries()} == {"delivered"}


def test_message_has_the_time_of_its_event(clock, ingest, ntfy_channel, app, monkeypatch, deliveries):
    seen = []
    kind = runtime_of(app).registry.channels["ntfy"]
    monkeypatch.setattr(kind, "send", lambda _channel, message: seen.append(message))
    ingest(status="Error", began_at=clock() - timedelta(hours=3))
    delivery.deliver_due(clock())
    assert [message.event_at for message in seen] == [clock() - timedelta(hours=3)]


class TestFailingChannels:
    def test_a_channel_with_a_failed_newest_attempt_is_named(self, clock, ingest, ntfy_channel, ntfy):
        ntfy.standard = DOWN
        ingest(status="Error")
        delivery.deliver_due(clock())
        [failing] = channels.failing_channels()
        assert (failing.kind, failing.name, failing.waiting) == ("ntfy", "ntfy", 1)
        assert "down for a moment" in failing.error

    def test_a_recovered_channel_is_not_named(self, clock, ingest, ntfy_channel, ntfy):
        ntfy.standard = DOWN
        ingest(status="Error")
        delivery.deliver_due(clock())
        ntfy.standard = Answer()
        delivery.deliver_due(clock.advance(minutes=5))
        assert channels.failing_channels() == ()

    @pytest.mark.parametrize(("minutes", "taken"), [(60, 2), (10, 1)])
    def test_long_pending_messages_are_sent_when_the_channel_works_again(
        self, clock, ingest, ntfy_channel, ntfy, deliveries, minutes, taken
    ):
        ntfy.standard = DOWN
        ingest(status="Error", job_name="first")
        delivery.deliver_due(clock())
        with writing() as session:  # as after a night of attempts
            row = session.get_one(Delivery, deliveries()[0].id)
            row.attempts, row.next_attempt_at = 8, clock.now + timedelta(hours=8)
        ntfy.standard = Answer()
        clock.advance(minutes=minutes)
        ingest(status="Error", job_name="second")
        assert delivery.deliver_due(clock()) == taken

    def test_a_message_without_attempts_is_no_failure(self, ingest, ntfy_channel):
        ingest(status="Error")
        assert channels.failing_channels() == ()


class TestOrder:
    """Messages about one job reach a destination in their order; others do not wait for them."""

    @pytest.fixture(params=["sqlite", "postgresql"])
    def database_url(self, request) -> str:
        return request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""

    @pytest.fixture
    def settings(self, settings, database_url):
        return replace(settings, database_url=database_url)

    @pytest.fixture(autouse=True)
    def _channel(self, ntfy_channel):
        """Every message is sent through ntfy."""

    @pytest.fixture
    def titles(self, ntfy):
        """Return the titles of all attempts, in order, without the leading symbol."""
        return lambda: [request.json["title"].split(" ", 1)[1] for request in ntfy.received]

    @pytest.fixture
    def queue(self, ingest, clock, ntfy_channel):
        """Queue a message with a title; with several jobs it is a list of overdue ones."""
        known: dict[str, int] = {}

        def queue(title: str, *jobs: str, **changes) -> None:
            known.update({name: ingest(job_name=name).id for name in jobs if name not in known})
            job_ids = [known[name] for name in jobs]
            is_list = len(jobs) > 1
            usual = {
                "idempotency_key": str(uuid4()),
                "event": "overdueBackups" if is_list else "warning",
                "event_key": title,
                "channel_id": ntfy_channel.id,
                "job_id": None if is_list else job_ids[0],
                "payload": {"title": title} | ({"job_ids": job_ids} if is_list else {}),
                "next_attempt_at": clock(),
                "created_at": clock(),
            }
            with writing() as session:
                session.add(Delivery(**{**usual, **changes}))

        return queue

    @pytest.fixture
    def claim(self, clock):
        """Claim the messages that are due now; return the titles."""
        return lambda: [claimed.payload["title"] for claimed in delivery._claim(clock(), Counter(), set())]

    @pytest.fixture
    def make_quiet(self, clock, ntfy_channel):
        """Let the channel be quiet now."""

        def make_quiet(*, lets_trouble_pass: bool) -> None:
            begin, end = ((clock() + timedelta(hours=hours)).time().replace(tzinfo=None) for hours in (-1, 1))
            channels.set_quiet_hours(
                ntfy_channel.id,
                QuietHours(begin, end),
                lets_trouble_pass=lets_trouble_pass,
                actor=Actor(),
                now=clock(),
            )

        return make_quiet

    def test_a_later_message_of_a_job_waits_for_the_earlier_one(self, clock, ingest, ntfy, titles):
        ntfy.answers = [DOWN]
        ingest(status="Fatal")
        delivery.deliver_due(clock())
        ingest(began_at=clock())
        assert delivery.deliver_due(clock.advance(seconds=1)) == 0
        assert delivery.deliver_due(clock.advance(minutes=1)) == 2
        assert titles() == ["Fatal - photos @ nas"] * 2 + ["Recovered - photos @ nas"]

    def test_messages_queued_at_the_same_time_are_sent_in_order(self, clock, ingest, titles):
        for hour in range(6):
            ingest(status="Error" if hour % 2 == 0 else "Warning", began_at=clock() + timedelta(hours=hour))
        assert delivery.deliver_due(clock()) == 6
        assert titles() == ["Error - photos @ nas", "Warning - photos @ nas"] * 3

    def test_messages_of_other_jobs_do_not_wait(self, clock, ingest, ntfy, titles):
        ntfy.answers = [DOWN]
        ingest(status="Fatal")
        delivery.deliver_due(clock())
        ingest(began_at=clock())
        ingest(status="Error", job_name="music")
        assert delivery.deliver_due(clock.advance(seconds=1)) == 1
        assert titles() == ["Fatal - photos @ nas", "Error - music @ nas"]

    def test_other_destinations_do_not_wait(self, clock, ingest, ntfy):
        job = ingest()
        with writing():
            job.additional_ntfy_topic, job.additional_event = "extra", "errors"
        ntfy.answers = [DOWN]
        ingest(status="Warning", began_at=clock())
        delivery.deliver_due(clock())
        ingest(status="Fatal", began_at=clock() + timedelta(hours=1))
        assert delivery.deliver_due(clock.advance(seconds=1)) == 1
        assert ntfy.received[-1].json["topic"] == "extra"

    def test_the_later_message_is_sent_after_the_earlier_one_failed(self, clock, ingest, ntfy, titles, deliveries):
        ntfy.answers = [DOWN, GONE]
        ingest(status="Fatal")
        delivery.deliver_due(clock())
        ingest(began_at=clock())
        assert delivery.deliver_due(clock.advance(minutes=1)) == 1
        assert [row.state for row in deliveries()] == ["failed", "delivered"]
        assert titles() == ["Fatal - photos @ nas"] * 2 + ["Recovered - photos @ nas"]

    def test_a_message_being_sent_by_another_process_delays_the_next_one(self, clock, ingest, deliveries):
        ingest(status="Fatal")
        ingest(began_at=clock())
        assert len(delivery._claim(clock(), Counter(), set())) == 1
        assert delivery._claim(clock(), Counter(), set()) == []
        assert delivery.deliver_due(clock.advance(minutes=4)) == 2

    def test_messages_delayed_by_quiet_hours_delay_no_exempt_message(self, clock, ingest, make_quiet, titles):
        make_quiet(lets_trouble_pass=True)
        ingest(status="Warning")
        ingest(status="Fatal", began_at=clock() + timedelta(hours=1))
        assert delivery.deliver_due(clock()) == 1
        assert titles() == ["Fatal - photos @ nas"]

    def test_a_list_delayed_by_quiet_hours_does_not_delay_send_again(self, queue, make_quiet, claim):
        make_quiet(lets_trouble_pass=False)
        queue("list", "photos", "music", urgency=Urgency.URGENT)
        queue("sent again", "photos", urgency=Urgency.AT_ONCE)
        assert claim() == ["sent again"]

    def test_recovery_waits_for_the_list_of_overdue_jobs_that_names_it(self, clock, ingest, ntfy, titles):
        job = ingest()
        ingest(job_name="music")
        clock.now = job.next_expected_at + timedelta(hours=3)
        overdue_check.check_overdue(clock(), None)
        ntfy.answers = [DOWN]
        delivery.deliver_due(clock())
        ingest(began_at=clock())
        ingest(status="Error", job_name="films", began_at=clock())
        assert delivery.deliver_due(clock.advance(seconds=1)) == 1
        assert delivery.deliver_due(clock.advance(minutes=1)) == 2
        overdue = "Overdue backup jobs: 2"
        assert titles() == [overdue, "Error - films @ nas", overdue, "Recovered - photos @ nas"]

    def test_a_message_does_not_wait_for_a_later_list(self, queue, claim):
        queue("first list", "photos", "music")
        queue("error", "films")
        queue("second list", "films", "books")
        assert claim() == ["first list", "error"]

    def test_a_list_waits_for_an_earlier_message_of_each_of_its_jobs(self, clock, queue, claim):
        soon = clock() + timedelta(seconds=30)
        queue("fine again", "photos", next_attempt_at=soon, attempts=1)
        queue("list", "music", "photos")
        queue("error", "music")
        queue("other list", "films", "books")
        assert claim() == ["other list"]
        clock.advance(minutes=1)
        assert claim() == ["fine again"]
        assert claim() == []

    def test_a_list_waits_for_an_earlier_list_that_shares_a_job(self, clock, queue, claim):
        queue("first list", "photos", "music", next_attempt_at=clock() + timedelta(seconds=30), attempts=1)
        queue("second list", "music", "films")
        assert claim() == []

    def test_a_list_does_not_wait_for_another_destination(self, clock, queue, claim):
        soon = clock() + timedelta(seconds=30)
        queue("fine again", "photos", target="extra", next_attempt_at=soon, attempts=1)
        queue("list", "photos", "music")
        assert claim() == ["list"]

    def test_a_query_that_finds_only_waiting_messages_does_not_write(self, clock, queue, claim, monkeypatch):
        queue("error", "photos", next_attempt_at=clock() + timedelta(seconds=30), attempts=1)
        queue("fine again", "photos")
        monkeypatch.setattr(delivery, "writing", lambda: pytest.fail("a writing transaction was opened"))
        assert claim() == []

    def test_messages_finished_by_another_process_do_not_change_the_order(self, clock, queue, claim, monkeypatch):
        queue("error", "photos")
        queue("list", "photos", "music")
        queue("fine again", "photos")
        assert claim() == ["error"]
        find_held = delivery._find_held

        def find_held_and_finish(keys):
            with writing() as session:
                session.scalars(select(Delivery).order_by(Delivery.id)).first().state = "delivered"
            return find_held(keys)

        monkeypatch.setattr(delivery, "_find_held", find_held_and_finish)
        assert claim() == []
        monkeypatch.undo()
        assert claim() == ["list"]

    def test_a_row_claimed_by_another_process_since_the_query_is_skipped(self, clock, queue, claim, monkeypatch):
        queue("first", "photos")
        queue("second", "music")

        def writing_after_another():
            monkeypatch.undo()
            with writing() as session:
                row = session.scalars(select(Delivery).order_by(Delivery.id)).first()
                row.state, row.claimed_until = "sending", clock() + delivery.CLAIM
            return writing()

        monkeypatch.setattr(delivery, "writing", writing_after_another)
        assert claim() == ["second"]

    @pytest.mark.slow
    def test_ten_thousand_waiting_messages_are_processed_quickly(self, db, clock, ingest, ntfy_channel):
        job, now = ingest(), clock()
        with writing() as session:
            session.add_all(Job(server_id=job.server_id, name=f"job {number}", created_at=now) for number in range(100))
        job_ids = list(db.session.scalars(select(Job.id).order_by(Job.id)))
        usual = {"event": "warning", "channel_id": ntfy_channel.id, "target": "", "payload": {}, "state": "queued"}
        times = {"next_attempt_at": now, "created_at": now}
        rows = [
            {
                **usual,
                **times,
                "idempotency_key": str(uuid4()),
                "event_key": f"{number}",
                "job_id": job_ids[number % 100],
            }
            for number in range(10_000)
        ]
        waiting_list = {
            **usual,
            **times,
            "idempotency_key": str(uuid4()),
            "event": "overdueBackups",
            "event_key": "list",
            "job_id": None,
            "payload": {"job_ids": job_ids[:50]},
            "next_attempt_at": now + timedelta(seconds=20),
        }
        with writing() as session:
            session.execute(insert(Delivery), [waiting_list, *rows])
        began = perf_counter()
        claims = [delivery._claim(now, Counter(), set()) for _ in range(20)]
        assert perf_counter() - began < 10
        claimed = [claimed.id for claim in claims for claimed in claim]
        assert len(set(claimed)) == 40
