"""Wire forms of mutes, quiet hours and limits of alarms."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, post_load, validate

from app.api.wire import IsoInstant, Out
from app.domain.quiet_hours import QuietHours
from app.models import Channel
from app.services import channels
from app.services.alarms import AlarmLimits
from app.services.declarations import LONGEST_HOURS
from app.services.mutes import LONGEST_NOTE, Mute

TIME_OF_DAY = validate.Regexp("^([01][0-9]|2[0-3]):[0-5][0-9]$", error="Written as HH:MM.")
HOURS = validate.Range(0, LONGEST_HOURS)


class MuteIn(Schema):
    """From when (missing: from now on) until when nothing is told, and why. A time without offset is in UTC."""

    class Meta:
        unknown = RAISE

    since_at = fields.AwareDateTime(data_key="from", default_timezone=UTC, load_default=None, allow_none=True)
    until_at = fields.AwareDateTime(data_key="until", default_timezone=UTC, required=True)
    note = fields.String(load_default="", validate=validate.Length(max=LONGEST_NOTE))


class MuteOut(Out):
    """A mute of a server, or of one of its jobs; `from` is null when it began with being made."""

    server_id = fields.String(data_key="serverId")
    server_name = fields.String(data_key="serverName")
    job_name = fields.String(data_key="backupName", allow_none=True)
    since_at = IsoInstant(data_key="from", allow_none=True)
    until_at = IsoInstant(data_key="until")
    note = fields.String()
    active = fields.Boolean()


class MutesOut(Out):
    """The mutes that are not over, by server."""

    mutes = fields.List(fields.Nested(MuteOut))


class QuietHoursIn(Schema):
    """Local times of day between which messages wait, and whether those about trouble may pass."""

    class Meta:
        unknown = RAISE

    begin = fields.String(data_key="from", required=True, validate=TIME_OF_DAY)
    end = fields.String(data_key="until", required=True, validate=TIME_OF_DAY)
    lets_trouble_pass = fields.Boolean(data_key="letsTroublePass", load_default=False)

    @post_load
    def make(self, values: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """The hours as a domain value. Raises ValidationError when both times are the same."""
        try:
            hours = QuietHours.read(values["begin"], values["end"])
        except ValueError as error:
            raise ValidationError("Two different times are needed.", "until") from error
        return {"hours": hours, "lets_trouble_pass": values["lets_trouble_pass"]}


class ChannelOut(Out):
    """A channel that is set up: whether it is on and complete, when it is quiet, since when and why it fails."""

    id = fields.Integer()
    kind = fields.String()
    name = fields.String()
    enabled = fields.Boolean(attribute="is_enabled")
    complete = fields.Function(channels.is_complete, metadata={"type": "boolean"})
    quiet_from = fields.String(data_key="quietFrom", allow_none=True)
    quiet_until = fields.String(data_key="quietUntil", allow_none=True)
    lets_trouble_pass = fields.Boolean(data_key="letsTroublePass", attribute="quiet_lets_trouble_pass")
    failing_since_at = IsoInstant(data_key="failingSince", allow_none=True)
    failing_error = fields.String(data_key="error", allow_none=True)


class ChannelsOut(Out):
    """All channels, by kind and name."""

    channels = fields.List(fields.Nested(ChannelOut))


class AlarmLimitsIn(Schema):
    """Hours after which people are told of silence, and of a channel that delivers nothing; 0 is never.

    `destinationFull` says whether they are notified of destinations that will be full in 30 and in 7 days; what is left
    out stays as it is.
    """

    class Meta:
        unknown = RAISE

    silence_hours = fields.Integer(data_key="silenceHours", required=True, strict=True, validate=HOURS)
    channel_failure_hours = fields.Integer(data_key="channelFailureHours", required=True, strict=True, validate=HOURS)
    notifies_full = fields.Boolean(data_key="destinationFull")

    @post_load
    def make(self, values: dict[str, Any], **_options: Any) -> AlarmLimits:
        """The limits as a value of the service."""
        return AlarmLimits(**values)


class AlarmLimitsOut(Out):
    """Hours after which people are told of silence, and of a channel that delivers nothing; 0 is never.

    `destinationFull` says whether they are notified of destinations that will be full in 30 and in 7 days.
    """

    silence_hours = fields.Integer(data_key="silenceHours")
    channel_failure_hours = fields.Integer(data_key="channelFailureHours")
    notifies_full = fields.Boolean(data_key="destinationFull")


_mute_out, _channel_out = MuteOut(exclude=("active",)), ChannelOut()


def dump_mute(mute: Mute, now: datetime) -> dict[str, Any]:
    """One mute, and whether it holds messages back now."""
    dumped: dict[str, Any] = _mute_out.dump(mute)
    return dumped | {"active": mute.is_active(now)}


def dump_channels(rows: Iterable[Channel]) -> dict[str, Any]:
    """All channels, by kind and name."""
    return {"channels": _channel_out.dump(rows, many=True)}


def dump_channel(row: Channel) -> dict[str, Any]:
    """One channel."""
    dumped: dict[str, Any] = _channel_out.dump(row)
    return dumped
