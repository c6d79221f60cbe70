"""Views of the duplicati group."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from app.api.client import actor, json_body
from app.api.duplicati.schemas import VersionCheckIn, VersionCheckOut, dump_check
from app.contracts import described
from app.services import clock, duplicati_versions

bp = Blueprint("duplicati", __name__, url_prefix="/duplicati-versions")


@bp.get("")
@described({200: VersionCheckOut})
def show() -> ResponseReturnValue:
    """Which versions of Duplicati are the newest, and how often this is looked up."""
    return dump_check(duplicati_versions.read())


@bp.patch("")
@described({200: VersionCheckOut}, body=VersionCheckIn)
def update() -> ResponseReturnValue:
    """Choose whether, how often and where newest versions are looked up."""
    changes = VersionCheckIn().load(json_body())
    return dump_check(duplicati_versions.configure(changes, actor=actor(), now=clock.now()))


@bp.post("/check")
@described({200: VersionCheckOut}, errors=(400,))
def check() -> ResponseReturnValue:
    """Look for newer versions now. 400 while this is switched off."""
    return dump_check(duplicati_versions.check_now(clock.now()))
