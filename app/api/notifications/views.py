"""Views of the notifications group."""

from typing import Any

from flask import Blueprint
from flask.typing import ResponseReturnValue

from app.api.client import actor, json_body, visible_server_ids
from app.api.notifications.schemas import (
    MailTestIn,
    StatisticsOut,
    TestIn,
    TestOut,
    ToldOut,
    read_ntfy,
    read_template,
)
from app.api.trial_rates import count_trial
from app.api.wire import (
    MESSAGE,
)
from app.contracts import (
    Guard,
    described,
    guarded,
)
from app.services import clock, evaluate, trials
from app.services.audit import record_entry

bp = Blueprint("notifications", __name__, url_prefix="/notifications")


@bp.post("/test")
@guarded(Guard.LOGIN, needs_all_servers=True)
@described({200: TestOut}, body=TestIn, errors=(429, 500))
def test() -> ResponseReturnValue:
    """Send a test message of the type that is asked for; a word that we do not know means a simple one.

    429 when an account sends many. Accounts that may see chosen servers only send none.
    """
    body = json_body()
    count_trial()
    return TESTS.get(str(body.get("type")), test_simple)(body)


def test_simple(body: dict[str, Any]) -> ResponseReturnValue:
    """One short push to a destination that was typed."""
    trials.send_simple(trials.open_ntfy(**read_ntfy(body)), actor=actor(), now=clock.now())
    return {"message": "Test notification sent successfully"}


def test_template(body: dict[str, Any]) -> ResponseReturnValue:
    """A template that was typed, by push and by mail."""
    ntfy, template = read_ntfy(body), read_template(body)
    taken = trials.send_template(trials.open_ntfy(**ntfy), template, actor=actor(), now=clock.now())
    return {"success": True, "message": f"Template test sent via {' and '.join(taken)}", "channels": taken}


def test_email(body: dict[str, Any]) -> ResponseReturnValue:
    """A mail through the stored mail server."""
    trials.send_mail(MailTestIn().load(body)["to_email"] or None, actor=actor(), now=clock.now())
    return {"message": "Test email sent successfully"}


TESTS = {trials.TEMPLATE: test_template, trials.EMAIL: test_email}


@bp.post("/check-overdue")
@described({200: ToldOut})
def check_overdue() -> ResponseReturnValue:
    """Plan every job anew that the account may see, then look for late ones and queue their messages."""
    now, visible = clock.now(), visible_server_ids()
    evaluate.replan_all(visible)
    statistics = StatisticsOut().dump(evaluate.check_overdue(now, visible))
    told = {name: count for name, count in statistics.items() if name != "totalBackupConfigs"}
    record_entry("overdue_check_manual", "system", now=now, actor=actor(), details=told)
    message = "Overdue backup check completed with next run times recalculated"
    return {"message": message, "statistics": statistics}


@bp.post("/clear-overdue-timestamps")
@described({200: MESSAGE})
def clear_overdue_timestamps() -> ResponseReturnValue:
    """Forget who was told of what, so that the next check tells again of the jobs that the account may see."""
    message = "Overdue backup notification timestamps cleared successfully"
    evaluate.forget_alerts(visible_server_ids())
    details = {"message": message}
    record_entry("overdue_notifications_reset", "system", now=clock.now(), actor=actor(), details=details)
    return {"message": message}
