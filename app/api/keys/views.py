"""Views of the keys group."""

from flask import Blueprint
from flask.typing import ResponseReturnValue
from marshmallow import fields

from app.api.client import actor, json_body
from app.api.keys.schemas import KeyIn, KeyOut, KeysOut, NewKeyOut, RequirementIn, RequirementOut, SwitchIn
from app.contracts import described
from app.services import clock, keys
from app.services.deployment import settings

bp = Blueprint("keys", __name__, url_prefix="/api-keys")


@bp.get("")
@described({200: KeysOut})
def index() -> ResponseReturnValue:
    """All keys, oldest first, without their secrets."""
    return {"apiKeys": KeyOut().dump(keys.list_keys(), many=True)}


@bp.post("")
@described({201: NewKeyOut}, body=KeyIn)
def create() -> ResponseReturnValue:
    """Make a key; the answer shows its secret for the only time."""
    wanted, now = KeyIn().load(json_body()), clock.now()
    last_day = wanted.pop("last_valid_day")
    expires_at = None if last_day is None else keys.end_of(last_day, settings().zone, now)
    return NewKeyOut().dump(keys.create_key(**wanted, expires_at=expires_at, now=now, actor=actor())), 201


@bp.patch("/<int:key_id>")
@described({200: KeyOut}, body=SwitchIn)
def update(key_id: int) -> ResponseReturnValue:
    """Switch a key on or off; one that has expired stays off."""
    is_enabled = SwitchIn().load(json_body())["is_enabled"]
    return KeyOut().dump(keys.set_enabled(key_id, is_enabled, now=clock.now(), actor=actor()))


@bp.delete("/<int:key_id>")
@described({200: {"message": fields.String()}})
def delete(key_id: int) -> ResponseReturnValue:
    """Delete a key, which opens nothing from then on."""
    keys.delete_key(key_id, now=clock.now(), actor=actor())
    return {"message": "API key deleted"}


@bp.get("/requirement")
@described({200: RequirementOut})
def show_requirement() -> ResponseReturnValue:
    """Whether programs need a key to upload and to read."""
    return {"required": keys.are_required()}


@bp.patch("/requirement")
@described({200: RequirementOut}, body=RequirementIn)
def save_requirement() -> ResponseReturnValue:
    """Choose whether programs need a key to upload and to read."""
    is_required = RequirementIn().load(json_body())["is_required"]
    keys.require(is_required, now=clock.now(), actor=actor())
    return {"required": is_required}
