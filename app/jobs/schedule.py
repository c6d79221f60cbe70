"""Starts the tasks at their times. One schedule for each application, so that tests may make many."""

import logging
import threading
from datetime import UTC, datetime, timedelta
from threading import Thread

from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from flask import Flask
from flask_apscheduler import APScheduler
from sqlalchemy.exc import SQLAlchemyError

from app.jobs.crontab import read_crontab
from app.jobs.tasks import TASKS, ScheduledTask, TaskResult, UnknownTask, run_task, run_tick
from app.services import clock, configuration, task_schedule
from app.services.task_schedule import Planned

log = logging.getLogger(__name__)

# A tick that comes late, after a sleep or a jump of the clock, is still worked off within this time, and once.
GRACE_S = 600
LONGEST_STOP_S = 2.0
# How long after a start what was missed meanwhile is made up for.
CATCH_UP_AFTER = timedelta(seconds=30)
# How often each process looks for settings that another one has changed, and under which name.
FOLLOW_EVERY_S = 10
FOLLOW = "follow-settings"


class Schedule:
    """The schedule of one application, as the proxy of contract 80 speaks to it.

    Every process that shares the database follows the same settings, and the same tasks stopped and started by hand.
    """

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._lock = threading.RLock()
        # The expression of each task, and whether it is on, as they were last taken over.
        self._taken_over: dict[str, Planned] = {}
        self._scheduler = APScheduler(
            BackgroundScheduler(
                timezone=UTC,
                job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": GRACE_S},
            )
        )

    def start(self) -> None:
        """Schedule what is enabled, and begin; an expression that cannot be read must not stop the monitor.

        Tasks that were stopped or started by hand go back to the settings, in all processes.
        """
        self._scheduler.init_app(self._app)
        self._forget_changes()
        for error in self.plan_anew():
            log.error("%s", error)
        for name in self.active_tasks():
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
        """Schedule a task as the settings say, even when they disable it; a scheduled one is replaced.

        Raises UnknownTask, and ValueError for an expression that cannot be read.
        """
        if name not in TASKS:
            raise UnknownTask(name)
        with self._lock:
            planned = self._planned()[name]
            self._add(name, planned[0])
            self._change(name, True, planned)

    def stop_task(self, name: str) -> None:
        """Take a task off the schedule, until a reload or a start. Raises UnknownTask when it is not on it."""
        with self._lock:
            self.follow()
            try:
                self._scheduler.remove_job(name)
            except JobLookupError as error:
                raise UnknownTask(name) from error
            self._change(name, False, self._planned()[name])

    def reload(self) -> None:
        """Schedule every task anew by the settings, in all processes that share the database.

        Raises ValueError for an expression that cannot be read; that task then runs at its default times.
        """
        self._forget_changes()
        if errors := self.plan_anew():
            raise ValueError(errors[0])

    def plan_anew(self) -> list[str]:
        """Make the whole schedule anew from now on; returns what is wrong with the settings."""
        with self._lock:
            self._scheduler.remove_all_jobs()
            self._taken_over.clear()
            self._scheduler.add_job(FOLLOW, self._follow_quietly, trigger="interval", seconds=FOLLOW_EVERY_S)
            return self.follow()

    def follow(self) -> list[str]:
        """Take over what any process has changed since; returns what is wrong with the settings."""
        with self._lock:
            errors = []
            for name, wanted in self._wanted().items():
                if wanted != self._taken_over.get(name):
                    self._taken_over[name] = wanted
                    errors += self._take_over(name, *wanted)
            return errors

    def run_now(self, name: str) -> TaskResult:
        """Run a task, scheduled or not; one that fails, or that nobody knows, gives a result with its error."""
        try:
            return run_task(self._app, name)
        except UnknownTask as error:
            return TaskResult(name, error=str(error))

    def plans(self) -> dict[str, tuple[str, datetime | None]]:
        """The crontab expression of each task, and when it runs next; None for one that is not scheduled."""
        jobs = {name: self._scheduler.get_job(name) for name in TASKS}
        planned = self._planned()
        return {name: (planned[name][0], job.next_run_time if job else None) for name, job in jobs.items()}

    def _take_over(self, name: str, expression: str, is_on: bool) -> list[str]:
        try:
            if is_on:
                self._add(name, expression)
            elif self._scheduler.get_job(name) is not None:
                self._scheduler.remove_job(name)
        except ValueError as error:
            if self._scheduler.get_job(name) is None:
                self._add(name, TASKS[name].expression)
            return [f"task {name} keeps its times: {error}"]
        return []

    def _add(self, name: str, expression: str) -> None:
        may_be_late = {"misfire_grace_time": None} if TASKS[name].plan is not None else {}
        trigger = read_crontab(expression)
        self._scheduler.add_job(name, self._tick, args=(name,), trigger=trigger, replace_existing=True, **may_be_late)

    def _tick(self, name: str) -> None:
        run_tick(self._app, name)
        self._follow_quietly()

    def _follow_quietly(self) -> None:
        try:
            for error in self.follow():
                log.error("%s", error)
        except SQLAlchemyError as error:  # the next look is soon, and whoever works with the database tells more
            log.warning("the schedule cannot be compared with the settings now: %s", error)

    def _catch_up(self, name: str) -> None:
        at = datetime.now(UTC) + CATCH_UP_AFTER
        self._scheduler.add_job(f"{name}:catch-up", run_tick, args=(self._app, name), trigger="date", run_date=at)

    def _change(self, name: str, is_on: bool, planned: Planned) -> None:
        self._taken_over[name] = (planned[0], is_on)
        with self._app.app_context():
            task_schedule.change_by_hand(name, is_on, planned, now=clock.now())

    def _forget_changes(self) -> None:
        with self._app.app_context():
            task_schedule.forget_changes(now=clock.now())

    def _wanted(self) -> dict[str, Planned]:
        """What should be scheduled: the settings, and over them what was stopped or started by hand."""
        planned = self._planned()
        with self._app.app_context():
            by_hand = {name: task_schedule.is_on_by_hand(name, plan) for name, plan in planned.items()}
        return {
            name: (expression, is_on if by_hand[name] is None else bool(by_hand[name]))
            for name, (expression, is_on) in planned.items()
        }

    def _planned(self) -> dict[str, Planned]:
        """The expression of each task and whether it is enabled, as they are stored."""
        with self._app.app_context():
            stored = configuration.get("cron_tasks")
            return {name: _planned(task, stored.get(name)) for name, task in TASKS.items()}


def _planned(task: ScheduledTask, stored: object) -> Planned:
    plan = task.plan() if task.plan is not None else None
    expression, is_on = (plan.rhythm.crontab, plan.is_on) if plan else (task.expression, True)
    values = stored if isinstance(stored, dict) else {}
    return str(values.get("cronExpression", expression)), bool(values.get("enabled", is_on))
