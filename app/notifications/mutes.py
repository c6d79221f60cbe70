"""Mutes and announced maintenance: for a while nothing is told of a job or a server. They end by themselves."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from app import runtime
from app.audit.log import Actor, record_entry
from app.backups.models import Job, Server
from app.core.db.extensions import db
from app.core.db.transaction import writing
from app.notifications import channels
from app.notifications.models import Channel, Delivery, Urgency
from app.plugin import AppError
from app.plugin.errors import NotFound

LONGEST = timedelta(days=366)
LONGEST_NOTE = 500


@dataclass(frozen=True, slots=True)
class Mute:
    """A job, or without `job_name` a whole server, of which nothing is told from `since_at` (none: already) on."""

    server_id: str
    server_name: str
    job_name: str | None
    since_at: datetime | None
    until_at: datetime
    note: str

    def is_active(self, now: datetime) -> bool:
        """Whether it holds messages back now; one that was announced begins later."""
        return self.since_at is None or self.since_at <= now


def list_mutes(now: datetime, visible_server_ids: frozenset[str] | None) -> list[Mute]:
    """The mutes that are not over, of the servers that may be seen (None: all), by server, its own one first."""
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
    """Tell nothing of a job, or with None of a whole server, until a time; a mute that is there is replaced.

    With `since_at` it begins then. A job that is still late when it ends is told of at the next check. Raises
    NotFound, and AppError naming what is wrong with the times or the note.
    """
    since_at = None if since_at is None or since_at <= now else since_at
    if until_at <= max(now, since_at or now):
        raise AppError("until: must be in the future and after the beginning", field="until")
    if until_at > now + LONGEST:
        raise AppError(f"until: a mute can last at most {LONGEST.days} days", field="until")
    note = " ".join(note.split())
    if len(note) > LONGEST_NOTE:
        raise AppError(f"note: must have fewer than {LONGEST_NOTE} characters", field="note")
    with writing() as session:
        server, job = _find(session, server_id, job_name)
        owner = job or server
        owner.muted_from, owner.muted_until, owner.mute_note = since_at, until_at, note
        muted = _mute(server, job)
        details: dict[str, object] = {"from": _iso(since_at), "until": _iso(until_at), "note": note}
        _record("muted", muted, details, actor, now)
    return muted


def unmute(server_id: str, job_name: str | None, *, actor: Actor, now: datetime) -> None:
    """End the mute of a job, or with None that of a server itself. Raises NotFound, also when there is none."""
    with writing() as session:
        server, job = _find(session, server_id, job_name)
        owner = job or server
        if owner.muted_until is None or owner.muted_until <= now:
            raise NotFound("Not muted")
        muted = _mute(server, job)
        owner.muted_from, owner.muted_until, owner.mute_note = None, None, ""
        _record("unmuted", muted, {"until": _iso(muted.until_at)}, actor, now)


def _find(session: Session, server_id: str, job_name: str | None) -> tuple[Server, Job | None]:
    server = session.get(Server, server_id, with_for_update=job_name is None, populate_existing=True)
    if server is None:
        raise NotFound("Server not found")
    if job_name is None:
        return server, None
    wanted = select(Job).where(Job.server_id == server_id, Job.name == job_name).with_for_update()
    job = session.scalars(wanted.execution_options(populate_existing=True)).one_or_none()
    if job is None:
        raise NotFound("Backup job not found")
    return server, job


def _mute(server: Server, job: Job | None) -> Mute:
    owner = job or server
    if owner.muted_until is None:
        raise ValueError("not muted")
    job_name = job.name if job else None
    return Mute(server.id, server.display_name, job_name, owner.muted_from, owner.muted_until, owner.mute_note)


def _record(action: str, muted: Mute, details: dict[str, object], actor: Actor, now: datetime) -> None:
    kind = "server" if muted.job_name is None else "job"
    place = {"serverId": muted.server_id, "serverName": muted.server_name}
    if muted.job_name is not None:
        place["backupName"] = muted.job_name
    record_entry(
        f"{kind}_{action}",
        "config",
        now=now,
        actor=actor,
        target_type=kind,
        target_id=muted.server_id if muted.job_name is None else f"{muted.server_id}:{muted.job_name}",
        details=place | details,
    )


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="milliseconds")


# The hours of the night in which a channel keeps still, as instants; also where the clocks change.

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From one time of day, itself included, until another one of the same day or of the next; local times."""

    begin: time
    end: time

    def __post_init__(self) -> None:
        """Raise ValueError when both are the same: that may mean the whole day or nothing."""
        if self.begin == self.end:
            raise ValueError("quiet hours must begin and end at different times")

    @classmethod
    def read(cls, begin: str | None, end: str | None) -> "QuietHours | None":
        """The hours that two texts `HH:MM` tell; None when both are empty. Raises ValueError for anything else."""
        if not begin and not end:
            return None
        return cls(_time(begin or ""), _time(end or ""))

    def ends_at(self, now: datetime, zone: tzinfo) -> datetime | None:
        """When it is no longer quiet, in UTC; None when it is not quiet now.

        A local time that the clocks leave out is read as the same distance after the gap, one that comes twice as
        its first pass. So each night has one beginning and one end, and nothing waits longer than 25 hours.
        """
        today = now.astimezone(zone).date()
        for day in (today - DAY, today):
            last_day = day if self.begin < self.end else day + DAY
            if _instant(day, self.begin, zone) <= now < (end := _instant(last_day, self.end, zone)):
                return end
        return None


def _time(text: str) -> time:
    """A time of day of five signs; `fromisoformat` alone would take seconds and zones too."""
    if len(text) != 5:
        raise ValueError("a time of day must have the form HH:MM")
    return time.fromisoformat(text)


def _instant(day: date, at: time, zone: tzinfo) -> datetime:
    return datetime.combine(day, at, zone).astimezone(UTC)


# The quiet hours of channels: when each is quiet, which messages it lets through, and how people set them.


@dataclass(frozen=True, slots=True)
class Quiet:
    """A channel that is quiet now: until when, and whether messages about trouble pass."""

    ends_at: datetime
    lets_trouble_pass: bool

    def holds_back(self, urgency: int) -> bool:
        """Whether a message waits until the end."""
        return urgency < (Urgency.TROUBLE if self.lets_trouble_pass else Urgency.AT_ONCE)


def hours_of(row: Channel) -> QuietHours | None:
    """The quiet hours of a channel."""
    return QuietHours.read(row.quiet_from, row.quiet_until)


def quiet_channels(now: datetime) -> dict[int, Quiet]:
    """The channels that are quiet at this time, by their numbers."""
    zone = runtime.settings().zone
    columns = (Channel.id, Channel.quiet_from, Channel.quiet_until, Channel.quiet_lets_trouble_pass)
    found = {}
    for row in db.session.execute(select(*columns).where(Channel.quiet_from.is_not(None))):
        hours = QuietHours.read(row.quiet_from, row.quiet_until)
        ends_at = hours.ends_at(now, zone) if hours else None
        if ends_at is not None:
            found[row.id] = Quiet(ends_at, row.quiet_lets_trouble_pass)
    return found


def may_send(now: datetime, deliveries: type[Delivery] = Delivery) -> ColumnElement[bool]:
    """Of deliveries, or an alias of them: no quiet hours hold them back at this time.

    Asked when a message would be sent, not when it is queued: so hours that are changed, and clocks that are set, count
    for what waits already.
    """
    quiet = quiet_channels(now)
    if not quiet:
        return deliveries.id.is_not(None)
    lenient = [channel_id for channel_id, found in quiet.items() if found.lets_trouble_pass]
    return or_(
        deliveries.channel_id.not_in(quiet),
        deliveries.urgency == Urgency.AT_ONCE,
        and_(deliveries.urgency == Urgency.TROUBLE, deliveries.channel_id.in_(lenient)),
    )


def set_quiet_hours(
    channel_id: int, hours: QuietHours | None, *, lets_trouble_pass: bool, actor: Actor, now: datetime
) -> Channel:
    """Choose when a channel is quiet; None is never. Raises NotFound."""
    with writing():
        row = channels.find_channel(channel_id)
        before = _shown(row)
        row.quiet_from = f"{hours.begin:%H:%M}" if hours else None
        row.quiet_until = f"{hours.end:%H:%M}" if hours else None
        row.quiet_lets_trouble_pass, row.updated_at = lets_trouble_pass, now
        details = {"kind": row.kind, "name": row.name, "old": before, "new": _shown(row)}
        place = {"target_type": "channel", "target_id": row.name}
        record_entry("quiet_hours_updated", "config", now=now, actor=actor, details=details, **place)
    return row


def _shown(row: Channel) -> dict[str, str | bool | None]:
    return {"from": row.quiet_from, "until": row.quiet_until, "letsTroublePass": row.quiet_lets_trouble_pass}
