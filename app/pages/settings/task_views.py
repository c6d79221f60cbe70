"""Views of the tab of scheduled tasks."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from app.api.client import actor
from app.contracts import Guard, guarded
from app.pages.settings import tasks as layout
from app.pages.settings.blueprint import bp
from app.services import clock, task_schedule

TAB = "tasks"


def show() -> ResponseReturnValue:
    """Every task with its times; the table alone for the page that keeps itself fresh."""
    part = "tasks_table" if "HX-Request" in request.headers else "tasks"
    return render_template(f"settings/{part}.html", tab=TAB, board=layout.build_board(), now=clock.now())


@bp.post("/tasks/<name>/run")
@guarded(Guard.ADMIN)
def run_task(name: str) -> ResponseReturnValue:
    """Run a task now, and say how it went."""
    result = task_schedule.run_now(name, actor=actor(), now=clock.now())
    if result.error is None:
        flash(_("%(task)s: %(result)s", task=name, result=result.message), "success")
    else:
        flash(_("%(task)s failed: %(reason)s", task=name, reason=result.error), "error")
    return redirect(url_for("settings.index", tab=TAB), 303)
