"""Configured channels: stored settings, channel objects, delivery health and quiet hours."""

import logging
import secrets as randomness
import string
import traceback
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields
from sqlalchemy import ColumnElement, and_, func, literal, or_, select, update
from sqlalchemy.orm import Session

from app import runtime
from app.audit.log import Actor, record_entry
from app.core.db.orm import cache, db, writing
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.core.settings.declarations import Setting, declare
from app.database import secrets
from app.database.secrets import is_other_server
from app.notifications.models import Channel, Delivery, DeliveryState, Urgency
from app.plugin import (
    NC_,
    DeliveryError,
    ForbiddenAddress,
    Message,
    NotificationChannel,
    guarded_connections,
    validate_http_url,
)
from app.runtime import registry

HAS_DEFAULT_CHANNELS = declare(Setting("has_default_channels", bool, default=False))


log = logging.getLogger(__name__)

NTFY, EMAIL = "ntfy", "email"
DEFAULT_NTFY_URL = "https://ntfy.sh/"
TOPIC_PREFIX, TOPIC_LENGTH = "duplistatus-", 12
# What reading stored settings may raise: a secret encrypted with another key, or settings of another plugin version.
UNREADABLE = (secrets.Undecryptable, ValidationError)
MASK = "***"
# Masking shorter secrets would blank out single letters of every text.
SHORTEST_MASKED = 3


class SecretForOtherServer(Refused):
    """A stored secret would be sent to another server than the one it was entered for. `fields` names the secrets."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        sentence = "Enter it again: the stored one was meant for another server."
        body = {"fields": dict.fromkeys(labels, sentence)}
        super().__init__("channel_secret_kept", body=body, label=next(iter(labels.values())))


def ensure_defaults(*, now: datetime) -> None:
    """Create the standard ntfy channel with a random topic, once per database.

    A deleted one is not created again.
    """
    if settings_store.get("has_default_channels"):
        return
    with writing() as session:
        if standard(NTFY) is None:
            settings = {"url": DEFAULT_NTFY_URL, "topic": random_topic()}
            session.add(Channel(kind=NTFY, name=NTFY, settings=settings, created_at=now, updated_at=now))
        settings_store.save("has_default_channels", True, now=now)


def random_topic() -> str:
    """Return a topic that cannot be guessed: on a public server it is the only protection."""
    letters = string.ascii_letters + string.digits
    return TOPIC_PREFIX + "".join(randomness.choice(letters) for _ in range(TOPIC_LENGTH))


def standard(kind: str) -> Channel | None:
    """Return the standard channel of a kind, which the original's settings describe."""
    return db.session.scalars(select(Channel).where(Channel.kind == kind, Channel.name == kind)).first()


def list_channels() -> list[Channel]:
    """Return all channels, by kind and name."""
    return list(db.session.scalars(select(Channel).order_by(Channel.kind, Channel.name)))


def usable() -> list[Channel]:
    """Return the channels that can send: enabled, complete, and of an installed kind."""
    return [row for row in list_channels() if row.is_enabled and is_configured(row)]


def full_name(kind: str, name: str) -> str:
    """Return the display name: the kind and, for additional channels, the channel's own name."""
    found = registry().channels.get(kind)
    label = found.label if found else kind
    return label if name == kind else f"{label} {name}"


def is_configured(row: Channel) -> bool:
    """Whether the kind is installed and all required settings are present.

    Does not decrypt secrets.
    """
    kind = registry().channels.get(row.kind)
    if kind is None:
        return False
    needed = (name for name, field in kind.Settings().fields.items() if field.required)
    return all(row.settings.get(name) not in (None, "") for name in needed)


def is_complete(row: Channel) -> bool:
    """Whether the settings that other settings require are present too.

    An incomplete channel still tries to send, and its error names what is missing.
    """
    return is_configured(row) and not missing_settings(row)


def missing_settings(row: Channel) -> Sequence[str]:
    """Return the names of missing settings that other settings of the channel require."""
    kind = registry().channels.get(row.kind)
    return kind.missing_settings(row.settings) if kind else ()


def load_settings(row: Channel) -> dict[str, Any]:
    """Return the settings of a channel, decrypted. Raises `secrets.Undecryptable`."""
    return decrypt_settings(row.kind, row.settings)


def decrypt_settings(kind: str, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Decrypt stored settings of a kind. Raises `secrets.Undecryptable`."""
    schema = _schema(kind)
    values = dict(stored)
    for name in _encrypted(schema):
        if values.get(name):
            values[name] = secrets.decrypt(values[name])
    loaded: dict[str, Any] = schema.load(values)
    return loaded


def visible_settings(row: Channel) -> dict[str, Any]:
    """Return the settings without secrets.

    `has_<name>` says whether a secret is stored.

    Settings encrypted with another key are omitted and listed by `unreadable_settings`.
    """
    schema = _schema(row.kind)
    hidden = _secret(schema)
    open_values = {name: value for name, value in _readable(schema, row.settings).items() if name not in hidden}
    return open_values | {f"has_{name}": bool(row.settings.get(name)) for name in hidden}


def unreadable_settings(row: Channel) -> frozenset[str]:
    """Return the names of settings that were encrypted with another key."""
    return frozenset(row.settings.keys() - _readable(_schema(row.kind), row.settings).keys())


def find_channel(row_id: int) -> Channel:
    """Return a channel by its id. Raises Refused (404)."""
    row = db.session.get(Channel, row_id)
    if row is None:
        raise Refused("channel_not_found")
    return row


def save_settings(
    kind: str,
    name: str,
    values: Mapping[str, Any],
    *,
    now: datetime,
    is_enabled: bool | None = None,
    cleared: Collection[str] = (),
) -> Channel:
    """Create a channel or change the settings in `values`.

    Omitted ones, also secrets, are kept.

    Those in `cleared` are removed, so that the schema's defaults apply. Raises Refused with `fields` for settings that
    do not match the kind's schema, and SecretForOtherServer if a secret would be sent to another server.
    """
    schema = _schema(kind)
    with writing() as session:
        row = session.scalars(select(Channel).where(Channel.kind == kind, Channel.name == name)).first()
        if row is None:
            row = Channel(kind=kind, name=name, settings={}, created_at=now)
            session.add(row)
        remaining = {name: value for name, value in row.settings.items() if name not in cleared}
        _check(schema, {**_readable(schema, remaining), **values})
        _check_hosts(schema, row.settings, remaining, values)
        row.settings = {**remaining, **_encrypt(schema, values)}
        row.is_enabled = row.is_enabled is not False if is_enabled is None else is_enabled
        row.updated_at = now
        session.flush()
    return row


def delete_channel(row_id: int) -> None:
    """Delete a channel with its deliveries. Raises Refused (404)."""
    with writing() as session:
        session.delete(find_channel(row_id))


def open_stored(kind: str, stored: Mapping[str, Any]) -> NotificationChannel:
    """Return a channel object made from the stored settings.

    Raises Refused (404) and the errors in UNREADABLE.
    """
    settings = decrypt_settings(kind, stored)
    return registry().channels[kind](settings)


def subscribe_url(row: Channel, target: str = "") -> str | None:
    """Return the URL by which a phone subscribes to a channel.

    None if unsupported or incomplete.
    """
    if not is_configured(row):
        return None
    try:
        return open_stored(row.kind, row.settings).subscribe_url(target or None)
    except UNREADABLE:
        return None


def open_channel(kind: str, settings: Mapping[str, Any]) -> NotificationChannel:
    """Return a channel object made from decrypted settings.

    Raises Refused for invalid ones.
    """
    schema = _schema(kind)
    _check(schema, settings)
    return registry().channels[kind](schema.load(dict(settings)))


def send_once(channel: NotificationChannel, message: Message) -> None:
    """Send now, without retries.

    Raises DeliveryError whose text contains no secret of the channel.

    Of unexpected exceptions only the type is named: their text may quote parts of a secret.
    """
    try:
        with guarded_connections():
            channel.send(message)
    except DeliveryError as error:
        raise DeliveryError(
            masked(str(error), channel), permanent=error.permanent, retry_after_s=error.retry_after_s
        ) from None
    except ForbiddenAddress as error:
        raise DeliveryError(masked(f"{channel.label}: {error}", channel), permanent=True) from None
    except Exception as error:  # an error in a plugin must not stop the delivery worker
        kind, steps = type(error).__name__, "".join(traceback.format_tb(error.__traceback__))
        log.error("channel %s raised %s:\n%s", channel.name, kind, steps)
        text = NC_("failure", "the channel failed unexpectedly ({error}); the application log says where")
        raise DeliveryError(f"{channel.label}: {text.format(error=kind)}") from None


def audit_label(channel: NotificationChannel) -> str:
    """Return the name of a kind of channel in the audit log."""
    # wire: the original writes these two like this.
    return {NTFY: "NTFY", EMAIL: "Email"}.get(channel.name, channel.label)


def masked(text: str, channel: NotificationChannel) -> str:
    """Return the text with secrets of the channel masked."""
    for name in _secret(channel.Settings()):
        secret = channel.settings.get(name)
        if isinstance(secret, str) and len(secret) >= SHORTEST_MASKED:
            text = text.replace(secret, MASK)
    return text


def check_stored(kind: str, stored: object) -> None:
    """Reject settings that duplistatus cannot have stored. Raises Refused.

    Kinds that are not installed may hold anything. Missing settings are accepted: an incomplete channel sends nothing.
    """
    if not isinstance(stored, dict):
        raise Refused("stored_settings_no_object")
    if kind not in registry().channels:
        return
    schema = _schema(kind)
    for name, field in schema.fields.items():
        value = stored.get(name, "")
        if name in _encrypted(schema):
            if value != "" and not secrets.is_encrypted(value):
                raise Refused("stored_secret_not_encrypted", name, name=name)
        elif name in stored:
            try:
                field.deserialize(value)
            except ValidationError as error:
                raise Refused("stored_settings_invalid", name, name=name, reason=_sentence(error.messages)) from error


def _schema(kind: str) -> Schema:
    found = registry().channels.get(kind)
    if found is None:
        raise Refused("channel_kind_unknown", name=kind)
    return found.Settings(unknown=EXCLUDE)


def _secret(schema: Schema) -> set[str]:
    return {name for name, field in schema.fields.items() if field.metadata.get("secret")}


def _encrypted(schema: Schema) -> set[str]:
    """Return the encrypted settings: secrets and protected ones such as a username."""
    return _secret(schema) | {name for name, field in schema.fields.items() if field.metadata.get("encrypted")}


def _readable(schema: Schema, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the decrypted settings without those encrypted with another key."""
    closed = _encrypted(schema)
    values = {}
    for name, value in stored.items():
        try:
            values[name] = secrets.decrypt(value) if value and name in closed else value
        except secrets.Undecryptable:
            continue
    return values


def _encrypt(schema: Schema, values: Mapping[str, Any]) -> dict[str, Any]:
    closed = {name: value for name, value in values.items() if name in schema.fields}
    for name in _encrypted(schema) & closed.keys():
        if closed[name]:
            closed[name] = secrets.encrypt(str(closed[name]))
    return closed


def _check(schema: Schema, values: Mapping[str, Any]) -> None:
    try:
        schema.load(dict(values))
    except ValidationError as error:
        messages: dict[str, Any] = error.normalized_messages()  # type: ignore[no-untyped-call]
        wrong = {name: _sentence(sentences) for name, sentences in messages.items()}
        first = next(iter(wrong))
        raise Refused(
            "channel_settings_invalid", body={"fields": wrong}, label=_label(schema, first), reason=wrong[first]
        ) from error


def _check_hosts(
    schema: Schema, stored: Mapping[str, Any], remaining: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    """Reject a stored secret that would be sent to a new server.

    Raises SecretForOtherServer.
    """
    before, after = _readable(schema, stored), {**_readable(schema, remaining), **values}
    if any(is_other_server(_address(before, name), _address(after, name)) for name in _addresses(schema)):
        unchanged = [
            name for name in schema.fields if name in _secret(schema) and remaining.get(name) and name not in values
        ]
        if unchanged:
            raise SecretForOtherServer({name: _label(schema, name) for name in unchanged})


def _addresses(schema: Schema) -> list[str]:
    """Return the settings that name the server to which secrets are sent.

    These are the fields marked as such, else those of type URL.
    """
    return [name for name, field in schema.fields.items() if field.metadata.get("address", _is_address(field))]


def _is_address(field: fields.Field[Any]) -> bool:
    return isinstance(field, fields.Url) or validate_http_url in field.validators


def _address(values: Mapping[str, Any], name: str) -> str:
    return str(values.get(name) or "")


def _label(schema: Schema, name: str) -> str:
    field = schema.fields.get(name, fields.Raw())
    return str(field.metadata.get("label", name))


def _sentence(messages: Any) -> str:
    return " ".join(messages) if isinstance(messages, list) else str(messages)


# Delivery health of channels, stored at each attempt so that reading it is cheap. `watchdogs` sends the alerts.

UNSYNCHRONISED = {"synchronize_session": False}
# A channel that recovers after this long gets all waiting messages at once; shorter failures change no schedule.
LONG = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class FailingChannel:
    """A channel whose latest delivery attempt failed."""

    channel_id: int
    kind: str
    name: str
    error: str
    since_at: datetime
    waiting: int

    @property
    def title(self) -> str:
        """Return the display name of the channel."""
        return full_name(self.kind, self.name)


def failing_channels() -> tuple[FailingChannel, ...]:
    """Return the enabled channels whose latest attempt failed.

    With the reason and the number of waiting messages. Read by every page: no statement while nothing was written, else
    one that reads few rows.
    """
    return cache().get("failing_channels", _read_failing)


def record_failure(session: Session, channel_id: int, error: str, now: datetime) -> None:
    """Store the reason of a failed attempt, and the time of the first consecutive failure."""
    since_at = func.coalesce(Channel.failing_since_at, literal(now, Channel.failing_since_at.type))
    statement = update(Channel).where(Channel.id == channel_id).values(failing_since_at=since_at, failing_error=error)
    session.execute(statement, execution_options=UNSYNCHRONISED)


def record_success(session: Session, channel_id: int, now: datetime) -> None:
    """Mark the channel healthy.

    Keeps `failure_told_at`, which triggers the recovery notification.

    After a long failure all messages waiting for a retry are due now.
    """
    since_at = session.scalar(select(Channel.failing_since_at).where(Channel.id == channel_id))
    if since_at is None:
        return
    works = update(Channel).where(Channel.id == channel_id).values(failing_since_at=None, failing_error=None)
    session.execute(works, execution_options=UNSYNCHRONISED)
    if since_at <= now - LONG:
        waits = (Delivery.state == DeliveryState.QUEUED, Delivery.next_attempt_at > now)
        hurry = update(Delivery).where(Delivery.channel_id == channel_id, *waits).values(next_attempt_at=now)
        session.execute(hurry, execution_options=UNSYNCHRONISED)


def _read_failing() -> tuple[FailingChannel, ...]:
    failing = db.session.execute(
        select(Channel.id, Channel.kind, Channel.name, Channel.failing_error, Channel.failing_since_at)
        .where(Channel.failing_since_at.is_not(None), Channel.is_enabled)
        .order_by(Channel.kind, Channel.name)
    ).all()
    if not failing:
        return ()
    counted = select(Delivery.channel_id, func.count().label("waiting")).group_by(Delivery.channel_id)
    unfinished = Delivery.state.in_((DeliveryState.QUEUED, DeliveryState.SENDING))
    waiting = {row.channel_id: row.waiting for row in db.session.execute(counted.where(unfinished))}
    return tuple(
        FailingChannel(
            row.id, row.kind, row.name, row.failing_error or "", row.failing_since_at, waiting.get(row.id, 0)
        )
        for row in failing
    )


def email_addresses(text: str) -> tuple[str, ...]:
    """Return the addresses of a comma list, unique and in order.

    Parts without `@` are omitted.
    """
    parts = (part.strip() for part in text.split(","))
    return tuple(dict.fromkeys(part for part in parts if "@" in part))


# Daily quiet hours of a channel as instants, correct across clock changes

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
        return cls(_time_of_day(begin or ""), _time_of_day(end or ""))

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


def _time_of_day(text: str) -> time:
    """Parse a time of five characters.

    `fromisoformat` alone would accept seconds and time zones.
    """
    if len(text) != 5:
        raise ValueError("a time of day must have the form HH:MM")
    return time.fromisoformat(text)


def _instant(day: date, at: time, zone: tzinfo) -> datetime:
    return datetime.combine(day, at, zone).astimezone(UTC)


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
        row = find_channel(channel_id)
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
