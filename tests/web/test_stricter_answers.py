"""Responses that are better or stricter than those of the original 1.4.2; each is a row of the deviations."""

import json

import pytest
from factories import report_body, report_document
from sqlalchemy import func, select

from app.audit.log import AuditEntry
from app.backups.models import Run, Server


def upload(client, document) -> int:
    return client.post("/api/upload", json=document)


def changed(section: str, **values) -> dict:
    document = report_document()
    document[section] |= values
    return document


def newest_run(client, server: str = "machine-1") -> dict:
    return client.get(f"/api/lastbackup/{server}").get_json()["latest_backup"]


@pytest.mark.parametrize("began", ["2026-02-30T00:00:00Z", "2026-11-20T24:30:00Z"])
def test_a_begin_on_a_day_that_does_not_exist_is_rejected_with_its_name(client, db, began):
    answer = upload(client, changed("Data", BeginTime=began))
    assert (answer.status_code, "Data.BeginTime" in answer.get_json()["error"]) == (400, True)
    assert db.session.scalar(select(func.count()).select_from(Run)) == 0


@pytest.mark.parametrize("duration", ["5", "12:34"])
def test_a_duration_of_another_form_is_rejected_with_its_name(client, duration):
    answer = upload(client, changed("Data", Duration=duration))
    assert (answer.status_code, "Data.Duration" in answer.get_json()["error"]) == (400, True)


def test_a_numeric_machine_id_is_found_by_its_digits(client):
    assert upload(client, report_document(server_id=7)).status_code == 200
    assert client.get("/api/lastbackup/7").status_code == 200


@pytest.mark.parametrize(("sent", "stored"), [(-5, 0), (1.5, 1)])
def test_a_count_of_files_is_a_whole_number_of_0_or_more(client, sent, stored):
    upload(client, changed("Data", ExaminedFiles=sent))
    assert newest_run(client)["fileCount"] == stored


@pytest.mark.parametrize("extra", [["a"], "text"])
def test_an_extra_section_that_is_no_object_is_rejected_without_a_list_of_fields(client, extra):
    answer = upload(client, report_document() | {"Extra": extra})
    assert answer.status_code == 400
    assert not {"missingFields", "extraSection"} & answer.get_json().keys()


def test_an_alias_that_is_no_text_is_rejected_and_nothing_changes(client, admin, db):
    client.post("/api/upload", data=report_body(), content_type="application/json")
    admin.send("PATCH", "/api/servers/machine-1", json={"alias": "attic", "note": "by the door"})
    assert admin.send("PATCH", "/api/servers/machine-1", json={"alias": 5}).status_code == 400
    db.session.rollback()
    server = db.session.get(Server, "machine-1")
    assert (server.alias, server.note) == ("attic", "by the door")


@pytest.mark.parametrize("host", ["", "  "])
def test_an_email_server_without_a_name_is_rejected(admin, host):
    body = {"host": host, "port": 587, "username": "u", "password": "p", "mailto": "a@b.c"}
    assert admin.send("POST", "/api/configuration/email", json=body).status_code == 400


def test_has_password_of_the_email_settings_is_false_without_a_password(admin):
    body = {"host": "mail.lan", "port": 25, "username": "", "mailto": "a@b.c", "requireAuth": False}
    body |= {"connectionType": "plain", "fromAddress": "a@b.c"}
    assert admin.send("POST", "/api/configuration/email", json=body).status_code == 200
    assert admin.get("/api/configuration/email").get_json()["config"]["hasPassword"] is False


def test_ntfy_settings_without_an_address_are_rejected(admin):
    before = admin.get("/api/configuration/notifications").get_json()
    assert admin.send("POST", "/api/configuration/notifications", json={"ntfy": {}}).status_code == 400
    assert admin.get("/api/configuration/notifications").get_json() == before


@pytest.mark.parametrize("settings_of_jobs", [[], "x"])
def test_settings_of_jobs_that_are_no_map_are_rejected(admin, settings_of_jobs):
    body = {"backupSettings": settings_of_jobs}
    assert admin.send("POST", "/api/configuration/backup-settings", json=body).status_code == 400


def test_a_retention_of_the_audit_log_that_is_no_whole_number_is_rejected(admin):
    assert admin.send("PATCH", "/api/audit-log/retention", json={"retentionDays": 45.5}).status_code == 400


def test_weekdays_are_in_order(client, admin):
    client.post("/api/upload", data=report_body(), content_type="application/json")
    body = {"backupSettings": {"machine-1:photos": {"allowedWeekDays": [6, 0]}}}
    assert admin.send("POST", "/api/configuration/backup-settings", json=body).status_code == 200
    stored = admin.get("/api/configuration/unified").get_json()["backup_settings"]["machine-1:photos"]
    assert stored["allowedWeekDays"] == [0, 6]


def test_an_unsupported_method_is_json_with_the_supported_ones(client):
    answer = client.put("/api/upload")
    assert (answer.status_code, bool(answer.get_json()["error"])) == (405, True)
    assert "POST" in answer.headers["Allow"]


def test_a_trailing_slash_redirects_to_the_url_without_it(client):
    answer = client.get("/api/summary/")
    assert (answer.status_code, answer.headers["Location"]) == (308, "/api/summary")


def test_a_start_does_not_change_the_audit_log(client, db):
    assert db.session.scalars(select(AuditEntry).where(AuditEntry.action.like("sessions%"))).all() == []


def test_an_empty_language_of_the_templates_is_the_default_one(admin):
    answer = admin.get("/api/configuration/templates/defaults?language=")
    usual = admin.get("/api/configuration/templates/defaults")
    assert (answer.status_code, json.dumps(answer.get_json())) == (200, json.dumps(usual.get_json()))
