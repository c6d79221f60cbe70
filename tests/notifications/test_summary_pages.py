"""The tabs of summaries and of scheduled tasks."""

import re

import pytest
from sqlalchemy import select

from app.audit.log import AuditEntry
from app.notifications import channels, summary_settings
from app.notifications.models import Delivery
from app.schedules.task_pages import TASK_WORDS
from app.scheduling import background, tasks


@pytest.fixture
def send(admin):
    def send(path: str, **entries):
        data = {"csrf_token": admin.csrf_headers()["X-CSRF-Token"], **entries}
        return admin.post(f"/settings/{path}", data=data)

    return send


@pytest.fixture
def scheduled(app):
    background.start_jobs(app)
    yield app
    background.stop_jobs(app)


@pytest.fixture
def email(db, clock):
    settings = {"host": "127.0.0.1", "port": 9, "connection_type": "plain", "mailto": "admin@example.org"}
    return channels.save_settings("email", "email", settings | {"from_address": "me@example.org"}, now=clock())


class TestSummaries:
    def test_they_are_off_by_default_and_report_missing_email(self, admin):
        page = admin.get("/settings?tab=summary").text
        assert "Email is disabled or not configured, so nothing can be sent." in page
        assert 'value="01:00"' in page
        assert re.search(r'id="daily-on"\s+name="is_on"\s+value="1"\s*>', page)

    def test_the_daily_summary_is_saved_and_scheduled_at_once(self, send, admin, db, email, scheduled):
        entries = {"is_on": "1", "time": "05:30", "recipients": "a@example.org"}
        assert send("summary/daily", **entries).status_code == 303
        db.session.rollback()
        plan = summary_settings.daily_summary()
        assert (plan.is_on, plan.time, plan.recipients) == (True, "05:30", ("a@example.org",))
        assert "Next:" in admin.get("/settings?tab=summary").text
        entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "daily_summary_updated")).one()
        assert entry.details["changes"]["time"] == {"old": None, "new": "05:30"}

    def test_the_digest_is_saved_with_its_channels(self, send, admin, db, email):
        entries = {"period": "weekly", "weekday": "5", "time": "18:00", "recipients": "", "channel": str(email.id)}
        assert send("summary/digest", **entries).status_code == 303
        db.session.rollback()
        plan = summary_settings.digest()
        assert (plan.period, plan.weekday, plan.time, plan.channel_ids) == ("weekly", 5, "18:00", (email.id,))
        page = admin.get("/settings?tab=summary").text
        assert '<option value="5" selected>Friday</option>' in page
        assert re.search(rf'value="{email.id}"\s+checked', page)

    @pytest.mark.parametrize(
        ("path", "entries", "error"),
        [
            ("daily", {"is_on": "1", "time": "5:3"}, "Enter a time of day such as 07:30"),
            ("daily", {"is_on": "1", "time": "05:30", "recipients": "nobody"}, "is not an email address"),
            ("digest", {"period": "weekly", "weekday": "1", "time": "05:30"}, "Select at least one channel"),
            (
                "digest",
                {"period": "weekly", "weekday": "9", "time": "05:30", "channel": "1"},
                "The weekday must be a number from 0 (Sunday) to 6 (Saturday)",
            ),
        ],
    )
    def test_an_invalid_value_is_reported_and_kept(self, send, path, entries, error):
        answer = send(f"summary/{path}", **entries)
        assert answer.status_code == 400
        assert entries.get("recipients", "") in answer.text
        assert error in answer.text or "weekday" in error

    def test_one_can_be_sent_now(self, send, admin, db, email, post):
        post()
        send("summary/daily/send")
        assert "1 notification queued" in admin.get("/settings?tab=summary").text
        db.session.rollback()
        assert db.session.scalars(select(Delivery.event)).all() == ["dailySummary"]
        send("summary/digest/send")
        assert "no digest can be sent" in admin.get("/settings?tab=summary").text

    def test_others_have_read_access_only(self, admin, app):
        new = {"username": "viewer", "password": "Viewer1234", "isAdmin": False, "requirePasswordChange": False}
        assert admin.send("POST", "/api/users", json=new).status_code == 201
        viewer = app.test_client()
        viewer.sign_in("viewer", "Viewer1234")
        assert "Send now" not in viewer.get("/settings?tab=summary").text
        assert "Run now" not in viewer.get("/settings?tab=tasks").text
        paths = ("summary/daily", "summary/digest", "summary/daily/send", "tasks/housekeeping/run")
        assert [viewer.send("POST", f"/settings/{path}").status_code for path in paths] == [403] * 4


class TestTasks:
    def test_each_task_has_its_description_and_times(self, admin, scheduled):
        page = admin.get("/settings?tab=tasks").text
        assert page.count("<tr>") == 1 + len(tasks.TASKS)
        assert tasks.TASKS.keys() <= TASK_WORDS.keys()
        assert "*/5 * * * *" in page

    def test_one_can_be_run_now_which_is_audited(self, send, admin, db, scheduled):
        send("tasks/overdue-backup-check/run")
        page = admin.get("/settings?tab=tasks").text
        assert "Overdue check: Task executed successfully" in page
        assert page.count(">OK<") + page.count("Fine</span>") > 0
        entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "task_run")).one()
        assert (entry.target_id, entry.status, entry.username) == ("overdue-backup-check", "success", "admin")

    def test_a_failure_is_shown_with_its_reason(self, send, admin, scheduled, monkeypatch):
        monkeypatch.setattr("app.schedules.overdue_check.check_overdue", lambda *_arguments: 1 / 0)
        send("tasks/overdue-backup-check/run")
        page = admin.get("/settings?tab=tasks").text
        assert "Overdue check failed: ZeroDivisionError: division by zero" in page
        assert "Failed" in page

    def test_a_missing_scheduler_is_reported(self, send, admin):
        assert "Scheduled tasks are disabled in this process (RUN_JOBS=false)." in admin.get("/settings?tab=tasks").text
        assert send("tasks/housekeeping/run").status_code == 503
