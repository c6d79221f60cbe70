"""Views of the tab of database maintenance, which is for administrators."""

import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from flask import flash, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext

from app.api.client import actor
from app.api.database.views import MOST_BYTES
from app.contracts import AppError, Guard, guarded, takes_bytes
from app.pages.formats import count_text, size_text
from app.pages.settings import database as layout
from app.pages.settings.blueprint import bp
from app.pages.settings.database_forms import RulesForm, ScheduleForm
from app.pages.settings.questions import Question, ask
from app.services import (
    cleanup,
    clock,
    database_backup,
    database_restore,
    database_state,
    local_backups,
    retention,
    servers,
)
from app.services.database_restore import Restored

TAB = layout.TAB
THE_WORD = "delete"


def show() -> str:
    """The tab."""
    return _show(layout.build_page(clock.now()))


@bp.post("/database/check")
@guarded(Guard.ADMIN)
def check_database() -> ResponseReturnValue:
    """Go through the whole file and say what was found, in place or above the page."""
    try:
        damages = database_state.check_integrity(actor=actor(), now=clock.now())
    except sqlite3.Error as error:
        damages = [str(error)]
    if "HX-Request" in request.headers:
        return render_template("settings/database_check.html", damages=damages)
    flash(damages[0] if damages else _("The database is whole."), "error" if damages else "success")
    return _back()


@bp.get("/database/compact")
@guarded(Guard.ADMIN)
def ask_to_compact() -> ResponseReturnValue:
    """Ask whether the file shall be written anew."""
    return _ask(layout.compaction_question(database_state.describe()))


@bp.post("/database/compact")
@guarded(Guard.ADMIN)
def compact_database() -> ResponseReturnValue:
    """Write the file anew."""
    freed_bytes = database_state.compact(actor=actor(), now=clock.now())
    told = _("The database was compacted and gave %(size)s back.", size=size_text(freed_bytes))
    return _back(told if freed_bytes > 0 else _("The database was compacted."))


@bp.post("/database/backups")
@guarded(Guard.ADMIN)
def make_copy() -> ResponseReturnValue:
    """Make a copy in our own folder."""
    made = local_backups.back_up(now=clock.now(), actor=actor())
    return _back(_("%(name)s was made and checked, %(size)s.", name=made.name, size=size_text(made.size_bytes)))


@bp.post("/database/schedule")
@guarded(Guard.ADMIN)
def save_backup_schedule() -> ResponseReturnValue:
    """Choose when copies are made."""
    form = ScheduleForm()
    if not form.attempt(actor(), clock.now()):
        return _show(layout.build_page(clock.now(), schedule_form=form)), 400
    return _back(_("Saved."))


@bp.get("/database/backups/<name>")
@guarded(Guard.ADMIN)
def download_copy(name: str) -> ResponseReturnValue:
    """A copy as a file."""
    file = local_backups.open_backup(name, actor=actor(), now=clock.now())
    return send_file(file, mimetype="application/octet-stream", as_attachment=True, download_name=name)


@bp.get("/database/backups/<name>/delete")
@guarded(Guard.ADMIN)
def ask_to_delete_copy(name: str) -> ResponseReturnValue:
    """Ask whether a copy shall be deleted."""
    return _ask(layout.deletion_question(local_backups.find_backup(name)))


@bp.post("/database/backups/<name>/delete")
@guarded(Guard.ADMIN)
def delete_copy(name: str) -> ResponseReturnValue:
    """Delete a copy."""
    local_backups.delete_backup(name, actor=actor(), now=clock.now())
    return _back(_("%(name)s was deleted.", name=name))


@bp.get("/database/backups/<name>/restore")
@guarded(Guard.ADMIN)
def ask_to_restore_copy(name: str) -> ResponseReturnValue:
    """Ask whether to go back to a copy."""
    return _ask(layout.restore_question(local_backups.find_backup(name)))


@bp.post("/database/backups/<name>/restore")
@guarded(Guard.ADMIN)
def restore_copy(name: str) -> ResponseReturnValue:
    """Go back to a copy."""
    accepts = "accept_lost_tables" in request.args
    return _restore(
        lambda: local_backups.restore_backup(name, actor=actor(), now=clock.now(), accepts_lost_tables=accepts),
        lambda tables: layout.lost_tables_question(name, tables),
    )


@bp.post("/database/restore")
@guarded(Guard.ADMIN)
@takes_bytes(MOST_BYTES)
def restore_file() -> ResponseReturnValue:
    """Go back to a backup that was sent; one that is not fine changes nothing."""
    upload = request.files.get("database")
    if not upload or not upload.filename or not request.form.get("is_understood"):
        return _back(_("Choose a file, and say that what is here may be replaced."), "error")
    with tempfile.NamedTemporaryFile(dir=database_backup.temporary_folder()) as file:
        upload.save(file)
        file.flush()
        path, name, accepts = Path(file.name), upload.filename, "accept_lost_tables" in request.form
        return _restore(
            lambda: database_restore.restore(path, name, actor=actor(), now=clock.now(), accepts_lost_tables=accepts)
        )


@bp.post("/database/retention")
@guarded(Guard.ADMIN)
def save_retention() -> ResponseReturnValue:
    """Choose how long things are kept, or only show what that would delete."""
    form = RulesForm()
    if request.form.get("then") == "show":
        wanted = form.rules()
        forecast = retention.foresee(wanted, clock.now()) if wanted else None
        if "HX-Request" in request.headers:
            return render_template("settings/database_forecast.html", forecast=forecast, form=form, **layout.words())
        page = layout.build_page(clock.now(), rules_form=form)
        return _show(page, shown_forecast=forecast), 200 if wanted else 400
    if not form.attempt(actor(), clock.now()):
        return _show(layout.build_page(clock.now(), rules_form=form)), 400
    return _back(_("Saved. The clean-up of the coming night goes by it."))


@bp.get("/database/clean-up")
@guarded(Guard.ADMIN)
def ask_to_clean_up() -> ResponseReturnValue:
    """Ask whether what the rules do not keep shall go now."""
    return _ask(layout.clean_up_question(retention.foresee(retention.rules(), clock.now())))


@bp.post("/database/clean-up")
@guarded(Guard.ADMIN)
def clean_up_now() -> ResponseReturnValue:
    """Delete what the rules do not keep."""
    done = retention.clean_up(retention.rules(), now=clock.now(), actor=actor())
    told = {"runs": count_text(done.run_count), "deliveries": count_text(done.delivery_count), "logs": done.log_count}
    return _back(_("Deleted: %(runs)s runs, %(deliveries)s old deliveries, %(logs)s log files.", **told))


@bp.get("/database/period")
@guarded(Guard.ADMIN)
def ask_about_period() -> ResponseReturnValue:
    """Ask whether the runs of a period shall go; for everything a word has to be typed."""
    period = request.args.get("period", "")
    if period == cleanup.EVERYTHING:
        return _show_everything()
    return _ask(layout.period_question(period, clock.now()))


@bp.post("/database/period")
@guarded(Guard.ADMIN)
def delete_period() -> ResponseReturnValue:
    """Delete the runs of a period."""
    period = layout.known_period(request.args.get("period", ""))
    count = cleanup.delete_older_runs(period, actor=actor(), now=clock.now())
    return _back(ngettext("%(count)s run was deleted.", "%(count)s runs were deleted.", count, count=count_text(count)))


@bp.post("/database/everything")
@guarded(Guard.ADMIN)
def delete_everything() -> ResponseReturnValue:
    """Delete all servers, jobs and runs, when the word was typed."""
    if request.form.get("word", "").strip().lower() != THE_WORD:
        return _show_everything(is_wrong=True), 400
    runs, machines = cleanup.delete_everything(actor=actor(), now=clock.now())
    return _back(_("%(runs)s runs and %(servers)s servers were deleted.", runs=count_text(runs), servers=machines))


@bp.get("/database/job")
@guarded(Guard.ADMIN)
def ask_about_job() -> ResponseReturnValue:
    """Ask whether the runs of a job shall go."""
    server_id, _tab, job_name = request.args.get("job", "").partition("\t")
    return _ask(layout.job_question(server_id, job_name, clock.now()))


@bp.post("/database/job/<server_id>")
@guarded(Guard.ADMIN)
def delete_job_data(server_id: str) -> ResponseReturnValue:
    """Delete the runs of a job."""
    job_name = request.args.get("job", "")
    count, server_name = cleanup.delete_runs_of_job(server_id, job_name, actor=actor(), now=clock.now())
    told = {"count": count_text(count), "job": job_name, "server": server_name}
    return _back(_("%(count)s runs of %(job)s on %(server)s were deleted.", **told))


@bp.get("/database/server")
@guarded(Guard.ADMIN)
def ask_about_server() -> ResponseReturnValue:
    """Ask whether a server shall go."""
    return _ask(layout.server_question(request.args.get("server", ""), clock.now()))


@bp.post("/database/server/<server_id>")
@guarded(Guard.ADMIN)
def delete_server_data(server_id: str) -> ResponseReturnValue:
    """Delete a server with its jobs and runs."""
    count = servers.delete_server(server_id, actor=actor(), now=clock.now())
    return _back(_("The server and its %(count)s runs were deleted.", count=count_text(count)))


def _show(page: layout.DatabasePage, shown_forecast: retention.Forecast | None = None) -> str:
    values = {"tab": TAB, "page": page, "now": page.now, "shown_forecast": shown_forecast}
    return render_template("settings/database.html", **values, **layout.words())


def _show_everything(*, is_wrong: bool = False) -> str:
    part = "database_everything" if "HX-Request" in request.headers else "database_everything_page"
    values = {"state": database_state.describe(), "word": THE_WORD, "is_wrong": is_wrong}
    return render_template(f"settings/{part}.html", tab=TAB, label=layout.LABEL, **values)


def _restore(
    work: Callable[[], Restored], question: Callable[[Sequence[str]], Question] | None = None
) -> ResponseReturnValue:
    """Do it, and tell what came of it; a backup that is not fine changes nothing.

    Where it would lose tables of plugins it is asked about first, if there is a question.
    """
    try:
        done = work()
    except AppError as refusal:
        if question is not None and "lostTables" in refusal.extra:
            return _ask(question(refusal.extra["lostTables"]))
        return _back(_("Nothing was changed. %(reason)s", reason=refusal.message), "error")
    # Said in this answer: the session has ended, so no other could.
    return render_template("settings/database_restored.html", done=done)


def _ask(question: Question) -> ResponseReturnValue:
    return ask(question, tab=TAB, label=layout.LABEL)


def _back(sentence: str = "", kind: str = "success") -> ResponseReturnValue:
    if sentence:
        flash(sentence, kind)
    return redirect(url_for("settings.index", tab=TAB), 303)
