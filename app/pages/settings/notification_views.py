"""Views of the tab of backup notifications."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from app.api.client import actor, visible_server_ids
from app.api.trial_rates import count_trial
from app.contracts import AppError, Guard, guarded
from app.contracts.errors import Forbidden
from app.domain.notices import EVENTS
from app.pages.settings import monitoring
from app.pages.settings import notifications as layout
from app.pages.settings.blueprint import bp
from app.services import clock, job_settings
from app.services.visibility import is_limited

TAB = "notifications"


def show() -> ResponseReturnValue:
    """For each job what is told, and on which ways."""
    query, is_descending = request.args.get("q", "")[:200], request.args.get("sort") == "-server"
    board = layout.build_board(visible_server_ids(), query, is_descending=is_descending)
    return render_template("settings/notifications.html", tab=TAB, board=board, **_words())


@bp.post("/notifications")
@guarded(Guard.ADMIN)
def save_notifications() -> ResponseReturnValue:
    """Store the rows that were sent; a script gets their new state back."""
    wants_json = request.accept_mimetypes.best == "application/json"
    try:
        states = layout.save_rows(request.form, actor=actor(), now=clock.now())
    except AppError as refusal:
        if wants_json:
            return {"error": refusal.message}, 400
        flash(refusal.message, "error")
        return _back()
    if wants_json:
        return {"states": states}
    flash(_("Saved."), "success")
    return _back()


@bp.post("/notifications/many")
@guarded(Guard.ADMIN)
def change_many() -> ResponseReturnValue:
    """Change all chosen jobs at once; what removes something is asked about first."""
    is_clearing = request.form.get("do") == "clear"
    if is_clearing and "confirmed" not in request.form:
        return _ask_about_clearing()
    work = layout.clear_many if is_clearing else layout.change_many
    try:
        flash(work(request.form, actor=actor(), now=clock.now()), "success")
    except AppError as refusal:
        flash(refusal.message, "error")
    return _back()


@bp.get("/notifications/additional/<path:key>")
def show_additional(key: str) -> ResponseReturnValue:
    """The additional destinations of a job or a server, in a dialog or on a page."""
    return _show_additional(_find_additional(key), key)


@bp.post("/notifications/additional/<path:key>")
@guarded(Guard.ADMIN)
def save_additional(key: str) -> ResponseReturnValue:
    """Store the additional destinations of a job or a server."""
    page = layout.read_additional(layout.find_additional(key, visible_server_ids()), request.form)
    if page.problems:
        return _show_additional(page, key), 400
    layout.save_additional(page, actor=actor(), now=clock.now())
    flash(_("The additional destinations of %(name)s were saved.", name=page.title), "success")
    return redirect(url_for("settings.index", tab=TAB, _anchor=key), 303)


@bp.post("/notifications/additional/<path:key>/test/<any(emails, topic):what>")
def try_additional(key: str, what: str) -> ResponseReturnValue:
    """Send a test to the additional addresses or the topic that are stored."""
    page = _find_additional(key)
    count_trial()
    try:
        flash(layout.try_destination(page, what, actor=actor(), now=clock.now()), "success")
    except AppError as refusal:
        flash(refusal.message, "error")
    return redirect(url_for("settings.show_additional", key=key), 303)


@bp.post("/notifications/servers/<path:server_id>")
@guarded(Guard.ADMIN)
def inherit_all(server_id: str) -> ResponseReturnValue:
    """Have all jobs of a server inherit its defaults, or have neither any additional destination."""
    clears = request.form.get("do") == "clear"
    job_settings.inherit_all(server_id, clears_defaults=clears, actor=actor(), now=clock.now())
    flash(_("All additional destinations were removed.") if clears else _("All jobs inherit the defaults."), "success")
    return redirect(url_for("settings.index", tab=TAB, _anchor=f"server-{server_id}"), 303)


def _find_additional(key: str) -> layout.Additional:
    """The additional destinations behind a key. Raises NotFound, and Forbidden: other servers may use them too."""
    page = layout.find_additional(key, visible_server_ids())
    if is_limited(current_user):
        raise Forbidden("This account may see chosen servers only")
    return page


def _show_additional(page: layout.Additional, key: str) -> str:
    part = "additional_form" if "HX-Request" in request.headers else "additional"
    return render_template(f"settings/{part}.html", tab=TAB, page=page, key=key, **_words())


def _ask_about_clearing() -> str:
    job_ids = layout.chosen_ids(request.form)
    board = layout.build_board(visible_server_ids())
    groups = [group for group in board.groups if any(row.job.id in job_ids for row in group.rows)]
    return render_template("settings/clear_additional.html", tab=TAB, job_ids=sorted(job_ids), groups=groups)


def _words() -> dict[str, object]:
    events = {event: layout.EVENT_WORDS[event] for event in EVENTS}
    return {"events": events, "tolerances": monitoring.TOLERANCE_WORDS}


def _back() -> ResponseReturnValue:
    return redirect(url_for("settings.index", tab=TAB, q=request.form.get("q") or None), 303)
