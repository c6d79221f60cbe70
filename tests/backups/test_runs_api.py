"""Newest runs, and deleting runs, over HTTP."""

from datetime import timedelta

import pytest
from factories import BEGAN_AT, make_run

DAY = timedelta(days=1)


@pytest.fixture
def send(admin, db):
    """Send a changing request as an administrator; return status and body."""

    def send(method: str, path: str, body=None):
        answer = admin.send(method, f"/api/backups/{path}", json=body)
        return answer.status_code, answer.get_json()

    return send


def test_last_timestamps_are_the_newest_of_each_job(admin, db):
    make_run(server_id="m-1", server_name="b", job_name="a:b")
    make_run(server_id="m-1", job_name="a:b", began_at=BEGAN_AT + DAY)
    make_run(server_id="m-2", server_name="a", job_name="photos")
    answer = admin.get("/api/backups/last-timestamps")
    assert answer.get_json() == {
        "timestamps": {"m-2:photos": "2031-05-04T11:00:00.000Z", "m-1:a:b": "2031-05-05T11:00:00.000Z"},
        "raw": [
            {
                "server_name": "a",
                "server_id": "m-2",
                "backup_name": "photos",
                "date": "2031-05-04T11:00:00.000Z",
            },
            {"server_name": "b", "server_id": "m-1", "backup_name": "a:b", "date": "2031-05-05T11:00:00.000Z"},
        ],
    }
    assert (answer.headers["Pragma"], answer.headers["Expires"]) == ("no-cache", "0")


def test_cleanup_reports_the_number_of_deleted_runs(send, admin):
    make_run(began_at=BEGAN_AT - 400 * DAY)
    make_run(began_at=BEGAN_AT)
    assert send("POST", "cleanup", {"retentionPeriod": "1 year"}) == (
        200,
        {"message": "Successfully deleted 1 old backups", "status": 200},
    )
    assert admin.get("/api/summary").get_json()["totalBackupsRuns"] == 1


def test_cleanup_of_everything_reports_the_number_of_deleted_runs(send, admin):
    make_run()
    message = send("POST", "cleanup", {"retentionPeriod": "Delete all data"})[1]["message"]
    assert message == "Successfully deleted all 1 backups and 1 servers, and cleared configuration settings"
    assert admin.get("/api/servers").get_json() == []


@pytest.mark.parametrize("body", [{}, {"retentionPeriod": "5 minutes"}, {"retentionPeriod": ["1 year"]}])
def test_other_periods_are_rejected(send, admin, body):
    make_run()
    status, answer = send("POST", "cleanup", body)
    assert (status, answer["error"]) == (400, "Invalid retention period")
    assert admin.get("/api/summary").get_json()["totalBackupsRuns"] == 1


def test_deleted_job_is_missing_in_the_lists(send, admin):
    make_run(job_name="a/b: ü")
    make_run(job_name="music")
    status, body = send("DELETE", "delete-job", {"serverId": "machine-1", "backupName": "a/b: ü"})
    assert status == 200
    assert (body["status"], body["deletedCount"], body["serverName"], body["backupName"]) == (200, 1, "nas", "a/b: ü")
    assert [entry["backupName"] for entry in admin.get("/api/servers?includeBackups=true").get_json()] == ["music"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "delete-job", {"serverId": "machine-1", "backupName": "photos"}),
        ("POST", "cleanup", {"retentionPeriod": "6 months"}),
    ],
)
def test_settings_of_a_job_survive_its_runs_unchanged(send, admin, method, path, body):
    def entry():
        return admin.get("/api/configuration/unified").get_json()["backup_settings"]["machine-1:photos"]

    for day in range(3):
        make_run(began_at=BEGAN_AT - 1000 * DAY + day * DAY)
    before = entry()
    assert before["lastBackupDate"] < before["time"]
    assert send(method, path, body)[0] == 200
    assert entry() == before
    admin.send("POST", "/api/notifications/check-overdue")
    assert entry() == before
    make_run(began_at=BEGAN_AT - 1003 * DAY)
    assert entry()["lastBackupDate"] < entry()["time"] < before["lastBackupDate"]


@pytest.mark.parametrize(
    "body", [{}, {"serverId": "machine-1"}, {"backupName": "photos"}, {"serverId": "", "backupName": ""}]
)
def test_job_name_is_required(send, body):
    status, answer = send("DELETE", "delete-job", body)
    assert (status, answer["error"]) == (400, "Server ID and backup name are required")


def test_job_without_runs_is_not_found(send):
    make_run()
    assert send("DELETE", "delete-job", {"serverId": "machine-1", "backupName": "nope"})[0] == 404


@pytest.mark.parametrize(("method", "path"), [("POST", "cleanup"), ("DELETE", "delete-job")])
def test_deleting_needs_an_administrator(admin, app, db, method, path):
    admin.send("POST", "/api/users", json={"username": "bob", "password": "Viewer1234", "requirePasswordChange": False})
    bob = app.test_client()
    bob.sign_in("bob", "Viewer1234")
    assert bob.send(method, f"/api/backups/{path}", json={}).status_code == 403
