"""Wire forms of the check for versions of Duplicati."""

from collections.abc import Mapping
from typing import Any

from marshmallow import RAISE, Schema, fields, validate

from app.api.wire import IsoInstant, Out
from app.contracts.addresses import validate_http_url
from app.services.declarations import VERSION_HOURS
from app.services.duplicati_versions import PLACEHOLDER, VersionCheck

LONGEST_URL = 2000


def validate_source(url: str) -> None:
    """A validator: nothing, or an address, which may hold the placeholder."""
    if url:
        validate_http_url(url.replace(PLACEHOLDER, "stable"))


class VersionCheckIn(Schema):
    """What to change of the check; what is left out stays. An empty `url` means Duplicati's own."""

    class Meta:
        unknown = RAISE

    is_enabled = fields.Boolean(data_key="enabled")
    every_hours = fields.Integer(data_key="everyHours", strict=True, validate=validate.OneOf(VERSION_HOURS))
    url = fields.String(
        validate=[validate.Length(max=LONGEST_URL), validate_source],
        metadata={"description": "Any text that names releases; `{channel}` stands for the channel"},
    )


class VersionCheckOut(Out):
    """How the check is set, and what it found last."""

    is_enabled = fields.Boolean(data_key="enabled")
    every_hours = fields.Integer(data_key="everyHours")
    url = fields.String()
    newest = fields.Dict(values=fields.String(), metadata={"description": "The newest version by channel"})
    checked_at = IsoInstant(data_key="checkedAt", allow_none=True)
    error = fields.String(metadata={"description": "Why the last look failed, wholly or in part; else empty"})


_check_out = VersionCheckOut()


def dump_check(check: VersionCheck) -> Mapping[str, Any]:
    """How the check is set, and what it found last."""
    return _check_out.dump(check)
