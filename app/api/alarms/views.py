"""Views of the alarms group."""

from flask import Blueprint
from flask.typing import ResponseReturnValue
from marshmallow import fields

from app.api.alarms.schemas import (
    AlarmLimitsIn,
    AlarmLimitsOut,
    ChannelOut,
    ChannelsOut,
    MuteIn,
    MuteOut,
    MutesOut,
    QuietHoursIn,
    dump_channel,
    dump_channels,
    dump_mute,
)
from app.api.client import actor, json_body, visible_server_ids
from app.contracts import Guard, described, guarded
from app.services import alarms, channels, clock, mutes, quiet_times

bp = Blueprint("alarms", __name__)

UNMUTED = {"message": fields.String()}


@bp.get("/mutes")
@guarded(Guard.LOGIN)
@described({200: MutesOut})
def list_mutes() -> ResponseReturnValue:
    """What is muted now or will be, by server."""
    now = clock.now()
    return {"mutes": [dump_mute(mute, now) for mute in mutes.list_mutes(now, visible_server_ids())]}


@bp.put("/servers/<server_id>/mute")
@described({200: MuteOut}, body=MuteIn, errors=(404,))
def mute_server(server_id: str) -> ResponseReturnValue:
    """Tell nothing of a server and its jobs for a while: at once, or during a maintenance that is announced."""
    return mute(server_id, None)


@bp.delete("/servers/<server_id>/mute")
@described({200: UNMUTED})
def unmute_server(server_id: str) -> ResponseReturnValue:
    """End the mute of a server. 404 when there is none."""
    return unmute(server_id, None)


@bp.put("/servers/<server_id>/backup/<name:backup_name>/mute", merge_slashes=False)
@described({200: MuteOut}, body=MuteIn, errors=(404,))
def mute_job(server_id: str, backup_name: str) -> ResponseReturnValue:
    """Tell nothing of one job for a while."""
    return mute(server_id, backup_name)


@bp.delete("/servers/<server_id>/backup/<name:backup_name>/mute", merge_slashes=False)
@described({200: UNMUTED})
def unmute_job(server_id: str, backup_name: str) -> ResponseReturnValue:
    """End the mute of a job; that of its server stays. 404 when there is none."""
    return unmute(server_id, backup_name)


def mute(server_id: str, job_name: str | None) -> ResponseReturnValue:
    """What both ways to mute do."""
    now, wanted = clock.now(), MuteIn().load(json_body())
    return dump_mute(mutes.mute(server_id, job_name, **wanted, actor=actor(), now=now), now)


def unmute(server_id: str, job_name: str | None) -> ResponseReturnValue:
    """What both ways to end a mute do."""
    mutes.unmute(server_id, job_name, actor=actor(), now=clock.now())
    return {"message": "Messages are sent again"}


@bp.get("/channels")
@described({200: ChannelsOut})
def list_channels() -> ResponseReturnValue:
    """The channels that are set up, with their quiet hours and how they are; their settings are not shown."""
    return dump_channels(channels.list_channels())


@bp.put("/channels/<int:channel_id>/quiet-hours")
@described({200: ChannelOut}, body=QuietHoursIn, errors=(404,))
def set_quiet_hours(channel_id: int) -> ResponseReturnValue:
    """Have the messages of a channel wait between two local times of day."""
    wanted = QuietHoursIn().load(json_body())
    return dump_channel(quiet_times.set_quiet_hours(channel_id, **wanted, actor=actor(), now=clock.now()))


@bp.delete("/channels/<int:channel_id>/quiet-hours")
@described({200: ChannelOut})
def end_quiet_hours(channel_id: int) -> ResponseReturnValue:
    """Send the messages of a channel at any hour; what waits goes out."""
    row = quiet_times.set_quiet_hours(channel_id, None, lets_trouble_pass=False, actor=actor(), now=clock.now())
    return dump_channel(row)


@bp.get("/alarm-limits")
@described({200: AlarmLimitsOut})
def show_limits() -> ResponseReturnValue:
    """After how many hours silence and a channel that delivers nothing are told of."""
    return AlarmLimitsOut().dump(alarms.limits())


@bp.put("/alarm-limits")
@described({200: AlarmLimitsOut}, body=AlarmLimitsIn)
def save_limits() -> ResponseReturnValue:
    """Choose after how many hours people are told; 0 is never."""
    alarms.save_limits(AlarmLimitsIn().load(json_body()), actor=actor(), now=clock.now())
    return show_limits()
