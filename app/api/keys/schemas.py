"""Wire forms of API keys."""

from marshmallow import RAISE, Schema, fields, validate

from app.api.wire import IsoInstant, Out
from app.services.keys import LONGEST_NAME, SCOPES


class KeyIn(Schema):
    """A key to make. Without a last day of validity it is good until somebody ends it."""

    class Meta:
        unknown = RAISE

    name = fields.String(required=True, validate=validate.Length(1, LONGEST_NAME))
    scope = fields.String(required=True, validate=validate.OneOf(SCOPES))
    last_valid_day = fields.Date(data_key="lastValidDay", load_default=None, allow_none=True)


class SwitchIn(Schema):
    """Whether a key is on."""

    class Meta:
        unknown = RAISE

    is_enabled = fields.Boolean(required=True, data_key="enabled")


class RequirementIn(Schema):
    """Whether programs need a key."""

    class Meta:
        unknown = RAISE

    is_required = fields.Boolean(required=True, data_key="required")


class RequirementOut(Out):
    """Whether programs need a key."""

    required = fields.Boolean()


class KeyOut(Out):
    """A key without its secret, of which the fingerprint shows the first and last four characters."""

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
    """A key that was just made, with its secret, which is shown this once."""

    key = fields.Nested(KeyOut, data_key="apiKey")
    secret = fields.String()


class KeysOut(Out):
    """All keys, oldest first."""

    keys = fields.List(fields.Nested(KeyOut), data_key="apiKeys")
