"""Configured channels: their settings, kept with encrypted secrets, and a channel made from them."""

import logging
import secrets as randomness
import string
import traceback
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields
from sqlalchemy import func, literal, select, update
from sqlalchemy.orm import Session

from app.core.db.cache import cache
from app.core.db.extensions import db
from app.core.db.transaction import writing
from app.core.settings import store as settings_store
from app.database import secrets
from app.database.secrets import leads_elsewhere
from app.notifications.models import Channel, Delivery, DeliveryState
from app.plugin import (
    NC_,
    AppError,
    DeliveryError,
    ForbiddenAddress,
    Message,
    NotificationChannel,
    guarded_connections,
    validate_http_url,
)
from app.plugin.errors import NotFound
from app.runtime import registry

log = logging.getLogger(__name__)

NTFY, EMAIL = "ntfy", "email"
DEFAULT_NTFY_URL = "https://ntfy.sh/"
TOPIC_PREFIX, TOPIC_LENGTH = "duplistatus-", 12
# What reading stored settings may raise: a secret of another key, or settings of another version of the plugin.
UNREADABLE = (secrets.Undecryptable, ValidationError)
MASK = "***"
# Shorter secrets would blank out single letters of every text.
SHORTEST_MASKED = 3


class KeptForAnother(AppError):
    """A stored secret would reach another server than the one that it was entered for. `fields` names the secrets."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        sentence = "Enter it again: the stored one was meant for another server."
        super().__init__(f"{next(iter(labels.values()))}: {sentence}", fields=dict.fromkeys(labels, sentence))


def ensure_defaults(*, now: datetime) -> None:
    """Create the standard ntfy channel with a random topic, once for a database: who deletes it wants none."""
    if settings_store.get("has_default_channels"):
        return
    with writing() as session:
        if standard(NTFY) is None:
            settings = {"url": DEFAULT_NTFY_URL, "topic": random_topic()}
            session.add(Channel(kind=NTFY, name=NTFY, settings=settings, created_at=now, updated_at=now))
        settings_store.save("has_default_channels", True, now=now)


def random_topic() -> str:
    """A topic that nobody guesses: on a public server it is all that keeps strangers out."""
    letters = string.ascii_letters + string.digits
    return TOPIC_PREFIX + "".join(randomness.choice(letters) for _ in range(TOPIC_LENGTH))


def standard(kind: str) -> Channel | None:
    """The channel of a kind that the reference's settings speak of."""
    return db.session.scalars(select(Channel).where(Channel.kind == kind, Channel.name == kind)).first()


def list_channels() -> list[Channel]:
    """All channels, by kind and name."""
    return list(db.session.scalars(select(Channel).order_by(Channel.kind, Channel.name)))


def usable() -> list[Channel]:
    """The channels that messages can go through: switched on, complete, and of a kind that is installed."""
    return [row for row in list_channels() if row.is_enabled and is_configured(row)]


def full_name(kind: str, name: str) -> str:
    """What people call a channel: its kind and, of several of a kind, its own name."""
    found = registry().channels.get(kind)
    label = found.label if found else kind
    return label if name == kind else f"{label} {name}"


def is_configured(row: Channel) -> bool:
    """Whether the kind is installed and every setting that it needs is there; secrets are not opened for this."""
    kind = registry().channels.get(row.kind)
    if kind is None:
        return False
    needed = (name for name, field in kind.Settings().fields.items() if field.required)
    return all(row.settings.get(name) not in (None, "") for name in needed)


def is_complete(row: Channel) -> bool:
    """Whether there is also what those settings call for; without it a channel is tried, and says what it lacks."""
    return is_configured(row) and not lacks(row)


def lacks(row: Channel) -> Sequence[str]:
    """The names of settings that those of a channel call for and that are not there, besides the required ones."""
    kind = registry().channels.get(row.kind)
    return kind.lacks(row.settings) if kind else ()


def load_settings(row: Channel) -> dict[str, Any]:
    """The settings of a channel with secrets in clear. Raises `secrets.Undecryptable`."""
    return opened(row.kind, row.settings)


def opened(kind: str, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Stored settings of a kind with secrets in clear. Raises `secrets.Undecryptable`."""
    schema = _schema(kind)
    values = dict(stored)
    for name in _encrypted(schema):
        if values.get(name):
            values[name] = secrets.decrypt(values[name])
    loaded: dict[str, Any] = schema.load(values)
    return loaded


def shown_settings(row: Channel) -> dict[str, Any]:
    """The settings for people: secrets are left out, and `has_<name>` says whether there is one.

    What another master key has encrypted is left out as well, and named by `unreadable_settings`.
    """
    schema = _schema(row.kind)
    hidden = _secret(schema)
    open_values = {name: value for name, value in _readable(schema, row.settings).items() if name not in hidden}
    return open_values | {f"has_{name}": bool(row.settings.get(name)) for name in hidden}


def unreadable_settings(row: Channel) -> frozenset[str]:
    """The names of the settings that were encrypted with another master key, and have to be entered again."""
    return frozenset(row.settings.keys() - _readable(_schema(row.kind), row.settings).keys())


def find_channel(row_id: int) -> Channel:
    """A channel by its id. Raises NotFound."""
    row = db.session.get(Channel, row_id)
    if row is None:
        raise NotFound("Channel not found")
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
    """Create a channel or change the settings that `values` names; an absent one, a secret too, stays as it is.

    Those that `cleared` names are forgotten, so that the schema's defaults hold. Raises AppError with `fields` when
    the settings do not fit the kind's schema, and KeptForAnother when a secret would follow the channel elsewhere.
    """
    schema = _schema(kind)
    with writing() as session:
        row = session.scalars(select(Channel).where(Channel.kind == kind, Channel.name == name)).first()
        if row is None:
            row = Channel(kind=kind, name=name, settings={}, created_at=now)
            session.add(row)
        kept = {name: value for name, value in row.settings.items() if name not in cleared}
        _check(schema, {**_readable(schema, kept), **values})
        _refuse_to_follow(schema, row.settings, kept, values)
        row.settings = {**kept, **_encrypt(schema, values)}
        row.is_enabled = row.is_enabled is not False if is_enabled is None else is_enabled
        row.updated_at = now
        session.flush()
    return row


def delete_channel(row_id: int) -> None:
    """Remove a channel with its deliveries. Raises NotFound."""
    with writing() as session:
        session.delete(find_channel(row_id))


def open_stored(kind: str, stored: Mapping[str, Any]) -> NotificationChannel:
    """A channel ready to send, from its settings as they are stored. Raises NotFound and what UNREADABLE names."""
    settings = opened(kind, stored)
    return registry().channels[kind](settings)


def subscription(row: Channel, target: str = "") -> str | None:
    """What a phone opens to receive messages by a channel; None where there is no such thing, or settings lack."""
    if not is_configured(row):
        return None
    try:
        return open_stored(row.kind, row.settings).subscription(target or None)
    except UNREADABLE:
        return None


def open_channel(kind: str, settings: Mapping[str, Any]) -> NotificationChannel:
    """A channel ready to send, from settings in clear. Raises AppError when they do not fit the schema."""
    schema = _schema(kind)
    _check(schema, settings)
    return registry().channels[kind](schema.load(dict(settings)))


def send_once(channel: NotificationChannel, message: Message) -> None:
    """Send now, without a further try. Raises DeliveryError whose text holds no secret of the channel.

    What else a plugin raises is told by its kind alone: its text may quote any part of a secret.
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
    except Exception as error:  # a plugin's mistake must not stop the outbox
        kind, steps = type(error).__name__, "".join(traceback.format_tb(error.__traceback__))
        log.error("channel %s raised %s:\n%s", channel.name, kind, steps)
        text = NC_("failure", "the channel failed unexpectedly ({error}); the application log says where")
        raise DeliveryError(f"{channel.label}: {text.format(error=kind)}") from None


def audit_label(channel: NotificationChannel) -> str:
    """What the audit log calls a kind of channel."""
    # wire: the two first ones are written so by the reference.
    return {NTFY: "NTFY", EMAIL: "Email"}.get(channel.name, channel.label)


def masked(text: str, channel: NotificationChannel) -> str:
    """The text without the secrets of the channel, should one have slipped in."""
    for name in _secret(channel.Settings()):
        secret = channel.settings.get(name)
        if isinstance(secret, str) and len(secret) >= SHORTEST_MASKED:
            text = text.replace(secret, MASK)
    return text


def check_stored(kind: str, stored: object) -> None:
    """Refuse settings that this program cannot have stored. Raises AppError; a kind that is not installed may hold any.

    Those that are missing are fine: a channel that is not complete yet sends nothing.
    """
    if not isinstance(stored, dict):
        raise AppError("expected an object")
    if kind not in registry().channels:
        return
    schema = _schema(kind)
    for name, field in schema.fields.items():
        value = stored.get(name, "")
        if name in _encrypted(schema):
            if value != "" and not secrets.is_encrypted(value):
                raise AppError(f"{name}: expected an encrypted value")
        elif name in stored:
            try:
                field.deserialize(value)
            except ValidationError as error:
                raise AppError(f"{name}: {_sentence(error.messages)}") from error


def _schema(kind: str) -> Schema:
    found = registry().channels.get(kind)
    if found is None:
        raise NotFound(f"No notification channel of type {kind!r} is installed")
    return found.Settings(unknown=EXCLUDE)


def _secret(schema: Schema) -> set[str]:
    return {name for name, field in schema.fields.items() if field.metadata.get("secret")}


def _encrypted(schema: Schema) -> set[str]:
    """Secrets, and what is shown but kept as carefully: a user name, for one."""
    return _secret(schema) | {name for name, field in schema.fields.items() if field.metadata.get("encrypted")}


def _readable(schema: Schema, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Stored settings in clear, without those that another master key has encrypted."""
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
        raise AppError(f"{_label(schema, first)}: {wrong[first]}", fields=wrong) from error


def _refuse_to_follow(
    schema: Schema, stored: Mapping[str, Any], kept: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    """Let no secret that merely stays reach a server that it was not entered for. Raises KeptForAnother."""
    before, after = _readable(schema, stored), {**_readable(schema, kept), **values}
    if any(leads_elsewhere(_address(before, name), _address(after, name)) for name in _addresses(schema)):
        staying = [name for name in schema.fields if name in _secret(schema) and kept.get(name) and name not in values]
        if staying:
            raise KeptForAnother({name: _label(schema, name) for name in staying})


def _addresses(schema: Schema) -> list[str]:
    """The settings that say to which server secrets go: those so marked, else addresses by their kind."""
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


# Whether messages get through a channel: kept with it at each try, so that anybody may ask at any time for nothing.
#
# `services.alarms` tells people about a channel that has failed for long.

UNSYNCHRONISED = {"synchronize_session": False}
# A channel that works again after so long is believed: a single message that fails between good ones burns no tries.
LONG = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class ChannelTrouble:
    """A channel whose newest try failed, for those who can do something about it."""

    channel_id: int
    kind: str
    name: str
    error: str
    since_at: datetime
    waiting: int

    @property
    def title(self) -> str:
        """What people call the channel."""
        return full_name(self.kind, self.name)


def channel_troubles() -> tuple[ChannelTrouble, ...]:
    """The channels in use whose newest try did not get through, with the reason and the number of waiting messages.

    For every page to ask: it costs no statement while nothing was written, and one on a handful of rows after that.
    """
    return cache().get("channel_troubles", _read_troubles)


def note_failure(session: Session, channel_id: int, error: str, now: datetime) -> None:
    """Keep the reason of a failed try, and when the first one of a row of failures was."""
    since_at = func.coalesce(Channel.failing_since_at, literal(now, Channel.failing_since_at.type))
    statement = update(Channel).where(Channel.id == channel_id).values(failing_since_at=since_at, failing_error=error)
    session.execute(statement, execution_options=UNSYNCHRONISED)


def note_success(session: Session, channel_id: int, now: datetime) -> None:
    """Have a channel count as working; whether people were told that it did not stays, so that they hear of it.

    What waited for a further try while it failed for long is due now, and not in some hours.
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


def _read_troubles() -> tuple[ChannelTrouble, ...]:
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
        ChannelTrouble(
            row.id, row.kind, row.name, row.failing_error or "", row.failing_since_at, waiting.get(row.id, 0)
        )
        for row in failing
    )
