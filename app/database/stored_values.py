"""Validate that values of a restored database could have been stored by duplistatus.

Uses the rules by which pages and API validate changes, so what these reject is rejected here too.
"""

import sqlite3
import struct
from base64 import b64decode
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import orjson
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from app.accounts import api_keys, passwords, preferences
from app.backups.servers import read_tags
from app.collector.batches import is_choice
from app.core.db.orm import TIME_SIZE
from app.core.errors import Refused
from app.core.languages import PAGE_LANGUAGES
from app.core.settings import declarations
from app.core.settings.declarations import Exact, Flag, Number, Whole, check_instant, first_sentence
from app.insight.anomalies import ALL_FIGURES
from app.notifications import channels
from app.notifications.channels import QuietHours
from app.notifications.models import DeliveryState, Urgency
from app.notifications.outbox import EVENTS
from app.plugin import Severity
from app.reports.outcomes import Outcome, unpack_runs
from app.schedules.intervals import parse_interval
from app.schedules.learned import LearnedSchedule
from app.schedules.overdue import TOLERANCES

Check = Callable[[Any], bool]
# Errors that checks raise for values of a wrong type.
NOT_UNDERSTOOD = (
    ValidationError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
    struct.error,
)


class AnomalyValue(Exact):
    """One unusual metric of the newest run."""

    figure = fields.String(required=True, validate=validate.OneOf(ALL_FIGURES))
    value = Number(required=True, allow_nan=False)
    usual = Number(required=True, allow_nan=False)
    is_notified = Flag()
    is_past = Flag()


class PictureValue(Exact):
    """An image of a message."""

    name = fields.String(required=True)
    mime_type = fields.String(required=True)
    description = fields.String(required=True)
    content = fields.String(required=True, validate=b64decode)


class PayloadValue(Schema):
    """A message waiting to be sent. Unknown keys are harmless."""

    class Meta:
        unknown = EXCLUDE

    title = fields.String(required=True)
    text = fields.String(required=True)
    is_formatted = Flag(required=True)
    severity = fields.String(required=True, validate=validate.OneOf([severity.value for severity in Severity]))
    priority = fields.String(required=True)
    tags = fields.List(fields.String(), required=True)
    link = fields.String(required=True, allow_none=True)
    values = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    event_at = fields.String(validate=check_instant)
    pictures = fields.List(fields.Nested(PictureValue))
    audit = fields.Dict(keys=fields.String())
    job_ids = fields.List(Whole())


def _fits(field: fields.Field[Any]) -> Check:
    def check(value: Any) -> bool:
        field.deserialize(value)
        return True

    return check


def _one_of(*known: object) -> Check:
    return lambda value: value in known


def _json(check: Check) -> Check:
    return lambda text: check(orjson.loads(text))


def _is_interval(text: str) -> bool:
    return text == "" or parse_interval(text) is not None


def _are_tags(value: Any) -> bool:
    return (
        isinstance(value, list) and all(isinstance(tag, str) for tag in value) and len(read_tags(value)) == len(value)
    )


def _is_learned(value: Any) -> bool:
    if not isinstance(value, dict) or LearnedSchedule.read(value) is not None:
        return value is None or isinstance(value, dict)
    return value.keys() <= {"at_least", "is_kept"} and _is_interval(value["at_least"])


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _are_details(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and isinstance(value["code"], str) and _is_object(value["params"]))


def _holds_times(packed: bytes) -> bool:
    return len(packed) % TIME_SIZE == 0


def _are_runs(packed: bytes) -> bool:
    return unpack_runs(packed) is not None


def _are_preferences(value: Any) -> bool:
    return isinstance(value, dict) and all(preferences.is_valid(name, chosen) for name, chosen in value.items())


_outcome = _one_of(*(outcome.value for outcome in Outcome))
_event, _tolerance = _one_of("", *EVENTS), _one_of(*TOLERANCES)
_offsets = fields.List(fields.Tuple((Whole(), Whole(), Whole())))
# By table and column, for values that are not NULL.
CHECKS: Mapping[tuple[str, str], Check] = {
    ("api_keys", "scope"): _one_of(*api_keys.SCOPES),
    ("audit_log", "details"): _json(_is_object),
    ("deliveries", "payload"): _json(_is_object),
    ("deliveries", "state"): _one_of(*DeliveryState),
    ("deliveries", "urgency"): _one_of(*Urgency),
    ("jobs", "additional_event"): _event,
    ("jobs", "allowed_weekdays"): lambda mask: 0 <= mask <= 127,
    ("jobs", "anomalies"): _json(_fits(fields.List(fields.Nested(AnomalyValue)))),
    ("jobs", "channel_switches"): _json(_fits(fields.Dict(keys=fields.String(), values=Flag()))),
    ("jobs", "expected_interval"): _is_interval,
    ("jobs", "interval_source"): _one_of("default", "imported", "duplicati", "person"),
    ("jobs", "last_available_versions"): _holds_times,
    ("jobs", "last_outcome"): _outcome,
    ("jobs", "learned_schedule"): _json(_is_learned),
    ("jobs", "notification_event"): _event,
    ("jobs", "overdue_tolerance"): _tolerance,
    ("jobs", "packed_versions"): _holds_times,
    ("jobs", "recent_runs"): _are_runs,
    ("jobs", "recent_statuses"): lambda letters: set(letters) <= set("SWEFU"),
    ("jobs", "run_count"): lambda count: 0 <= count < 2**53,
    ("jobs", "schedule_source"): _one_of("guess", "duplicati", "person"),
    ("jobs", "state_outcome"): _outcome,
    ("jobs", "tags"): _json(_are_tags),
    ("jobs", "trouble_kind"): _one_of("Overdue", "Error", "Fatal"),
    ("rejected_reports", "reason_details"): _json(_are_details),
    ("runs", "available_versions"): _holds_times,
    ("runs", "outcome"): _outcome,
    ("servers", "additional_event"): _event,
    ("servers", "collect_error_details"): _json(_are_details),
    ("servers", "collect_interval"): is_choice,
    ("servers", "seen_offsets"): _json(_fits(_offsets)),
    ("servers", "tags"): _json(_are_tags),
    ("tasks", "last_error_details"): _json(_are_details),
    ("users", "id"): bool,
    ("users", "language"): _one_of("", *PAGE_LANGUAGES),
    ("users", "password_hash"): passwords.is_checkable,
    ("users", "preferences"): _json(_are_preferences),
    ("users", "username"): bool,
}
UNSENT = "SELECT payload FROM deliveries WHERE state IN ('queued', 'sending')"
QUIET = "SELECT quiet_from, quiet_until FROM channels"


def check(connection: sqlite3.Connection) -> None:
    """Validate a database of the newest schema.

    Raises Refused, naming table and setting or column.
    """
    for (table, column), is_fine in CHECKS.items():
        wanted = f'SELECT DISTINCT "{column}" FROM "{table}" WHERE "{column}" IS NOT NULL'  # noqa: S608
        for (value,) in connection.execute(wanted):
            _require(is_fine, value, Refused("value_of_column", table=table, column=column), column)
    is_sendable = _json(_fits(fields.Nested(PayloadValue)))
    for (payload,) in connection.execute(UNSENT):
        _require(is_sendable, payload, Refused("value_of_column", table="deliveries", column="payload"), "payload")
    for hours in connection.execute(QUIET):
        _require(
            _are_quiet_hours, hours, Refused("value_of_column", table="channels", column="quiet_from"), "quiet_from"
        )
    for kind, text in connection.execute("SELECT kind, settings FROM channels"):
        place = Refused("settings_of_channel", kind=str(kind)[:60])
        _require(partial(_are_settings, kind), text, place, "settings")
    for key, text in connection.execute("SELECT key, value FROM settings WHERE value IS NOT NULL"):
        if key in declarations.DECLARED:
            place = Refused("value_of_setting", name=key)
            _require(partial(_is_setting, key), text, place, key)


def _require(is_fine: Check, value: Any, place: Refused, field: str) -> None:
    try:
        if is_fine(value):
            return
        reason: Refused | str = ""
    except ValidationError as error:
        reason = first_sentence(error)
    except Refused as error:
        reason = error
    except NOT_UNDERSTOOD:
        reason = ""
    if reason:
        raise Refused("stored_value_invalid", field, place=place, reason=reason)
    raise Refused("stored_value_impossible", field, place=place)


def _are_quiet_hours(hours: tuple[str | None, str | None]) -> bool:
    return QuietHours.read(*hours) is not None or hours in ((None, None), ("", ""))


def _are_settings(kind: str, text: str) -> bool:
    channels.check_stored(kind, orjson.loads(text))
    return True


def _is_setting(key: str, text: str) -> bool:
    value = orjson.loads(text)
    if value is not None:
        declarations.check(key, value)
    return True
