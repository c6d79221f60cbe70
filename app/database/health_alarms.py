"""Alarms about duplistatus itself: full disk, damaged database, checks that do not run, messages that are not sent.

The delivery worker looks every half minute, and the alarm check of the schedule too, so that each tells of the other.
What cannot go through the outbox is sent at once, best effort. Each problem is told once, and once that all is solved.
"""

import logging
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from flask import current_app

from app.audit.log import Actor, record_entry
from app.core.db.faults import DATABASE_ERRORS, Fault
from app.core.db.transaction import writing
from app.core.instants import to_milliseconds
from app.core.settings import store as settings_store
from app.core.settings.declarations import FREE_SPACE_MIB
from app.database import checks, external_monitor, health
from app.database.health import Health, Problem
from app.notifications import channels as notifications_channels
from app.notifications import delivery, messages, outbox
from app.notifications.alarm_words import health_words
from app.notifications.messages import own_address
from app.notifications.wording import size_text
from app.plugin import AppError, Severity
from app.runtime import settings

log = logging.getLogger(__name__)

EXTENSION = "duplistatus.health_alarms"
# The setting that says what people know of: codes of problems with the time at which they were notified.
NOTIFIED = "health_notified"
# The setting with the limit in MiB.
LIMIT = "free_space_mib"
MIB = 1024 * 1024
# The limit that nobody has changed is at most this share of a small disk.
USUAL_SHARE = 0.1
FREE_SPACE = "free_space_below_limit"
# Space that hovers about the limit is one occasion.
HYSTERESIS = 1.1
# What may pass: another program that holds the database for a moment, a database server that starts again, a machine
# that slept.
PASSING = frozenset({Fault.LOCKED, Fault.UNREACHABLE, health.NO_ANSWER, health.NO_CHECKS})
PATIENCE = timedelta(minutes=5)
# With these a message in the outbox would stay there.
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
class Memory:
    """What this process knows without the database: how to reach people, and what it told them directly."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    seen_at: dict[str, datetime] = field(default_factory=dict)
    notified: dict[str, str] = field(default_factory=dict)
    channels: tuple[tuple[str, str, dict[str, Any]], ...] = ()
    monitor: external_monitor.ExternalMonitor = field(default_factory=external_monitor.ExternalMonitor)
    limit_mib: int = 0
    language: str = "en-GB"
    link: str = ""

    def refresh(self) -> None:
        """Read what the database says now; what was known before stays where it cannot be read."""
        try:
            self.channels = tuple((row.kind, row.name, dict(row.settings)) for row in notifications_channels.usable())
            self.monitor, self.limit_mib = external_monitor.read(), free_space_limit()
            self.language, self.link = messages.language(), own_address() or ""
        except DATABASE_ERRORS as error:
            log.warning("alert settings cannot be read now: %s", error)


def free_space_limit() -> int:
    """The MiB of free disk space below which people are notified; 0 is never."""
    stored = settings_store.get(LIMIT)
    return stored if isinstance(stored, int) and stored >= 0 else int(settings_store.DEFAULTS[LIMIT])


def save_free_space_limit(mib: int, *, actor: Actor, now: datetime) -> None:
    """Choose the limit. Raises AppError for one that cannot be meant."""
    least, most = FREE_SPACE_MIB
    if not least <= mib <= most:
        raise AppError(f"freeSpaceMiB: must be from {least} to {most}", field="freeSpaceMiB")
    with writing():
        settings_store.save(LIMIT, mib, now=now)
        place = {"target_type": "configuration", "target_id": "free_space"}
        details = {"freeSpaceMiB": mib}
        record_entry("free_space_limit_updated", "config", now=now, actor=actor, details=details, **place)


def look(now: datetime) -> int:
    """Notify people of what has begun to be wrong with duplistatus, or is solved; returns the number of messages."""
    memory: Memory = current_app.extensions.setdefault(EXTENSION, Memory())
    with memory.lock:
        found = health.examine(now)
        if found.queries_work:
            memory.refresh()
        known = memory.notified | _stored()
        problems = [*found.problems, *_find_short_space(memory, known)]
        new = [problem for problem in _lasting(memory, problems, now) if problem.code not in known]
        if new:
            return _notify(memory, found, new, now)
        return _notify_of_end(memory, found, known, now) if known and not problems else 0


def _lasting(memory: Memory, problems: list[Problem], now: datetime) -> list[Problem]:
    """Leave out what began just now and may pass."""
    memory.seen_at = {problem.code: memory.seen_at.get(problem.code, now) for problem in problems}
    return [
        problem for problem in problems if problem.code not in PASSING or now - memory.seen_at[problem.code] >= PATIENCE
    ]


def _find_short_space(memory: Memory, known: Mapping[str, str]) -> Iterator[Problem]:
    try:
        space = checks.measure_disk(settings().data_dir)
    except OSError:  # the examination says so
        return
    limit: float = memory.limit_mib * MIB
    if memory.limit_mib == settings_store.DEFAULTS[LIMIT]:
        limit = min(limit, space.total_bytes * USUAL_SHARE)
    if space.free_bytes < limit * (HYSTERESIS if FREE_SPACE in known else 1):
        yield Problem(FREE_SPACE, f"{size_text(space.free_bytes, memory.language)}, {space.folder}")


def _stored() -> dict[str, str]:
    try:
        stored = settings_store.get(NOTIFIED)
    except DATABASE_ERRORS:
        return {}
    return stored if isinstance(stored, dict) else {}


def _notify(memory: Memory, found: Health, new: list[Problem], now: datetime) -> int:
    # Problems of one kind have one sentence; the first of them is the most serious.
    by_kind = {KINDS[problem.code]: problem.text for problem in reversed(new)}
    lines = [_line(memory, kind, by_kind[kind]) for kind in dict.fromkeys(KINDS[problem.code] for problem in new)]
    values = {"problems": "\n".join(lines)}
    notice = messages.render_health_alarm("healthFailing", Severity.ERROR, values, memory.language, memory.link)
    codes = {problem.code: now.isoformat() for problem in new}
    if found.can_write and not STUCK & found.codes:
        try:
            return _queue(notice, codes, now)
        except DATABASE_ERRORS as error:
            log.error("an alert cannot be queued and is sent directly: %s", error)
    count = _send_directly(memory, notice, now)
    external_monitor.report_failure(memory.monitor, new[0].code)
    if count or not memory.channels:
        memory.notified |= codes
        _store_if_possible(found, codes, notice, now)
    return count


def _notify_of_end(memory: Memory, found: Health, known: Mapping[str, str], now: datetime) -> int:
    kinds = dict.fromkeys(KINDS[code] for code in known if code in KINDS)
    values = {"problems": "\n".join(_line(memory, kind) for kind in kinds)}
    notice = messages.render_health_alarm("healthWorks", Severity.INFO, values, memory.language, memory.link)
    is_mine = bool(memory.notified)
    memory.notified = {}
    with writing() as session:
        if not _stored() and not is_mine:
            return 0  # another process has said so meanwhile
        settings_store.save(NOTIFIED, None, now=now)
        count = outbox.queue_notice(session, notice, outbox.all_destinations(), _event_key("works", known, now), now)
    outbox.queued.send()
    return count


def _queue(notice: messages.RenderedMessage, codes: Mapping[str, str], now: datetime) -> int:
    """Queue an alarm unless another process has done so, and remember with it what people know."""
    with writing() as session:
        known = _stored()
        if codes.keys() <= known.keys():
            return 0
        settings_store.save(NOTIFIED, {**codes, **known}, now=now)
        audit = {"type": notice.event, "problems": sorted(codes)}
        key = _event_key("fails", codes, now)
        count = outbox.queue_notice(session, notice, outbox.all_destinations(), key, now, audit=audit)
    outbox.queued.send()
    return count


def _send_directly(memory: Memory, notice: messages.RenderedMessage, now: datetime) -> int:
    """Send without the outbox to every channel that is known; returns through how many it went."""
    count = 0
    for kind, name, stored in memory.channels:
        try:
            channel = notifications_channels.open_stored(kind, stored)
            given = {"event": notice.event, "target": None, "idempotency_key": str(uuid.uuid4()), "sent_at": now}
            notifications_channels.send_once(channel, delivery.shape_message(channel, notice.payload(), **given))
            count += 1
        except Exception as error:  # whatever is wrong with one channel must not stop the others
            log.error("the alert was not delivered through %s %s: %s", kind, name, error)
    return count


def _store_if_possible(
    found: Health, codes: Mapping[str, str], notice: messages.RenderedMessage, now: datetime
) -> None:
    """Keep what was sent directly, with an entry in the audit log, where the database can be written."""
    if not found.can_write:
        return
    try:
        with writing():
            settings_store.save(NOTIFIED, {**codes, **_stored()}, now=now)
            details = {"type": notice.event, "problems": sorted(codes)}
            record_entry("notification_sent", "system", now=now, details=details)
    except DATABASE_ERRORS as error:
        log.error("a sent alert could not be recorded: %s", error)


def _line(memory: Memory, kind: str, details: str = "") -> str:
    words = health_words(kind, memory.language)
    return f"• {words} ({details})" if details else f"• {words}"


def _event_key(what: str, codes: Mapping[str, str], now: datetime) -> str:
    return f"health-{what}:{','.join(sorted(codes))}:{to_milliseconds(now)}"
