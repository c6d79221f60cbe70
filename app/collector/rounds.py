"""Asks several servers in the background, so that a person can watch: who waits, who is asked, what came of it.

A batch lives in the memory of the process that runs it, and is forgotten half an hour after its end: what it stored is
in the database, and passwords that were typed for it must not be.
"""

import logging
import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from queue import Empty, SimpleQueue

from flask import Flask, current_app
from sqlalchemy import or_, select

from app import runtime
from app.audit.log import Actor, record_entry
from app.backups.models import Server
from app.collector.client import LIMITS, Limits
from app.collector.collecting import Caller, Collected, collect
from app.collector.targets import Order, find_collectable
from app.core.db.extensions import db
from app.core.db.transaction import writing
from app.plugin import AppError
from app.plugin.errors import Conflict, NotFound
from app.schedules.intervals import BadInterval, parse_interval

log = logging.getLogger(__name__)

EXTENSION = "duplistatus.collections"
# So many servers are asked at once, whoever wants how many.
WORKERS = 4
MOST_ITEMS = 500
MOST_RUNNING = 10
KEPT = timedelta(minutes=30)


class State(StrEnum):
    """How far a server of a batch is."""

    WAITING = "waiting"
    COLLECTING = "collecting"
    COLLECTED = "collected"
    FAILED = "failed"


@dataclass(slots=True)
class Item:
    """One server of a batch. `place` is what people call the machine before it has told its name."""

    number: int
    place: str
    server_id: str
    state: State = State.WAITING
    collected: Collected | None = None
    error: str = ""
    error_code: str = ""

    @property
    def name(self) -> str:
        """What to call it, as far as known."""
        return (self.collected.server_alias or self.collected.server_name) if self.collected else self.place


@dataclass(slots=True)
class Batch:
    """Servers that are asked together, for one person."""

    id: str
    owner_id: str | None
    began_at: datetime
    items: tuple[Item, ...]
    ended_at: datetime | None = None
    # What is still to do. Orders hold passwords, so they are gone as soon as they are carried out.
    waiting: SimpleQueue[tuple[Item, Order]] = field(default_factory=SimpleQueue, repr=False)

    @property
    def is_done(self) -> bool:
        """Whether nothing more will happen."""
        return all(item.state in (State.COLLECTED, State.FAILED) for item in self.items)

    def count(self, *states: State) -> int:
        """How many servers are that far."""
        return sum(item.state in states for item in self.items)


class Batches:
    """The batches of one application."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(WORKERS)
        self._batches: dict[str, Batch] = {}

    def start(self, orders: Sequence[Order], *, caller: Caller, now: datetime, limits: Limits = LIMITS) -> Batch:
        """Begin to ask servers, and return at once. Raises AppError for none or too many, Conflict for a busy day."""
        if not orders:
            raise AppError("No server can be collected from: store a URL and a password first")
        if len(orders) > MOST_ITEMS:
            raise AppError(f"At most {MOST_ITEMS} servers at once")
        items = tuple(Item(number, _place_of(order, caller), order.server_id) for number, order in enumerate(orders, 1))
        batch = Batch(uuid.uuid4().hex, caller.actor.user_id, now, items)
        for item, order in zip(items, orders, strict=True):
            batch.waiting.put((item, order))
        with self._lock:
            self._forget(now)
            if sum(not other.is_done for other in self._batches.values()) >= MOST_RUNNING:
                raise Conflict("Too many collections are running; try again later")
            self._batches[batch.id] = batch
        for number in range(min(WORKERS, len(items))):
            arguments = (batch, caller, limits)
            threading.Thread(target=self._work, args=arguments, name=f"collect-{number}", daemon=True).start()
        return batch

    def find(self, batch_id: str, *, reader_id: str | None, is_admin: bool) -> Batch:
        """A batch as it is now, for whoever started it and for administrators. Raises NotFound."""
        with self._lock:
            batch = self._batches.get(batch_id)
        if batch is None or not (is_admin or batch.owner_id == reader_id):
            raise NotFound("Collection not found or expired")
        return replace(batch, items=tuple(copy(item) for item in batch.items))

    def _forget(self, now: datetime) -> None:
        over = [batch.id for batch in self._batches.values() if batch.ended_at and now - batch.ended_at > KEPT]
        for batch_id in over:
            del self._batches[batch_id]

    def _work(self, batch: Batch, caller: Caller, limits: Limits) -> None:
        while True:
            with self._places:
                try:
                    item, order = batch.waiting.get_nowait()
                except Empty:
                    return
                self._ask(item, order, caller, limits)
            with self._lock:
                if batch.ended_at is None and batch.is_done:
                    batch.ended_at = self._now()

    def _ask(self, item: Item, order: Order, caller: Caller, limits: Limits) -> None:
        item.state = State.COLLECTING
        try:
            with self._app.app_context():
                item.collected = collect(order, caller=caller, now=runtime.now(), limits=limits)
        except AppError as error:
            item.error, item.error_code = error.message, str(error.extra.get("errorCode", ""))
            if error.extra.get("masterKeyInvalid"):
                item.error_code = "MASTER_KEY"
            item.state = State.FAILED
        except Exception:  # the outermost loop of this thread: the other servers have their turn all the same
            log.exception("collecting from %s failed", item.place)
            item.error, item.state = "Something unexpected went wrong; the log has the details", State.FAILED
        else:
            item.state = State.COLLECTED

    def _now(self) -> datetime:
        with self._app.app_context():
            return runtime.now()


def batches_of_application() -> Batches:
    """The batches of the running application."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    found: Batches = app.extensions.setdefault(EXTENSION, Batches(app))
    return found


def orders_for_all(visible_server_ids: frozenset[str] | None) -> list[Order]:
    """An order for each server that can be asked with what is stored."""
    return [Order(server_id=server.id) for server in find_collectable(visible_server_ids)]


def _place_of(order: Order, caller: Caller) -> str:
    if order.hostname.strip():
        return order.hostname.strip()
    is_visible = caller.visible_server_ids is None or order.server_id in caller.visible_server_ids
    server = db.session.get(Server, order.server_id) if is_visible else None
    return server.display_name if server else order.server_id


# When a server is asked again that is asked by itself, and when one that cannot be asked.

# The choices that people have, as interval texts.
CHOICES = ("15m", "1h", "3h", "6h", "12h", "1D", "7D")
LONGEST_WAIT = timedelta(days=1)


def is_choice(text: str) -> bool:
    """Whether a server may be asked that often; the empty text is never."""
    return text == "" or text in CHOICES


def next_pull(interval_text: str, now: datetime, *, failing_since: datetime | None = None) -> datetime | None:
    """When to ask again; None for never, and for an interval that cannot be read.

    After a failure as long is waited as it has been failing, so that the tries become rarer and rarer: twice the time
    each time, a day at most, and never less than the interval.
    """
    if not interval_text:
        return None
    try:
        size = parse_interval(interval_text).size
    except BadInterval:
        return None
    if failing_since is None:
        return now + size
    return now + max(size, min(now - failing_since, LONGEST_WAIT))


# Asks servers by itself, each as often as somebody chose, for machines that cannot report here.


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


def choose_interval(
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
        raise AppError("Unknown interval")
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
        now = runtime.now()
        try:
            return collect(Order(server_id=server_id), caller=Caller(), now=now, limits=limits).stored
        except AppError as error:
            _put_off(server_id, error.message, now)
        except Exception:  # the outermost loop of this thread: the other servers have their turn all the same
            log.exception("collecting from server %s failed", server_id)
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
