"""What the API returns beyond the status of jobs, and how limits, quotas and tags are set."""

from datetime import timedelta

import pytest
from factories import BEGAN_AT, find_job, make_run
from sqlalchemy import func, select

from app.audit.log import AuditEntry
from app.notifications import channels
from app.notifications.models import Delivery

GIB = 1024**3
DAY = timedelta(days=1)


@pytest.fixture
def settings(settings_of_each_database):
    """Every test here runs on SQLite and on PostgreSQL."""
    return settings_of_each_database


@pytest.fixture
def fortnights(app, db, shared_applications):
    """Ten weeks of runs; the destination grows by a gigabyte a day, and the last upload is very large."""
    shared_applications.fill_once(app, "fortnights", store_fortnights)


def store_fortnights() -> None:
    for day in range(70):
        uploaded = 40 * GIB if day == 69 else GIB
        make_run(
            began_at=BEGAN_AT + day * DAY,
            uploaded_bytes=uploaded,
            storage_bytes=(100 + day) * GIB,
            quota_total_bytes=1000 * GIB,
            quota_free_bytes=30 * GIB,
        )


def insight_of(client, server_id: str = "machine-1") -> dict:
    (job,) = client.get(f"/api/insight/{server_id}").get_json()["backups"]
    return job


@pytest.mark.usefixtures("fortnights")
class TestInsight:
    def test_a_large_upload_is_reported_with_the_usual_value(self, admin):
        (anomaly,) = insight_of(admin)["anomalies"]
        assert anomaly == {
            "figure": "upload",
            "value": 40 * GIB,
            "usual": GIB,
            "text": "upload 40 times the usual value",
        }

    def test_the_forecast_follows_the_reported_space(self, admin):
        job = insight_of(admin)
        assert job["growthBytesPerDay"] == pytest.approx(GIB)
        assert job["freeBytes"] == 30 * GIB
        assert job["fullAt"] == f"{(BEGAN_AT + 99 * DAY).isoformat(timespec='milliseconds')[:-6]}Z"

    def test_an_entered_quota_takes_precedence_and_can_be_removed(self, admin):
        path = "/api/insight/machine-1/quota"
        admin.send("PATCH", path, json={"backupName": "photos", "quotaBytes": 170 * GIB})
        assert insight_of(admin)["freeBytes"] == GIB
        admin.send("PATCH", path, json={"backupName": "photos", "quotaBytes": None})
        assert insight_of(admin)["freeBytes"] == 30 * GIB

    def test_wider_limits_apply_at_once_to_the_newest_runs(self, admin, db):
        answer = admin.send("PATCH", "/api/insight-limits", json={"times": 50})
        assert answer.get_json()["times"] == 50
        assert insight_of(admin)["anomalies"] == []
        assert admin.get("/api/insight-limits").get_json()["percent"] == 30
        db.session.rollback()
        entry = db.session.scalar(select(AuditEntry).where(AuditEntry.action == "anomaly_limits_updated"))
        assert entry.details["times"] == 50

    def test_hidden_servers_are_not_found(self, admin, app):
        account = {"username": "eve", "autoGeneratePassword": False, "password": "Other8Password"}
        account |= {"requirePasswordChange": False, "allServers": False, "serverIds": []}
        assert admin.send("POST", "/api/users", json=account).status_code == 201
        eve = app.test_client()
        eve.sign_in("eve", "Other8Password")
        assert eve.get("/api/insight").get_json() == {"servers": []}
        assert eve.get("/api/insight/machine-1").status_code == 404
        assert eve.get("/api/tags").get_json() == {"tags": [], "tagged": []}


@pytest.mark.usefixtures("fortnights")
@pytest.mark.parametrize(("notify", "count"), [(True, 1), (False, 0)])
def test_the_message_about_an_unusual_run_is_enabled_and_disabled(admin, db, clock, notify, count):
    channels.save_settings("ntfy", "ntfy", {"url": "http://127.0.0.1:9", "topic": "x"}, now=clock())
    answer = admin.send("PATCH", "/api/insight-limits", json={"notify": notify})
    assert answer.get_json()["notify"] is notify
    make_run(began_at=BEGAN_AT + 70 * DAY, uploaded_bytes=400 * GIB)
    db.session.rollback()
    sent = select(func.count()).select_from(Delivery).where(Delivery.event == "unusualRun")
    assert db.session.scalar(sent) == count


@pytest.mark.parametrize(
    "body", [{"times": 1}, {"percent": 0}, {"minRuns": 2}, {"deviations": "many"}, {"other": 1}], ids=str
)
def test_invalid_limits_are_rejected(admin, body):
    assert admin.send("PATCH", "/api/insight-limits", json=body).status_code == 400


def test_a_quota_of_an_unknown_job_is_not_found(admin):
    body = {"backupName": "no", "quotaBytes": 5}
    assert admin.send("PATCH", "/api/insight/machine-1/quota", json=body).status_code == 404


def test_tags_are_normalized_and_kept_in_order(admin, db):
    make_run()
    answer = admin.send("PATCH", "/api/tags/machine-1", json={"tags": ["  off   site ", "Cloud", "cloud", ""]})
    assert answer.get_json()["tags"] == ["Cloud", "off site"]
    admin.send("PATCH", "/api/tags/machine-1", json={"tags": ["daily"], "backupName": "photos"})
    assert find_job().tags == ["daily"]
    assert admin.get("/api/tags").get_json() == {
        "tags": ["Cloud", "daily", "off site"],
        "tagged": [
            {"serverId": "machine-1", "backupName": None, "tags": ["Cloud", "off site"]},
            {"serverId": "machine-1", "backupName": "photos", "tags": ["daily"]},
        ],
    }


@pytest.mark.parametrize("tags", [["x" * 41], ["a,b"], [str(number) for number in range(21)], "word", [5]], ids=str)
def test_invalid_tags_are_rejected(admin, db, tags):
    make_run()
    assert admin.send("PATCH", "/api/tags/machine-1", json={"tags": tags}).status_code == 400
    assert admin.get("/api/tags").get_json()["tags"] == []


@pytest.mark.parametrize("body", [{"tags": []}, {"tags": [], "backupName": "none"}])
def test_tags_of_unknown_jobs_and_servers_are_not_found(admin, body):
    assert admin.send("PATCH", "/api/tags/nowhere", json=body).status_code == 404


@pytest.mark.usefixtures("db")
class TestSchedules:
    def change(self, client, choice: str, name: str = "photos"):
        body = {"backupName": name, "choice": choice}
        return client.send("POST", "/api/insight/machine-1/schedule", json=body)

    def test_the_learned_schedule_is_returned_and_can_be_kept(self, admin):
        for day in (0, 7, 14, 21):
            make_run(began_at=BEGAN_AT + day * DAY)
        schedule = insight_of(admin)["schedule"]
        learned = {
            "interval": "1W",
            "weekdays": [0, 1, 2, 3, 4, 5, 6],
            "slot": "2031-05-25T11:00:00.000Z",
            "zone": schedule["learned"]["zone"],
            "spreadSeconds": 0,
            "runs": 4,
        }
        assert schedule == {"source": "learned", "learned": learned, "offeredInterval": None}
        (kept,) = self.change(admin, "keep").get_json()["backups"]
        assert kept["schedule"]["source"] == "kept"
        (again,) = self.change(admin, "learn").get_json()["backups"]
        assert again["schedule"] == schedule

    def test_irregular_jobs_get_a_suggestion(self, admin):
        for day in (0, 2.3, 2.9, 5.1, 5.6, 8.2, 10.4, 10.9, 13.5):
            make_run(began_at=BEGAN_AT + day * DAY)
        assert insight_of(admin)["schedule"] == {"source": "default", "learned": None, "offeredInterval": "3D"}
        self.change(admin, "keep")
        assert insight_of(admin)["schedule"]["source"] == "person"

    def test_missing_schedule_and_unknown_job_are_reported(self, admin):
        make_run()
        assert self.change(admin, "keep").status_code == 409
        assert self.change(admin, "learn", "music").status_code == 404
        assert self.change(admin, "forget").status_code == 400

    def test_it_is_recorded(self, admin, db):
        make_run()
        self.change(admin, "learn")
        db.session.rollback()
        entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "schedule_updated")).one()
        assert entry.target_id == "machine-1:photos"
