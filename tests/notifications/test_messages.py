"""Texts of messages: the reason of a failure first, links, and our current texts."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import pytest

from app.backups.models import Job, Server
from app.core.languages import LANGUAGES
from app.core.settings import store as settings_store
from app.notifications import channels, delivery, messages
from app.notifications.default_templates import default_templates, former_language
from app.notifications.delivery import shape_message
from app.plugin.testing.http_servers import recording_server
from app.plugin.testing.mail_servers import mail_server
from app.reports.parser import Report, parse_report
from app.schedules import overdue_check

pytestmark = pytest.mark.slow

REPORTS = Path(__file__).parents[1] / "data" / "duplicati" / "reports"
EXPECTED = json.loads((REPORTS / "expected.json").read_text())
REASONS = {
    name: wanted["facts"]["reason"] for name, wanted in EXPECTED.items() if wanted.get("facts", {}).get("reason")
}
RUN_ID = "0b7c0d7e-0000-4000-8000-000000000001"
CHANNELS = {
    "ntfy": {"url": "http://127.0.0.1:9", "topic": "main"},
    "email": {
        "host": "127.0.0.1",
        "port": 9,
        "connection_type": "plain",
        "mailto": "a@x.org",
        "from_address": "w@x.org",
    },
    "webhook": {"url": "http://127.0.0.1:9/hook"},
    "apprise": {"urls": "json://127.0.0.1:9/hook"},
}
DAY = timedelta(days=1)


def recorded(name: str, form: str) -> Report:
    """Return the recorded report of a run, as JSON or as the text of a form."""
    body = json.loads((REPORTS / f"{name}.{form}.json").read_text())["body"]
    text = parse_qs(body)["message"][0] if form == "form" else body
    report = parse_report(text, received_at=datetime(2026, 12, 1, tzinfo=UTC), zone=ZoneInfo("UTC"))
    assert isinstance(report, Report)
    return report


def server(**values: Any) -> Server:
    """A server that is not stored."""
    return Server(**{"id": "machine-1", "name": "nas", "alias": "", "note": "", "url": "", **values})


def job() -> Job:
    """A job that is not stored."""
    figures = {"last_examined_files": 0, "last_examined_bytes": 0, "last_storage_bytes": 0, "last_version_count": 0}
    return Job(name="photos", not_told=63, **figures)


def set_template_language(language: str, clock) -> None:
    settings_store.put("notification_templates", {"language": language}, now=clock())


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("form", ["json", "form"])
def test_every_recorded_failure_starts_with_its_reason_in_every_channel(db, clock, language: str, form: str):
    set_template_language(language, clock)
    opened = [channels.open_channel(kind, settings) for kind, settings in CHANNELS.items()]
    for name, reason in REASONS.items():
        payload = messages.render_run(server(), job(), recorded(name, form), RUN_ID).payload()
        for channel in opened:
            message = shape_message(channel, payload)
            assert reason in message.body.split("\n")[:2], (name, channel.name)
            assert message.html.replace("&quot;", '"').split("<br>")[0] == reason
            assert message.markdown is None


def test_services_receive_the_reason(db, clock, ingest):
    with recording_server() as ntfy, recording_server() as hook, recording_server() as apprise, mail_server() as mail:
        address = apprise.url.removeprefix("http://")
        settings = {
            "ntfy": {"url": ntfy.url, "topic": "main"},
            "email": {**CHANNELS["email"], "host": mail.host, "port": mail.port, "requires_login": False},
            "webhook": {"url": f"{hook.url}/hook"},
            "apprise": {"urls": f"json://{address}/hook"},
        }
        for kind, values in settings.items():
            channels.save_settings(kind, kind, values, now=clock())
        report = recorded("result-webdav-refused-refused", "json")
        ingest(status="Fatal", errors=report.errors, warnings=report.warnings)
        assert delivery.deliver_due(clock()) == 4
        [letter] = mail.letters
        texts = [part.get_content() for part in letter.iter_parts()]
        sent = [ntfy.received[0].json["message"], hook.received[0].json["body"], apprise.received[0].json["message"]]
    for text in (*sent, *texts):
        assert text.startswith("Connection refused (127.0.0.1:9)"), text
    assert hook.received[0].json["values"]["reason"] == "Connection refused (127.0.0.1:9)"


def test_the_reason_of_a_warning_is_its_first_warning(db):
    report = recorded("result-missing-source-one-of-two", "json")
    notice = messages.render_run(server(), job(), report, RUN_ID)
    assert notice.text.startswith("The source path -redacted- does not exist, skipping\n\nThe backup")


def test_a_failure_without_a_reason_starts_with_the_run(db):
    report = recorded("v2105-result-script-before-4-exit", "json")
    notice = messages.render_run(server(), job(), report, RUN_ID)
    assert notice.text.startswith("The backup job photos on nas")
    assert "Note:" not in notice.text
    assert "Please check:" not in notice.text


def test_the_log_has_errors_before_warnings_and_each_reason_once(db, report):
    failed = recorded("result-webdav-refused-refused", "json")
    assert messages.log_text(failed) == (
        "Connection refused (127.0.0.1:9)\nLocalDatabase does not contain a previous operation."
    )
    many = tuple(f"2026-11-03 05:30:03 +01 - [Warning-X-MissingFile]: Missing file: {i}" for i in range(166))
    long = messages.log_text(report(status="Fatal", errors=("[Error-X-Y]: Found 166 files",), warnings=many))
    assert long.startswith("Found 166 files\nMissing file: 0\nMissing file: 1\n")


def test_the_errors_are_kept_when_a_channel_cuts_a_default_template(db, clock, report):
    old = {"title": "{status}", "message": "{backup_name}\n\n{log_text}\n\n{duplistatus_link}"}
    settings_store.put("notification_templates", {"warning": old}, now=clock())
    many = tuple(f"[Warning-X-MissingFile]: Missing file: {i} {'x' * 60}" for i in range(166))
    failed = report(status="Fatal", errors=("[Error-X-Y]: Found 166 files",), warnings=many)
    payload = messages.render_run(server(), job(), failed, RUN_ID).payload()
    body = shape_message(channels.open_channel("ntfy", CHANNELS["ntfy"]), payload).body
    assert len(body.encode()) <= 4096
    assert body.startswith("photos\n\nFound 166 files\n")


def test_messages_without_warnings_and_errors_show_the_log_without_its_dates(db, report):
    lines = ("2026-11-03 05:30:03 +01 - [Information-Duplicati.X-Y]: The operation Backup has started", "", "plain")
    assert messages.log_text(report(messages=lines)) == "The operation Backup has started\nplain"


class TestLinks:
    @pytest.fixture(autouse=True)
    def _address(self, db, clock):
        settings_store.put("public_url", "https://status.example.org/base", now=clock())

    def test_a_run_links_to_its_page(self, report):
        notice = messages.render_run(server(id="a/b c"), job(), report(status="Error"), RUN_ID)
        assert notice.link == f"https://status.example.org/base/detail/a%2Fb%20c/backup/{RUN_ID}"
        assert notice.link in notice.text
        assert notice.values["duplistatus_link"] == "https://status.example.org/base"

    def test_an_overdue_job_links_to_itself_on_the_page_of_its_server(self, clock):
        late = Job(name="fötos & more", expected_interval="1D")
        notice = messages.render_overdue(server(), late, clock())
        assert notice.link == "https://status.example.org/base/detail/machine-1?backup=f%C3%B6tos%20%26%20more"
        assert notice.link in notice.text

    def test_a_list_of_jobs_links_to_the_dashboard(self):
        notice = messages.render_overdue_list([(server(), Job(name="a")), (server(), Job(name="b"))])
        assert notice.link == "https://status.example.org/base"

    def test_ntfy_opens_the_link(self, clock, ingest, ntfy_channel, ntfy):
        stored = ingest(status="Error")
        delivery.deliver_due(clock())
        [push] = ntfy.received
        assert push.json["click"] == f"https://status.example.org/base/detail/machine-1/backup/{stored.last_run_id}"


class TestMissedRuns:
    @pytest.fixture
    def recovered(self, db, clock, ingest, ntfy_channel, deliveries):
        """Return a daily overdue job, and the text of its recovery after a number of days."""

        def run(days: float, language: str = "en-GB") -> str:
            set_template_language(language, clock)
            stored = ingest()
            clock.now = stored.next_expected_at + timedelta(hours=3)
            overdue_check.check_overdue(clock(), None)
            clock.now = stored.next_expected_at + timedelta(days=days)
            ingest(began_at=clock())
            return deliveries()[-1].payload["text"]

        return run

    @pytest.mark.parametrize(
        ("days", "line"),
        [
            (0.2, None),
            (1, "🕳️ 1 expected run was missed"),
            (3, "🕳️ 3 expected runs were missed"),
            (3.9, "🕳️ 3 expected runs were missed"),
        ],
    )
    def test_the_number_is_shown_after_overdue(self, recovered, days, line):
        lines = [text for text in recovered(days).split("\n") if text.startswith("🕳️")]
        assert lines == ([line] if line else [])

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_every_language_shows_it(self, recovered, language):
        assert "3" in next(line for line in recovered(3, language).split("\n") if line.startswith("🕳️"))


def test_a_default_text_of_an_earlier_version_follows_the_current_one(db, clock):
    former = """\
The backup {backup_name} of {server_alias} ended with {status}. It began on {backup_date} and took {duration}.

🔍 Note: {server_note}
☁️ Uploaded: {uploaded_size}
💾 Stored in all: {storage_size}
🔃 Versions kept: {available_versions}"""
    assert former_language(former) == "en-GB"
    settings_store.put("notification_templates", {"success": {"title": "Mine", "message": former}}, now=clock())
    assert messages.template("success").message == default_templates("en-GB")["success"].message
    assert messages.template("success").title == "Mine"
    changed = {"success": {"message": f"{former}\n"}}
    assert messages.template("success", changed).message == f"{former}\n"
