"""Starts the tasks at their times. One schedule for each application, so that tests may make many."""

import logging
from datetime import UTC, datetime, timedelta
from threading import Thread

from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from flask import Flask
from flask_apscheduler import APScheduler

from app.jobs.crontab import read_crontab
from app.jobs.tasks import TASKS, TaskResult, UnknownTask, run_task, run_tick
from app.services import configuration

log = logging.getLogger(__name__)

# A tick that comes late, after a sleep or a jump of the clock, is still worked off within this time, and once.
GRACE_S = 600
LONGEST_STOP_S = 2.0
# How long after a start what was missed meanwhile is made up for.
CATCH_UP_AFTER = timedelta(seconds=30)


class Schedule:
    """The schedule of one application, as the proxy of contract 80 speaks to it."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        # What people planned in the settings when that was last taken over.
        self._plans: dict[str, tuple[str, bool]] = {}
        self._scheduler = APScheduler(
            BackgroundScheduler(
                timezone=UTC,
                job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": GRACE_S},
            )
        )

    def start(self) -> None:
        """Schedule what is switched on, and begin; an expression that cannot be read must not stop the monitor."""
        self._scheduler.init_app(self._app)
        for name in self._enabled_tasks():
            try:
                self.start_task(name)
            except ValueError as error:
                log.error("task %s runs at its default times: %s", name, error)
                self._add(name, TASKS[name].expression)
            if TASKS[name].plan is not None or TASKS[name].starts_soon:
                self._catch_up(name)
        # Flask-APScheduler's own start does nothing in debug mode without a reloader, and we have none.
        self._scheduler.scheduler.start()

    def stop(self) -> None:
        """End, and wait a few seconds for a task that is running."""
        ending = Thread(target=self._scheduler.shutdown, daemon=True)
        ending.start()
        ending.join(LONGEST_STOP_S)

    @property
    def is_running(self) -> bool:
        """Whether ticks come."""
        return bool(self._scheduler.running)

    def active_tasks(self) -> list[str]:
        """The names of the tasks that are scheduled, in the order in which they are declared."""
        return [name for name in TASKS if self._scheduler.get_job(name) is not None]

    def start_task(self, name: str) -> None:
        """Schedule a task as the settings say, even when they switch it off; a scheduled one is replaced.

        Raises UnknownTask, and ValueError for an expression that cannot be read.
        """
        if name not in TASKS:
            raise UnknownTask(name)
        self._add(name, self._planned(name)[0])

    def stop_task(self, name: str) -> None:
        """Take a task off the schedule, until a reload or a start. Raises UnknownTask when it is not on it."""
        try:
            self._scheduler.remove_job(name)
        except JobLookupError as error:
            raise UnknownTask(name) from error

    def reload(self) -> None:
        """Schedule every task anew by the settings. Raises ValueError for an expression that cannot be read."""
        self._scheduler.remove_all_jobs()
        for name in self._enabled_tasks():
            self.start_task(name)

    def run_now(self, name: str) -> TaskResult:
        """Run a task, scheduled or not; one that fails, or that nobody knows, gives a result with its error."""
        try:
            return run_task(self._app, name)
        except UnknownTask as error:
            return TaskResult(name, error=str(error))

    def plans(self) -> dict[str, tuple[str, datetime | None]]:
        """The crontab expression of each task, and when it runs next; None for one that is not scheduled."""
        jobs = {name: self._scheduler.get_job(name) for name in TASKS}
        return {name: (self._planned(name)[0], job.next_run_time if job else None) for name, job in jobs.items()}

    def _enabled_tasks(self) -> list[str]:
        return [name for name in TASKS if self._planned(name)[1]]

    def _add(self, name: str, expression: str) -> None:
        may_be_late = {"misfire_grace_time": None} if TASKS[name].plan is not None else {}
        trigger = read_crontab(expression)
        self._scheduler.add_job(name, self._tick, args=(name,), trigger=trigger, replace_existing=True, **may_be_late)

    def _tick(self, name: str) -> None:
        run_tick(self._app, name)
        self._follow_plans()

    def _catch_up(self, name: str) -> None:
        at = datetime.now(UTC) + CATCH_UP_AFTER
        self._scheduler.add_job(f"{name}:catch-up", run_tick, args=(self._app, name), trigger="date", run_date=at)

    def _follow_plans(self) -> None:
        """Take over what was planned anew by another process that shares the database."""
        for name in (task.name for task in TASKS.values() if task.plan is not None):
            before = self._plans.get(name)
            expression, is_enabled = self._planned(name)
            if (expression, is_enabled) == before:
                continue
            if is_enabled:
                self._add(name, expression)
            elif self._scheduler.get_job(name) is not None:
                self._scheduler.remove_job(name)

    def _planned(self, name: str) -> tuple[str, bool]:
        """The expression of a task and whether it is switched on, as they are stored."""
        task = TASKS[name]
        with self._app.app_context():
            stored = configuration.get("cron_tasks").get(name)
            plan = task.plan() if task.plan is not None else None
        stored = stored if isinstance(stored, dict) else {}
        expression, is_enabled = (plan.rhythm.crontab, plan.is_on) if plan else (task.expression, True)
        planned = str(stored.get("cronExpression", expression)), bool(stored.get("enabled", is_enabled))
        if plan:
            self._plans[name] = planned
        return planned
