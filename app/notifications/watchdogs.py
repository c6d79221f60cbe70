"""Alerts about no single run: no reports at all, or a channel that keeps failing.

A task checks both every few minutes. Each issue is notified once, and once more when it ends.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from marshmallow import fields
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.backups.models import Job, Server
from app.core.db.orm import writing
from app.core.instants import to_milliseconds
from app.core.settings import store as settings_store
from app.core.settings.declarations import Exact, Setting, SettingGroup, check_instant, declare
from app.insight import insight
from app.notifications import channels, messages, outbox
from app.notifications.channels import failing_channels
from app.notifications.messages import count_text, date_text, duration_text
from app.notifications.models import Channel
from app.plugin import Severity
from app.plugin.marking import N_
from app.schedules import overdue_check

LONGEST_HOURS = 24 * 366
SILENCE_HOURS = declare(
    Setting(
        "silence_hours",
        int,
        default=48,
        minimum=0,
        maximum=LONGEST_HOURS,
        wire="silenceHours",
        is_required=True,
        label=N_("Time without reports, in hours"),
        help=N_("Send an alert when no server has reported for this long and a job is overdue. 0 = off."),
    )
)
CHANNEL_FAILURE_HOURS = declare(
    Setting(
        "channel_failure_hours",
        int,
        default=2,
        minimum=0,
        maximum=LONGEST_HOURS,
        wire="channelFailureHours",
        is_required=True,
        label=N_("Time of channel failure, in hours"),
        help=N_("After this time, administrators are notified through another channel. 0 = off."),
    )
)
ALARM_LIMITS = SettingGroup(
    "alarm_limits_updated", "alarms", (SILENCE_HOURS, CHANNEL_FAILURE_HOURS, insight.DESTINATION_FULL)
)


class SilenceValue(Exact):
    """When users were notified that no reports arrive, and since when."""

    at = fields.String(required=True, validate=check_instant)
    since = fields.String(required=True, validate=check_instant)


SILENCE_TOLD = declare(Setting("silence_told", dict, default=None, shape=fields.Nested(SilenceValue)))


# Setting that stores an open alert about missing reports: time of the alert and of the last report.
NO_REPORTS = "silence_told"
NEWEST = (
    select(Job, Server)
    .join(Server, Server.id == Job.server_id)
    .where(Job.last_received_at.is_not(None))
    .order_by(Job.last_received_at.desc(), Job.id)
    .limit(1)
    .execution_options(populate_existing=True)
)


def run_watchdogs(now: datetime) -> int:
    """Queue alerts about missing reports, channels and destinations.

    Returns the number of messages.
    """
    count = check_silence(now) + check_channels(now) + insight.check_destinations(now)
    if count:
        outbox.queued.send()
    return count


def check_silence(now: datetime) -> int:
    """Alert once when reports stop, and once when they resume.

    Returns the number of messages. Missing reports cause an alert only while a job is overdue: three jobs that run on
    Sundays send nothing for six days. If no job is checked for being overdue, missing reports alone count.
    """
    with writing() as session:
        newest = session.execute(NEWEST).first()
        if newest is None or newest.Job.last_received_at is None:
            return 0
        stored, last_report_at = settings_store.get(NO_REPORTS), newest.Job.last_received_at
        if stored is None:
            return _notify_no_reports(session, last_report_at, now)
        if last_report_at > datetime.fromisoformat(stored["at"]):
            return _notify_resumed(session, newest.Server, newest.Job, stored, now)
    return 0


def check_channels(now: datetime) -> int:
    """Notify through other channels of long failures of a channel, and of the recovery."""
    hours = settings_store.read(CHANNEL_FAILURE_HOURS)
    is_known = or_(Channel.failing_since_at.is_not(None), Channel.failure_told_at.is_not(None))
    wanted = select(Channel).where(Channel.is_enabled, is_known).order_by(Channel.id).with_for_update()
    with writing() as session:
        rows = session.scalars(wanted.execution_options(populate_existing=True)).all()
        return sum(_notify_channel(session, row, hours, now) for row in rows)


def _notify_no_reports(session: Session, last_report_at: datetime, now: datetime) -> int:
    hours = settings_store.read(SILENCE_HOURS)
    if not hours or now < last_report_at + timedelta(hours=hours):
        return 0
    late_count = overdue_check.count_overdue(now)
    if not late_count and overdue_check.is_anything_checked():
        return 0
    code = messages.language()
    facts = {
        "duration": duration_text(now - last_report_at, code),
        "last_report_date": date_text(last_report_at, code),
        "count": count_text(late_count, code),
    }
    settings_store.save(NO_REPORTS, {"at": now.isoformat(), "since": last_report_at.isoformat()}, now=now)
    message = messages.render_alarm("silence", Severity.ERROR, facts)
    return outbox.queue_message(
        session, message, outbox.all_destinations(), f"silence:{to_milliseconds(last_report_at)}", now
    )


def _notify_resumed(session: Session, server: Server, job: Job, stored: Mapping[str, str], now: datetime) -> int:
    since_at = datetime.fromisoformat(stored["since"])
    facts = messages.server_values(server, job) | {"last_report_date": date_text(since_at, messages.language())}
    settings_store.save(NO_REPORTS, None, now=now)
    message = messages.render_alarm("silenceOver", Severity.INFO, facts)
    return outbox.queue_message(
        session, message, outbox.all_destinations(), f"silence-over:{to_milliseconds(since_at)}", now
    )


def _notify_channel(session: Session, row: Channel, hours: int, now: datetime) -> int:
    """Notify of a channel that fails or has recovered.

    Without a working channel the next check retries.
    """
    failing = {channel.channel_id: channel for channel in failing_channels()}
    code, name = messages.language(), channels.full_name(row.kind, row.name)
    if row.failing_since_at is None:
        since_at, row.failure_told_at = row.failure_told_at or now, None
        facts = {"channel": name, "since_date": date_text(since_at, code)}
        message = messages.render_alarm("channelWorks", Severity.INFO, facts, link=messages.channels_link())
        return outbox.queue_message(
            session, message, _working(failing), f"channel-works:{row.id}:{to_milliseconds(since_at)}", now
        )
    is_long = hours > 0 and row.failing_since_at + timedelta(hours=hours) <= now
    others = _working(failing.keys() | {row.id})
    if not is_long or row.failure_told_at is not None or not others:
        return 0
    channel = failing.get(row.id)
    facts = {
        "channel": name,
        "since_date": date_text(row.failing_since_at, code),
        "error": row.failing_error or "",
        "count": count_text(channel.waiting if channel else 0, code),
    }
    event_key = f"channel-failing:{row.id}:{to_milliseconds(row.failing_since_at)}"
    # The recovery notification says since when the channel failed.
    row.failure_told_at = row.failing_since_at
    message = messages.render_alarm("channelFailing", Severity.ERROR, facts, link=messages.channels_link())
    return outbox.queue_message(session, message, others, event_key, now)


def _working(failing: Collection[int]) -> list[outbox.Destination]:
    return [destination for destination in outbox.all_destinations() if destination.channel_id not in failing]
