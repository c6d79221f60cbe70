"""Mutes of servers and jobs, planned maintenance, and quiet hours of channels.

All of them end automatically.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from app import runtime
from app.audit.log import Actor, record_entry
from app.backups.models import Job, Server
from app.core.db.extensions import db
from app.core.db.transaction import writing
from app.core.errors import Refused
from app.notifications import channels
from app.notifications.models import Channel, Delivery, Urgency

LONGEST = timedelta(days=366)
LONGEST_NOTE = 500


@dataclass(frozen=True, slots=True)
class Mute:
    """A mute of a job, or without `job_name` of a server.

    `since_at` None means already begun.
    """

    server_id: str
    server_name: str
    job_name: str | None
    since_at: datetime | None
    until_at: datetime
    note: str

    def is_active(self, now: datetime) -> bool:
        """Whether it is active now; planned maintenance begins later."""
        return self.since_at is None or self.since_at <= now


def list_mutes(now: datetime, visible_server_ids: frozenset[str] | None) -> list[Mute]:
    """Return current and future mutes of visible servers (None: all).

    Ordered by server, its own mute before those of its jobs.
    """
    servers = select(Server).where(Server.muted_until > now)
    jobs = select(Server, Job).join(Job, Job.server_id == Server.id).where(Job.muted_until > now)
    found = [_mute(server, None) for server in db.session.scalars(servers)]
    found += [_mute(server, job) for server, job in db.session.execute(jobs)]
    seen = [mute for mute in found if visible_server_ids is None or mute.server_id in visible_server_ids]
    return sorted(seen, key=lambda mute: (mute.server_name.casefold(), mute.server_id, mute.job_name or ""))


def mute(
    server_id: str,
    job_name: str | None,
    *,
    until_at: datetime,
    since_at: datetime | None = None,
    note: str = "",
    actor: Actor,
    now: datetime,
) -> Mute:
    """Mute a job, or with None a server, until a time; replaces an existing mute.

    With `since_at` it begins then. A job that is still overdue at the end is notified at the next check. Raises
    Refused (404), and Refused for invalid times or an invalid note.
    """
    since_at = None if since_at is None or since_at <= now else since_at
    if until_at <= max(now, since_at or now):
        raise Refused("mute_end_passed", "until")
    if until_at > now + LONGEST:
        raise Refused("mute_too_long", "until", days=LONGEST.days)
    note = " ".join(note.split())
    if len(note) > LONGEST_NOTE:
        raise Refused("mute_note_too_long", "note", most=LONGEST_NOTE)
    with writing() as session:
        server, job = _find(session, server_id, job_name)
        owner = job or server
        owner.muted_from, owner.muted_until, owner.mute_note = since_at, until_at, note
        muted = _mute(server, job)
        details: dict[str, object] = {"from": _iso(since_at), "until": _iso(until_at), "note": note}
        _record("muted", muted, details, actor, now)
    return muted


def unmute(server_id: str, job_name: str | None, *, actor: Actor, now: datetime) -> None:
    """Unmute a job, or with None a server itself.

    Raises Refused (404), also if it is not muted.
    """
    with writing() as session:
        server, job = _find(session, server_id, job_name)
        owner = job or server
        if owner.muted_until is None or owner.muted_until <= now:
            raise Refused("not_muted")
        muted = _mute(server, job)
        owner.muted_from, owner.muted_until, owner.mute_note = None, None, ""
        _record("unmuted", muted, {"until": _iso(muted.until_at)}, actor, now)


def _find(session: Session, server_id: str, job_name: str | None) -> tuple[Server, Job | None]:
    server = session.get(Server, server_id, with_for_update=job_name is None, populate_existing=True)
    if server is None:
        raise Refused("server_not_found")
    if job_name is None:
        return server, None
    wanted = select(Job).where(Job.server_id == server_id, Job.name == job_name).with_for_update()
    job = session.scalars(wanted.execution_options(populate_existing=True)).one_or_none()
    if job is None:
        raise Refused("job_not_found")
    return server, job


def _mute(server: Server, job: Job | None) -> Mute:
    owner = job or server
    if owner.muted_until is None:
        raise ValueError("not muted")
    job_name = job.name if job else None
    return Mute(server.id, server.display_name, job_name, owner.muted_from, owner.muted_until, owner.mute_note)


def _record(action: str, muted: Mute, details: dict[str, object], actor: Actor, now: datetime) -> None:
    kind = "server" if muted.job_name is None else "job"
    target = {"serverId": muted.server_id, "serverName": muted.server_name}
    if muted.job_name is not None:
        target["backupName"] = muted.job_name
    record_entry(
        f"{kind}_{action}",
        "config",
        now=now,
        actor=actor,
        target_type=kind,
        target_id=muted.server_id if muted.job_name is None else f"{muted.server_id}:{muted.job_name}",
        details=target | details,
    )


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="milliseconds")


# Daily quiet hours of a channel as instants, correct across clock changes.

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From a local time, inclusive, until another one of the same or the next day, exclusive."""

    begin: time
    end: time

    def __post_init__(self) -> None:
        """Raise ValueError if both are equal: that could mean the whole day or never."""
        if self.begin == self.end:
            raise ValueError("quiet hours must begin and end at different times")

    @classmethod
    def read(cls, begin: str | None, end: str | None) -> "QuietHours | None":
        """Parse two texts `HH:MM`; None if both are empty.

        Raises ValueError for anything else.
        """
        if not begin and not end:
            return None
        return cls(_time(begin or ""), _time(end or ""))

    def ends_at(self, now: datetime, zone: tzinfo) -> datetime | None:
        """Return the end of the current quiet hours in UTC; None if it is not quiet now.

        A local time skipped by a clock change counts as the same distance after the gap, a repeated one as its first
        occurrence. So each night has one begin and one end, and nothing waits longer than 25 hours.
        """
        today = now.astimezone(zone).date()
        for day in (today - DAY, today):
            last_day = day if self.begin < self.end else day + DAY
            if _instant(day, self.begin, zone) <= now < (end := _instant(last_day, self.end, zone)):
                return end
        return None


def _time(text: str) -> time:
    """Parse a time of five characters.

    `fromisoformat` alone would accept seconds and time zones.
    """
    if len(text) != 5:
        raise ValueError("a time of day must have the form HH:MM")
    return time.fromisoformat(text)


def _instant(day: date, at: time, zone: tzinfo) -> datetime:
    return datetime.combine(day, at, zone).astimezone(UTC)


# Quiet hours of channels: which messages wait now, and how they are set.


@dataclass(frozen=True, slots=True)
class ActiveQuietHours:
    """Current quiet hours of a channel: their end, and whether urgent messages pass."""

    ends_at: datetime
    lets_trouble_pass: bool

    def holds(self, urgency: int) -> bool:
        """Whether a message waits until the end."""
        return urgency < (Urgency.URGENT if self.lets_trouble_pass else Urgency.AT_ONCE)


def quiet_channels(now: datetime) -> dict[int, ActiveQuietHours]:
    """Return the current quiet hours of channels, by channel id."""
    zone = runtime.settings().zone
    columns = (Channel.id, Channel.quiet_from, Channel.quiet_until, Channel.quiet_lets_trouble_pass)
    found = {}
    for row in db.session.execute(select(*columns).where(Channel.quiet_from.is_not(None))):
        hours = QuietHours.read(row.quiet_from, row.quiet_until)
        ends_at = hours.ends_at(now, zone) if hours else None
        if ends_at is not None:
            found[row.id] = ActiveQuietHours(ends_at, row.quiet_lets_trouble_pass)
    return found


def may_send(now: datetime, deliveries: type[Delivery] = Delivery) -> ColumnElement[bool]:
    """Return the SQL condition for deliveries, or an alias, that no quiet hours hold now.

    Evaluated when a message would be sent, not when it is queued: so changed hours and clocks apply to messages that
    already wait.
    """
    quiet = quiet_channels(now)
    if not quiet:
        return deliveries.id.is_not(None)
    lenient = [channel_id for channel_id, found in quiet.items() if found.lets_trouble_pass]
    return or_(
        deliveries.channel_id.not_in(quiet),
        deliveries.urgency == Urgency.AT_ONCE,
        and_(deliveries.urgency == Urgency.URGENT, deliveries.channel_id.in_(lenient)),
    )


def set_quiet_hours(
    channel_id: int, hours: QuietHours | None, *, lets_trouble_pass: bool, actor: Actor, now: datetime
) -> Channel:
    """Set the quiet hours of a channel; None removes them. Raises Refused (404)."""
    with writing():
        row = channels.find_channel(channel_id)
        before = _shown(row)
        row.quiet_from = f"{hours.begin:%H:%M}" if hours else None
        row.quiet_until = f"{hours.end:%H:%M}" if hours else None
        row.quiet_lets_trouble_pass, row.updated_at = lets_trouble_pass, now
        details = {"kind": row.kind, "name": row.name, "old": before, "new": _shown(row)}
        target = {"target_type": "channel", "target_id": row.name}
        record_entry("quiet_hours_updated", "config", now=now, actor=actor, details=details, **target)
    return row


def _shown(row: Channel) -> dict[str, str | bool | None]:
    return {"from": row.quiet_from, "until": row.quiet_until, "letsTroublePass": row.quiet_lets_trouble_pass}
