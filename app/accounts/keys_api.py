"""API of the API keys."""

from flask import Blueprint
from flask.typing import ResponseReturnValue
from marshmallow import RAISE, Schema, fields, validate

from app import runtime
from app.accounts import api_keys
from app.accounts.api_keys import LONGEST_NAME, REQUIREMENT, SCOPES
from app.plugin import Access, ApiGroup, described
from app.runtime import settings
from app.web.forms import fields_in, fields_out
from app.web.http import IsoInstant, Out, actor, json_body

# Schemas


class KeyIn(Schema):
    """A key to create. Without a last day it does not expire."""

    class Meta:
        unknown = RAISE

    name = fields.String(required=True, validate=validate.Length(1, LONGEST_NAME))
    scope = fields.String(required=True, validate=validate.OneOf(SCOPES))
    last_valid_day = fields.Date(data_key="lastValidDay", load_default=None, allow_none=True)


class SwitchIn(Schema):
    """Whether a key is enabled."""

    class Meta:
        unknown = RAISE

    is_enabled = fields.Boolean(required=True, data_key="enabled")


class RequirementIn(Schema):
    """Whether API keys are required."""

    class Meta:
        unknown = RAISE
        include = fields_in(REQUIREMENT)


class RequirementOut(Out):
    """Whether API keys are required."""

    class Meta:
        include = fields_out(REQUIREMENT)


class KeyOut(Out):
    """A key without its secret; the fingerprint shows its first and last four characters."""

    id = fields.Integer()
    name = fields.String()
    scope = fields.String()
    fingerprint = fields.String()
    is_enabled = fields.Boolean(data_key="enabled")
    expires_at = IsoInstant(data_key="expiresAt", allow_none=True)
    last_used_at = IsoInstant(data_key="lastUsedAt", allow_none=True)
    last_used_ip = fields.String(data_key="lastUsedIp", allow_none=True)
    created_by = fields.String(data_key="createdBy", allow_none=True)
    created_at = IsoInstant(data_key="createdAt")


class NewKeyOut(Out):
    """A new key with its secret, which is returned only once."""

    key = fields.Nested(KeyOut, data_key="apiKey")
    secret = fields.String()


class KeysOut(Out):
    """All keys, oldest first."""

    keys = fields.List(fields.Nested(KeyOut), data_key="apiKeys")


# Views

bp = Blueprint("keys", __name__, url_prefix="/api-keys")


@bp.get("")
@described({200: KeysOut})
def index() -> ResponseReturnValue:
    """List all keys, oldest first, without their secrets."""
    return {"apiKeys": KeyOut().dump(api_keys.list_keys(), many=True)}


@bp.post("")
@described({201: NewKeyOut}, body=KeyIn)
def create() -> ResponseReturnValue:
    """Create a key. Its secret is returned only once."""
    wanted, now = KeyIn().load(json_body()), runtime.now()
    last_day = wanted.pop("last_valid_day")
    expires_at = None if last_day is None else api_keys.end_of(last_day, settings().zone, now)
    return NewKeyOut().dump(api_keys.create_key(**wanted, expires_at=expires_at, now=now, actor=actor())), 201


@bp.patch("/<int:key_id>")
@described({200: KeyOut}, body=SwitchIn)
def update(key_id: int) -> ResponseReturnValue:
    """Enable or disable a key; an expired key cannot be enabled."""
    is_enabled = SwitchIn().load(json_body())["is_enabled"]
    return KeyOut().dump(api_keys.set_enabled(key_id, is_enabled, now=runtime.now(), actor=actor()))


@bp.delete("/<int:key_id>")
@described({200: {"message": fields.String()}})
def delete(key_id: int) -> ResponseReturnValue:
    """Delete a key; it stops working immediately."""
    api_keys.delete_key(key_id, now=runtime.now(), actor=actor())
    return {"message": "API key deleted"}


@bp.get("/requirement")
@described({200: RequirementOut})
def show_requirement() -> ResponseReturnValue:
    """Get whether API keys are required for sending reports and reading."""
    return {"required": api_keys.are_required()}


@bp.patch("/requirement")
@described({200: RequirementOut}, body=RequirementIn)
def save_requirement() -> ResponseReturnValue:
    """Set whether API keys are required for sending reports and reading."""
    is_required = RequirementIn().load(json_body())["is_required"]
    api_keys.require(is_required, now=runtime.now(), actor=actor())
    return {"required": is_required}


group = ApiGroup(name="keys", blueprint=bp, access=Access.ADMIN, summary="API keys")
