"""Starting, stopping and reloading, and messages that are sent automatically."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy.exc import OperationalError

from app.audit.log import Actor
from app.core.db.orm import db
from app.core.settings import store as settings_store
from app.factory import create_app
from app.notifications import channels, summary_settings
from app.plugin.testing.http_servers import Answer, recording_server
from app.reports.ingest import ingest_report
from app.reports.parser import Report
from app.scheduling import background, tasks
from app.scheduling.control import OVERDUE_CHECK
from app.scheduling.tasks import DAILY_SUMMARY, TASKS

pytestmark = pytest.mark.slow

BEGAN_AT = datetime(2031, 5, 4, 11, 0, tzinfo=UTC)


@pytest.fixture
def schedule(working_app) -> tasks.Schedule:
    return background.jobs_of(working_app).schedule


# Tasks with times chosen by users are off until then.
ALWAYS = [task.name for task in TASKS.values() if task.plan is None]


def test_all_tasks_but_summaries_are_scheduled_by_default(schedule):
    assert schedule.is_running
    assert schedule.active_tasks() == ALWAYS


def test_a_stopped_task_can_be_started_again(schedule):
    schedule.stop_task(OVERDUE_CHECK)
    assert OVERDUE_CHECK not in schedule.active_tasks()
    schedule.start_task(OVERDUE_CHECK)
    schedule.start_task(OVERDUE_CHECK)
    assert schedule.active_tasks().count(OVERDUE_CHECK) == 1


@pytest.mark.parametrize("name", ["xyz", ""])
def test_an_unknown_task_is_neither_started_nor_stopped(schedule, name):
    with pytest.raises(tasks.UnknownTask):
        schedule.start_task(name)
    with pytest.raises(tasks.UnknownTask):
        schedule.stop_task(name)


def test_a_reload_follows_the_settings(working_app, schedule, clock):
    with working_app.app_context():
        settings_store.put(
            "cron_tasks", {OVERDUE_CHECK: {"cronExpression": "0 0 1 1 0", "enabled": False}}, now=clock()
        )
    assert OVERDUE_CHECK in schedule.active_tasks()
    schedule.reload()
    assert schedule.active_tasks() == [name for name in ALWAYS if name != OVERDUE_CHECK]
    schedule.start_task(OVERDUE_CHECK)
    assert OVERDUE_CHECK in schedule.active_tasks()


def test_a_reload_with_an_unreadable_expression_reports_it(working_app, schedule, clock):
    with working_app.app_context():
        settings_store.put("cron_tasks", {OVERDUE_CHECK: {"cronExpression": "often"}}, now=clock())
    with pytest.raises(ValueError, match="often"):
        schedule.reload()


def test_an_unreadable_expression_does_not_stop_the_monitor(app, clock):
    with app.app_context():
        settings_store.put("cron_tasks", {OVERDUE_CHECK: {"cronExpression": "often"}}, now=clock())
    background.start_jobs(app)
    assert OVERDUE_CHECK in background.jobs_of(app).schedule.active_tasks()
    background.stop_jobs(app)


def test_starting_and_stopping_twice_is_harmless(working_app):
    schedule = background.jobs_of(working_app).schedule
    background.start_jobs(working_app)
    assert background.jobs_of(working_app).schedule is schedule
    background.stop_jobs(working_app)
    background.stop_jobs(working_app)
    assert background.jobs_of(working_app).schedule is None
    assert not schedule.is_running


def test_an_application_without_jobs_has_no_schedule(app):
    assert background.jobs_of(app).schedule is None


def test_two_applications_work_side_by_side(working_app, settings, tmp_path):
    other = create_app(replace(settings, data_dir=tmp_path / "other"))
    background.start_jobs(other)
    background.jobs_of(other).schedule.stop_task(OVERDUE_CHECK)
    assert OVERDUE_CHECK in background.jobs_of(working_app).schedule.active_tasks()
    background.stop_jobs(other)
    with other.app_context():
        db.engine.dispose()
    assert background.jobs_of(working_app).schedule.is_running


def test_queued_messages_are_sent_at_once(working_app, clock):
    with recording_server() as ntfy:
        with working_app.app_context():
            channels.save_settings("ntfy", "ntfy", {"url": ntfy.url, "topic": "main"}, now=clock())
            ingest_report(failed_run(), now=clock(), actor=Actor())
        [push] = ntfy.wait_for(1)
    assert push.json["title"] == "⚠️ Error - photos @ nas"


def test_an_upload_does_not_wait_for_a_slow_server(working_app, clock):
    with recording_server() as ntfy:
        ntfy.standard = Answer(delay_s=1.0)
        with working_app.app_context():
            channels.save_settings("ntfy", "ntfy", {"url": ntfy.url, "topic": "main"}, now=clock())
            began = datetime.now(UTC)
            ingest_report(failed_run(), now=clock(), actor=Actor())
            assert (datetime.now(UTC) - began).total_seconds() < 0.5
        ntfy.wait_for(1)


def failed_run() -> Report:
    return Report(
        server_id="machine-1",
        server_name="nas",
        job_name="photos",
        duplicati_id="DB-1",
        main_operation="Backup",
        began_at=BEGAN_AT,
        ended_at=BEGAN_AT,
        duration_s=1.0,
        status="Error",
        parsed_result="Error",
    )


class TestPlannedTasks:
    @pytest.fixture
    def save(self, working_app, clock):
        def save(**values):
            with working_app.app_context():
                chosen = {"is_enabled": True, "time": "07:30", "recipients": "", **values}
                summary_settings.save_daily_summary(**chosen, actor=Actor(), now=clock())

        return save

    def test_they_follow_their_settings_at_a_reload(self, schedule, save):
        save()
        schedule.reload()
        expression, next_run_at = schedule.plans()[DAILY_SUMMARY]
        assert (expression, next_run_at.strftime("%H:%M")) == ("30 7 * * *", "07:30")
        save(is_enabled=False)
        schedule.reload()
        assert schedule.plans()[DAILY_SUMMARY][1] is None

    def test_they_follow_settings_of_another_process_with_the_next_tick_of_any_task(self, schedule, save):
        for values, is_on in (({}, True), ({"time": "08:15"}, True), ({"is_enabled": False}, False)):
            save(**values)
            schedule._tick(OVERDUE_CHECK)
            assert (DAILY_SUMMARY in schedule.active_tasks()) == is_on
        save(time="09:45")
        schedule._tick(OVERDUE_CHECK)
        assert schedule.plans()[DAILY_SUMMARY][1].strftime("%H:%M") == "09:45"

    def test_a_manually_stopped_task_stays_stopped(self, schedule, save):
        save()
        schedule.reload()
        schedule.stop_task(DAILY_SUMMARY)
        schedule._tick(OVERDUE_CHECK)
        assert DAILY_SUMMARY not in schedule.active_tasks()

    def test_missed_occurrences_are_checked_after_a_start(self, app, clock):
        with app.app_context():
            chosen = {"is_enabled": True, "time": "07:30", "recipients": ""}
            summary_settings.save_daily_summary(**chosen, actor=Actor(), now=clock())
        background.start_jobs(app)
        try:
            assert background.jobs_of(app).schedule._scheduler.get_job(f"{DAILY_SUMMARY}:catch-up") is not None
        finally:
            background.stop_jobs(app)


class TestSeveralProcesses:
    """Two schedules on one database represent two processes: they share nothing else."""

    @pytest.fixture
    def other(self, working_app, settings):
        other = create_app(settings)
        background.start_jobs(other)
        yield background.jobs_of(other).schedule
        background.stop_jobs(other)
        with other.app_context():
            db.engine.dispose()

    @pytest.fixture
    def save(self, app, clock):
        def save(value):
            with app.app_context():
                settings_store.put("cron_tasks", {OVERDUE_CHECK: value}, now=clock())

        return save

    def test_each_process_checks_for_changes_more_often_than_every_30_seconds(self, schedule):
        [job] = [job for job in schedule._scheduler.get_jobs() if job.id not in TASKS and ":" not in job.id]
        assert job.trigger.interval.total_seconds() < 30
        schedule.reload()
        assert schedule._scheduler.get_job(job.id) is not None

    def test_each_process_follows_an_interval_stored_by_another(self, schedule, other, save):
        save({"cronExpression": "*/1 * * * *", "enabled": True})
        before = schedule._scheduler.get_job(OVERDUE_CHECK).trigger
        schedule.plans()  # settings read by the API must not count as applied
        for each in (schedule, other):
            each.follow()
            assert str(each._scheduler.get_job(OVERDUE_CHECK).trigger) != str(before)
        save({"cronExpression": "*/1 * * * *", "enabled": False})
        schedule.follow()
        assert OVERDUE_CHECK not in schedule.active_tasks()

    def test_a_stopped_task_stops_in_all_processes(self, schedule, other):
        other.stop_task(OVERDUE_CHECK)
        schedule.follow()
        assert OVERDUE_CHECK not in schedule.active_tasks()
        with pytest.raises(tasks.UnknownTask):
            schedule.stop_task(OVERDUE_CHECK)

    def test_a_started_task_starts_in_all_processes(self, schedule, other, save):
        save({"cronExpression": "*/5 * * * *", "enabled": False})
        schedule.follow()
        other.start_task(OVERDUE_CHECK)
        schedule.follow()
        assert OVERDUE_CHECK in schedule.active_tasks()

    def test_a_reload_restores_the_settings_in_all_processes(self, schedule, other):
        other.stop_task(OVERDUE_CHECK)
        schedule.follow()
        other.reload()
        schedule.follow()
        assert OVERDUE_CHECK in schedule.active_tasks()

    def test_a_new_setting_takes_precedence_over_an_earlier_stop(self, schedule, other, save):
        other.stop_task(OVERDUE_CHECK)
        schedule.follow()
        save({"cronExpression": "*/10 * * * *", "enabled": True})
        schedule.follow()
        assert OVERDUE_CHECK in schedule.active_tasks()

    def test_a_restart_restores_the_settings(self, working_app, schedule):
        schedule.stop_task(OVERDUE_CHECK)
        background.stop_jobs(working_app)
        background.start_jobs(working_app)
        assert OVERDUE_CHECK in background.jobs_of(working_app).schedule.active_tasks()

    def test_an_unreadable_expression_changes_nothing_and_keeps_the_others(self, schedule, save, caplog):
        before = schedule._scheduler.get_job(OVERDUE_CHECK).trigger
        save({"cronExpression": "often", "enabled": True})
        schedule._follow_quietly()
        schedule._follow_quietly()
        assert schedule._scheduler.get_job(OVERDUE_CHECK).trigger is before
        assert caplog.text.count("often") == 1
        with pytest.raises(ValueError, match="often"):
            schedule.reload()
        assert schedule.active_tasks() == ALWAYS

    def test_a_database_outage_does_not_change_the_schedule(self, schedule, monkeypatch, caplog):
        error = OperationalError("SELECT 1", {}, Exception("gone"))
        monkeypatch.setattr(settings_store, "get", lambda _name: (_ for _ in ()).throw(error))
        schedule._follow_quietly()
        assert schedule.active_tasks() == ALWAYS
        assert "gone" in caplog.text
