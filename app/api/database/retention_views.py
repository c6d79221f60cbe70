"""Views of the database group about what is kept for how long."""

from dataclasses import replace

from flask.typing import ResponseReturnValue

from app.api.client import actor, json_body
from app.api.database.retention import CleanedOut, CleanUpIn, ForecastOut, RulesIn, RulesOut
from app.api.database.views import bp
from app.contracts import AnyOf, described
from app.services import clock, retention


@bp.get("/retention")
@described({200: RulesOut})
def show_retention() -> ResponseReturnValue:
    """How long runs, deliveries and log files are kept."""
    return RulesOut().dump(retention.rules())


@bp.patch("/retention")
@described({200: RulesOut}, body=RulesIn)
def save_retention() -> ResponseReturnValue:
    """Choose how long runs, deliveries and log files are kept; the nightly clean-up goes by it."""
    wanted = replace(retention.rules(), **RulesIn().load(json_body()))
    retention.save_rules(wanted, actor=actor(), now=clock.now())
    return RulesOut().dump(retention.rules())


@bp.post("/retention/cleanup")
@described({200: AnyOf(ForecastOut, CleanedOut)}, body=CleanUpIn, is_body_optional=True)
def clean_up() -> ResponseReturnValue:
    """Tell what a clean-up would delete, or with `dryRun` false delete it; of each job the newest run stays."""
    given = CleanUpIn().load(json_body(optional=True))
    is_dry_run, now = given.pop("is_dry_run"), clock.now()
    wanted = replace(retention.rules(), **given)
    if is_dry_run:
        return ForecastOut().dump(retention.foresee(wanted, now))
    return CleanedOut().dump(retention.clean_up(wanted, now=now, actor=actor()))
