"""Page of database maintenance: backups, restore, retention, deletion.

It is for administrators only.
"""

import sqlite3
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from flask import flash, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext, lazy_pgettext, ngettext, pgettext
from wtforms.widgets import TimeInput

from app import runtime
from app.accounts.models import ALL_SERVERS
from app.audit.log import Actor
from app.backups import overview as backups_overview
from app.backups import run_deletion, servers
from app.backups.overview import Overview
from app.core.errors import Refused
from app.database import backup, local_backups, maintenance, restore, retention
from app.database.local_backups import (
    AT,
    BACKUP_SCHEDULE,
    DAILY,
    EVERY,
    OFF,
    WEEKDAY,
    WEEKLY,
    BackupSchedule,
    LocalBackup,
)
from app.database.maintenance import DatabaseState
from app.database.restore import MOST_BYTES, Restored
from app.database.retention import RETENTION, Forecast, Rules
from app.legacy_import import importing
from app.legacy_import.importing import ImportState, OldInstallation
from app.plugin import Access, guarded, takes_bytes
from app.web.errors import refusal_text
from app.web.formats import count_text, date_text, size_text
from app.web.forms import Confirmation, GroupForm, ask_confirmation, form_field, form_values, with_settings
from app.web.http import actor, settings_bp

WEEKDAYS = (
    lazy_gettext("Monday"),
    lazy_gettext("Tuesday"),
    lazy_gettext("Wednesday"),
    lazy_gettext("Thursday"),
    lazy_gettext("Friday"),
    lazy_gettext("Saturday"),
    lazy_gettext("Sunday"),
)


NUMBER = {"required": True, "inputmode": "numeric"}


@with_settings(BACKUP_SCHEDULE.parts, NUMBER)
class ScheduleForm(GroupForm):
    """Schedule of automatic backups."""

    every = form_field(
        EVERY,
        words={OFF: lazy_gettext("Off"), DAILY: lazy_gettext("Every day"), WEEKLY: lazy_gettext("Every week")},
    )
    weekday = form_field(WEEKDAY, words=dict(enumerate(WEEKDAYS)), label=lazy_pgettext("weekday", "On"))
    at = form_field(AT, widget=TimeInput(), render_kw={"required": True})

    @classmethod
    def of(cls, schedule: BackupSchedule) -> Self:
        """Return the form with the stored values."""
        return cls(formdata=None, data=form_values(BACKUP_SCHEDULE.parts, schedule.as_mapping()))

    def attempt(self, actor: Actor, now: datetime) -> bool:
        """Save; return False if the form has errors."""
        entered = self.read_settings()
        if self.wrong_fields:
            return False
        try:
            local_backups.save_schedule(BackupSchedule(**entered), actor=actor, now=now)
        except Refused as refusal:
            self.add_refusal(refusal)
            return False
        return True


@with_settings(RETENTION, NUMBER)
class RulesForm(GroupForm):
    """Retention rules."""

    @classmethod
    def of(cls, rules: Rules) -> Self:
        """Return the form with the stored values."""
        return cls(formdata=None, data=form_values(RETENTION, asdict(rules)))

    def rules(self) -> Rules | None:
        """Return the entered rules; None if the form has errors."""
        entered = self.read_settings()
        return None if self.wrong_fields else Rules(**entered)

    def attempt(self, actor: Actor, now: datetime) -> bool:
        """Save; return False if the form has errors."""
        entered = self.rules()
        if entered is None:
            return False
        retention.save_rules(entered, actor=actor, now=now)
        return True


# Page and confirmations

TAB, LABEL = "database-maintenance", lazy_gettext("Database maintenance")
KINDS = {
    "scheduled": lazy_gettext("Scheduled"),
    "manual": lazy_gettext("Manual"),
    "safety-backup": lazy_gettext("Before a restore"),
    "before-migration": lazy_gettext("Before an update"),
}
PERIODS = {
    "6 months": lazy_gettext("Older than 6 months"),
    "1 year": lazy_gettext("Older than a year"),
    "2 years": lazy_gettext("Older than 2 years"),
    run_deletion.EVERYTHING: lazy_gettext("Everything: all runs, servers and jobs"),
}
USUAL_PERIOD = "1 year"


@dataclass(frozen=True, slots=True)
class DatabasePage:
    """Content of the page. Backups and their schedule exist on SQLite only."""

    state: DatabaseState
    backups: tuple[LocalBackup, ...]
    next_due_at: datetime | None
    failed_at: datetime | None
    schedule_form: ScheduleForm
    rules_form: RulesForm
    forecast: Forecast
    overview: Overview
    duplicate_count: int
    import_state: ImportState
    old_installation: OldInstallation | None
    plugin_tables: tuple[str, ...]
    now: datetime


def build_page(
    now: datetime, *, schedule_form: ScheduleForm | None = None, rules_form: RulesForm | None = None
) -> DatabasePage:
    """Return the page; a rejected form is shown as it was sent."""
    return DatabasePage(
        state=maintenance.describe_database(),
        backups=tuple(local_backups.list_backups()),
        next_due_at=local_backups.next_due_at(now),
        failed_at=local_backups.failed_at(),
        schedule_form=schedule_form or ScheduleForm.of(local_backups.schedule()),
        rules_form=rules_form or RulesForm.of(retention.rules()),
        forecast=retention.preview(retention.rules(), now),
        overview=backups_overview.overview(now, ALL_SERVERS),
        duplicate_count=len(servers.find_duplicates()),
        import_state=importing.import_state(),
        old_installation=importing.find_old_installation(),
        plugin_tables=maintenance.plugin_tables(),
        now=now,
    )


def deletion_question(backup: LocalBackup) -> Confirmation:
    """Return the confirmation for deleting a backup."""
    values = {"name": backup.name, "size": size_text(backup.size_bytes)}
    return Confirmation(
        title=_("Delete this backup?"),
        sentences=(_("%(name)s, %(size)s. This cannot be undone.", **values),),
        button=_("Delete backup"),
        action=url_for("settings.delete_backup", name=backup.name),
        back=_settings_address(),
    )


def restore_question(backup: LocalBackup) -> Confirmation:
    """Return the confirmation for restoring a backup."""
    return Confirmation(
        title=_("Restore this backup?"),
        sentences=(
            _("All current data (runs, settings and accounts) will be replaced by %(name)s.", name=backup.name),
            _("Current data is saved as a safety backup first. All users are signed out."),
        ),
        button=_("Restore"),
        action=url_for("settings.restore_backup", name=backup.name),
        back=_settings_address(),
    )


def lost_tables_question(name: str, tables: Sequence[str]) -> Confirmation:
    """Return the confirmation for a restore that loses data of plugins."""
    return Confirmation(
        title=_("Restore without plugin tables?"),
        sentences=(
            _("These tables belong to plugins and will not be restored: %(tables)s.", tables=", ".join(tables)),
            _("Current data is saved as a safety backup first. All users are signed out."),
        ),
        button=_("Restore"),
        action=url_for("settings.restore_backup", name=name, accept_lost_tables=1),
        back=_settings_address(),
    )


def compaction_question(state: DatabaseState) -> Confirmation:
    """Return the confirmation for compacting the database."""
    text = (
        _("About %(size)s of the file is unused and will be freed.", size=size_text(state.free_bytes))
        if state.is_sqlite
        else _("PostgreSQL removes unused data and updates its table statistics.")
    )
    return Confirmation(
        title=_("Compact the database?"),
        sentences=(text, _("Incoming reports wait until it is finished, a few seconds per gigabyte.")),
        button=pgettext("database", "Compact"),
        action=url_for("settings.compact_database"),
        back=_settings_address(),
        is_dangerous=False,
    )


def clean_up_question(forecast: Forecast) -> Confirmation:
    """Return the confirmation for running the clean-up now."""
    return Confirmation(
        title=_("Clean up now?"),
        sentences=(forecast_text(forecast), _("The newest run of each job is always kept.")),
        button=_("Delete"),
        action=url_for("settings.clean_up_now"),
        back=_settings_address(),
    )


def period_question(period: str, now: datetime) -> Confirmation:
    """Return the confirmation for deleting runs by age.

    Raises Refused (404) for an unknown period.
    """
    find_period(period)
    count, cutoff = run_deletion.count_older_runs(period, now), run_deletion.cutoff_of(period, now)
    values = {"count": count_text(count), "day": date_text(cutoff.astimezone(runtime.settings().zone).date())}
    return Confirmation(
        title=_("Delete old runs?"),
        sentences=(
            ngettext("%(count)s run ended before %(day)s.", "%(count)s runs ended before %(day)s.", count, **values),
            _("They will be deleted with their logs. Servers, jobs and settings are kept."),
        ),
        button=_("Delete runs"),
        action=url_for("settings.delete_period", period=period),
        back=_settings_address(),
    )


def find_period(period: str) -> str:
    """Return the canonical name of a period. Raises Refused (404) for an unknown one."""
    if period not in run_deletion.PERIODS:
        raise Refused("period_not_found")
    return period


def job_question(server_id: str, job_name: str, now: datetime) -> Confirmation:
    """Return the confirmation for deleting the runs of a job. Raises Refused (404)."""
    server = backups_overview.find_server(server_id, now, ALL_SERVERS)
    job = next((job for job in server.jobs if job.name == job_name), None)
    if job is None:
        raise Refused("job_not_found")
    values = {"job": job.name, "server": server.display_name, "count": count_text(job.run_count)}
    return Confirmation(
        title=_("Delete the data of %(job)s?", job=job.name),
        sentences=(
            _("All %(count)s runs of %(job)s on %(server)s will be deleted with their logs.", **values),
            _("The job settings are kept until the weekly clean-up."),
        ),
        button=_("Delete runs"),
        action=url_for("settings.delete_job_data", server_id=server_id, job=job.name),
        back=_settings_address(),
    )


def server_question(server_id: str, now: datetime) -> Confirmation:
    """Return the confirmation for deleting a server. Raises Refused (404)."""
    server = backups_overview.find_server(server_id, now, ALL_SERVERS)
    count = sum(job.run_count for job in server.jobs)
    return Confirmation(
        title=_("Delete %(server)s?", server=server.display_name),
        sentences=(
            _("The server will be deleted with its jobs, their settings and %(runs)s runs.", runs=count_text(count)),
            _("If it reports again, it is added as a new server."),
        ),
        button=_("Delete server"),
        action=url_for("settings.delete_server_data", server_id=server_id),
        back=_settings_address(),
    )


def forecast_text(forecast: Forecast) -> str:
    """Return what a clean-up would delete, in one sentence."""
    if forecast.is_empty:
        return _("Nothing to delete.")
    jobs, runs = len(forecast.shares), count_text(forecast.run_count)
    deliveries, logs = forecast.delivery_count, len(forecast.log_names)
    parts = []
    if jobs:
        parts.append(ngettext("%(runs)s runs of %(num)s job", "%(runs)s runs of %(num)s jobs", jobs, runs=runs))
    if deliveries:
        parts.append(ngettext("%(num)s old delivery", "%(num)s old deliveries", deliveries))
    if logs:
        parts.append(ngettext("%(num)s old log file", "%(num)s old log files", logs))
    return _("To be deleted: %(what)s.", what=", ".join(parts))


def words() -> Mapping[str, object]:
    """Return the labels of the page by key."""
    return {"kinds": KINDS, "periods": PERIODS, "usual_period": USUAL_PERIOD, "forecast_text": forecast_text}


def _settings_address() -> str:
    return url_for("settings.index", tab=TAB)


# Views

THE_WORD = "delete"


def show() -> str:
    """Show the page."""
    return _show(build_page(runtime.now()))


@settings_bp.post("/database/check")
@guarded(Access.ADMIN)
def check_database() -> ResponseReturnValue:
    """Run the integrity check and show the result, in place or above the page."""
    try:
        damages = [refusal_text(damage) for damage in maintenance.check_integrity(actor=actor(), now=runtime.now())]
    except sqlite3.Error as error:
        damages = [str(error)]
    if "HX-Request" in request.headers:
        return render_template("database/database_check.html", damages=damages)
    flash(damages[0] if damages else _("Integrity check passed."), "error" if damages else "success")
    return _back()


@settings_bp.get("/database/compact")
@guarded(Access.ADMIN)
def ask_to_compact() -> ResponseReturnValue:
    """Ask for confirmation before compacting."""
    return _ask(compaction_question(maintenance.describe_database()))


@settings_bp.post("/database/compact")
@guarded(Access.ADMIN)
def compact_database() -> ResponseReturnValue:
    """Compact the database."""
    freed_bytes = maintenance.compact(actor=actor(), now=runtime.now())
    text = _("The database was compacted; %(size)s freed.", size=size_text(freed_bytes))
    return _back(text if freed_bytes > 0 else _("The database was compacted."))


@settings_bp.post("/database/backups")
@guarded(Access.ADMIN)
def create_backup() -> ResponseReturnValue:
    """Create a backup in the data directory."""
    made = local_backups.back_up(now=runtime.now(), actor=actor())
    return _back(_("%(name)s was created and verified, %(size)s.", name=made.name, size=size_text(made.size_bytes)))


@settings_bp.post("/database/schedule")
@guarded(Access.ADMIN)
def save_backup_schedule() -> ResponseReturnValue:
    """Save the schedule of automatic backups."""
    form = ScheduleForm()
    if not form.attempt(actor(), runtime.now()):
        return _show(build_page(runtime.now(), schedule_form=form)), 400
    return _back(_("Saved."))


@settings_bp.get("/database/backups/<name>")
@guarded(Access.ADMIN)
def download_backup(name: str) -> ResponseReturnValue:
    """Download a backup."""
    file = local_backups.open_backup(name, actor=actor(), now=runtime.now())
    return send_file(file, mimetype="application/octet-stream", as_attachment=True, download_name=name)


@settings_bp.get("/database/backups/<name>/delete")
@guarded(Access.ADMIN)
def ask_to_delete_backup(name: str) -> ResponseReturnValue:
    """Ask for confirmation before deleting a backup."""
    return _ask(deletion_question(local_backups.find_backup(name)))


@settings_bp.post("/database/backups/<name>/delete")
@guarded(Access.ADMIN)
def delete_backup(name: str) -> ResponseReturnValue:
    """Delete a backup."""
    local_backups.delete_backup(name, actor=actor(), now=runtime.now())
    return _back(_("%(name)s was deleted.", name=name))


@settings_bp.get("/database/backups/<name>/restore")
@guarded(Access.ADMIN)
def ask_to_restore_backup(name: str) -> ResponseReturnValue:
    """Ask for confirmation before restoring a backup."""
    return _ask(restore_question(local_backups.find_backup(name)))


@settings_bp.post("/database/backups/<name>/restore")
@guarded(Access.ADMIN)
def restore_backup(name: str) -> ResponseReturnValue:
    """Restore a backup."""
    accepts = "accept_lost_tables" in request.args
    return _restore(
        lambda: local_backups.restore_backup(name, actor=actor(), now=runtime.now(), accepts_lost_tables=accepts),
        lambda tables: lost_tables_question(name, tables),
    )


@settings_bp.post("/database/restore")
@guarded(Access.ADMIN)
@takes_bytes(MOST_BYTES)
def restore_file() -> ResponseReturnValue:
    """Restore an uploaded backup; an invalid one changes nothing."""
    upload = request.files.get("database")
    if not upload or not upload.filename or not request.form.get("is_understood"):
        return _back(_("Select a file and confirm that all current data will be replaced."), "error")
    with tempfile.NamedTemporaryFile(dir=backup.temporary_folder()) as file:
        upload.save(file)
        file.flush()
        path, name, accepts = Path(file.name), upload.filename, "accept_lost_tables" in request.form
        return _restore(
            lambda: restore.restore(path, name, actor=actor(), now=runtime.now(), accepts_lost_tables=accepts)
        )


@settings_bp.post("/database/retention")
@guarded(Access.ADMIN)
def save_retention() -> ResponseReturnValue:
    """Save the retention rules, or show a preview of what they would delete."""
    form = RulesForm()
    if request.form.get("then") == "show":
        entered = form.rules()
        forecast = retention.preview(entered, runtime.now()) if entered else None
        if "HX-Request" in request.headers:
            return render_template("database/database_forecast.html", forecast=forecast, form=form, **words())
        page = build_page(runtime.now(), rules_form=form)
        return _show(page, shown_forecast=forecast), 200 if entered else 400
    if not form.attempt(actor(), runtime.now()):
        return _show(build_page(runtime.now(), rules_form=form)), 400
    return _back(_("Saved. Applies from the next nightly clean-up."))


@settings_bp.get("/database/clean-up")
@guarded(Access.ADMIN)
def ask_to_clean_up() -> ResponseReturnValue:
    """Ask for confirmation before a clean-up."""
    return _ask(clean_up_question(retention.preview(retention.rules(), runtime.now())))


@settings_bp.post("/database/clean-up")
@guarded(Access.ADMIN)
def clean_up_now() -> ResponseReturnValue:
    """Delete what the retention rules do not keep."""
    done = retention.clean_up(retention.rules(), now=runtime.now(), actor=actor())
    values = {"runs": count_text(done.run_count), "deliveries": count_text(done.delivery_count), "logs": done.log_count}
    return _back(_("Deleted: %(runs)s runs, %(deliveries)s old deliveries, %(logs)s log files.", **values))


@settings_bp.get("/database/period")
@guarded(Access.ADMIN)
def ask_about_period() -> ResponseReturnValue:
    """Ask for confirmation before deleting the runs of a period.

    For everything a word must be typed.
    """
    period = request.args.get("period", "")
    if period == run_deletion.EVERYTHING:
        return _show_everything()
    return _ask(period_question(period, runtime.now()))


@settings_bp.post("/database/period")
@guarded(Access.ADMIN)
def delete_period() -> ResponseReturnValue:
    """Delete the runs of a period."""
    period = find_period(request.args.get("period", ""))
    count = run_deletion.delete_older_runs(period, actor=actor(), now=runtime.now())
    return _back(ngettext("%(count)s run was deleted.", "%(count)s runs were deleted.", count, count=count_text(count)))


@settings_bp.post("/database/everything")
@guarded(Access.ADMIN)
def delete_everything() -> ResponseReturnValue:
    """Delete all servers, jobs and runs if the word was typed."""
    if request.form.get("word", "").strip().lower() != THE_WORD:
        return _show_everything(is_wrong=True), 400
    runs, machines = run_deletion.delete_everything(actor=actor(), now=runtime.now())
    return _back(_("%(runs)s runs and %(servers)s servers were deleted.", runs=count_text(runs), servers=machines))


@settings_bp.get("/database/job")
@guarded(Access.ADMIN)
def ask_about_job() -> ResponseReturnValue:
    """Ask for confirmation before deleting the runs of a job."""
    server_id, _tab, job_name = request.args.get("job", "").partition("\t")
    return _ask(job_question(server_id, job_name, runtime.now()))


@settings_bp.post("/database/job/<server_id>")
@guarded(Access.ADMIN)
def delete_job_data(server_id: str) -> ResponseReturnValue:
    """Delete the runs of a job."""
    job_name = request.args.get("job", "")
    count, server_name = run_deletion.delete_runs_of_job(server_id, job_name, actor=actor(), now=runtime.now())
    values = {"count": count_text(count), "job": job_name, "server": server_name}
    return _back(_("%(count)s runs of %(job)s on %(server)s were deleted.", **values))


@settings_bp.get("/database/server")
@guarded(Access.ADMIN)
def ask_about_server() -> ResponseReturnValue:
    """Ask for confirmation before deleting a server."""
    return _ask(server_question(request.args.get("server", ""), runtime.now()))


@settings_bp.post("/database/server/<server_id>")
@guarded(Access.ADMIN)
def delete_server_data(server_id: str) -> ResponseReturnValue:
    """Delete a server with its jobs and runs."""
    count = servers.delete_server(server_id, actor=actor(), now=runtime.now())
    return _back(_("The server and its %(count)s runs were deleted.", count=count_text(count)))


def _show(page: DatabasePage, shown_forecast: retention.Forecast | None = None) -> str:
    values = {"tab": TAB, "page": page, "now": page.now, "shown_forecast": shown_forecast}
    return render_template("database/database.html", **values, **words())


def _show_everything(*, is_wrong: bool = False) -> str:
    part = "database_everything" if "HX-Request" in request.headers else "database_everything_page"
    values = {"state": maintenance.describe_database(), "word": THE_WORD, "is_wrong": is_wrong}
    return render_template(f"database/{part}.html", tab=TAB, label=LABEL, **values)


def _restore(
    work: Callable[[], Restored], question: Callable[[Sequence[str]], Confirmation] | None = None
) -> ResponseReturnValue:
    """Restore and show the result; an invalid backup changes nothing.

    If tables of plugins would be lost, the user is asked first, provided there is a question.
    """
    try:
        done = work()
    except Refused as refusal:
        if question is not None and "lostTables" in refusal.extra:
            return _ask(question(refusal.extra["lostTables"]))
        return _back(_("Nothing was changed. %(reason)s", reason=refusal_text(refusal)), "error")
    # Shown in this response: the session has ended, so no later one could.
    return render_template("database/database_restored.html", done=done)


def _ask(question: Confirmation) -> ResponseReturnValue:
    return ask_confirmation(question, tab=TAB, label=LABEL)


def _back(sentence: str = "", kind: str = "success") -> ResponseReturnValue:
    if sentence:
        flash(sentence, kind)
    return redirect(url_for("settings.index", tab=TAB), 303)
