"""Views of the tab of the program's own logs, which is for administrators."""

from flask import render_template, request
from flask.typing import ResponseReturnValue

from app.contracts import Guard, guarded
from app.pages.settings import logs as layout
from app.pages.settings.blueprint import bp
from app.services import application_logs, clock

TAB = "application-logs"


def show() -> ResponseReturnValue:
    """The last lines of a log file."""
    found = layout.build_page(layout.read_query(request.args))
    values = {"line_counts": layout.LINE_COUNTS, "levels": application_logs.LEVELS, "now": clock.now()}
    return render_template("settings/logs.html", tab=TAB, found=found, **values)


@bp.get("/logs/lines")
@guarded(Guard.ADMIN)
def log_lines() -> ResponseReturnValue:
    """The lines alone, for a page that follows the file; nothing while it is as the page has it."""
    query = layout.read_query(request.args)
    if request.args.get("state") == application_logs.state_of(query.name):
        return "", 204
    return render_template("settings/logs_lines.html", found=layout.build_page(query), now=clock.now())
