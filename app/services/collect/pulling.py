"""Asks servers by itself, each as often as somebody chose, for machines that cannot report here."""

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from flask import Flask, current_app
from sqlalchemy import or_, select

from app.contracts.errors import AppError, NotFound
from app.domain.pulls import is_choice, next_pull
from app.extensions import db
from app.models import Server
from app.services import clock
from app.services.audit import Actor, record_entry
from app.services.collect.batches import WORKERS
from app.services.collect.client import LIMITS, Limits
from app.services.collect.collecting import Caller, collect
from app.services.collect.targets import Order
from app.services.transaction import writing

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pulled:
    """What one round came to."""

    server_count: int = 0
    run_count: int = 0
    failure_count: int = 0


def pull_due(now: datetime, limits: Limits = LIMITS) -> Pulled:
    """Ask every server whose time has come, a few at once; one that fails is asked again later and later.

    A server is claimed by moving its time on first, so that of several processes one asks it.
    """
    due = _claim_due(now)
    if not due:
        return Pulled()
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="pull") as workers:
        counts = list(workers.map(lambda server_id: _pull(app, server_id, limits), due))
    failures = counts.count(None)
    return Pulled(len(due), sum(count for count in counts if count is not None), failures)


def choose(
    server_id: str,
    *,
    interval: str | None = None,
    verifies_certificate: bool | None = None,
    actor: Actor,
    now: datetime,
) -> Server:
    """Keep how often a server is asked by itself, and whether its certificate is checked; None leaves it as it is.

    A new interval begins at once. Raises NotFound, and AppError for an interval that nobody can choose.
    """
    if interval is not None and not is_choice(interval):
        raise AppError("This is not one of the intervals to choose from")
    with writing() as session:
        server = session.get(Server, server_id, populate_existing=True)
        if server is None:
            raise NotFound("Server not found")
        changes: dict[str, object] = {}
        if interval is not None and interval != server.collect_interval:
            changes["collectInterval"] = server.collect_interval = interval
            server.next_collect_at = now if interval else None
        if verifies_certificate is not None and verifies_certificate != server.verifies_certificate:
            changes["verifyCertificate"] = server.verifies_certificate = verifies_certificate
        if changes:
            place = {"target_type": "server", "target_id": server.id}
            details = {"serverName": server.name, "changes": changes}
            record_entry("server_updated", "server", now=now, actor=actor, details=details, **place)
    return server


def _claim_due(now: datetime) -> list[str]:
    with writing() as session:
        is_due = or_(Server.next_collect_at.is_(None), Server.next_collect_at <= now)
        wanted = select(Server).where(Server.collect_interval != "", is_due).order_by(Server.next_collect_at)
        servers = list(session.scalars(wanted.with_for_update().execution_options(populate_existing=True)))
        for server in servers:
            server.next_collect_at = next_pull(server.collect_interval, now)
        return [server.id for server in servers if server.next_collect_at is not None]


def _pull(app: Flask, server_id: str, limits: Limits) -> int | None:
    """How many runs were new; None when the server could not be asked."""
    with app.app_context():
        now = clock.now()
        try:
            return collect(Order(server_id=server_id), caller=Caller(), now=now, limits=limits).stored
        except AppError as error:
            _put_off(server_id, error.message, now)
        except Exception:  # the outermost loop of this thread: the other servers have their turn all the same
            log.exception("server %s could not be asked", server_id)
            _put_off(server_id, "Something unexpected went wrong; the log has the details", now)
        return None


def _put_off(server_id: str, error: str, now: datetime) -> None:
    with writing():
        server = db.session.get(Server, server_id, populate_existing=True)
        if server is None:
            return  # deleted meanwhile
        server.collect_error = error
        planned_at = next_pull(server.collect_interval, now)
        failing_since = server.collected_at or (now - 2 * (planned_at - now) if planned_at else now)
        server.next_collect_at = next_pull(server.collect_interval, now, failing_since=failing_since)
