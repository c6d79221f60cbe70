"""The scheduler over HTTP, with and without one."""

import pytest
from sqlalchemy import select

from app.audit.log import AuditEntry
from app.core.settings import store as settings_store
from app.scheduling import background

HOUR = "0      *    *            *     *"


@pytest.fixture
def scheduled(app):
    background.start_jobs(app)
    yield app
    background.stop_jobs(app)


@pytest.fixture
def post(admin):
    return lambda path, **body: admin.send("POST", f"/api/cron/{path}", json=body)


class TestInterval:
    def test_interval_is_five_minutes_by_default(self, admin):
        assert admin.get("/api/cron-config").get_json() == {"cronExpression": "*/5 * * * *", "enabled": True}

    def test_a_preset_is_stored_and_audited(self, admin, db):
        answer = admin.send("POST", "/api/cron-config", json={"interval": "1hour"})
        assert answer.get_json() == {"success": True}
        assert admin.get("/api/cron-config").get_json() == {"cronExpression": HOUR, "enabled": True}
        entry = db.session.scalars(
            select(AuditEntry).where(AuditEntry.action == "overdue_monitoring_interval_updated")
        ).one()
        assert entry.details == {"oldInterval": "5 minutes", "newInterval": "1 hour"}

    @pytest.mark.parametrize(
        "name", ["disabled", "1min", "5min", "10min", "15min", "20min", "30min", "1hour", "2hours"]
    )
    def test_every_preset_can_be_scheduled(self, admin, scheduled, post, name):
        assert admin.send("POST", "/api/cron-config", json={"interval": name}).status_code == 200
        assert post("reload-config").status_code == 200
        tasks = admin.get("/api/cron/health").get_json()["activeTasks"]
        assert ("overdue-backup-check" in tasks) == (name != "disabled")

    @pytest.mark.parametrize("body", [{}, {"interval": ""}, {"interval": "3min"}, {"interval": 5}])
    def test_another_interval_is_rejected(self, admin, body):
        assert admin.send("POST", "/api/cron-config", json=body).status_code == 400


class TestTasks:
    def test_each_task_returns_its_times_and_its_last_run(self, admin, scheduled, post):
        post("trigger/overdue-backup-check")
        tasks = {task["name"]: task for task in admin.get("/api/cron/tasks").get_json()["tasks"]}
        check = tasks["overdue-backup-check"]
        assert check["cronExpression"] == "*/5 * * * *"
        assert check["nextRun"].endswith("Z")
        assert check["lastRun"] == "2031-05-04T12:00:00.000Z"
        assert (check["lastDurationSeconds"] >= 0, check["lastError"]) == (True, None)
        summary = tasks["daily-summary"]
        assert (summary["cronExpression"], summary["nextRun"], summary["lastRun"]) == ("0 1 * * *", None, None)

    def test_a_failure_stays_until_the_next_good_run(self, admin, scheduled, post, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr("app.schedules.overdue_check.check_overdue", lambda *_arguments: 1 / 0)
            post("trigger/overdue-backup-check")
        errors = [task["lastError"] for task in admin.get("/api/cron/tasks").get_json()["tasks"]]
        assert errors.count("ZeroDivisionError: division by zero") == 1

    def test_without_a_scheduler_there_are_no_tasks(self, admin):
        assert admin.get("/api/cron/tasks").status_code == 503


class TestScheduler:
    @pytest.fixture(autouse=True)
    def _scheduled(self, scheduled):
        pass

    def test_health_names_the_tasks_and_their_last_runs(self, admin, post):
        post("trigger/overdue-backup-check")
        health = admin.get("/api/cron/health").get_json()
        assert health["isRunning"] is True
        assert health["activeTasks"] == ["overdue-backup-check", "audit-log-cleanup"]
        assert health["lastRunTimes"]["overdue-backup-check"] == "2031-05-04T12:00:00.000Z"
        assert health["errors"] == {}

    def test_a_trigger_returns_the_result(self, post):
        counts = {"totalBackupConfigs": 0, "checkedBackups": 0, "overdueBackupsFound": 0, "notificationsSent": 0}
        assert post("trigger/overdue-backup-check").get_json() == {
            "taskName": "overdue-backup-check",
            "success": True,
            "message": "Task executed successfully",
            "statistics": counts,
        }

    def test_a_cleanup_has_a_message_and_no_figures(self, post):
        result = post("trigger/audit-log-cleanup").get_json()
        assert (result["success"], "90 days" in result["message"], "statistics" in result) == (True, True, False)

    def test_an_unknown_task_is_a_failure_with_status_200(self, post):
        answer = post("trigger/xyz")
        assert answer.status_code == 200
        assert answer.get_json() == {"taskName": "xyz", "success": False, "error": "Error: Unknown task: xyz"}

    def test_a_task_can_be_stopped_and_started(self, admin, post):
        def is_active():
            return "audit-log-cleanup" in admin.get("/api/cron/health").get_json()["activeTasks"]

        assert post("stop/audit-log-cleanup").status_code == 200
        assert not is_active()
        assert post("stop/audit-log-cleanup").status_code == 404
        assert post("start/audit-log-cleanup").status_code == 200
        assert is_active()

    def test_starting_an_unknown_task_is_not_found(self, post):
        assert post("start/xyz").status_code == 404

    def test_an_invalid_expression_is_reported(self, db, clock, post):
        settings_store.put("cron_tasks", {"audit-log-cleanup": {"cronExpression": "often"}}, now=clock())
        assert post("start/audit-log-cleanup").status_code == 500
        assert post("reload-config").status_code == 500

    def test_an_unknown_path_is_not_found_as_json(self, admin):
        answer = admin.get("/api/cron/nothing")
        assert (answer.status_code, answer.get_json()["error"]) == (404, "Not found")

    def test_body_is_optional(self, admin):
        assert admin.send("POST", "/api/cron/reload-config").status_code == 200


@pytest.mark.parametrize("path", ["trigger/x", "stop/x", "start/x", "reload-config"])
def test_without_a_scheduler_its_controls_are_not_available(post, path):
    answer = post(path)
    assert (answer.status_code, answer.get_json()["error"]) == (503, "Cron service is not running")
    assert answer.get_json()["message"]


def test_without_a_scheduler_there_is_no_health(admin):
    assert admin.get("/api/cron/health").status_code == 503


def test_a_visitor_has_no_access(client):
    assert client.get("/api/cron-config").status_code == 401
    assert client.get("/api/cron/health").status_code == 401
    assert client.post("/api/cron/reload-config").status_code == 401
