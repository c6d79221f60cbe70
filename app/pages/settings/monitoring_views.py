"""Views of the tab of backup monitoring."""

from collections.abc import Mapping

from flask import Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext
from flask_login import current_user

from app.api.client import actor, visible_server_ids
from app.contracts import AppError, Guard, guarded
from app.domain.overdue import FREQUENCIES, TOLERANCES
from app.pages.settings import monitoring as layout
from app.pages.settings.blueprint import bp
from app.pages.settings.self_monitoring import SelfMonitoringForm, self_monitoring_form
from app.services import clock, external_monitor, notification_settings, task_schedule

TAB = "monitoring"


def show() -> ResponseReturnValue:
    """How often each job should run, and when it is late."""
    return _show(layout.build_board(visible_server_ids(), request.args, clock.now()))


@bp.post("/monitoring")
@guarded(Guard.ADMIN)
def save_monitoring() -> ResponseReturnValue:
    """Store the rows that differ, and look for late jobs."""
    refused = layout.save_rows(request.form, actor=actor(), now=clock.now())
    if refused:
        board = layout.build_board(visible_server_ids(), request.form, clock.now())
        return _show(layout.with_refused(board, refused)), 400
    flash(_("Saved."), "success")
    _check()
    return _back()


@bp.post("/monitoring/rules")
@guarded(Guard.ADMIN)
def save_rules() -> ResponseReturnValue:
    """Store what holds for all jobs: tolerance, how often is checked, how often lateness is told again."""
    form, who, now = request.form, actor(), clock.now()
    if form.get("tolerance") in TOLERANCES:
        notification_settings.save_tolerance(form["tolerance"], actor=who, now=now)
    if form.get("frequency") in FREQUENCIES:
        notification_settings.save_frequency(form["frequency"], actor=who, now=now)
    if form.get("interval") in task_schedule.PRESETS:
        task_schedule.choose_interval(form["interval"], actor=who, now=now)
        task_schedule.take_over()
    flash(_("Saved."), "success")
    return _back()


@bp.post("/monitoring/check")
def check_now() -> ResponseReturnValue:
    """Look for late jobs now."""
    _check()
    return _back()


@bp.post("/monitoring/reset")
def forget_alerts() -> ResponseReturnValue:
    """Forget who was told of which lateness."""
    layout.forget_alerts(actor(), visible_server_ids(), clock.now())
    flash(_("The next check tells of every late job again."), "success")
    return _back()


@bp.get("/monitoring.csv")
def monitoring_file() -> ResponseReturnValue:
    """The table as it is filtered and sorted, as a file."""
    now = clock.now()
    lines = layout.csv_file(layout.build_board(visible_server_ids(), request.args, now), layout.first_weekday())
    name = f"backup-monitoring-{now:%Y-%m-%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response("".join(lines), mimetype="text/csv", headers=headers)


def _check() -> None:
    found = layout.check_now(actor(), visible_server_ids(), clock.now())
    late = ngettext("%(num)s job is late", "%(num)s jobs are late", found.overdue_count)
    told = ngettext("%(num)s of them was told now", "%(num)s of them were told now", found.told_count)
    checked = ngettext("%(num)s job was checked", "%(num)s jobs were checked", found.checked_count)
    flash(f"{checked}; {late}; {told}.", "success")


@bp.post("/monitoring/self")
@guarded(Guard.ADMIN)
def save_self_monitoring() -> ResponseReturnValue:
    """Store the limit for free disk space and the external monitor; with `then=ping` send a ping at once."""
    form = self_monitoring_form(is_sent=True)
    is_dropped = form.attempt(actor(), clock.now())
    if is_dropped is None:
        return _show(layout.build_board(visible_server_ids(), {}, clock.now()), form), 400
    flash(_("Saved."), "success")
    if is_dropped:
        flash(_("The stored token was removed, since the address leads to another host. Enter it again."), "warning")
    if request.form.get("then") == "ping":
        _ping()
    return redirect(url_for("settings.index", tab=TAB, _anchor="self-monitoring"), 303)


def _ping() -> None:
    try:
        result = external_monitor.ping_now(clock.now())
    except AppError as refusal:
        flash(refusal.message, "error")
        return
    if result.error:
        flash(_("The ping failed: %(reason)s", reason=result.error), "error")
    elif result.reason:
        flash(_("duplistatus has a problem, so no success was reported: %(reason)s", reason=result.reason), "warning")
    else:
        flash(_("The ping succeeded."), "success")


def _show(board: layout.Board, form: SelfMonitoringForm | None = None) -> str:
    # Whoever knows the address can send pings: it is for administrators.
    is_admin = bool(current_user.is_admin)
    own = {"form": form or self_monitoring_form(), "last_ping": external_monitor.last_ping()} if is_admin else {}
    words: Mapping[str, object] = {
        "units": layout.UNITS,
        "weekdays": layout.weekdays(),
        "tolerances": layout.TOLERANCE_WORDS,
        "presets": layout.PRESET_WORDS,
        "frequencies": layout.FREQUENCY_WORDS,
        **own,
    }
    return render_template("settings/monitoring.html", tab=TAB, board=board, **words)


def _back() -> ResponseReturnValue:
    query, sort = request.form.get("q") or None, request.form.get("sort") or None
    return redirect(url_for("settings.index", tab=TAB, q=query, sort=sort), 303)
