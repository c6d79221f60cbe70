"""API of mutes, quiet hours of channels, and thresholds of alerts."""

from collections.abc import Iterable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from flask import Blueprint
from flask.typing import ResponseReturnValue
from marshmallow import RAISE, Schema, ValidationError, fields, post_load, validate

from app import runtime
from app.audit.log import read_group, save_group
from app.notifications import channels, mutes
from app.notifications import channels as notifications_channels
from app.notifications.channels import QuietHours
from app.notifications.models import Channel
from app.notifications.mutes import LONGEST_NOTE, Mute
from app.notifications.watchdogs import ALARM_LIMITS
from app.plugin import Access, ApiGroup, described, guarded
from app.web.forms import fields_in, fields_out
from app.web.http import IsoInstant, Out, actor, json_body, visible_server_ids

# Schemas

TIME_OF_DAY = validate.Regexp("^([01][0-9]|2[0-3]):[0-5][0-9]$", error="Written as HH:MM.")


class MuteIn(Schema):
    """Begin (default: now), end and reason of a mute. A time without offset is in UTC."""

    class Meta:
        unknown = RAISE

    since_at = fields.AwareDateTime(data_key="from", default_timezone=UTC, load_default=None, allow_none=True)
    until_at = fields.AwareDateTime(data_key="until", default_timezone=UTC, required=True)
    note = fields.String(load_default="", validate=validate.Length(max=LONGEST_NOTE))


class MuteOut(Out):
    """A mute of a server or of one of its jobs; `from` is null if it began when it was created."""

    server_id = fields.String(data_key="serverId")
    server_name = fields.String(data_key="serverName")
    job_name = fields.String(data_key="backupName", allow_none=True)
    since_at = IsoInstant(data_key="from", allow_none=True)
    until_at = IsoInstant(data_key="until")
    note = fields.String()
    active = fields.Boolean()


class MutesOut(Out):
    """Current and future mutes, by server."""

    mutes = fields.List(fields.Nested(MuteOut))


class QuietHoursIn(Schema):
    """Local times of day between which notifications are held, and whether urgent alerts are sent anyway."""

    class Meta:
        unknown = RAISE

    begin = fields.String(data_key="from", required=True, validate=TIME_OF_DAY)
    end = fields.String(data_key="until", required=True, validate=TIME_OF_DAY)
    lets_trouble_pass = fields.Boolean(data_key="letsTroublePass", load_default=False)

    @post_load
    def make(self, values: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Return the hours as a domain value.

        Raises ValidationError if both times are the same.
        """
        try:
            hours = QuietHours.read(values["begin"], values["end"])
        except ValueError as error:
            raise ValidationError("The two times must be different.", "until") from error
        return {"hours": hours, "lets_trouble_pass": values["lets_trouble_pass"]}


class ChannelOut(Out):
    """A configured channel: enabled, complete, quiet hours, and since when and why delivery fails."""

    id = fields.Integer()
    kind = fields.String()
    name = fields.String()
    enabled = fields.Boolean(attribute="is_enabled")
    complete = fields.Function(notifications_channels.is_complete, metadata={"type": "boolean"})
    quiet_from = fields.String(data_key="quietFrom", allow_none=True)
    quiet_until = fields.String(data_key="quietUntil", allow_none=True)
    lets_trouble_pass = fields.Boolean(data_key="letsTroublePass", attribute="quiet_lets_trouble_pass")
    failing_since_at = IsoInstant(data_key="failingSince", allow_none=True)
    failing_error = fields.String(data_key="error", allow_none=True)


class ChannelsOut(Out):
    """All channels, by kind and name."""

    channels = fields.List(fields.Nested(ChannelOut))


class AlarmLimitsIn(Schema):
    """Hours after which missing reports and a failing channel trigger an alert; 0 means never.

    `destinationFull`: whether to notify of destinations that will be full in 30 and in 7 days. Omitted fields
    are kept.
    """

    class Meta:
        unknown = RAISE
        include = fields_in(ALARM_LIMITS)


class AlarmLimitsOut(Out):
    """Hours after which missing reports and a failing channel trigger an alert; 0 means never.

    `destinationFull`: whether to notify of destinations that will be full in 30 and in 7 days.
    """

    class Meta:
        include = fields_out(ALARM_LIMITS)


_mute_out, _channel_out = MuteOut(exclude=("active",)), ChannelOut()


def dump_mute(mute: Mute, now: datetime) -> dict[str, Any]:
    """Return a mute, and whether it is active now."""
    dumped: dict[str, Any] = _mute_out.dump(mute)
    return dumped | {"active": mute.is_active(now)}


def dump_channels(rows: Iterable[Channel]) -> dict[str, Any]:
    """Return all channels, by kind and name."""
    return {"channels": _channel_out.dump(rows, many=True)}


def dump_channel(row: Channel) -> dict[str, Any]:
    """Return a channel."""
    dumped: dict[str, Any] = _channel_out.dump(row)
    return dumped


# Views

bp = Blueprint("alarms", __name__)

UNMUTED = {"message": fields.String()}


@bp.get("/mutes")
@guarded(Access.USER)
@described({200: MutesOut})
def list_mutes() -> ResponseReturnValue:
    """List current and future mutes by server."""
    now = runtime.now()
    return {"mutes": [dump_mute(mute, now) for mute in mutes.list_mutes(now, visible_server_ids())]}


@bp.put("/servers/<server_id>/mute")
@described({200: MuteOut}, body=MuteIn, errors=(404,))
def mute_server(server_id: str) -> ResponseReturnValue:
    """Mute notifications of a server and its jobs, now or during planned maintenance."""
    return mute(server_id, None)


@bp.delete("/servers/<server_id>/mute")
@described({200: UNMUTED})
def unmute_server(server_id: str) -> ResponseReturnValue:
    """Unmute a server. 404 if it is not muted."""
    return unmute(server_id, None)


@bp.put("/servers/<server_id>/backup/<name:backup_name>/mute", merge_slashes=False)
@described({200: MuteOut}, body=MuteIn, errors=(404,))
def mute_job(server_id: str, backup_name: str) -> ResponseReturnValue:
    """Mute notifications of a job."""
    return mute(server_id, backup_name)


@bp.delete("/servers/<server_id>/backup/<name:backup_name>/mute", merge_slashes=False)
@described({200: UNMUTED})
def unmute_job(server_id: str, backup_name: str) -> ResponseReturnValue:
    """Unmute a job; the mute of its server is kept. 404 if the job is not muted."""
    return unmute(server_id, backup_name)


def mute(server_id: str, job_name: str | None) -> ResponseReturnValue:
    """Mute a server or a job: shared by both routes."""
    now, wanted = runtime.now(), MuteIn().load(json_body())
    return dump_mute(mutes.mute(server_id, job_name, **wanted, actor=actor(), now=now), now)


def unmute(server_id: str, job_name: str | None) -> ResponseReturnValue:
    """Unmute a server or a job: shared by both routes."""
    mutes.unmute(server_id, job_name, actor=actor(), now=runtime.now())
    return {"message": "Messages are sent again"}


@bp.get("/channels")
@described({200: ChannelsOut})
def list_channels() -> ResponseReturnValue:
    """List configured channels with their quiet hours and state, without their settings."""
    return dump_channels(channels.list_channels())


@bp.put("/channels/<int:channel_id>/quiet-hours")
@described({200: ChannelOut}, body=QuietHoursIn, errors=(404,))
def set_quiet_hours(channel_id: int) -> ResponseReturnValue:
    """Set the quiet hours of a channel, in local time."""
    wanted = QuietHoursIn().load(json_body())
    return dump_channel(channels.set_quiet_hours(channel_id, **wanted, actor=actor(), now=runtime.now()))


@bp.delete("/channels/<int:channel_id>/quiet-hours")
@described({200: ChannelOut})
def end_quiet_hours(channel_id: int) -> ResponseReturnValue:
    """Remove the quiet hours of a channel; held notifications are sent."""
    row = channels.set_quiet_hours(channel_id, None, lets_trouble_pass=False, actor=actor(), now=runtime.now())
    return dump_channel(row)


@bp.get("/alarm-limits")
@described({200: AlarmLimitsOut})
def show_limits() -> ResponseReturnValue:
    """Get after how many hours missing reports and failing channels trigger an alert."""
    return AlarmLimitsOut().dump(SimpleNamespace(**read_group(ALARM_LIMITS)))


@bp.put("/alarm-limits")
@described({200: AlarmLimitsOut}, body=AlarmLimitsIn)
def save_limits() -> ResponseReturnValue:
    """Set after how many hours missing reports and failing channels trigger an alert; 0 means never."""
    save_group(ALARM_LIMITS, AlarmLimitsIn().load(json_body()), actor=actor(), now=runtime.now())
    return show_limits()


group = ApiGroup(name="alarms", blueprint=bp, access=Access.ADMIN, summary="Mutes, quiet hours and alerts")
