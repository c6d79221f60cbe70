"""Settings over HTTP: what is stored, what is rejected, what is never returned."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.audit.log import Actor, AuditEntry
from app.backups.models import Job, Server
from app.core.instants import iso
from app.notifications import channels
from app.notifications.models import Channel
from app.notifications.outbox import is_channel_on
from app.plugin.testing.http_servers import recording_server
from app.reports.ingest import ingest_report
from app.reports.parser import Report
from app.schedules.overdue import TOLERANCES

pytestmark = pytest.mark.slow

ROOT = "/api/configuration"
MAIL = {"host": " mail.lan ", "port": "587", "username": "u", "password": "pw", "mailto": "a@b.c"}


@pytest.fixture
def jobs(db, clock) -> Callable[..., Job]:
    def read(name: str = "photos") -> Job:
        db.session.rollback()
        found = select(Job).where(Job.name == name).execution_options(populate_existing=True)
        return db.session.scalars(found).one()

    for name in ("photos", "docs: all/new"):
        began_at = clock() - timedelta(hours=3)
        values = {"began_at": began_at, "ended_at": began_at, "duration_s": 1.0, "duplicati_id": "DB-1"}
        words = {"main_operation": "Backup", "status": "Success", "parsed_result": "Success"}
        report = Report(server_id="m1", server_name="nas", job_name=name, **values, **words)
        ingest_report(report, now=clock(), actor=Actor())
    return read


@pytest.fixture
def post(admin) -> Callable[..., Any]:
    return lambda path, body: admin.send("POST", f"{ROOT}/{path}", json=body)


@pytest.fixture
def save(post) -> Callable[..., Any]:
    return lambda key="m1:photos", **entry: post("backup-settings", {"backupSettings": {key: entry}})


@pytest.fixture
def unified(admin) -> Callable[[], Any]:
    return lambda: admin.get(f"{ROOT}/unified").get_json()


@pytest.fixture
def audited(db) -> Callable[[str], list[AuditEntry]]:
    def read(action: str) -> list[AuditEntry]:
        db.session.rollback()
        return list(db.session.scalars(select(AuditEntry).where(AuditEntry.action == action).order_by(AuditEntry.id)))

    return read


class TestJobs:
    def test_a_new_job_has_the_defaults_of_the_contract(self, jobs, unified, clock):
        assert unified()["backup_settings"]["m1:photos"] == {
            "notificationEvent": "warnings",
            "overdueBackupCheckEnabled": True,
            "expectedInterval": "1D",
            "allowedWeekDays": [0, 1, 2, 3, 4, 5, 6],
            "overdueTolerance": None,
            "time": iso(clock() + timedelta(hours=21)),
            "lastBackupDate": iso(clock() - timedelta(hours=3)),
            "ntfyEnabled": True,
            "emailEnabled": True,
        }

    def test_saved_values_are_read_back(self, jobs, save, unified):
        entry = {
            "notificationEvent": "errors",
            "overdueBackupCheckEnabled": False,
            "expectedInterval": "2W",
            "allowedWeekDays": [1, 5],
            "overdueTolerance": "6h",
            "ntfyEnabled": False,
            "emailEnabled": False,
            "additionalNotificationEvent": "all",
            "additionalEmails": "",
            "additionalNtfyTopic": "extra",
        }
        assert save(**entry).status_code == 200
        assert entry.items() <= unified()["backup_settings"]["m1:photos"].items()

    def test_a_save_changes_only_the_named_jobs_and_fields(self, jobs, save, unified):
        save("m1:docs: all/new", notificationEvent="off", additionalEmails="x@y.z")
        save(notificationEvent="all")
        save("m1:docs: all/new", ntfyEnabled=False)
        entry = unified()["backup_settings"]["m1:docs: all/new"]
        assert (entry["notificationEvent"], entry["additionalEmails"]) == ("off", "x@y.z")
        assert (entry["ntfyEnabled"], entry["emailEnabled"]) == (False, True)

    def test_null_means_inherited(self, jobs, save, unified):
        save(additionalEmails="x@y.z")
        save(additionalEmails=None)
        assert "additionalEmails" not in unified()["backup_settings"]["m1:photos"]

    def test_defaults_of_a_server_are_stored_with_the_server(self, jobs, save, unified, db):
        save("m1:__default__", additionalEmails="all@y.z", notificationEvent="off")
        assert db.session.scalars(select(Server.additional_emails)).one() == "all@y.z"
        assert unified()["backup_settings"]["m1:__default__"]["additionalEmails"] == "all@y.z"
        assert jobs().notification_event == "warnings"

    def test_defaults_of_a_server_are_returned_with_those_of_a_new_job(self, jobs, save, unified):
        save("m1:__default__", additionalNotificationEvent="all")
        entries = unified()["backup_settings"]
        begun = {**entries["m1:photos"], "time": "", "additionalNotificationEvent": "all"}
        del begun["lastBackupDate"]
        assert entries["m1:__default__"] == begun

    def test_unknown_keys_are_returned(self, jobs, save):
        assert save("zzz:photos", notificationEvent="off").get_json()["unknownKeys"] == ["zzz:photos"]

    def test_a_new_time_is_the_new_anchor_of_the_schedule(self, jobs, save, clock, db):
        job = jobs()
        job.announced_next_at = clock() + timedelta(hours=1)
        db.session.commit()
        chosen = clock() + timedelta(hours=5)
        save(time=iso(chosen))
        job = jobs()
        assert (job.schedule_anchor_at, job.announced_next_at, job.next_expected_at) == (chosen, None, chosen)

    def test_the_displayed_time_does_not_change_the_schedule(self, jobs, save, unified, clock, db):
        job = jobs()
        job.announced_next_at = job.next_expected_at = clock() + timedelta(hours=1)
        db.session.commit()
        save(**unified()["backup_settings"]["m1:photos"])
        job = jobs()
        assert job.announced_next_at == job.next_expected_at == clock() + timedelta(hours=1)

    @pytest.mark.parametrize("time", ["", "soon", None])
    def test_an_invalid_time_does_not_change_the_schedule(self, jobs, save, time):
        before = jobs().next_expected_at
        assert save(time=time).status_code == 200
        assert jobs().next_expected_at == before

    def test_another_interval_changes_the_schedule(self, jobs, save, clock):
        save(expectedInterval="2D")
        assert jobs().next_expected_at == clock() + timedelta(hours=45)

    @pytest.mark.parametrize(
        ("entry", "is_forgotten"),
        [
            ({"overdueBackupCheckEnabled": False}, True),
            ({"expectedInterval": "2D"}, True),
            ({"allowedWeekDays": [1]}, True),
            ({"expectedInterval": "1D", "notificationEvent": "off"}, False),
        ],
    )
    def test_an_alert_is_cleared_when_its_reason_changes(self, jobs, save, clock, db, entry, is_forgotten):
        jobs().overdue_alerted_at = clock()
        db.session.commit()
        save(**entry)
        assert (jobs().overdue_alerted_at is None) == is_forgotten

    @pytest.mark.parametrize("tolerance", [*TOLERANCES, None])
    def test_a_job_has_its_own_grace_period_or_the_global_one(self, jobs, save, unified, tolerance):
        save(overdueTolerance="6h")
        assert save(overdueTolerance=tolerance).status_code == 200
        assert unified()["backup_settings"]["m1:photos"]["overdueTolerance"] == tolerance
        assert jobs().overdue_at == jobs().next_expected_at + TOLERANCES[tolerance or "2h"]

    @pytest.mark.parametrize("tolerance", ["3h", "", 2, "2H"])
    def test_an_invalid_grace_period_is_rejected_with_its_field(self, jobs, save, tolerance):
        answer = save(overdueTolerance=tolerance)
        assert answer.status_code == 400
        assert "overdueTolerance" in str(answer.get_json())

    def test_the_old_form_is_accepted(self, jobs, save):
        save(allowedWeekDays=[1], ntfyEnabled=False)
        save(notificationEvent="all", expectedInterval=12, intervalUnit="hour", overdueBackupCheckEnabled=True)
        job = jobs()
        assert (job.notification_event, job.expected_interval, job.allowed_weekdays) == ("all", "12h", 127)
        assert is_channel_on(job, "ntfy")

    def test_characters_ignored_by_the_interval_parser_are_not_stored(self, jobs, save):
        save(expectedInterval="1D 12h")
        assert jobs().expected_interval == "1D12h"

    @pytest.mark.parametrize(
        ("entry", "field"),
        [
            ({"notificationEvent": "sometimes"}, "notificationEvent"),
            ({"expectedInterval": "often"}, "expectedInterval"),
            ({"expectedInterval": ""}, "expectedInterval"),
            ({"expectedInterval": "0D"}, "expectedInterval"),
            ({"expectedInterval": 3}, "expectedInterval"),
            ({"allowedWeekDays": [7]}, "allowedWeekDays"),
            ({"additionalNotificationEvent": "x"}, "additionalNotificationEvent"),
            ({"expectedInterval": 1, "intervalUnit": "moon"}, "intervalUnit"),
            ({"expectedInterval": 0, "intervalUnit": "day"}, "expectedInterval"),
        ],
    )
    def test_an_invalid_value_is_rejected_with_its_field_and_nothing_is_saved(self, jobs, post, entry, field):
        good = {"m1:docs: all/new": {"notificationEvent": "off"}}
        answer = post("backup-settings", {"backupSettings": {**good, "m1:photos": entry}})
        assert answer.status_code == 400
        [named] = answer.get_json()["fields"]
        assert named.removeprefix("backupSettings.m1:photos.").partition(".")[0] == field
        assert jobs("docs: all/new").notification_event == "warnings"

    @pytest.mark.parametrize("body", [{}, {"backupSettings": None}, {"backupSettings": ""}])
    def test_a_body_without_settings_is_rejected(self, post, body):
        answer = post("backup-settings", body)
        assert (answer.status_code, answer.get_json()["error"]) == (400, "backupSettings is required")

    def test_a_body_without_jobs_changes_none(self, jobs, post):
        assert post("backup-settings", {"backupSettings": {}}).status_code == 200
        assert jobs("photos").notification_event == "warnings"

    @pytest.mark.parametrize("given", [3, [], "x", {"m1:photos": 3}, {"m1:photos": None}])
    def test_settings_of_another_type_are_rejected(self, jobs, post, given):
        assert post("backup-settings", {"backupSettings": given}).status_code == 400

    def test_a_save_is_audited_with_old_and_new_values(self, jobs, save, audited):
        save(notificationEvent="off", expectedInterval="1D", ntfyEnabled=False, allowedWeekDays=[1])
        save(notificationEvent="off")
        changed, unchanged = audited("backup_notification_updated")
        assert changed.details["modifiedBackupKeys"] == ["nas:m1:photos"]
        assert changed.details["changes"]["m1:photos"] == {
            "notificationEvent": {"old": "warnings", "new": "off"},
            "ntfyEnabled": {"old": True, "new": False},
            "allowedWeekDays": {"old": [0, 1, 2, 3, 4, 5, 6], "new": [1]},
        }
        assert set(unchanged.details) == {"message"}


class TestMail:
    def test_it_is_not_configured_by_default(self, admin, unified):
        answer = admin.get(f"{ROOT}/email").get_json()
        assert (answer["configured"], answer["config"]) == (False, None)
        assert "email" not in unified()

    def test_an_account_is_stored_and_shown_without_its_password(self, admin, post, db, unified):
        assert post("email", {**MAIL, "senderName": "Backups", "fromAddress": "x@y.z"}).status_code == 200
        text = admin.get(f"{ROOT}/email").text
        shown = admin.get(f"{ROOT}/email").get_json()["config"]
        assert (shown["host"], shown["port"], shown["connectionType"]) == ("mail.lan", 587, "starttls")
        assert shown["hasPassword"] is True
        assert '"pw"' not in text
        stored = db.session.scalars(select(Channel).where(Channel.kind == "email")).one().settings
        assert "pw" not in stored.values()
        assert "u" not in stored.values()
        assert unified()["email"] == shown | {"enabled": True}

    def test_without_a_password_the_flag_is_false(self, admin, post):
        post("email", {**MAIL, "password": ""})
        assert admin.get(f"{ROOT}/email").get_json()["config"]["hasPassword"] is False

    def test_a_stored_password_is_not_sent_to_another_host(self, post, db):
        post("email", MAIL)
        moved = {**MAIL, "host": "mail.example"}
        answer = post("email", {name: value for name, value in moved.items() if name != "password"})
        assert answer.status_code == 400
        assert answer.get_json()["fields"].keys() == {"password"}
        assert post("email", moved).status_code == 200

    @pytest.mark.parametrize(("password", "kept"), [({}, "pw"), ({"password": ""}, ""), ({"password": "new"}, "new")])
    def test_only_an_omitted_password_is_unchanged(self, post, db, password, kept):
        post("email", MAIL)
        post("email", {name: value for name, value in MAIL.items() if name != "password"} | password)
        assert channels.load_settings(channels.standard("email"))["password"] == kept

    def test_an_omitted_sender_is_removed(self, admin, post):
        post("email", {**MAIL, "senderName": "Backups", "fromAddress": "x@y.z"})
        post("email", MAIL)
        assert not {"senderName", "fromAddress"} & admin.get(f"{ROOT}/email").get_json()["config"].keys()

    @pytest.mark.parametrize(
        ("changes", "word"),
        [
            ({"host": ""}, "host, port, mailto"),
            ({"username": None}, "username"),
            ({"port": 65536}, "Port"),
            ({"port": "abc"}, "Port"),
            ({"port": True}, "Port"),
            ({"mailto": "nobody"}, "Recipient"),
            ({"fromAddress": "nobody"}, "From"),
            ({"host": 3}, "host"),
        ],
    )
    def test_missing_and_invalid_fields_are_named(self, admin, post, changes, word):
        answer = post("email", {**MAIL, **changes})
        assert (answer.status_code, word in answer.get_json()["error"]) == (400, True)
        assert admin.get(f"{ROOT}/email").get_json()["configured"] is False

    @pytest.mark.parametrize(
        ("given", "kind"),
        [
            ({"secure": True}, "ssl"),
            ({"secure": "TRUE"}, "ssl"),
            ({"secure": False}, "starttls"),
            ({"connectionType": "plain", "secure": True}, "plain"),
            ({"connectionType": "other"}, "starttls"),
        ],
    )
    def test_older_clients_send_secure(self, admin, post, given, kind):
        post("email", {**MAIL, "fromAddress": "x@y.z", **given})
        assert admin.get(f"{ROOT}/email").get_json()["config"]["connectionType"] == kind

    def test_the_password_can_be_changed_separately(self, admin, post, db, audited):
        post("email", MAIL)
        answer = admin.send("PATCH", f"{ROOT}/email/password", json={"password": "", "config": {"senderName": "Me"}})
        assert answer.status_code == 200
        config = admin.get(f"{ROOT}/email").get_json()["config"]
        assert (config["hasPassword"], config["senderName"], config["host"]) == (False, "Me", "mail.lan")
        assert len(audited("email_password_updated")) == 1

    @pytest.mark.parametrize(
        "body", [{"password": 3}, {}, {"password": "x"}, {"password": "x", "config": {"host": "h"}}]
    )
    def test_a_password_needs_an_account(self, admin, body):
        assert admin.send("PATCH", f"{ROOT}/email/password", json=body).status_code == 400

    def test_a_complete_account_can_include_its_password(self, admin):
        body = {"password": "x", "config": {name: MAIL[name] for name in ("host", "port", "username", "mailto")}}
        assert admin.send("PATCH", f"{ROOT}/email/password", json=body).status_code == 200
        assert admin.get(f"{ROOT}/email").get_json()["configured"] is True

    def test_a_token_is_returned_for_changing_the_password(self, admin):
        assert admin.get(f"{ROOT}/email/password").get_json() == {"csrfToken": admin.csrf_headers()["X-CSRF-Token"]}

    def test_it_can_be_deleted_once(self, admin, post, audited):
        post("email", MAIL)
        assert [admin.send("DELETE", f"{ROOT}/email").status_code for _ in range(2)] == [200, 404]
        assert len(audited("email_config_deleted")) == 1

    def test_changes_are_audited_without_the_password(self, post, audited):
        post("email", MAIL)
        post("email", {**MAIL, "password": "other"})
        [entry] = audited("email_config_updated")
        assert entry.details["changes"]["hasPassword"] == {"old": None, "new": True}
        assert "pw" not in str(entry.details)


class TestNtfy:
    @pytest.fixture
    def ntfy(self, post) -> Callable[..., Any]:
        return lambda **fields: post("notifications", {"ntfy": {"url": "http://127.0.0.1:9/", "topic": "t", **fields}})

    def test_the_token_is_encrypted_and_never_returned(self, admin, ntfy, db, unified):
        answer = ntfy(accessToken="tk_secret")
        shown = {"url": "http://127.0.0.1:9/", "topic": "t", "accessToken": "********", "hasAccessToken": True}
        assert answer.get_json()["ntfy"] == admin.get(f"{ROOT}/ntfy").get_json()["ntfy"] == unified()["ntfy"] == shown
        assert "tk_secret" not in str(channels.standard("ntfy").settings)

    @pytest.mark.parametrize(
        ("given", "kept"),
        [({}, "tk"), ({"accessToken": "********"}, "tk"), ({"accessToken": ""}, ""), ({"accessToken": "n"}, "n")],
    )
    def test_an_omitted_or_masked_token_is_unchanged(self, ntfy, db, given, kept):
        ntfy(accessToken="tk")
        ntfy(**given)
        assert channels.load_settings(channels.standard("ntfy"))["token"] == kept

    @pytest.mark.parametrize("token", [{}, {"accessToken": "********"}])
    def test_a_stored_token_is_not_sent_to_another_host(self, ntfy, db, token):
        ntfy(accessToken="tk")
        answer = ntfy(url="http://ntfy.example", **token)
        assert answer.status_code == 400
        assert answer.get_json()["error"].startswith("Access token: Enter it again")
        assert answer.get_json()["fields"].keys() == {"accessToken"}
        assert channels.standard("ntfy").settings["url"] == "http://127.0.0.1:9/"
        assert ntfy(url="http://ntfy.example", accessToken="tk").status_code == 200

    def test_a_blank_topic_becomes_a_random_one(self, ntfy):
        assert ntfy(topic=" ").get_json()["ntfy"]["topic"].startswith("duplistatus-")

    @pytest.mark.parametrize("fields", [{"url": "ftp://x"}, {"url": 3}, {"topic": "a b"}])
    def test_an_invalid_destination_is_rejected(self, ntfy, fields):
        assert ntfy(**fields).status_code == 400

    def test_unused_keys_are_left_out(self, ntfy, admin):
        assert ntfy(enabled=True).status_code == 200
        assert "enabled" not in admin.get(f"{ROOT}/ntfy").get_json()["ntfy"]

    def test_changes_are_audited_once(self, ntfy, audited):
        ntfy(accessToken="tk")
        ntfy(accessToken="other")
        [entry] = audited("ntfy_config_updated")
        assert entry.details["changes"]["hasAccessToken"] == {"old": False, "new": True}

    @pytest.mark.parametrize("ntfy", ["x", 5, [1], {"url": 5}, {"url": {}}])
    def test_a_destination_of_another_type_is_rejected(self, post, ntfy):
        assert post("notifications", {"ntfy": ntfy}).status_code == 400


class TestGracePeriod:
    def test_a_tolerance_is_stored_and_every_schedule_recalculated(self, admin, jobs, post, db, audited):
        jobs().next_expected_at = None
        db.session.commit()
        assert post("overdue-tolerance", {"overdue_tolerance": "1d"}).status_code == 200
        assert admin.get(f"{ROOT}/overdue-tolerance").get_json() == {"overdue_tolerance": "1d"}
        assert jobs().next_expected_at is not None
        assert audited("overdue_tolerance_updated")[0].details == {"oldValue": "2h", "newValue": "1d"}

    def test_schedules_use_the_new_tolerance(self, jobs, post, clock, db):
        job = jobs()  # began 1 h before its slot: within the new tolerance that slot is fulfilled
        job.schedule_anchor_at = job.last_began_at + timedelta(hours=1)
        db.session.commit()
        post("overdue-tolerance", {"overdue_tolerance": "no_tolerance"})
        assert jobs().next_expected_at == clock() - timedelta(hours=2)
        post("overdue-tolerance", {"overdue_tolerance": "2h"})
        assert jobs().next_expected_at == clock() + timedelta(hours=22)

    @pytest.mark.parametrize("body", [{}, {"overdue_tolerance": "3h"}, {"overdue_tolerance": {}}])
    def test_an_unknown_tolerance_is_rejected_with_its_field(self, admin, post, body):
        answer = post("overdue-tolerance", body)
        assert (answer.status_code, "overdue_tolerance" in answer.get_json()["error"]) == (400, True)
        assert admin.get(f"{ROOT}/overdue-tolerance").get_json() == {"overdue_tolerance": "2h"}

    def test_a_frequency_is_stored(self, admin, post, audited):
        assert post("notifications", {"value": "onetime"}).get_json() == {"value": "onetime"}
        assert admin.get(f"{ROOT}/notifications").get_json() == {"value": "onetime"}
        assert audited("notification_frequency_updated")[0].details == {"value": "onetime"}

    @pytest.mark.parametrize("value", ["hourly", None, 3, {}])
    def test_an_unknown_frequency_is_rejected(self, post, value):
        assert post("notifications", {"value": value}).status_code == 400


class TestTemplates:
    def test_a_template_is_replaced_completely_and_the_others_unchanged(self, post, unified, audited):
        post("templates", {"templates": {"language": "de"}})
        before = unified()["templates"]
        mine = {"title": "T", "message": "M", "priority": "low", "tags": "ok"}
        assert post("templates", {"templates": {"language": "fr", "success": mine}}).status_code == 200
        now = unified()["templates"]
        assert (now["language"], now["success"]) == ("fr", mine)
        assert before["warning"]["message"].startswith("{reason}\n\nDer Sicherungsauftrag")
        assert now["warning"]["message"].startswith("{reason}\n\nLa tâche de sauvegarde")
        details = audited("notification_template_updated")[1].details
        assert (details["templatesUpdated"], details["languageChanged"]) == (["success"], True)
        assert details["changes"]["success"]["title"]["new"] == "T"

    @pytest.mark.parametrize(
        ("templates", "name"),
        [
            ({"failure": {}}, "failure"),
            ({"success": {"subject": "x"}}, "subject"),
            ({"success": {"title": 3}}, "title"),
            ({"success": 3}, "success"),
            ({"language": "tlh"}, "language"),
        ],
    )
    def test_an_unknown_field_is_rejected_with_its_name(self, post, templates, name):
        answer = post("templates", {"templates": templates})
        assert (answer.status_code, name in answer.get_json()["error"]) == (400, True)

    @pytest.mark.parametrize(("kind", "field"), [("success", "message"), ("recovered", "title"), ("digest", "message")])
    def test_an_unknown_placeholder_is_rejected_with_its_field(self, post, kind, field):
        answer = post("templates", {"templates": {kind: {field: "{verdikt}"}}})
        assert answer.status_code == 400
        assert answer.get_json()["error"] == f"templates.{kind}.{field}: unknown placeholder {{verdikt}}"

    def test_templates_are_required(self, post):
        assert post("templates", {}).get_json()["error"] == "templates are required"
        assert post("templates", {"templates": {}}).status_code == 200

    @pytest.mark.parametrize("language", ["en-GB", "de", "fr", "es", "pt-BR", "zh-Hans", "hi-Latn"])
    def test_defaults_of_a_language_are_public(self, client, language):
        defaults = client.get(f"{ROOT}/templates/defaults?language={language}").get_json()
        assert list(defaults) == ["success", "warning", "overdueBackup", "recovered", "dailySummary", "digest"]
        assert all(set(template) == {"title", "message", "priority", "tags"} for template in defaults.values())

    @pytest.mark.parametrize("language", ["zh-CN", "DE"])
    def test_defaults_of_another_language_are_rejected(self, client, language):
        answer = client.get(f"{ROOT}/templates/defaults?language={language}")
        assert (answer.status_code, answer.get_json()["error"]) == (400, "Invalid language")


def test_a_visitor_has_no_access(client):
    client.get("/api/csrf")
    for path in ("unified", "email", "email/password", "ntfy", "notifications", "overdue-tolerance"):
        assert client.get(f"{ROOT}/{path}").status_code == 401


def test_the_combined_response_is_never_cached(admin):
    assert "no-store" in admin.get(f"{ROOT}/unified").headers["Cache-Control"]


def test_expected_and_newest_run_are_included_for_each_job(jobs, unified, clock):
    entry = unified()["serversWithBackups"][1]
    assert entry["backupName"] == "photos"
    assert datetime.fromisoformat(entry["expectedBackupDate"]) == clock() + timedelta(hours=21)
    assert datetime.fromisoformat(entry["lastBackupDate"]) == clock() - timedelta(hours=3)


class TestOneLine:
    """A text that becomes part of a header must be one line, otherwise its field is named."""

    @pytest.mark.parametrize("field", ["host", "username", "mailto", "senderName", "fromAddress"])
    def test_email_account(self, post, field):
        answer = post("email", MAIL | {field: "a@b.c\r\nBcc: d@e.f"})
        assert answer.status_code == 400
        assert list(answer.json["fields"]) == [field]

    @pytest.mark.parametrize("field", ["additionalEmails", "additionalNtfyTopic"])
    def test_additional_destinations(self, jobs, post, field):
        answer = post("backup-settings", {"backupSettings": {"m1:photos": {field: "a@b.c\nBcc: d@e.f"}}})
        assert answer.status_code == 400
        assert field in answer.json["error"]

    def test_token_of_ntfy(self, post):
        answer = post("notifications", {"ntfy": {"url": "https://ntfy.sh", "accessToken": "tk\r\nX-Evil: 1"}})
        assert answer.status_code == 400
        assert list(answer.json["fields"]) == ["accessToken"]
        assert "tk" not in answer.json["error"].replace("token", "")


class TestSelfMonitoring:
    def test_the_limit_for_free_space_is_stored(self, admin):
        assert admin.get("/api/configuration/free-space").json == {"freeSpaceMiB": 500}
        answer = admin.send("PUT", "/api/configuration/free-space", json={"freeSpaceMiB": 0})
        assert answer.json == admin.get("/api/configuration/free-space").json == {"freeSpaceMiB": 0}

    @pytest.mark.parametrize("value", [-1, "5", None, 1.5, 10**9])
    def test_an_invalid_limit_is_rejected_with_its_field(self, admin, value):
        answer = admin.send("PUT", "/api/configuration/free-space", json={"freeSpaceMiB": value})
        assert (answer.status_code, answer.json["error"].split(":")[0]) == (400, "freeSpaceMiB")

    def test_an_external_monitor_is_stored_and_pinged(self, admin):
        place = "/api/configuration/external-monitor"
        assert admin.get(place).json == {
            "enabled": False,
            "url": "",
            "everyMinutes": 5,
            "service": None,
            "usedService": "other",
            "hasToken": False,
            "lastPing": {"sentAt": None, "lastGoodAt": None, "error": "", "reason": ""},
        }
        assert admin.send("POST", f"{place}/ping").status_code == 400
        with recording_server() as server:
            url = f"{server.url}/api/v1/endpoints/core_x/external"
            answer = admin.send("PUT", place, json={"enabled": True, "url": url, "everyMinutes": 9, "token": "geheim"})
            assert (answer.json["usedService"], answer.json["hasToken"], "geheim" in answer.text) == (
                "gatus",
                True,
                False,
            )
            last = admin.send("POST", f"{place}/ping").json["lastPing"]
            assert (last["error"], last["lastGoodAt"]) == ("", "2031-05-04T12:00:00.000Z")
            assert [request.headers["authorization"] for request in server.received] == ["Bearer geheim"]
        answer = admin.send("PUT", place, json={"url": "http://127.0.0.1:9/api/v1/endpoints/core_x/external"})
        assert (answer.json["hasToken"], answer.json["everyMinutes"]) == (False, 9)

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"everyMinutes": 0}, "everyMinutes"),
            ({"everyMinutes": 1441}, "everyMinutes"),
            ({"everyMinutes": "5"}, "everyMinutes"),
            ({"enabled": True}, "url"),
            ({"url": "http://169.254.169.254/"}, "url"),
            ({"url": "file:///etc/passwd"}, "url"),
            ({"service": "pingdom"}, "service"),
            ({"token": "x" * 501}, "token"),
            ({"color": "red"}, "color"),
        ],
    )
    def test_an_invalid_value_is_rejected_with_its_field(self, admin, body, field):
        answer = admin.send("PUT", "/api/configuration/external-monitor", json=body)
        assert (answer.status_code, answer.json["error"].split(":")[0]) == (400, field)
