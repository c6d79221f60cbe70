"""Asks several servers in the background, so that a person can watch: who waits, who is asked, what came of it.

A batch lives in the memory of the process that runs it, and is forgotten half an hour after its end: what it stored is
in the database, and passwords that were typed for it must not be.
"""

import logging
import threading
import uuid
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from queue import Empty, SimpleQueue

from flask import Flask, current_app

from app.contracts.errors import AppError, Conflict, NotFound
from app.extensions import db
from app.models import Server
from app.services import clock
from app.services.collect.client import LIMITS, Limits
from app.services.collect.collecting import Caller, Collected, collect
from app.services.collect.targets import Order, find_collectable

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
            raise AppError("No server can be asked: one has to have an address and a password stored")
        if len(orders) > MOST_ITEMS:
            raise AppError(f"Not more than {MOST_ITEMS} servers at once")
        items = tuple(Item(number, _place_of(order, caller), order.server_id) for number, order in enumerate(orders, 1))
        batch = Batch(uuid.uuid4().hex, caller.actor.user_id, now, items)
        for item, order in zip(items, orders, strict=True):
            batch.waiting.put((item, order))
        with self._lock:
            self._forget(now)
            if sum(not other.is_done for other in self._batches.values()) >= MOST_RUNNING:
                raise Conflict("Many servers are being asked already; please try again in a while")
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
            raise NotFound("This collection is over, or never was")
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
                item.collected = collect(order, caller=caller, now=clock.now(), limits=limits)
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
            return clock.now()


def of_application() -> Batches:
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
