"""View of the dashboard group."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from marshmallow import fields

from app.api.answers import CACHE_SET_A, cached_json
from app.api.client import visible_server_ids
from app.api.dashboard.schemas import (
    DashboardOut,
    dump_dashboard,
)
from app.contracts import (
    described,
)
from app.services import charts, clock, deployment, history
from app.services.freshness import second_of

bp = Blueprint("dashboard", __name__)


@bp.get("/dashboard")
@described({200: DashboardOut, 304: None}, query={"all": fields.Boolean()})
def show() -> ResponseReturnValue:
    """Servers with their jobs, totals, and the newest 2,000 runs as chart points; `?all=true` gives every run."""
    now, visible = clock.now(), visible_server_ids()
    limit = None if request.args.get("all") == "true" else charts.RUN_POINTS
    return cached_json(
        ("dashboard", visible, limit),
        lambda: dump_dashboard(
            history.overview(now, visible),
            charts.run_points(limit=limit, visible_server_ids=visible),
            deployment.settings().zone,
        ),
        moment=second_of(now),
        headers=CACHE_SET_A,
    )
