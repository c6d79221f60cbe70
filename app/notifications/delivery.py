"""Delivery of queued notifications: claiming rows, sending, retries."""

import html
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from threading import Event, Thread
from time import monotonic
from typing import Any

from flask import Flask, current_app
from sqlalchemy import ColumnElement, Select, and_, bindparam, func, or_, select, update

from app import runtime
from app.audit.log import record_entry
from app.core.db.orm import db, writing
from app.database import secrets
from app.notifications import channels, messages, templates
from app.notifications.models import Channel, Delivery, DeliveryState
from app.plugin import NC_, Attachment, DeliveryError, Message, NotificationChannel, Severity
from app.reports.decoding import shorten

# Waits after the first failure, the second and so on: nine attempts over about 16 hours. A mail server that is repaired
# in the morning still delivers the alerts of the night.
WAITS = (
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=7),
    timedelta(minutes=20),
    timedelta(hours=1),
    timedelta(hours=2),
    timedelta(hours=4),
    timedelta(hours=8),
)
MOST_TRIES = len(WAITS) + 1
# Random deviation of a wait, as a share of it, so that retries are spread.
JITTER = 0.2
# Bounds of the wait that a server may request instead.
SHORTEST_ASKED, LONGEST_ASKED = timedelta(seconds=1), timedelta(hours=24)


def longest_wait(tries: int) -> timedelta:
    """Return the longest possible wait after some failed attempts.

    A longer one was set by another clock.
    """
    return WAITS[min(tries, len(WAITS)) - 1] * (1 + JITTER) if tries else timedelta()


def next_try_at(tries: int, now: datetime, chance: float, asked_s: float | None = None) -> datetime | None:
    """Return the time of the next attempt after `tries` failed ones (at least one).

    None means no further attempt. `chance` is a random number from 0 to 1. `asked_s` is the wait in seconds requested
    by the server. The next attempt is never earlier than that, up to a day. Only the first retry may be earlier than
    scheduled, else a server that always requests one second would use up all attempts in ten.
    """
    if tries >= MOST_TRIES:
        return None
    planned = WAITS[max(tries, 1) - 1] * (1 + JITTER * (2 * chance - 1))
    if asked_s is None:
        return now + planned
    asked = min(max(timedelta(seconds=asked_s), SHORTEST_ASKED), LONGEST_ASKED)
    return now + (asked if tries <= 1 else max(asked, planned))


# Protocol: claim rows, send outside any transaction, record the result.
#
# A claim is a state of the row with an end. If a process dies while sending, its claim ends and the row is taken again.
# So every message is delivered or still queued, and sent twice only if the process ended between sending and recording,
# with the same idempotency key.
#
# Messages about one job reach a destination in order: a recovery notification waits until the alert before it was
# delivered or has failed. A list of overdue jobs counts as a message about each of them.

log = logging.getLogger(__name__)

WORKERS = 4
# A destination that does not respond must leave workers for the others.
WORKERS_PER_CHANNEL = 2
# Longer than any send may take, including the timeouts of all its steps.
CLAIM = timedelta(minutes=3)
# A send that takes longer hangs: the message is retried and the failure is reported. Shorter than a claim.
LONGEST_SEND_S = 120.0
# Clocks of several hosts may differ by this much.
CLOCK_SLACK = timedelta(minutes=1)
# How often a pass that waits for slow destinations checks for newly queued messages.
LOOK_AGAIN_S = 0.5
# How long a stop waits for active sends; another process may send the rest afterwards.
LAST_SENDS_S = 3.0
AFTER_THE_STOP = timedelta(seconds=10)
# Number of due rows a claim reads, to find some of several channels.
LOOK_AHEAD = 50
ERROR_LENGTH = 1000
UNUSABLE = NC_("failure", "The channel cannot be used as it is set up ({error})")
# How often a message checks for the key file that its channel needs. These checks do not count as attempts.
KEY_WAIT = timedelta(seconds=30)
UNSENT = (DeliveryState.QUEUED, DeliveryState.SENDING)
# Messages with the same values are delivered in order.
JOB_AT_DESTINATION = (Delivery.channel_id, Delivery.target, Delivery.job_id)
# Rows are changed by statements; sessions that hold them refresh them when needed.
UNSYNCHRONISED = {"synchronize_session": False}


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message that only this process may send until `claimed_until`, and its channel.

    `attempts` includes this attempt. Plain values: the thread of a worker has no session.
    """

    id: int
    idempotency_key: str
    event: str
    target: str
    payload: dict[str, Any]
    attempts: int
    created_at: datetime
    channel_id: int
    kind: str
    name: str
    settings: dict[str, Any]
    claimed_until: datetime


@dataclass(frozen=True, slots=True)
class Sending:
    """An active send since `began_s` of the monotonic clock."""

    claimed: Claimed
    began_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one attempt; no error means success."""

    delivery: Claimed
    channel: NotificationChannel | None
    error: DeliveryError | None


class StuckSends(dict["Future[Outcome]", int]):
    """The abandoned sends that have not ended, with their channels."""


class WaitsForKey(DeliveryError):
    """The channel's secrets cannot be decrypted until the right key file is restored."""


def deliver_due(now: datetime, stopping: Event | None = None) -> int:
    """Send everything that is due, also what is queued meanwhile.

    Returns the number of delivered messages. A channel that fails gets no further message in this pass, so that its
    queue does not use up an attempt per message while it is down. Once `stopping` is set nothing more is started, and
    active sends are awaited for a few seconds; the rest is sent soon after the next start. A channel whose sends all
    hang gets no further message until one of them has ended.
    """
    began = monotonic()
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    hung = runtime.part(StuckSends)
    busy: dict[Future[Outcome], Sending] = {}
    failing: set[int] = set()
    delivered = 0
    ends_at = inf
    while True:
        if stopping is not None and stopping.is_set():
            ends_at = min(ends_at, monotonic() + LAST_SENDS_S)
        moment = now + timedelta(seconds=monotonic() - began)
        if ends_at == inf:
            counts = Counter(each.claimed.channel_id for each in busy.values())
            for claimed in _claim(moment, counts, failing | _find_blocked(hung)):
                busy[_in_background(_try, app, claimed)] = Sending(claimed, monotonic())
        if not busy:
            return delivered
        done, hanging = wait(busy, timeout=LOOK_AGAIN_S, return_when=FIRST_COMPLETED)
        for future in done:
            outcome, sending = future.result(), busy.pop(future)
            if outcome.error is not None and not outcome.error.permanent:
                failing.add(sending.claimed.channel_id)
            delivered += outcome.error is None
            _record(outcome, now + timedelta(seconds=monotonic() - began))
        if hanging and monotonic() > ends_at:
            _hand_back([busy[future].claimed for future in hanging], moment)
            return delivered
        for future in hanging:
            if monotonic() > busy[future].began_s + LONGEST_SEND_S:
                hung[future] = busy[future].claimed.channel_id
                failing.add(hung[future])
                _record(_give_up_on(busy.pop(future).claimed), now + timedelta(seconds=monotonic() - began))


def count_overdue(since_at: datetime, now: datetime) -> int:
    """Count messages that have been due since before an instant, of channels that do not fail."""
    works = Delivery.channel_id.not_in(select(Channel.id).where(Channel.failing_since_at.is_not(None)))
    is_late = or_(
        and_(Delivery.state == DeliveryState.QUEUED, Delivery.next_attempt_at < since_at),
        and_(Delivery.state == DeliveryState.SENDING, Delivery.claimed_until < since_at),
    )
    return len(_find_next(and_(is_late, works), now))


def _is_due(now: datetime) -> ColumnElement[bool]:
    """Return the condition for due rows: queued and due, or claimed with an expired claim.

    Also true if the clock was set back since.
    """
    # The last condition also covers attempts that were killed, of which there may be any number.
    tries = [*((Delivery.attempts == count, longest_wait(count)) for count in range(len(WAITS)))]
    tries.append((Delivery.attempts >= len(WAITS), longest_wait(len(WAITS))))
    is_of_another_clock = [
        and_(is_so, Delivery.claimed_until.is_(None), Delivery.next_attempt_at > now + wait + CLOCK_SLACK)
        for is_so, wait in tries
    ]
    is_of_another_clock.append(Delivery.claimed_until > now + LONGEST_ASKED + CLOCK_SLACK)
    return or_(
        and_(Delivery.state == DeliveryState.QUEUED, or_(Delivery.next_attempt_at <= now, *is_of_another_clock)),
        and_(
            Delivery.state == DeliveryState.SENDING,
            or_(Delivery.claimed_until < now, Delivery.claimed_until > now + 2 * CLAIM),
        ),
    )


def _in_background(send: Callable[[Flask, Claimed], Outcome], app: Flask, claimed: Claimed) -> Future[Outcome]:
    """Send in a daemon thread: threads of an executor delay the end of the process."""
    future: Future[Outcome] = Future()

    def work() -> None:
        try:
            future.set_result(send(app, claimed))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=work, name=f"delivery-{claimed.id}", daemon=True).start()
    return future


def _find_blocked(hung: dict[Future[Outcome], int]) -> set[int]:
    """Return the channels with as many hanging sends as allowed.

    Forgets sends that have ended.
    """
    for future in [future for future in hung if future.done()]:
        del hung[future]
    return {channel_id for channel_id, count in Counter(hung.values()).items() if count >= WORKERS_PER_CHANNEL}


def _give_up_on(claimed: Claimed) -> Outcome:
    name = channels.full_name(claimed.kind, claimed.name)
    text = NC_("failure", "sending did not end within {seconds} s").format(seconds=f"{LONGEST_SEND_S:.0f}")
    return Outcome(claimed, None, DeliveryError(f"{name}: {text}"))


def _hand_back(hanging: Sequence[Claimed], now: datetime) -> None:
    """Shorten the claims of messages that are still being sent when this process ends."""
    log.warning("%d notifications are still being sent; they are sent again after the next start", len(hanging))
    with writing() as session:
        for claimed in hanging:
            is_ours = (Delivery.id == claimed.id, Delivery.claimed_until == claimed.claimed_until)
            shortened = update(Delivery).where(*is_ours).values(claimed_until=now + AFTER_THE_STOP)
            session.execute(shortened, execution_options=UNSYNCHRONISED)


def _claim(now: datetime, busy: Counter[int], failing: set[int]) -> list[Claimed]:
    """Claim as many due rows as there are free workers, oldest first.

    Skips full and failing channels.
    """
    free = WORKERS - busy.total()
    full = failing | {channel_id for channel_id, count in busy.items() if count >= WORKERS_PER_CHANNEL}
    is_due = and_(_is_due(now), Delivery.channel_id.not_in(full))
    # Checks without the write lock first: usually nothing is due.
    is_waiting = free > 0 and db.session.scalar(select(Delivery.id).where(is_due).limit(1)) is not None
    ids = _find_next(is_due, now) if is_waiting else []
    db.session.commit()  # the next check must not read the snapshot of this one
    if not ids:
        return []
    with writing() as session:
        taken: list[Claimed] = []
        # Another process may have claimed some since. Nothing else can come first: new rows have higher ids.
        for row in session.execute(_rows(ids).where(is_due)):
            claimed = Claimed(*(*row, now + CLAIM))
            if len(taken) < free and busy[claimed.channel_id] < WORKERS_PER_CHANNEL:
                busy[claimed.channel_id] += 1
                taken.append(claimed)
        session.execute(
            update(Delivery)
            .where(Delivery.id.in_([claimed.id for claimed in taken]))
            .values(state=DeliveryState.SENDING, claimed_until=now + CLAIM, attempts=Delivery.attempts + 1),
            execution_options=UNSYNCHRONISED,
        )
    return taken


def _find_next(is_due: ColumnElement[bool], now: datetime) -> Sequence[int]:
    """Return the ids of the due rows that are first for all their jobs, oldest first.

    A row is first if no earlier one for its destination about one of its jobs is being sent or waits for a retry.
    Messages held by quiet hours do not count: they must not block those that may be sent.
    """
    may_go = channels.may_send(now)
    unsent = and_(Delivery.state.in_(UNSENT), or_(Delivery.state == DeliveryState.SENDING, may_go))
    first_id = func.min(Delivery.id).label("id")
    firsts = select(first_id).where(unsent, Delivery.job_id.is_not(None)).group_by(*JOB_AT_DESTINATION)
    is_next = or_(Delivery.job_id.is_(None), Delivery.id.in_(firsts))
    if lists := _find_lists(unsent):
        singles = {
            delivery_id: [tuple(key)]
            for delivery_id, *key in db.session.execute(firsts.add_columns(*JOB_AT_DESTINATION))
        }
        held = _find_held(lists | singles)
        # The compared ids, not queried again: another process may have finished an earlier one since.
        is_other = and_(Delivery.job_id.is_(None), Delivery.id.not_in(_written(held)))
        is_next = or_(is_other, Delivery.id.in_(_written(singles.keys() - held)))
    wanted = select(Delivery.id).where(is_due, may_go, is_next)
    return db.session.scalars(wanted.order_by(Delivery.next_attempt_at, Delivery.id).limit(LOOK_AHEAD)).all()


def _find_lists(unsent: ColumnElement[bool]) -> dict[int, list[Any]]:
    """Return the waiting lists of overdue jobs by id, each with its jobs at its destination."""
    # Uses the index of jobs, in which few rows have no job: the queue itself may be long.
    is_list = (Delivery.job_id.is_(None), Delivery.event == "overdueBackups")
    wanted = select(Delivery.id, Delivery.channel_id, Delivery.target, Delivery.payload).where(*is_list, unsent)
    return {
        row.id: [(row.channel_id, row.target, job_id) for job_id in row.payload.get("job_ids", ())]
        for row in db.session.execute(wanted)
    }


def _find_held(keys: Mapping[int, Sequence[Any]]) -> set[int]:
    """Return the ids that share a key with an earlier id."""
    seen: set[Any] = set()
    held = set()
    for delivery_id in sorted(keys):
        if not seen.isdisjoint(keys[delivery_id]):
            held.add(delivery_id)
        seen.update(keys[delivery_id])
    return held


def _written(ids: Iterable[int]) -> Any:
    """Write ids as literals: the number of parameters is limited."""
    return bindparam(None, sorted(ids), expanding=True, literal_execute=True)


def _rows(ids: Sequence[int]) -> Select[Any]:
    """Select rows in order of time and lock them.

    The columns are the fields of `Claimed`.
    """
    return (
        select(
            Delivery.id,
            Delivery.idempotency_key,
            Delivery.event,
            Delivery.target,
            Delivery.payload,
            Delivery.attempts + 1,
            Delivery.created_at,
            Channel.id,
            Channel.kind,
            Channel.name,
            Channel.settings,
        )
        .join(Channel, Channel.id == Delivery.channel_id)
        .where(Delivery.id.in_(ids))
        .order_by(Delivery.next_attempt_at, Delivery.id)
        .with_for_update(of=Delivery, skip_locked=True)
    )


def _try(app: Flask, delivery: Claimed) -> Outcome:
    """Send one message, in the thread of a worker and outside any transaction."""
    channel = None
    with app.app_context():
        try:
            channel = channels.open_stored(delivery.kind, delivery.settings)
            channels.send_once(channel, message_for(channel, delivery))
        except DeliveryError as error:
            return Outcome(delivery, channel, error)
        except secrets.Undecryptable as error:
            text = UNUSABLE.format(error=type(error).__name__)
            waits = secrets.find_key_problem() is not None
            return Outcome(delivery, channel, WaitsForKey(text) if waits else DeliveryError(text))
        except Exception as error:  # an error in one channel must not stop the others
            log.exception("delivery %s through channel %s/%s crashed", delivery.id, delivery.kind, delivery.name)
            text = UNUSABLE.format(error=type(error).__name__)
            return Outcome(delivery, channel, DeliveryError(text))
    return Outcome(delivery, channel, None)


def message_for(channel: NotificationChannel, delivery: Claimed) -> Message:
    """Return the stored message in the format of a channel: limits, plain text and HTML."""
    return shape_message(
        channel,
        delivery.payload,
        event=delivery.event,
        target=delivery.target or None,
        idempotency_key=delivery.idempotency_key,
        sent_at=delivery.created_at,
    )


def shape_message(channel: NotificationChannel, payload: Mapping[str, Any], **given: Any) -> Message:
    """Return a message from a payload, truncated to the channel's limits.

    `given` are further fields.
    """
    text, in_bytes = payload["text"], channel.limits_in_bytes
    body = shorten(templates.to_plain(text), channel.body_limit, in_bytes=in_bytes)
    marked = templates.to_markdown(text)
    is_whole = shorten(marked, channel.body_limit, in_bytes=in_bytes) == marked
    pictures = messages.unpacked(payload.get("pictures", ()))
    event_at = payload.get("event_at")
    return Message(
        title=shorten(payload["title"], channel.title_limit, in_bytes=in_bytes),
        body=body,
        html=templates.to_html(text if is_whole else templates.escape(body)) + "".join(map(_picture_html, pictures)),
        # Truncated Markdown might end within markup: then plain text is used.
        markdown=marked if payload["is_formatted"] and is_whole else None,
        severity=Severity(payload["severity"]),
        priority=payload["priority"],
        tags=tuple(payload["tags"]),
        link=payload["link"],
        values=payload["values"],
        event_at=datetime.fromisoformat(event_at) if event_at else given.get("sent_at"),
        attachments=pictures,
        **given,
    )


def _picture_html(picture: Attachment) -> str:
    words = html.escape(picture.description)
    return f'\n<p><img src="cid:{picture.content_id}" alt="{words}" width="600" style="max-width: 100%"></p>'


def _record(outcome: Outcome, now: datetime) -> None:
    """Record the result of an attempt.

    A final failure is audited; a retry shows in the history only.
    """
    delivery, error = outcome.delivery, outcome.error
    values: dict[str, Any] = {"claimed_until": None}
    if error is None:
        values |= {"state": DeliveryState.DELIVERED, "finished_at": now, "last_error": None}
    else:
        again_at = _next_try_at(delivery.attempts, error, now)
        if isinstance(error, WaitsForKey):
            values["attempts"], again_at = delivery.attempts - 1, now + KEY_WAIT
        values |= {"last_error": str(error)[:ERROR_LENGTH]}
        if again_at is None:
            values |= {"state": DeliveryState.FAILED, "finished_at": now}
        else:
            values |= {"state": DeliveryState.QUEUED, "next_attempt_at": again_at}
            if error.retry_after_s is not None:
                values["claimed_until"] = again_at
        log.warning("delivery %s: %s (try %s)", delivery.id, error, delivery.attempts)
    is_ours = [Delivery.id == delivery.id]
    if error is not None:  # a message that was sent is delivered, even without the claim
        is_ours += [Delivery.state == DeliveryState.SENDING, Delivery.claimed_until == delivery.claimed_until]
    with writing() as session:
        session.execute(update(Delivery).where(*is_ours).values(values), execution_options=UNSYNCHRONISED)
        if error is None:
            channels.record_success(session, delivery.channel_id, now)
        else:
            channels.record_failure(session, delivery.channel_id, values["last_error"], now)
        if values.get("finished_at"):
            _audit(outcome, now)


def _next_try_at(attempts: int, error: DeliveryError, now: datetime) -> datetime | None:
    if error.permanent:
        return None
    return next_try_at(attempts, now, random.random(), error.retry_after_s)  # noqa: S311 (no secret)


def _audit(outcome: Outcome, now: datetime) -> None:
    delivery, channel, error = outcome.delivery, outcome.channel, outcome.error
    label = channels.audit_label(channel) if channel is not None else "unknown"
    verb = "notification" if channel is None or channel.name != channels.EMAIL else "email"
    record_entry(
        f"{verb}_{'sent' if error is None else 'failed'}",
        "system",
        now=now,
        status="success" if error is None else "error",
        details={
            **delivery.payload.get("audit", {}),
            "channel": f"Additional {label}" if delivery.target else label,
            **(channel.audit_details(delivery.target or None) if channel is not None else {}),
            **({"error": str(error)} if error is not None else {}),
        },
        error_message=None if error is None else str(error),
    )
