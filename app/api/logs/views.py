"""Views of the logs group."""

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from app.api.logs.schemas import (
    ExportQuery,
    LogOut,
    TailQuery,
    dump_excerpt,
    dump_files,
)
from app.contracts import (
    Content,
    described,
)
from app.services import application_logs, clock

bp = Blueprint("logs", __name__, url_prefix="/application-logs")


@bp.get("")
@described({200: LogOut}, query=TailQuery)
def show() -> ResponseReturnValue:
    """The last lines of a log file; without `file` the list of files."""
    query, files = TailQuery().load(request.args), application_logs.list_files()
    if not query["name"]:
        return dump_files(files, clock.now())
    return dump_excerpt(application_logs.read_end(**query), files)


@bp.get("/export")
@described({200: Content("text/plain")}, query=ExportQuery, errors=(500,))
def export() -> ResponseReturnValue:
    """The lines of a log file that match, as a text file."""
    query = ExportQuery().load(request.args)
    text = application_logs.search(query["name"], query["levels"].split(","), query["wanted"])
    answer = Response(text, mimetype="text/plain")
    name = f"duplistatus-logs-{clock.now():%Y-%m-%dT%H-%M-%S}.txt"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
