"""Views of the tab of summaries."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext

from app.api.client import actor
from app.contracts import AppError, Guard, guarded
from app.pages.settings import summaries as layout
from app.pages.settings.blueprint import bp
from app.pages.settings.monitoring import WEEKDAYS
from app.services import clock, digests, summaries, task_schedule

TAB = "summary"
SENDERS = {"daily": summaries.send_now, "digest": digests.send_now}


def show() -> ResponseReturnValue:
    """The daily summary and the digest: whether, when, and to whom."""
    return _show(layout.build_board())


@bp.post("/summary/daily")
@guarded(Guard.ADMIN)
def save_daily_summary() -> ResponseReturnValue:
    """Store the plan of the daily summary."""
    return _after_saving(layout.save_summary(request.form, actor=actor(), now=clock.now()))


@bp.post("/summary/digest")
@guarded(Guard.ADMIN)
def save_digest() -> ResponseReturnValue:
    """Store the plan of the digest."""
    return _after_saving(layout.save_digest(request.form, actor=actor(), now=clock.now()))


@bp.post("/summary/<any(daily, digest):name>/send")
@guarded(Guard.ADMIN)
def send_summary(name: str) -> ResponseReturnValue:
    """Send one now, as its settings are saved."""
    try:
        count = SENDERS[name](actor=actor(), now=clock.now())
        flash(ngettext("%(num)s message is on its way.", "%(num)s messages are on their way.", count), "success")
    except AppError as refusal:
        flash(refusal.message, "error")
    return redirect(url_for("settings.index", tab=TAB), 303)


def _show(board: layout.Board) -> str:
    weekdays = [(day % 7, WEEKDAYS[day % 7][1]) for day in range(1, 8)]
    next_runs = task_schedule.next_runs()
    return render_template(
        "settings/summary.html",
        tab=TAB,
        board=board,
        periods=layout.PERIOD_WORDS,
        weekdays=weekdays,
        next_runs=next_runs,
        now=clock.now(),
    )


def _after_saving(refused: layout.Board | None) -> ResponseReturnValue:
    if refused is not None:
        return _show(refused), 400
    flash(_("Saved."), "success")
    return redirect(url_for("settings.index", tab=TAB), 303)
