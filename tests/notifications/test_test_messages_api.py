"""Test messages and the overdue check, over HTTP."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.audit.log import Actor, AuditEntry
from app.notifications import channels
from app.notifications.models import Delivery
from app.plugin.testing.http_servers import Answer, RecordingServer, recording_server
from app.plugin.testing.mail_servers import MailServer, mail_server
from app.reports.ingest import ingest_report
from app.reports.parser import Report

TEST, CHECK, CLEAR = (f"/api/notifications/{path}" for path in ("test", "check-overdue", "clear-overdue-timestamps"))
BEGAN_AT = datetime(2031, 5, 1, 11, 0, tzinfo=UTC)


@pytest.fixture
def ntfy() -> Iterator[RecordingServer]:
    with recording_server() as server:
        yield server


@pytest.fixture
def mail(db, clock) -> Iterator[MailServer]:
    with mail_server() as server:
        place = {"host": server.host, "port": server.port, "connection_type": "plain"}
        recipients = {"mailto": "admin@example.org", "from_address": "watch@example.org"}
        channels.save_settings("email", "email", {**place, **recipients}, now=clock())
        yield server


@pytest.fixture
def send(admin, ntfy):
    def send(**body: Any) -> Any:
        return admin.send("POST", TEST, json={"ntfyConfig": {"url": ntfy.url, "topic": "typed"}, **body})

    return send


@pytest.fixture
def audited(db):
    def read(action: str) -> list[AuditEntry]:
        db.session.commit()
        return list(db.session.scalars(select(AuditEntry).where(AuditEntry.action == action).order_by(AuditEntry.id)))

    return read


@pytest.mark.parametrize("path", [TEST, CHECK, CLEAR])
def test_a_visitor_has_no_access(client, path):
    assert client.post(path, json={}).status_code == 401


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "NTFY configuration is required"),
        ({"type": "pigeon"}, "NTFY configuration is required"),
        ({"type": "template"}, "NTFY configuration is required"),
        ({"ntfyConfig": {}}, "NTFY configuration is required"),
        ({"ntfyConfig": "x"}, "NTFY configuration is required"),
        ({"ntfyConfig": {"url": "http://127.0.0.1"}}, "NTFY URL and topic are required"),
        ({"ntfyConfig": {"url": " ", "topic": "x"}}, "NTFY URL and topic are required"),
        ({"ntfyConfig": {"url": None, "topic": "x"}}, "NTFY URL and topic are required"),
        (
            {"type": "template", "ntfyConfig": {"url": "http://127.0.0.1", "topic": "x"}},
            "Template is required for template type",
        ),
        ({"type": "email"}, "Email is not configured"),
    ],
)
def test_missing_fields_are_named(admin, audited, body, error):
    answer = admin.send("POST", TEST, json=body)
    assert (answer.status_code, answer.get_json()["error"]) == (400, error)
    assert audited("test_notification_sent") == audited("test_email_sent") == []


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest", "http://[fe80::1]", "http://224.0.0.1", "ftp://127.0.0.1", "ntfy.sh"]
)
def test_a_forbidden_address_is_rejected(admin, url):
    answer = admin.send("POST", TEST, json={"ntfyConfig": {"url": url, "topic": "x"}})
    assert answer.status_code == 400
    assert answer.get_json()["error"].startswith("NTFY URL: ")


class TestSimple:
    @pytest.mark.parametrize("kind", [{}, {"type": "simple"}, {"type": "pigeon"}, {"type": None}])
    def test_one_short_message_is_sent_to_the_entered_destination(self, send, ntfy, kind):
        answer = send(**kind)
        assert (answer.status_code, answer.get_json()) == (200, {"message": "Test notification sent successfully"})
        [push] = ntfy.received
        assert {name: push.json[name] for name in ("topic", "title", "priority", "tags")} == {
            "topic": "typed",
            "title": "Test Notification",
            "priority": 3,
            "tags": ["test"],
        }
        assert "04/05/2031, 12:00" in push.json["message"]

    def test_it_is_audited(self, send, ntfy, audited):
        send(type="simple")
        [entry] = audited("test_notification_sent")
        assert (entry.category, entry.username, entry.status) == ("system", "admin", "success")
        assert entry.details == {"type": "simple", "channel": "NTFY", "url": ntfy.url, "topic": "typed"}

    def test_a_failure_is_reported_once_and_audited_twice(self, send, ntfy, audited):
        ntfy.standard = Answer(403, json.dumps({"error": "forbidden"}).encode())
        answer = send()
        assert answer.status_code == 500
        assert answer.get_json()["error"].startswith("Failed to send test notification: ")
        assert "forbidden" in answer.get_json()["error"]
        assert len(ntfy.received) == 1
        of_channel, of_request = audited("test_notification_sent")
        assert (of_channel.status, of_request.status) == ("error", "error")
        assert of_channel.details["url"] == ntfy.url
        assert set(of_request.details) == {"type", "error"}

    @pytest.mark.parametrize(
        ("typed", "sent"),
        [
            ({}, "Bearer tk_stored"),
            ({"accessToken": "****"}, "Bearer tk_stored"),
            ({"accessToken": "tk_typed"}, "Bearer tk_typed"),
            ({"accessToken": ""}, None),
        ],
    )
    def test_the_stored_token_is_used_for_its_own_server(self, db, clock, admin, ntfy, typed, sent):
        channels.save_settings("ntfy", "ntfy", {"url": f"{ntfy.url}/", "topic": "x", "token": "tk_stored"}, now=clock())
        admin.send("POST", TEST, json={"ntfyConfig": {"url": ntfy.url, "topic": "typed", **typed}})
        assert ntfy.received[0].headers.get("authorization") == sent

    def test_the_stored_token_is_sent_to_no_other_server(self, db, clock, send, ntfy):
        channels.save_settings("ntfy", "ntfy", {"token": "tk_stored"}, now=clock())
        send()
        assert "authorization" not in ntfy.received[0].headers


class TestTemplate:
    TEMPLATE = {"title": "{status} {nothing}", "message": "**{backup_name}**\n{log_text}\n{last_elapsed} {server_id}"}

    def test_placeholders_are_replaced_by_their_names(self, send, ntfy):
        answer = send(type="template", template=self.TEMPLATE)
        assert answer.get_json() == {
            "success": True,
            "message": "Template test sent via NTFY",
            "channels": ["NTFY"],
        }
        [push] = ntfy.received
        assert push.json["title"] == "status {nothing}"
        lines = [line.rstrip() for line in push.json["message"].split("\n")]  # hard line breaks are two blanks
        assert lines[0] == "**backup_name**"
        assert lines[4] == "{last_elapsed} {server_id}"
        assert "04/05/2031, 12:00" in lines[-1]
        assert (push.json["priority"], push.json["markdown"]) == (3, True)

    def test_it_is_also_sent_by_email_if_configured(self, send, mail, ntfy):
        answer = send(type="template", template={**self.TEMPLATE, "priority": "high", "tags": "a, b"})
        assert answer.get_json()["channels"] == ["NTFY", "Email"]
        assert ntfy.received[0].json["tags"] == ["a", "b"]
        assert "<strong>backup_name</strong>" in mail.letters[0].get_body(("html",)).get_content()

    def test_an_empty_template_has_a_default_text(self, send, ntfy):
        assert send(type="template", template={}).status_code == 200
        assert ntfy.received[0].json["title"]
        assert ntfy.received[0].json["message"]

    def test_a_failure_names_its_channel_and_the_other_one_is_used(self, send, mail, ntfy):
        ntfy.standard = Answer(404)
        answer = send(type="template", template=self.TEMPLATE)
        assert answer.status_code == 500
        assert answer.get_json()["error"].startswith("Failed to send test notification: NTFY test failed: ")
        assert len(mail.letters) == 1

    def test_a_failing_email_is_named(self, send, mail):
        mail.recipient_answer = "550 no"
        error = send(type="template", template=self.TEMPLATE).get_json()["error"]
        assert error.startswith("Failed to send test notification: Email test failed: ")


class TestEmail:
    def test_an_email_names_its_connection(self, admin, mail, audited):
        answer = admin.send("POST", TEST, json={"type": "email"})
        assert (answer.status_code, answer.get_json()) == (200, {"message": "Test email sent successfully"})
        text = mail.letters[0].get_body(("plain",)).get_content()
        for part in (f"{mail.host}:{mail.port}", "plain", "admin@example.org", "watch@example.org", "04/05/2031"):
            assert part in text
        [entry] = audited("test_email_sent")
        assert entry.details["channel"] == "Email"
        assert entry.details["connectionType"] == "plain"

    def test_it_is_sent_to_the_entered_address(self, admin, mail):
        admin.send("POST", TEST, json={"type": "email", "toEmail": "other@example.org"})
        assert mail.envelopes[0].rcpt_tos == ["other@example.org"]

    def test_a_failure_is_reported(self, admin, mail):
        mail.recipient_answer = "550 nobody here"
        answer = admin.send("POST", TEST, json={"type": "email"})
        assert answer.status_code == 500
        assert answer.get_json()["error"].startswith("Failed to send test notification: Email: ")


class TestOverdue:
    @pytest.fixture(autouse=True)
    def _late_job(self, db, clock, ntfy):
        channels.save_settings("ntfy", "ntfy", {"url": ntfy.url, "topic": "main"}, now=clock())
        ingest_report(
            Report(
                server_id="machine-1",
                server_name="nas",
                job_name="photos",
                duplicati_id="DB-1",
                main_operation="Backup",
                began_at=BEGAN_AT,
                ended_at=BEGAN_AT + timedelta(minutes=1),
                duration_s=60.0,
                status="Success",
                parsed_result="Success",
            ),
            now=BEGAN_AT,
            actor=Actor(),
        )

    def count(self, db) -> int:
        db.session.commit()
        return len(list(db.session.scalars(select(Delivery.id))))

    def test_a_manual_check_queues_messages_and_returns_figures(self, db, admin, audited):
        answer = admin.send("POST", CHECK)
        assert (answer.status_code, answer.get_json()) == (
            200,
            {
                "message": "Overdue backup check completed with next run times recalculated",
                "statistics": {
                    "totalBackupConfigs": 1,
                    "checkedBackups": 1,
                    "overdueBackupsFound": 1,
                    "notificationsSent": 1,
                },
            },
        )
        assert self.count(db) == 1
        [entry] = audited("overdue_check_manual")
        assert (entry.username, entry.details) == (
            "admin",
            {"checkedBackups": 1, "overdueBackupsFound": 1, "notificationsSent": 1},
        )

    def test_defaults_of_a_server_count_among_the_settings(self, db, admin):
        entry = {"additionalEmails": "a@b.c"}
        admin.send(
            "POST", "/api/configuration/backup-settings", json={"backupSettings": {"machine-1:__default__": entry}}
        )
        assert len(admin.get("/api/configuration/unified").get_json()["backup_settings"]) == 2
        assert admin.send("POST", CHECK).get_json()["statistics"]["totalBackupConfigs"] == 2

    def test_after_a_reset_notifications_are_repeated(self, db, clock, admin, audited):
        admin.send("POST", CHECK)
        clock.advance(minutes=1)
        assert admin.send("POST", CHECK).get_json()["statistics"]["notificationsSent"] == 0
        answer = admin.send("POST", CLEAR)
        assert (answer.status_code, answer.get_json()) == (
            200,
            {"message": "Overdue backup notification timestamps cleared successfully"},
        )
        assert len(audited("overdue_notifications_reset")) == 1
        assert admin.send("POST", CHECK).get_json()["statistics"]["notificationsSent"] == 1
        assert self.count(db) == 2


@pytest.mark.parametrize(
    "address", ["a@example.org\r\nBcc: b@example.org", "a@example.org\n", "a\x00@example.org", "a\u2028@b", ["a@b"], 7]
)
def test_recipient_of_several_lines_is_named(admin, mail, address):
    answer = admin.send("POST", TEST, json={"type": "email", "toEmail": address})
    assert answer.status_code == 400
    assert "toEmail" in answer.get_json()["error"] or "NUL" in answer.get_json()["error"]
    assert mail.letters == []
