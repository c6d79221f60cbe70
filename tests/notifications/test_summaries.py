"""The daily summary and the digest: when they are sent, to whom, how often, and their content."""

import threading
from base64 import b64decode
from datetime import UTC, datetime, timedelta

import pytest

from app.audit.log import Actor
from app.core.db import orm
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.notifications import channels, digests, summaries, summary_settings, template_examples
from app.notifications import delivery as notifications_delivery
from app.notifications.models import Delivery
from app.notifications.templates import PLACEHOLDERS, Template
from app.plugin.testing.mail_servers import mail_server

ACTOR = Actor()
HOUR = timedelta(hours=1)


@pytest.fixture
def enable_summary(db, clock):
    """Enable the summary, long before the time of `clock`."""

    def enable(**values):
        chosen = {"is_enabled": True, "time": "11:00", "recipients": "", **values}
        summary_settings.save_daily_summary(**chosen, actor=ACTOR, now=clock() - timedelta(days=30))

    return enable


@pytest.fixture
def schedule_digest(db, clock):
    def schedule(*channel_ids, period="weekly", **values):
        chosen = {"period": period, "time": "06:00", "weekday": 0, "recipients": "", **values}
        before = clock() - timedelta(days=60)
        summary_settings.save_digest(**chosen, channel_ids=channel_ids, actor=ACTOR, now=before)

    return schedule


class TestSummary:
    def test_it_is_off_by_default(self, mail_channel, clock):
        assert summary_settings.daily_summary().time == "01:00"
        assert summaries.send_due(clock()) is None

    def test_it_is_sent_once_for_each_occurrence(self, mail_channel, enable_summary, clock, deliveries):
        enable_summary()
        assert [summaries.send_due(clock()) for _ in range(3)] == [1, 0, 0]
        clock.advance(hours=23)
        assert summaries.send_due(clock()) == 1
        assert len(deliveries()) == 2

    def test_two_concurrent_processes_send_one(self, app, mail_channel, enable_summary, clock, deliveries):
        enable_summary()
        barrier = threading.Barrier(4)

        def work():
            with app.app_context():
                barrier.wait()
                summaries.send_due(clock())

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(deliveries()) == 1

    def test_occurrences_before_enabling_or_long_past_are_not_sent(self, mail_channel, enable_summary, clock):
        now = clock()
        summary_settings.save_daily_summary(is_enabled=True, time="11:00", recipients="", actor=ACTOR, now=now)
        assert summaries.send_due(now) is None
        enable_summary(time="11:01")
        assert summaries.send_due(now + 12 * HOUR) is None
        assert summaries.send_due(now + 11 * HOUR) == 1

    def test_it_has_its_own_recipients_or_those_of_the_channel(self, mail_channel, enable_summary, clock, deliveries):
        enable_summary(recipients="a@example.org, b@example.org")
        summaries.send_due(clock())
        assert [delivery.target for delivery in deliveries()] == ["a@example.org", "b@example.org"]

    def test_without_email_nothing_is_sent_and_the_reason_reported(self, ntfy_channel, enable_summary, clock):
        enable_summary()
        assert summaries.send_due(clock()) == 0
        with pytest.raises(Refused, match="no summary can be sent"):
            summaries.send_now(actor=ACTOR, now=clock())

    def test_it_names_every_job_and_every_issue(self, mail_channel, enable_summary, ingest, clock, deliveries):
        ingest(storage_bytes=3 * 1024**3)
        ingest(job_name="mail", status="Error")
        ingest(job_name="old", began_at=clock() - timedelta(days=9), ended_at=clock() - timedelta(days=9))
        settings_store.put("public_url", "https://watch.example.org", now=clock())
        enable_summary()
        summaries.send_due(clock())
        payload = next(delivery.payload for delivery in deliveries() if delivery.event == "dailySummary")
        assert payload["title"] == "📋 04/05/2031: 1 of 3 backup jobs OK"
        attention = payload["values"]["attention"].splitlines()
        assert attention[0] == "🛑 nas / mail: Error"
        assert attention[1].startswith("🕑 nas / old: overdue, expected ")
        assert payload["values"]["jobs"].count("\n") == 2
        assert "3.00 GB" in payload["text"]
        assert "https://watch.example.org" in payload["text"]

    def test_it_is_in_the_language_of_the_templates(self, mail_channel, ingest, clock):
        ingest()
        settings_store.put("notification_templates", {"language": "de"}, now=clock())
        assert summaries.render(clock()).title == "📋 04.05.31: Alle Sicherungsaufträge OK: 1"

    def test_a_template_of_version_1_5_is_filled_and_shows_tables(self, enable_summary, ingest, clock):
        ingest(storage_bytes=3 * 1024**3, job_name="a|b <c>", warning_count=2)
        ingest(job_name="mail", status="Error", error_count=1)
        ingest(job_name="music", status="Fatal")
        subject = (
            "{summary_date} — ✅ {success_count}, 🛑 {error_count}, ❌ {fatal_count}, {unknown_count}{no_report_count}"
        )
        message = "## Problems\n\n{problem_table}\n\n## All\n\n{all_jobs_table}\n\n{duplistatus_link}\n{time_zone}"
        brought = {"dailySummary": {"title": subject, "message": message}}
        settings_store.put("notification_templates", brought, now=clock())
        with mail_server() as mail:
            settings = {"host": mail.host, "port": mail.port, "connection_type": "plain", "requires_login": False}
            email_addresses = {"mailto": "a@example.org", "from_address": "w@example.org"}
            channels.save_settings("email", "email", {**settings, **email_addresses}, now=clock())
            channels.save_settings("ntfy", "ntfy", {}, now=clock(), is_enabled=False)
            enable_summary()
            summaries.send_due(clock())
            notifications_delivery.deliver_due(clock())
            letter = next(one for one in mail.letters if "2031 —" in one["subject"])
        assert letter["subject"] == "04/05/2031 — ✅ 1, 🛑 1, ❌ 1, 00"
        plain, html = (part.get_content().replace("\r\n", "\n") for part in letter.iter_parts())
        head, _, first, second, *_ = plain.split("Problems\n\n")[1].splitlines()
        assert head.split("  ")[0:1] == ["Server"]
        assert "Last status" in head
        assert "mail" in first
        assert first.index("🛑 Error") == second.index("🛑 Fatal") == head.index("Last status")
        assert html.count("<table") == 2
        assert "<td>a|b &lt;c&gt;</td>" in html
        assert "<td>🛑 Fatal</td>" in html

    def test_services_get_a_line_for_each_job_of_a_table(self, ntfy_channel, ingest, clock, ntfy):
        ingest(job_name="mail", status="Error", error_count=1)
        values = summaries.summary_values(clock(), "en-GB")
        filled = template_examples.fill("dailySummary", Template("x", "{problem_table}"), values)
        assert filled.html.startswith("<table")
        template_examples.send_test("dailySummary", Template("x", "{problem_table}"), values, actor=ACTOR, now=clock())
        line = "- nas · Backup job: mail · Last status: 🛑 Error · Last result: 04/05/2031, 11:00 · Duration: 2m 0s"
        assert ntfy.received[0].json["message"] == f"{line} · Warnings: 0 · Errors: 1 · Uploaded: 0 Bytes"
        assert ntfy.received[0].json["markdown"] is True

    def test_a_table_without_jobs_shows_a_message(self, db, clock):
        values = summaries.summary_values(clock(), "en-GB")
        assert (values["problem_table"], values["all_jobs_table"]) == ("None", "No backup has been reported yet")

    def test_a_long_table_ends_with_the_number_of_omitted_jobs(self, ingest, clock, monkeypatch):
        monkeypatch.setattr(summaries, "JOBS_LISTED", 2)
        for number in range(5):
            ingest(job_name=f"job {number}")
        assert summaries.summary_values(clock(), "en-GB")["all_jobs_table"].endswith("\n\n… and more: 3")

    @pytest.mark.parametrize("language", ["en-GB", "de", "fr", "es", "pt-BR", "hi", "hi-Latn", "zh-Hans"])
    def test_every_placeholder_has_a_value_in_every_language(self, ingest, clock, language):
        ingest(status="Error")
        assert set(summaries.summary_values(clock(), language)) == PLACEHOLDERS["dailySummary"]

    def test_single_emails_to_the_usual_recipient_are_paused_meanwhile(
        self, mail_channel, ntfy_channel, enable_summary, ingest, deliveries
    ):
        enable_summary()
        job = ingest()
        job.additional_emails = "ops@example.org"
        orm.db.session.commit()
        ingest(status="Error", began_at=job.last_began_at + HOUR)
        assert [(d.channel_id, d.target) for d in deliveries()] == [
            (ntfy_channel.id, ""),
            (mail_channel.id, "ops@example.org"),
        ]

    @pytest.mark.parametrize(
        ("values", "field"), [({"time": "1:00"}, "time"), ({"recipients": "nobody"}, "recipients")]
    )
    def test_an_invalid_value_is_rejected_with_its_field(self, enable_summary, values, field):
        with pytest.raises(Refused) as raised:
            enable_summary(**values)
        assert raised.value.field == field
        assert not summary_settings.daily_summary().is_on


class TestDigest:
    def test_it_is_sent_through_the_chosen_channels_once(
        self, mail_channel, ntfy_channel, schedule_digest, clock, deliveries
    ):
        schedule_digest(mail_channel.id, ntfy_channel.id, recipients="boss@example.org")
        assert [digests.send_due(clock()) for _ in range(2)] == [2, 0]
        assert {(d.channel_id, d.target) for d in deliveries()} == {
            (mail_channel.id, "boss@example.org"),
            (ntfy_channel.id, ""),
        }

    def test_it_counts_runs_missed_runs_and_growth(self, mail_channel, ingest, clock):
        """Return the week from Sunday 27 April to Saturday 3 May, of a job that runs at eleven each day."""
        for day in range(-9, 1):
            if day == -3:
                continue
            began_at = clock() + timedelta(days=day, hours=-1)
            status = "Error" if day == -2 else "Warning" if day == -4 else "Success"
            size = (20 + day) * 1024**3
            ingest(began_at=began_at, ended_at=began_at, status=status, storage_bytes=size, uploaded_bytes=1024**2)
        start_at = datetime(2031, 4, 27, tzinfo=UTC)
        figures = digests.collect_figures(start_at, start_at + timedelta(days=7), clock())
        counts = figures.fine_count, figures.warning_count, figures.failed_count, figures.missed_count
        assert counts == (4, 1, 1, 1)
        assert [day.missed_count for day in figures.days] == [0, 0, 0, 0, 1, 0, 0]
        assert figures.uploaded_bytes == 6 * 1024**2
        values = digests.digest_values(figures, clock(), "en-GB")
        assert values["success_rate"] == "57.1%"
        assert values["storage_size"] == "19.00 GB"
        assert values["storage_growth"] == "+7.00 GB"
        assert values["growth"] == "nas / photos: +7.00 GB (19.00 GB)"
        assert "Missed runs: 1" in values["attention"]
        assert (values["period_start"], values["period_end"]) == ("27/04/2031", "03/05/2031")

    def test_an_unmonitored_or_new_job_misses_nothing(self, ingest, clock, db):
        job = ingest()
        start_at = datetime(2031, 4, 27, tzinfo=UTC)
        span = start_at, start_at + timedelta(days=7)
        assert digests.collect_figures(*span, clock()).missed_count == 0
        ingest(job_name="quiet", began_at=clock() - timedelta(days=20), ended_at=clock() - timedelta(days=20))
        assert digests.collect_figures(*span, clock()).missed_count == 7
        quiet = next(one for one in job.server.jobs if one.name == "quiet")
        quiet.is_overdue_check_enabled = False
        db.session.commit()
        assert digests.collect_figures(*span, clock()).missed_count == 0

    def test_an_email_shows_the_chart_and_a_push_message_a_line(
        self, ingest, ntfy_channel, ntfy, schedule_digest, clock, deliveries
    ):
        for day in range(10):
            began_at = clock() - timedelta(days=day)
            ingest(began_at=began_at, ended_at=began_at, storage_bytes=(20 - day) * 1024**3)
        with mail_server() as server:
            settings = {"host": "127.0.0.1", "port": server.port, "connection_type": "plain"}
            settings |= {"mailto": "admin@example.org", "from_address": "watch@example.org", "requires_login": False}
            mail = channels.save_settings("email", "email", settings, now=clock())
            schedule_digest(mail.id, ntfy_channel.id)
            digests.send_due(clock())
            assert notifications_delivery.deliver_due(clock()) == 2
            [letter] = server.letters
        picture = next(part for part in letter.walk() if part.get_content_type() == "image/png")
        assert letter.get_content_type() == "multipart/related"
        assert picture["Content-ID"] == "<digest.png@duplistatus>"
        assert picture.get_content().startswith(b"\x89PNG")
        page = next(part for part in letter.walk() if part.get_content_type() == "text/html").get_content()
        assert 'src="cid:digest.png@duplistatus"' in page
        stored = deliveries()[0].payload["pictures"][0]
        assert b64decode(stored["content"]) == picture.get_content()
        assert "█" in ntfy.received[-1].json["message"]

    def test_send_now_does_not_use_up_the_occurrence(self, ntfy_channel, schedule_digest, clock):
        schedule_digest(ntfy_channel.id)
        assert digests.send_now(actor=ACTOR, now=clock()) == 1
        assert digests.send_due(clock()) == 1

    @pytest.mark.parametrize(
        ("values", "field"),
        [({"period": "hourly"}, "period"), ({"weekday": 7}, "weekday"), ({"time": "x"}, "time"), ({}, "channels")],
    )
    def test_an_invalid_value_is_rejected_with_its_field(self, mail_channel, schedule_digest, values, field):
        with pytest.raises(Refused) as raised:
            schedule_digest(*([mail_channel.id] if values else []), **values)
        assert raised.value.field == field


def test_a_summary_needs_few_statements_for_any_number_of_jobs(ingest, clock):
    from statements import sent_statements

    for number in range(12):
        ingest(job_name=f"job {number}")
    with sent_statements() as few:
        summaries.summary_values(clock(), "en-GB")
    assert len(few) < 8


def test_every_kind_of_message_is_one_row_for_each_destination(mail_channel, clock, enable_summary, db):
    enable_summary(recipients="a@example.org, a@example.org")
    summaries.send_due(clock())
    assert db.session.query(Delivery).count() == 1
