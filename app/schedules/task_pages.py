"""Settings tab of scheduled tasks: last and next execution, result, "run now"."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy

from app import runtime
from app.backups import repairs
from app.core.errors import Refused
from app.plugin import Access, guarded
from app.scheduling import control
from app.scheduling.control import TaskState
from app.web.errors import refusal_text
from app.web.http import actor, settings_bp

# Other tasks are shown by their names.
TASK_WORDS: Mapping[str, tuple[LazyString, LazyString]] = {
    "overdue-backup-check": (lazy("Overdue check"), lazy("Checks for overdue jobs")),
    "alarm-check": (
        lazy("Alert check"),
        lazy("Checks for missing reports, failing channels and problems with duplistatus itself"),
    ),
    "audit-log-cleanup": (lazy("Audit log clean-up"), lazy("Deletes entries that are older than the retention period")),
    "housekeeping": (lazy("Housekeeping"), lazy("Removes expired sessions and compresses logs")),
    "retention": (lazy("Retention"), lazy("Deletes old runs, deliveries and log files, if enabled")),
    "local-backup": (lazy("Database backup"), lazy("Backs up the database, if enabled")),
    "collect-from-servers": (lazy("Collecting"), lazy("Collects logs from servers with automatic collection")),
    "duplicati-versions": (
        lazy("Duplicati versions"),
        lazy("Checks for Duplicati updates, if enabled"),
    ),
    "version-lists": (
        lazy("Version lists"),
        lazy("Reads the version lists in stored logs again after an upgrade or import"),
    ),
    "integrity-check": (lazy("Integrity check"), lazy("Checks the database file for damage")),
    "external-monitor": (
        lazy("External monitor"),
        lazy("Pings the external monitor, if enabled"),
    ),
    "compaction": (lazy("Compaction"), lazy("Compacts the database and frees unused space")),
    "daily-summary": (lazy("Daily summary"), lazy("Sends the summary of all jobs")),
    "digest": (lazy("Digest"), lazy("Sends the weekly or monthly digest")),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A task with its texts."""

    state: TaskState
    label: str
    about: str
    percent: int | None = None


@dataclass(frozen=True, slots=True)
class TasksPage:
    """All tasks; none if this process runs no scheduled tasks."""

    rows: tuple[Row, ...]
    is_running: bool


def build_page() -> TasksPage:
    """Build the page: all tasks in the order of their declaration."""
    try:
        states = control.task_states()
    except control.NotRunning:
        return TasksPage((), is_running=False)
    reading = repairs.progress()
    rows = []
    for state in states:
        label, about = TASK_WORDS.get(state.name, (state.name, ""))
        percent = reading.percent if reading and state.name == "version-lists" else None
        rows.append(Row(state, str(label), str(about), percent))
    return TasksPage(tuple(rows), is_running=True)


# Views

TAB = "tasks"


def show() -> ResponseReturnValue:
    """Show all tasks; only the table for the automatic refresh."""
    part = "tasks_table" if "HX-Request" in request.headers else "tasks"
    return render_template(f"schedules/{part}.html", tab=TAB, page=build_page(), now=runtime.now())


@settings_bp.post("/tasks/<name>/run")
@guarded(Access.ADMIN)
def run_task(name: str) -> ResponseReturnValue:
    """Run a task now, and show its result."""
    result = control.run_now(name, actor=actor(), now=runtime.now())
    label = str(TASK_WORDS[name][0]) if name in TASK_WORDS else name
    if result.error is None:
        flash(_("%(task)s: %(result)s", task=label, result=_sentence_text(result.sentence)), "success")
    else:
        reason = refusal_text(result.problem) if result.problem else result.error
        flash(_("%(task)s failed: %(reason)s", task=label, reason=reason), "error")
    return redirect(url_for("settings.index", tab=TAB), 303)


def _sentence_text(sentence: Any) -> str:
    """Return what a task did, in the language of the page."""
    shown = {
        name: refusal_text(value) if isinstance(value, Refused) else value for name, value in sentence.params.items()
    }
    return _(sentence.text, **shown)
