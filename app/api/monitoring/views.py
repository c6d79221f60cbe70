"""Views of the monitoring group."""

from datetime import datetime

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue
from flask_login import current_user
from marshmallow import fields

from app.api.answers import CACHE_SET_C
from app.api.monitoring.schemas import (
    HealthOut,
    dump_health,
)
from app.contracts import (
    described,
)
from app.services import clock, health, sessions
from app.services.health import Health

bp = Blueprint("monitoring", __name__)


@bp.after_request
def forbid_caching(answer: Response) -> Response:
    """Send every answer of the group uncached."""
    answer.headers.extend(CACHE_SET_C)
    return answer


@bp.get("/ping")
@described({200: {"ok": fields.Boolean()}})
def ping() -> ResponseReturnValue:
    """Answer without touching the database."""
    return {"ok": True}


@bp.get("/health")
@described({200: HealthOut, 503: HealthOut})
def show() -> ResponseReturnValue:
    """Whether everything works, as of the last half minute; 503 with the reason if not. Details after sign-in only."""
    now = clock.now()
    found = health.examine(now)
    return dump_health(found, now, show_details=_may_see_details(found, now)), 200 if found.is_healthy else 503


def _may_see_details(found: Health, now: datetime) -> bool:
    """Whether somebody is signed in; a visit is not noted in a database that cannot be written."""
    if not found.is_connected or (not found.queries_work and not found.tables):
        return False
    if found.can_write:
        return bool(current_user.is_authenticated)
    session = sessions.current()
    session.leave_unwritten()
    return session.user is not None and not session.user.is_locked(now)
