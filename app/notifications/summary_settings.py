"""Settings of the daily summary and the digest: schedule and recipients."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from marshmallow import fields

from app.audit.log import Actor, record_entry
from app.core.db.orm import writing
from app.core.errors import Refused
from app.core.instants import DAILY, MONTHLY, WEEKLY, Rhythm, read_time
from app.core.settings import store as settings_store
from app.core.settings.declarations import Setting, check_instant, check_time, declare, whole
from app.notifications import channels
from app.notifications.channels import email_addresses

OFF = "off"
# Sunday is weekday 0. Without recipients, the channel's own get it; `since` is when the plan was last changed.
RECIPIENTS = Setting("recipients", list, default=(), shape=fields.List(fields.String()))
SINCE = Setting("since", str, default=None, check=check_instant)
PERIOD = Setting("period", str, default=OFF, choices=(OFF, WEEKLY, MONTHLY))
WEEKDAY = Setting("weekday", int, default=1, minimum=0, maximum=6)
CHANNELS = Setting("channels", list, default=(), shape=fields.List(whole(0)))
DAILY_SUMMARY = declare(
    Setting(
        "daily_summary",
        dict,
        default={},
        parts=(
            Setting("enabled", bool, default=False),
            Setting("time", str, default="01:00", check=check_time),
            RECIPIENTS,
            SINCE,
        ),
    )
)
DIGEST_PLAN = declare(
    Setting(
        "digest",
        dict,
        default={},
        parts=(
            PERIOD,
            Setting("time", str, default="06:00", check=check_time),
            WEEKDAY,
            RECIPIENTS,
            CHANNELS,
            SINCE,
        ),
    )
)


SUMMARY, DIGEST = DAILY_SUMMARY.name, DIGEST_PLAN.name


@dataclass(frozen=True, slots=True)
class SummaryPlan:
    """Plan of a summary: `period` is off, daily, weekly or monthly.

    `time` is HH:MM in UTC, Sunday is weekday 0. Without `recipients` it is sent to the channel's own. `since_at` is
    when the plan was enabled or changed: earlier occurrences are not sent. `channel_ids` applies to the digest only.
    """

    name: str
    period: str
    time: str
    weekday: int
    recipients: tuple[str, ...]
    channel_ids: tuple[int, ...]
    since_at: datetime | None

    @property
    def is_on(self) -> bool:
        """Whether it is sent automatically."""
        return self.period != OFF

    @property
    def rhythm(self) -> Rhythm:
        """Return when it is sent; while it is off, when it would be."""
        fallback = DAILY if self.name == SUMMARY else WEEKLY
        return Rhythm(self.period if self.is_on else fallback, read_time(self.time), self.weekday)


def daily_summary() -> SummaryPlan:
    """Return the plan of the daily summary, which is sent by email only."""
    stored = DAILY_SUMMARY.read_parts(settings_store.read(DAILY_SUMMARY))
    return _plan(SUMMARY, stored | {"period": DAILY if stored["enabled"] else OFF})


def digest() -> SummaryPlan:
    """Return the plan of the digest."""
    return _plan(DIGEST, DIGEST_PLAN.read_parts(settings_store.read(DIGEST_PLAN)))


def save_daily_summary(*, is_enabled: bool, time: str, recipients: str, actor: Actor, now: datetime) -> None:
    """Save the plan of the daily summary.

    Raises Refused with `field` for invalid values.
    """
    values = {"enabled": is_enabled, "time": _time(time), "recipients": list(_recipients(recipients))}
    _save(SUMMARY, values, actor, now)


def save_digest(
    *,
    period: str,
    time: str,
    weekday: int,
    recipients: str,
    channel_ids: Collection[int],
    actor: Actor,
    now: datetime,
) -> None:
    """Save the plan of the digest. Raises Refused with `field` for invalid values."""
    if not PERIOD.accepts(period):
        raise Refused("digest_period_unknown", "period")
    if not WEEKDAY.accepts(weekday):
        raise Refused("digest_weekday_unknown", "weekday")
    known = {row.id for row in channels.list_channels()}
    if not known.issuperset(channel_ids):
        raise Refused("digest_channel_unknown", "channels")
    if period != OFF and not channel_ids:
        raise Refused("digest_channel_missing", "channels")
    values = {
        "period": period,
        "time": _time(time),
        "weekday": weekday,
        "recipients": list(_recipients(recipients)),
        "channels": sorted(channel_ids),
    }
    _save(DIGEST, values, actor, now)


def _plan(name: str, stored: Mapping[str, Any]) -> SummaryPlan:
    return SummaryPlan(
        name=name,
        period=stored["period"],
        time=stored["time"],
        weekday=stored.get(WEEKDAY.name, WEEKDAY.default),
        recipients=tuple(stored["recipients"]),
        channel_ids=tuple(stored.get(CHANNELS.name, CHANNELS.default)),
        since_at=datetime.fromisoformat(stored["since"]) if stored["since"] else None,
    )


def _save(name: str, values: dict[str, Any], actor: Actor, now: datetime) -> None:
    with writing():
        old = settings_store.get(name)
        before = {key: value for key, value in old.items() if key != "since"}
        if before == values:
            return
        settings_store.save(name, values | {"since": now.isoformat(timespec="milliseconds")}, now=now)
        changes = {key: {"old": before.get(key), "new": new} for key, new in values.items() if before.get(key) != new}
        record_entry(
            f"{name}_updated",
            "config",
            now=now,
            actor=actor,
            target_type="configuration",
            target_id=name,
            details={"changes": changes},
        )


def _time(text: str) -> str:
    try:
        read_time(text.strip())
    except ValueError as error:
        raise Refused("time_of_day_invalid", "time") from error
    return text.strip()


def _recipients(text: str) -> tuple[str, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    wrong = next((part for part in parts if len(part.split()) > 1 or not all(part.rpartition("@")[::2])), None)
    if wrong is not None:
        raise Refused("email_address_invalid", "recipients", address=wrong)
    return email_addresses(",".join(parts))
