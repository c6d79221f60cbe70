"""Alerts about duplistatus: disk space, damage, missing checks, delivery.

Both the delivery worker, every half minute, and the scheduled watchdogs run this, so each reports the other's failure.
What cannot be sent through the outbox is sent directly, best effort. Each problem is notified once, and once more when
all are resolved.
"""

import logging
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from marshmallow import fields

from app import runtime
from app.audit.log import Actor, record_entry, save_group
from app.core.db.faults import DATABASE_ERRORS, Fault
from app.core.db.orm import writing
from app.core.instants import to_milliseconds
from app.core.settings import store as settings_store
from app.core.settings.declarations import Setting, SettingGroup, check_instant, declare
from app.database import checks, external_monitor, health
from app.database.health import Health, Problem
from app.notifications import channels as notifications_channels
from app.notifications import delivery, messages, outbox
from app.notifications.default_templates import health_words
from app.notifications.messages import own_address, size_text
from app.plugin import Severity
from app.plugin.marking import N_
from app.runtime import settings

FREE_SPACE_MIB = declare(
    Setting(
        "free_space_mib",
        int,
        default=500,
        minimum=0,
        maximum=100_000_000,
        wire="freeSpaceMiB",
        is_required=True,
        label=N_("Minimum free disk space, in MiB"),
        help=N_("Below this, administrators are notified through all channels. 0 = off."),
    )
)
FREE_SPACE_LIMIT = SettingGroup("free_space_limit_updated", "free_space", (FREE_SPACE_MIB,))
# What people were notified of.
HEALTH_NOTIFIED = declare(
    Setting(
        "health_notified",
        dict,
        default={},
        shape=fields.Dict(keys=fields.String(), values=fields.String(validate=check_instant)),
    )
)


log = logging.getLogger(__name__)

# Setting that stores notified problems: code -> time of the notification.
NOTIFIED = "health_notified"
MIB = 1024 * 1024
# The default limit is at most this share of a small disk.
USUAL_SHARE = 0.1
FREE_SPACE = "free_space_below_limit"
# Free space that fluctuates around the limit counts as one incident.
HYSTERESIS = 1.1
# May be temporary: a database locked by another program, a database server that restarts, a host that was suspended.
PASSING = frozenset({Fault.LOCKED, Fault.UNREACHABLE, health.NO_ANSWER, health.NO_CHECKS})
PATIENCE = timedelta(minutes=5)
# With these a message in the outbox would not be sent.
STUCK = frozenset({health.WORKER_STOPPED, health.LATE_MESSAGES})
KINDS: Mapping[str, str] = {
    FREE_SPACE: "space",
    health.LOW_DISK_SPACE: "space",
    Fault.DISK_FULL: "full",
    Fault.DAMAGED: "damaged",
    Fault.LOCKED: "silent",
    Fault.UNREACHABLE: "silent",
    health.NO_ANSWER: "silent",
    Fault.READ_ONLY: "unwritable",
    Fault.DISK_ERROR: "unwritable",
    Fault.SCHEMA: "schema",
    health.NO_CHECKS: "checks",
    health.FAILED_CHECKS: "checks",
    health.SCHEDULE_STOPPED: "checks",
    health.WORKER_STOPPED: "delivery",
    health.LATE_MESSAGES: "delivery",
}


@dataclass(slots=True)
class AlertState:
    """What this process knows without the database: recipients, and directly sent alerts."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    seen_at: dict[str, datetime] = field(default_factory=dict)
    notified: dict[str, str] = field(default_factory=dict)
    channels: tuple[tuple[str, str, dict[str, Any]], ...] = ()
    monitor: external_monitor.ExternalMonitor = field(default_factory=external_monitor.ExternalMonitor)
    limit_mib: int = 0
    language: str = "en-GB"
    link: str = ""

    def refresh(self) -> None:
        """Read the current values; those that cannot be read are kept."""
        try:
            self.channels = tuple((row.kind, row.name, dict(row.settings)) for row in notifications_channels.usable())
            self.monitor, self.limit_mib = external_monitor.read(), free_space_limit()
            self.language, self.link = messages.language(), own_address() or ""
        except DATABASE_ERRORS as error:
            log.warning("alert settings cannot be read now: %s", error)


def free_space_limit() -> int:
    """Return the MiB of free disk space below which an alert is sent; 0 means never."""
    stored = settings_store.read(FREE_SPACE_MIB)
    return stored if FREE_SPACE_MIB.accepts(stored) else int(FREE_SPACE_MIB.default)


def save_free_space_limit(mib: int, *, actor: Actor, now: datetime) -> None:
    """Save the limit. Raises Refused for one out of range."""
    save_group(FREE_SPACE_LIMIT, {FREE_SPACE_MIB.key: mib}, actor=actor, now=now)


def run_health_alerts(now: datetime) -> int:
    """Notify of new and resolved problems of duplistatus.

    Returns the number of messages.
    """
    state = runtime.part(AlertState)
    with state.lock:
        found = health.examine(now)
        if found.queries_work:
            state.refresh()
        known = state.notified | _stored()
        problems = [*found.problems, *_find_short_space(state, known)]
        new = [problem for problem in _persistent(state, problems, now) if problem.code not in known]
        if new:
            return _notify(state, found, new, now)
        return _notify_of_end(state, found, known, now) if known and not problems else 0


def _persistent(state: AlertState, problems: list[Problem], now: datetime) -> list[Problem]:
    """Return the problems without those that just began and may be temporary."""
    state.seen_at = {problem.code: state.seen_at.get(problem.code, now) for problem in problems}
    return [
        problem for problem in problems if problem.code not in PASSING or now - state.seen_at[problem.code] >= PATIENCE
    ]


def _find_short_space(state: AlertState, known: Mapping[str, str]) -> Iterator[Problem]:
    try:
        space = checks.measure_disk(settings().data_dir)
    except OSError:  # reported by the health check
        return
    limit: float = state.limit_mib * MIB
    if state.limit_mib == FREE_SPACE_MIB.default:
        limit = min(limit, space.total_bytes * USUAL_SHARE)
    if space.free_bytes < limit * (HYSTERESIS if FREE_SPACE in known else 1):
        yield Problem(FREE_SPACE, f"{size_text(space.free_bytes, state.language)}, {space.folder}")


def _stored() -> dict[str, str]:
    try:
        stored = settings_store.get(NOTIFIED)
    except DATABASE_ERRORS:
        return {}
    return stored if isinstance(stored, dict) else {}


def _notify(state: AlertState, found: Health, new: list[Problem], now: datetime) -> int:
    # Problems of one kind share a sentence; the first of them is the most serious.
    by_kind = {KINDS[problem.code]: problem.text for problem in reversed(new)}
    lines = [_line(state, kind, by_kind[kind]) for kind in dict.fromkeys(KINDS[problem.code] for problem in new)]
    values = {"problems": "\n".join(lines)}
    message = messages.render_health_alarm("healthFailing", Severity.ERROR, values, state.language, state.link)
    codes = {problem.code: now.isoformat() for problem in new}
    if found.can_write and not STUCK & found.codes:
        try:
            return _queue(message, codes, now)
        except DATABASE_ERRORS as error:
            log.error("an alert cannot be queued and is sent directly: %s", error)
    count = _send_directly(state, message, now)
    external_monitor.report_failure(state.monitor, new[0].code)
    if count or not state.channels:
        state.notified |= codes
        _store_if_possible(found, codes, message, now)
    return count


def _notify_of_end(state: AlertState, found: Health, known: Mapping[str, str], now: datetime) -> int:
    kinds = dict.fromkeys(KINDS[code] for code in known if code in KINDS)
    values = {"problems": "\n".join(_line(state, kind) for kind in kinds)}
    message = messages.render_health_alarm("healthWorks", Severity.INFO, values, state.language, state.link)
    is_mine = bool(state.notified)
    state.notified = {}
    with writing() as session:
        if not _stored() and not is_mine:
            return 0  # another process has notified of it meanwhile
        settings_store.save(NOTIFIED, None, now=now)
        count = outbox.queue_message(session, message, outbox.all_destinations(), _event_key("works", known, now), now)
    outbox.queued.send()
    return count


def _queue(message: messages.RenderedMessage, codes: Mapping[str, str], now: datetime) -> int:
    """Queue an alert and store its state, unless another process has done so."""
    with writing() as session:
        known = _stored()
        if codes.keys() <= known.keys():
            return 0
        settings_store.save(NOTIFIED, {**codes, **known}, now=now)
        audit = {"type": message.event, "problems": sorted(codes)}
        key = _event_key("fails", codes, now)
        count = outbox.queue_message(session, message, outbox.all_destinations(), key, now, audit=audit)
    outbox.queued.send()
    return count


def _send_directly(state: AlertState, message: messages.RenderedMessage, now: datetime) -> int:
    """Send to every known channel without the outbox; return the number of successes."""
    count = 0
    for kind, name, stored in state.channels:
        try:
            channel = notifications_channels.open_stored(kind, stored)
            fields = {"event": message.event, "target": None, "idempotency_key": str(uuid.uuid4()), "sent_at": now}
            notifications_channels.send_once(channel, delivery.shape_message(channel, message.payload(), **fields))
            count += 1
        except Exception as error:  # an error in one channel must not stop the others
            log.error("the alert was not delivered through %s %s: %s", kind, name, error)
    return count


def _store_if_possible(
    found: Health, codes: Mapping[str, str], message: messages.RenderedMessage, now: datetime
) -> None:
    """Store and audit what was sent directly, if the database is writable."""
    if not found.can_write:
        return
    try:
        with writing():
            settings_store.save(NOTIFIED, {**codes, **_stored()}, now=now)
            details = {"type": message.event, "problems": sorted(codes)}
            record_entry("notification_sent", "system", now=now, details=details)
    except DATABASE_ERRORS as error:
        log.error("a sent alert could not be recorded: %s", error)


def _line(state: AlertState, kind: str, details: str = "") -> str:
    words = health_words(kind, state.language)
    return f"• {words} ({details})" if details else f"• {words}"


def _event_key(what: str, codes: Mapping[str, str], now: datetime) -> str:
    return f"health-{what}:{','.join(sorted(codes))}:{to_milliseconds(now)}"
