"""Views of the monitoring group."""

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
from app.services import clock, health

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
    """Whether database, schema and queries are well; 503 when not. Details only for those who signed in."""
    found = health.examine()
    show_details = found.is_connected and current_user.is_authenticated
    return dump_health(found, clock.now(), show_details=show_details), 200 if found.is_healthy else 503
