"""API group `duplicati`: the check for newer versions of Duplicati."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint
from flask.typing import ResponseReturnValue
from marshmallow import RAISE, Schema, fields

from app import runtime
from app.backups import duplicati_versions
from app.backups.duplicati_versions import VERSION_CHECK, VersionCheck
from app.plugin import Access, ApiGroup, described
from app.web.forms import fields_in, fields_out
from app.web.http import IsoInstant, Out, actor, json_body

# Schemas

URL_HELP = "URL of a text that names releases; `{channel}` is replaced by the channel"


class VersionCheckIn(Schema):
    """Changes to the version check; omitted fields are kept. An empty `url` means the official server."""

    class Meta:
        unknown = RAISE
        include = fields_in(VERSION_CHECK.parts, url={"metadata": {"description": URL_HELP}})


class VersionCheckOut(Out):
    """Settings and last result of the version check."""

    class Meta:
        include = fields_out(VERSION_CHECK.parts)

    newest = fields.Dict(values=fields.String(), metadata={"description": "The latest version by channel"})
    checked_at = IsoInstant(data_key="checkedAt", allow_none=True)
    error = fields.String(metadata={"description": "Why the last check failed, fully or partly; otherwise empty"})


_check_out = VersionCheckOut()


def dump_check(check: VersionCheck) -> Mapping[str, Any]:
    """Return settings and last result of the version check."""
    return _check_out.dump(check)


# Duplicati group

bp = Blueprint("duplicati", __name__, url_prefix="/duplicati-versions")


@bp.get("")
@described({200: VersionCheckOut})
def show() -> ResponseReturnValue:
    """Get the latest Duplicati versions and the settings of the check."""
    return dump_check(duplicati_versions.read())


@bp.patch("")
@described({200: VersionCheckOut}, body=VersionCheckIn)
def update() -> ResponseReturnValue:
    """Set whether, how often and where to check for the latest versions."""
    changes = VersionCheckIn().load(json_body())
    return dump_check(duplicati_versions.configure(changes, actor=actor(), now=runtime.now()))


@bp.post("/check")
@described({200: VersionCheckOut}, errors=(400,))
def check() -> ResponseReturnValue:
    """Check for newer versions now. 400 if the check is disabled."""
    return dump_check(duplicati_versions.check_now(runtime.now()))


group = ApiGroup(name="duplicati", blueprint=bp, access=Access.ADMIN, summary="Latest Duplicati versions")
