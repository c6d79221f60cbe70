"""Views of the external group."""

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from app.api.answers import CACHE_SET_B, cached_json
from app.api.errors import repeat_status
from app.api.external.schemas import (
    FullSummaryOut,
    LatestOfJobsOut,
    LatestOut,
    dump_latest,
    dump_latest_of_jobs,
    dump_summary,
)
from app.api.program_access import admit_program
from app.contracts import (
    described,
)
from app.services import clock, history, latest
from app.services.freshness import second_of
from app.services.visibility import ALL_SERVERS

bp = Blueprint("external", __name__)
# wire: those two say their status in every body, good ones included
repeat_status(bp, "last_backup", "last_backups")


@bp.before_request
def admit() -> None:
    """Hold programs to their keys and rates."""
    admit_program("read")


@bp.after_request
def forbid_caching(answer: Response) -> Response:
    """Send the newest runs, and the errors beside them, uncached; the summary has no such headers."""
    if request.endpoint != "external.summary":
        answer.headers.extend(CACHE_SET_B)
    return answer


@bp.get("/summary")
@described({200: FullSummaryOut, 304: None})
def summary() -> ResponseReturnValue:
    """All servers in eight numbers."""
    now = clock.now()
    return cached_json(
        "summary", lambda: dump_summary(history.overview(now, ALL_SERVERS).summary, now), moment=second_of(now)
    )


@bp.get("/lastbackup/<name:server>", merge_slashes=False)
@described({200: LatestOut, 304: None}, errors=(400,))
def last_backup(server: str) -> ResponseReturnValue:
    """The newest run of a server, which is named by its id or its exact name."""
    return cached_json(("lastbackup", server), lambda: dump_latest(*latest.of_server(server)))


@bp.get("/lastbackups/<name:server>", merge_slashes=False)
@described({200: LatestOfJobsOut, 304: None}, errors=(400,))
def last_backups(server: str) -> ResponseReturnValue:
    """The newest run of each job of a server, which is named by its id or its exact name."""
    return cached_json(("lastbackups", server), lambda: dump_latest_of_jobs(*latest.of_server(server)))
