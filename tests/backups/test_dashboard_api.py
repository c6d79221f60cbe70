"""The response of the dashboard, compared with the contract and our deviations."""

from datetime import timedelta

import pytest
from factories import BEGAN_AT, make_run
from sqlalchemy import select
from statements import sent_statements

from app.backups.models import Job, Server
from app.charts import series
from app.core.db.orm import writing
from app.core.settings import store as settings_store

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NOT_AVAILABLE = "N/A"


@pytest.fixture
def dashboard(admin):
    """Return the whole response."""
    return lambda path="/api/dashboard": admin.get(path).get_json()


def test_visitors_have_no_access(client):
    assert client.get("/api/dashboard").status_code == 401


def test_empty_database(dashboard):
    body = dashboard()
    assert (body["serversSummary"], body["chartData"]) == ([], [])
    assert body["overallSummary"]["totalServers"] == 0


def test_job_has_every_field_of_the_contract(dashboard, db):
    run = make_run(
        duration_s=3725.0,
        examined_files=1,
        examined_bytes=2,
        storage_bytes=3,
        uploaded_bytes=4,
        version_count=5,
        warning_count=6,
        error_count=7,
        status="Error",
        available_versions=("2031-05-04T00:00:00.000Z",),
    )
    assert dashboard()["serversSummary"][0]["backupInfo"] == [
        {
            "name": "photos",
            "lastBackupDate": "2031-05-04T11:00:00.000Z",
            "lastBackupId": run.id,
            "lastBackupStatus": "Error",
            "lastBackupDuration": "01:02:05",
            "lastBackupListCount": 5,
            "backupCount": 1,
            "statusHistory": ["Error"],
            "fileCount": 1,
            "fileSize": 2,
            "storageSize": 3,
            "uploadedSize": 4,
            "warnings": 6,
            "errors": 7,
            "availableBackups": ["2031-05-04T00:00:00.000Z"],
            "isBackupOverdue": False,
            "notificationEvent": "warnings",
            "expectedBackupDate": "2031-05-05T11:00:00.000Z",
            "expectedBackupElapsed": dashboard()["serversSummary"][0]["backupInfo"][0]["expectedBackupElapsed"],
            "lastNotificationSent": NOT_AVAILABLE,
        }
    ]


def test_server_sums_its_jobs_and_shows_its_newest_run(dashboard, db):
    make_run(job_name="a", storage_bytes=1, examined_files=10, examined_bytes=100, uploaded_bytes=1000)
    last = make_run(
        job_name="b",
        began_at=BEGAN_AT + HOUR,
        storage_bytes=2,
        examined_files=20,
        examined_bytes=200,
        uploaded_bytes=2000,
        status="Warning",
    )
    [server] = dashboard()["serversSummary"]
    assert (server["id"], server["name"], server["backupNames"]) == ("machine-1", "nas", ["a", "b"])
    assert (server["totalBackupCount"], server["totalStorageSize"], server["totalFileCount"]) == (2, 3, 30)
    assert (server["totalFileSize"], server["totalUploadedSize"]) == (300, 3000)
    assert (server["lastBackupName"], server["lastBackupId"]) == ("b", last.id)
    assert (server["lastBackupStatus"], server["lastBackupDuration"]) == ("Warning", "00:02:00")
    assert (server["haveOverdueBackups"], server["hasPassword"]) == (False, False)


def test_server_without_runs(dashboard, db):
    with writing() as session:
        session.add(Server(id="m-9", name="new", created_at=BEGAN_AT))
    [server] = dashboard()["serversSummary"]
    assert server["backupInfo"] == []
    assert {server[f"lastBackup{part}"] for part in ("Date", "Status", "Duration", "Name", "Id")} == {NOT_AVAILABLE}
    assert server["lastBackupListCount"] == 0


def test_totals_are_those_of_the_summary(dashboard, client, db):
    make_run(uploaded_bytes=5)
    make_run(uploaded_bytes=6, began_at=BEGAN_AT + HOUR)
    body = dashboard()["overallSummary"]
    assert body["totalUploadedSize"] == 11
    assert body == client.get("/api/summary").get_json()


def test_overdue_job_is_overdue_everywhere(dashboard, clock, db):
    make_run(began_at=clock() - 3 * DAY)
    body = dashboard()
    [server] = body["serversSummary"]
    assert server["backupInfo"][0]["isBackupOverdue"] is server["haveOverdueBackups"] is True
    assert body["overallSummary"]["overdueBackupsCount"] == 1


def test_bad_interval_does_not_affect_the_rest_of_the_dashboard(dashboard, db):
    make_run(job_name="a")
    make_run(job_name="b")
    with writing() as session:
        job = session.scalars(select(Job).where(Job.name == "a")).one()
        job.expected_interval, job.next_expected_at = "soon", None
    odd, good = dashboard()["serversSummary"][0]["backupInfo"]
    assert (odd["expectedBackupDate"], odd["expectedBackupElapsed"]) == (NOT_AVAILABLE, NOT_AVAILABLE)
    assert (odd["isBackupOverdue"], odd["lastBackupStatus"]) == (False, "Success")
    assert good["expectedBackupDate"] != NOT_AVAILABLE


def test_heartbeat_bar_has_the_newest_hundred_runs(dashboard, db):
    for number in range(102):
        make_run(began_at=BEGAN_AT + number * HOUR, status="Fatal" if number < 2 else "Success")
    assert dashboard()["serversSummary"][0]["backupInfo"][0]["statusHistory"] == ["Success"] * 100


def test_chart_points_are_the_newest_runs_and_all_of_them_when_asked(dashboard, db, monkeypatch):
    monkeypatch.setattr(series, "RUN_POINTS", 3)
    for number in range(5):
        make_run(began_at=BEGAN_AT + number * HOUR, uploaded_bytes=number, duration_s=119.0)
    points = dashboard()["chartData"]
    assert [point["uploadedSize"] for point in points] == [2, 3, 4]
    assert points[0] | {"date": "04/05/2031", "isoDate": "2031-05-04T13:00:00.000Z", "duration": 1} == points[0]
    assert len(dashboard("/api/dashboard?all=true")["chartData"]) == 5


def test_last_overdue_check_is_shown(dashboard, clock, db):
    make_run()
    assert dashboard()["serversSummary"][0]["lastOverdueCheck"] == NOT_AVAILABLE
    settings_store.put("last_overdue_check_at", "2031-05-04T11:30:00+00:00", now=clock())
    assert dashboard()["serversSummary"][0]["lastOverdueCheck"] == "2031-05-04T11:30:00.000Z"


def test_response_may_not_be_stored(admin):
    headers = admin.get("/api/dashboard").headers
    assert ("no-store" in headers["Cache-Control"], headers["Expires"], headers["Pragma"]) == (True, "0", "no-cache")


def test_response_needs_the_same_few_statements_for_any_number_of_jobs(admin, db):
    def statements() -> int:
        with sent_statements() as seen:
            assert admin.get("/api/dashboard").status_code == 200
        return len(seen)

    make_run()
    for_one = statements()
    for number in range(60):
        make_run(server_id=f"m-{number % 9}", job_name=f"job {number}")
    assert statements() == for_one <= 6
    assert statements() < for_one  # nothing changed since
