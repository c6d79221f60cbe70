"""Collect from several servers in the background, on request and automatically.

A batch is in the memory of the process that runs it, and is deleted half an hour after its end: its results are in the
database, and entered passwords must not be stored.
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
from app.collector.store import set_collect_error
from app.collector.targets import Order, find_collectable
from app.core.db.orm import db, writing
from app.core.errors import Refused
from app.schedules.intervals import BadInterval, parse_interval

log = logging.getLogger(__name__)

# Maximum number of concurrent collections, of all users.
WORKERS = 4
MOST_ITEMS = 500
MOST_RUNNING = 10
KEPT = timedelta(minutes=30)


class State(StrEnum):
    """State of a server in a batch."""

    WAITING = "waiting"
    COLLECTING = "collecting"
    COLLECTED = "collected"
    FAILED = "failed"


@dataclass(slots=True)
class Item:
    """One server of a batch. `place` is its address until its name is known."""

    number: int
    place: str
    server_id: str
    state: State = State.WAITING
    collected: Collected | None = None
    problem: Refused | None = None

    @property
    def name(self) -> str:
        """The name, as far as known."""
        return (self.collected.server_alias or self.collected.server_name) if self.collected else self.place

    @property
    def error(self) -> str:
        """Why it failed, as an English sentence; blank if it did not."""
        return self.problem.message if self.problem else ""

    @property
    def error_code(self) -> str:
        """Why it failed, as a code; blank if it did not or has none."""
        extra = self.problem.extra if self.problem else {}
        return "MASTER_KEY" if extra.get("masterKeyInvalid") else str(extra.get("errorCode", ""))


@dataclass(slots=True)
class Batch:
    """A collection from several servers, for one user."""

    id: str
    owner_id: str | None
    began_at: datetime
    items: tuple[Item, ...]
    ended_at: datetime | None = None
    # Pending orders. They hold passwords, so they are deleted as soon as they are processed.
    waiting: SimpleQueue[tuple[Item, Order]] = field(default_factory=SimpleQueue, repr=False)

    @property
    def is_done(self) -> bool:
        """Whether all servers are finished."""
        return all(item.state in (State.COLLECTED, State.FAILED) for item in self.items)

    def count(self, *states: State) -> int:
        """Return the number of servers in the given states."""
        return sum(item.state in states for item in self.items)


class Batches:
    """The batches of one application."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(WORKERS)
        self._batches: dict[str, Batch] = {}

    def start(self, orders: Sequence[Order], *, caller: Caller, now: datetime, limits: Limits = LIMITS) -> Batch:
        """Start collecting from servers in the background.

        Raises Refused for no or too many orders, Refused (409) for too many batches.
        """
        if not orders:
            raise Refused("no_collectable_server")
        if len(orders) > MOST_ITEMS:
            raise Refused("too_many_servers", most=MOST_ITEMS)
        items = tuple(Item(number, _place_of(order, caller), order.server_id) for number, order in enumerate(orders, 1))
        batch = Batch(uuid.uuid4().hex, caller.actor.user_id, now, items)
        for item, order in zip(items, orders, strict=True):
            batch.waiting.put((item, order))
        with self._lock:
            self._forget(now)
            if sum(not other.is_done for other in self._batches.values()) >= MOST_RUNNING:
                raise Refused("too_many_collections")
            self._batches[batch.id] = batch
        for number in range(min(WORKERS, len(items))):
            arguments = (batch, caller, limits)
            threading.Thread(target=self._work, args=arguments, name=f"collect-{number}", daemon=True).start()
        return batch

    def find(self, batch_id: str, *, reader_id: str | None, is_admin: bool) -> Batch:
        """Return a snapshot of a batch, for its user and administrators. Raise Refused (404)."""
        with self._lock:
            batch = self._batches.get(batch_id)
        if batch is None or not (is_admin or batch.owner_id == reader_id):
            raise Refused("collection_not_found")
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
        except Refused as error:
            item.problem, item.state = error, State.FAILED
        except Exception:  # the outermost loop of this thread: the other servers are still processed
            log.exception("collecting from %s failed", item.place)
            item.problem, item.state = Refused("unexpected"), State.FAILED
        else:
            item.state = State.COLLECTED

    def _now(self) -> datetime:
        with self._app.app_context():
            return runtime.now()


def batches_of_application() -> Batches:
    """Return the batches of the current application."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    return runtime.part(Batches, lambda: Batches(app))


def orders_for_all(visible_server_ids: frozenset[str] | None) -> list[Order]:
    """Return an order for each server that can be collected with its stored data."""
    return [Order(server_id=server.id) for server in find_collectable(visible_server_ids)]


def _place_of(order: Order, caller: Caller) -> str:
    if order.hostname.strip():
        return order.hostname.strip()
    is_visible = caller.visible_server_ids is None or order.server_id in caller.visible_server_ids
    server = db.session.get(Server, order.server_id) if is_visible else None
    return server.display_name if server else order.server_id


# Times of the automatic collection, also after failures

# The offered intervals.
CHOICES = ("15m", "1h", "3h", "6h", "12h", "1D", "7D")
LONGEST_WAIT = timedelta(days=1)


def is_choice(text: str) -> bool:
    """Return whether an interval is offered; the empty text is never."""
    return text == "" or text in CHOICES


def next_collection_at(interval_text: str, now: datetime, *, failing_since: datetime | None = None) -> datetime | None:
    """Return the time of the next collection.

    None for never and for invalid intervals.

    After failures the delay is the time since the first one, which doubles it each time, at most a day, and never less
    than the interval.
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


# Automatic collection, for servers that cannot send reports


@dataclass(frozen=True, slots=True)
class CollectedServers:
    """Result of one automatic collection."""

    server_count: int = 0
    run_count: int = 0
    failure_count: int = 0


def collect_due(now: datetime, limits: Limits = LIMITS) -> CollectedServers:
    """Collect from every server that is due; failing ones are delayed increasingly.

    A server is claimed by advancing its time first, so that only one of several processes collects from it.
    """
    due = _claim_due(now)
    if not due:
        return CollectedServers()
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="collect") as workers:
        counts = list(workers.map(lambda server_id: _collect_server(app, server_id, limits), due))
    failures = counts.count(None)
    return CollectedServers(len(due), sum(count for count in counts if count is not None), failures)


def choose_interval(
    server_id: str,
    *,
    interval: str | None = None,
    verifies_certificate: bool | None = None,
    actor: Actor,
    now: datetime,
) -> Server:
    """Set a server's automatic collection: interval, certificate verification.

    None leaves a value unchanged. A new interval starts now. Raise Refused, also for an interval that is not offered.
    """
    if interval is not None and not is_choice(interval):
        raise Refused("collect_interval_unknown", "collect_interval")
    with writing() as session:
        server = session.get(Server, server_id, populate_existing=True)
        if server is None:
            raise Refused("server_not_found")
        changes: dict[str, object] = {}
        if interval is not None and interval != server.collect_interval:
            changes["collectInterval"] = server.collect_interval = interval
            server.next_collect_at = now if interval else None
        if verifies_certificate is not None and verifies_certificate != server.verifies_certificate:
            changes["verifyCertificate"] = server.verifies_certificate = verifies_certificate
        if changes:
            target = {"target_type": "server", "target_id": server.id}
            details = {"serverName": server.name, "changes": changes}
            record_entry("server_updated", "server", now=now, actor=actor, details=details, **target)
    return server


def _claim_due(now: datetime) -> list[str]:
    with writing() as session:
        is_due = or_(Server.next_collect_at.is_(None), Server.next_collect_at <= now)
        wanted = select(Server).where(Server.collect_interval != "", is_due).order_by(Server.next_collect_at)
        servers = list(session.scalars(wanted.with_for_update().execution_options(populate_existing=True)))
        for server in servers:
            server.next_collect_at = next_collection_at(server.collect_interval, now)
        return [server.id for server in servers if server.next_collect_at is not None]


def _collect_server(app: Flask, server_id: str, limits: Limits) -> int | None:
    """Return the number of new runs; None if the collection failed."""
    with app.app_context():
        now = runtime.now()
        try:
            return collect(Order(server_id=server_id), caller=Caller(), now=now, limits=limits).stored
        except Refused as error:
            _postpone(server_id, error, now)
        except Exception:  # the outermost loop of this thread: the other servers are still processed
            log.exception("collecting from server %s failed", server_id)
            _postpone(server_id, Refused("unexpected"), now)
        return None


def _postpone(server_id: str, error: Refused, now: datetime) -> None:
    with writing():
        server = db.session.get(Server, server_id, populate_existing=True)
        if server is None:
            return  # deleted meanwhile
        set_collect_error(server, error)
        next_at = next_collection_at(server.collect_interval, now)
        failing_since = server.collected_at or (now - 2 * (next_at - now) if next_at else now)
        server.next_collect_at = next_collection_at(server.collect_interval, now, failing_since=failing_since)
