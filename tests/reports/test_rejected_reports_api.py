"""Rejected uploads over HTTP, and operations that are no backups."""

import json

import pytest
from factories import find_job, report_body, report_document
from sqlalchemy import select

from app.audit.log import AuditEntry
from app.backups.models import Job
from app.core.errors import Refused
from app.reports import rejected
from app.reports.parser import compress_body
from app.reports.rejected import RejectedReport

UPLOAD, REJECTED = "/api/upload", "/api/rejected-reports"


@pytest.fixture
def upload_rejected(client):
    """Upload a report without a usable begin, which is rejected."""

    def send(**changes):
        body = report_body(data={"BeginTime": "yesterday"}, **changes)
        assert client.post(UPLOAD, data=body).status_code == 400

    return send


@pytest.fixture
def rejected_before(db, clock):
    """Keep the report of a restore as an earlier version rejected it; return its URL."""
    body = report_body(data={"MainOperation": "Restore"})
    kept, error = compress_body(body, "application/json"), Refused("Data.MainOperation is not Backup")
    rejected.keep_rejected(kept, error, sent=body, ip_address=None, now=clock())
    return f"{REJECTED}/{db.session.scalar(select(RejectedReport.id))}"


@pytest.fixture
def keep(admin):
    def keep(is_kept=True):
        assert admin.send("PATCH", "/api/reception", json={"keepsOtherOperations": is_kept}).status_code == 200

    return keep


def listed(admin):
    return admin.get(REJECTED).json["rejectedReports"]


def test_rejected_upload_is_listed_and_shown_without_its_destination(admin, upload_rejected):
    upload_rejected(extra={"RemoteUrl": "s3://user:secret@host"})
    (found,) = listed(admin)
    assert "BeginTime" in found["reason"]
    shown = admin.get(f"{REJECTED}/{found['id']}").json
    assert json.loads(shown["body"])["Data"]["BeginTime"] == "yesterday"
    assert "secret@" not in shown["body"]


def test_rejected_upload_is_accepted_by_current_rules(admin, rejected_before, keep):
    keep()
    run_id = admin.send("POST", f"{rejected_before}/replay").json["backupId"]
    assert find_job(name="photos (Restore)").last_run_id == run_id
    assert listed(admin)[0]["replayedAt"] is not None
    assert admin.send("POST", f"{rejected_before}/replay").status_code == 409


def test_rejected_upload_that_is_now_accepted_without_storing_reports_the_reason(admin, rejected_before):
    body = admin.send("POST", f"{rejected_before}/replay").json
    assert (body["backupId"], "Restore" in body["reason"]) == (None, True)
    assert listed(admin)[0]["replayedAt"] is not None


def test_rejected_upload_that_is_rejected_again_is_kept_once(admin, upload_rejected):
    upload_rejected()
    path = f"{REJECTED}/{listed(admin)[0]['id']}"
    assert admin.send("POST", f"{path}/replay").status_code == 400
    assert [(each["attempts"], each["replayedAt"]) for each in listed(admin)] == [(1, None)]


def test_retries_of_duplicati_are_counted_and_listed_once(admin, upload_rejected):
    for _ in range(4):
        upload_rejected()
    assert [each["attempts"] for each in listed(admin)] == [4]


def test_undecodable_upload_cannot_be_replayed(admin, client):
    client.post(UPLOAD, data=b"\x1f\x8bbroken", headers={"Content-Encoding": "gzip"})
    answer = admin.send("POST", f"{REJECTED}/{listed(admin)[0]['id']}/replay")
    assert (answer.status_code, "not stored" in answer.json["error"]) == (400, True)


def test_rejected_upload_is_deleted_and_audited(admin, upload_rejected, db):
    upload_rejected()
    path = f"{REJECTED}/{listed(admin)[0]['id']}"
    assert admin.send("DELETE", path).status_code == 200
    assert (listed(admin), admin.get(path).status_code) == ([], 404)
    assert "rejected_report_deleted" in set(db.session.scalars(select(AuditEntry.action)))


@pytest.mark.parametrize(("method", "ending"), [("POST", "/replay"), ("DELETE", "")])
def test_unknown_upload_is_not_found(admin, method, ending):
    assert admin.send(method, f"{REJECTED}/77{ending}").status_code == 404


def test_other_operations_are_rejected_by_default(admin, client):
    assert admin.get("/api/reception").json["keepsOtherOperations"] is False


def test_other_operation_does_not_affect_backup_jobs(client, keep, db):
    next_run = {"next-scheduled-run": "2031-05-09T11:00:00Z"}
    client.post(UPLOAD, data=report_body())
    before = find_job()
    figures = (before.next_expected_at, before.recent_statuses, before.last_run_id, before.last_storage_bytes)
    summary = client.get("/api/summary").json
    keep()
    document = report_document(result="Error", data={"MainOperation": "Restore"}, extra=next_run)
    document["Data"]["BeginTime"] = "2031-05-04T11:30:00Z"
    document["Data"]["EndTime"] = "2031-05-04T11:31:00Z"
    assert client.post(UPLOAD, json=document).status_code == 200
    after = find_job()
    assert (after.next_expected_at, after.recent_statuses, after.last_run_id, after.last_storage_bytes) == figures
    assert client.get("/api/summary").json == summary
    assert client.get("/api/lastbackups/machine-1").json["backup_names"] == ["photos"]


def test_other_operation_has_its_own_job_that_is_never_overdue(client, keep, db):
    keep()
    client.post(UPLOAD, data=report_body(data={"MainOperation": "Test"}))
    job = db.session.scalars(select(Job)).one()
    assert (job.name, job.operation, job.is_overdue_check_enabled) == ("photos (Test)", "Test", False)
    assert (job.run_count, job.last_storage_bytes, job.last_version_count) == (1, 0, 0)


@pytest.mark.parametrize("path", ["/api/reception", REJECTED, f"{REJECTED}/1"])
def test_visitor_sees_no_uploads(client, path):
    assert client.get(path).status_code == 401


def test_the_size_of_uploads_can_be_set_and_reset_to_the_environment(admin, client):
    big = report_body(lines=["x" * 1000] * 1200)
    assert admin.send("PATCH", "/api/reception", json={"maxUploadMib": 1}).json["maxUploadBytes"] == 1024 * 1024
    assert client.post(UPLOAD, data=big).status_code == 413
    assert admin.send("PATCH", "/api/reception", json={"maxUploadMib": None}).json["maxUploadBytes"] == 16 * 1024 * 1024
    assert client.post(UPLOAD, data=big).status_code == 200


@pytest.mark.parametrize(
    "change",
    [{"maxUploadMib": 0}, {"maxUploadMib": 1025}, {"maxUploadMib": "2"}]
    + [
        {"publicUrl": url} for url in ("ftp://x", "backups", "https://", "https://a:b@x", "https://x/?a", "https://x#a")
    ],
)
def test_invalid_values_change_nothing(admin, change):
    answer = admin.send("PATCH", "/api/reception", json={"keepsOtherOperations": True} | change)
    assert answer.status_code == 400
    assert next(iter(change)) in answer.json["error"]
    assert admin.get("/api/reception").json["keepsOtherOperations"] is False


def test_the_public_address_is_used_in_the_text_to_copy(admin, db):
    admin.send("PATCH", "/api/reception", json={"publicUrl": "https://backups.example.org/status/"})
    assert "https://backups.example.org/status/api/upload" in admin.get("/connect").text
    entries = db.session.scalars(select(AuditEntry.action)).all()
    assert entries.count("public_url_updated") == 1
    assert "other_operations_updated" not in entries
