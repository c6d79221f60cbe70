"""Schemas of the settings API.

Messages for missing values are those of the contract; invalid values are named by field.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from marshmallow import EXCLUDE, RAISE, Schema, ValidationError, fields, post_load, pre_load, validate

from app import runtime
from app.backups.models import Job, Server
from app.core.errors import InputText, Refused
from app.core.instants import iso
from app.core.languages import DEFAULT_LANGUAGE, LANGUAGES
from app.database.external_monitor import (
    EVERY_MINUTES,
    IS_ENABLED,
    LONGEST_TOKEN,
    PING_URL,
    SERVICE,
    ExternalMonitor,
    PingResult,
)
from app.database.health_alarms import FREE_SPACE_LIMIT
from app.notifications.channel_settings import EmailSettings, NtfySettings
from app.notifications.outbox import EVENTS, WARNINGS, is_channel_on
from app.plugin import validate_one_line
from app.reports.decoding import read_instant_or_none
from app.schedules.intervals import EVERY_DAY, weekday_mask, weekdays_from_mask
from app.schedules.job_settings import JobChange, repair_interval
from app.schedules.overdue import OVERDUE_TOLERANCE, TOLERANCES
from app.schedules.overdue_check import NOTIFICATION_FREQUENCY
from app.web.forms import fields_in, fields_out
from app.web.http import SOMETIMES, TEXT, IsoInstant, Out

# Placeholder of a stored token; when it is sent back, the token is kept.
MASK = "********"
OLD_UNITS = {"hour": "h", "day": "D"}
KINDS_OF_SWITCHES = {"ntfy_enabled": "ntfy", "email_enabled": "email"}


def refuse_without(data: Any, name: str, sentence: str) -> None:
    """Raise ValidationError if a body lacks its one required key.

    An empty object means no change.
    """
    if not data.get(name) and data.get(name) != {}:
        raise ValidationError(sentence)


@contextmanager
def named_as_in(schema: type[Schema]) -> Iterator[None]:
    """Rename the fields in errors of a service to the names in the request.

    Also usable as a decorator.
    """
    try:
        yield
    except Refused as refusal:
        names = {name: field.data_key or name for name, field in schema().fields.items()}
        if wrong := refusal.extra.get("fields"):
            refusal.extra["fields"] = {names.get(name, name): sentence for name, sentence in wrong.items()}
        raise


class Lenient(Schema):
    """Input that ignores unknown keys."""

    class Meta:
        unknown = EXCLUDE


class EntryIn(Lenient):
    """Settings of a job or defaults of a server; omitted fields are kept, null means "not set"."""

    notification_event = fields.String(data_key="notificationEvent", validate=validate.OneOf(EVENTS))
    is_overdue_check_enabled = fields.Boolean(data_key="overdueBackupCheckEnabled")
    expected_interval = fields.String(data_key="expectedInterval")
    allowed_weekdays = fields.List(
        fields.Integer(strict=True, validate=validate.OneOf(sorted(EVERY_DAY))), data_key="allowedWeekDays"
    )
    expected_at = fields.String(data_key="time", allow_none=True)
    overdue_tolerance = fields.String(
        data_key="overdueTolerance", allow_none=True, validate=validate.OneOf(tuple(TOLERANCES))
    )
    ntfy_enabled = fields.Boolean(data_key="ntfyEnabled")
    email_enabled = fields.Boolean(data_key="emailEnabled")
    additional_event = fields.String(
        data_key="additionalNotificationEvent", allow_none=True, validate=validate.OneOf(("", *EVENTS))
    )
    additional_emails = fields.String(data_key="additionalEmails", allow_none=True, validate=validate_one_line)
    additional_ntfy_topic = fields.String(data_key="additionalNtfyTopic", allow_none=True, validate=validate_one_line)

    @pre_load
    def modernise(self, data: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Convert the format before 3.1: a number and a unit, both channels on, every day."""
        if not isinstance(data, dict) or "intervalUnit" not in data:
            return data
        number, unit = data.get("expectedInterval"), OLD_UNITS.get(str(data["intervalUnit"]))
        if unit is None:
            raise ValidationError("expected hour or day", "intervalUnit")
        if not isinstance(number, int) or isinstance(number, bool) or number <= 0:
            raise ValidationError("expected a whole number above zero", "expectedInterval")
        others = {name: data[name] for name in ("notificationEvent", "overdueBackupCheckEnabled") if name in data}
        modern = {"expectedInterval": f"{number}{unit}", "allowedWeekDays": sorted(EVERY_DAY)}
        return others | modern | {"ntfyEnabled": True, "emailEnabled": True}

    @post_load
    def make(self, values: dict[str, Any], **_options: Any) -> JobChange:
        """Return the change as a value of the service."""
        # wire: a blank or invalid date counts as none, as in the original
        expected_at = read_instant_or_none(values.pop("expected_at", None), runtime.settings().zone)
        switches = {kind: values.pop(name) for name, kind in KINDS_OF_SWITCHES.items() if name in values}
        if "expected_interval" in values:
            values["expected_interval"] = _interval(values["expected_interval"])
        if "allowed_weekdays" in values:
            values["allowed_weekdays"] = weekday_mask(values["allowed_weekdays"])
        if values.get("additional_event") == "":
            values["additional_event"] = None
        return JobChange(values, switches, expected_at)


class ByKey(fields.Dict):
    """A mapping whose errors are listed by key alone, without marshmallow's "value" level."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        try:
            return super()._deserialize(value, attr, data, **kwargs)  # type: ignore[no-untyped-call]
        except ValidationError as error:
            if not isinstance(error.messages, dict):
                raise
            raise ValidationError({key: entry.get("value", entry) for key, entry in error.messages.items()}) from error


class BackupSettingsIn(Lenient):
    """Settings by key: `<server id>:<job>`, or `<server id>:__default__` for the defaults of a server."""

    settings = ByKey(keys=fields.String(), values=fields.Nested(EntryIn), required=True, data_key="backupSettings")

    @pre_load
    def check(self, data: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Reject a body without settings."""
        refuse_without(data, "backupSettings", "backupSettings is required")
        return data


class MailFields(Lenient):
    """Stored fields of an email account; each endpoint decides which are required."""

    host = fields.String()
    port = fields.Integer()
    connection_type = fields.String(data_key="connectionType")
    username = fields.String()
    password = fields.String()
    mailto = fields.String()
    sender_name = fields.String(data_key="senderName")
    from_address = fields.String(data_key="fromAddress")
    requires_login = fields.Boolean(data_key="requireAuth")

    @post_load
    def trim(self, values: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Strip whitespace from everything but the password."""
        return {
            name: value.strip() if isinstance(value, str) and name != "password" else value
            for name, value in values.items()
        }


class EmailIn(MailFields):
    """Email settings; an omitted password is kept, "" clears it, an omitted sender is removed."""

    @pre_load
    def check(self, data: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Report missing or invalid fields in the contract's order.

        Adds defaults for optional fields.
        """
        if not all(data.get(name) for name in ("host", "port", "mailto")):
            raise ValidationError("Missing required fields: host, port, mailto")
        requires_login = data.get("requireAuth") is not False
        if requires_login and data.get("username") is None:
            raise ValidationError("Missing required field: username")
        port = _leading_number(data["port"])
        if port is None or not 1 <= port <= 65535:
            raise ValidationError("Port must be a valid number between 1 and 65535")
        if "@" not in str(data["mailto"]):
            raise ValidationError('Recipient email must contain "@" symbol')
        sender = {name: data.get(name) or "" for name in ("senderName", "fromAddress")}
        if str(sender["fromAddress"]).strip() and "@" not in str(sender["fromAddress"]):
            raise ValidationError('From address must contain "@" symbol')
        given = {name: value for name, value in data.items() if value is not None}
        filled = {"port": port, "connectionType": _connection_type(data), "requireAuth": requires_login}
        return given | sender | filled


class EmailPasswordIn(Lenient):
    """A new password; with `config` also the sender, or all settings if there are none yet."""

    password = fields.Raw()
    config = fields.Nested(MailFields, load_default=dict)

    @pre_load
    def check(self, data: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Reject a password that is not a string."""
        if not isinstance(data.get("password"), str):
            raise ValidationError("Password must be a string")
        config = data.get("config") or {}
        if not isinstance(config, dict):
            raise ValidationError("expected an object", "config")
        return {**data, "config": {name: value for name, value in config.items() if value is not None}}


class FrequencyIn(Lenient):
    """How often an overdue alert is repeated."""

    class Meta(Lenient.Meta):
        include = fields_in((NOTIFICATION_FREQUENCY,))

    @pre_load
    def check(self, data: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Reject unknown values."""
        # wire: one message for every error
        if not NOTIFICATION_FREQUENCY.accepts(data.get("value")):
            raise ValidationError("Invalid value")
        return data


class NtfyIn(Lenient):
    """An ntfy destination; an omitted or masked token is kept, "" clears it."""

    url = fields.String()
    topic = fields.String(allow_none=True)
    token = fields.String(data_key="accessToken")

    @pre_load
    def check(self, data: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Remove nulls, and a token that consists of asterisks."""
        if not isinstance(data, dict):
            return data
        token = data.get("accessToken")
        is_masked = isinstance(token, str) and token != "" and not token.strip("*")
        return {
            name: value
            for name, value in data.items()
            if value is not None and not (name == "accessToken" and is_masked)
        }


class NtfySettingsIn(Lenient):
    """Wrapper of an ntfy destination."""

    ntfy = fields.Nested(NtfyIn, required=True)

    @pre_load
    def check(self, data: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Reject a body without it."""
        if not data.get("ntfy"):
            raise ValidationError("ntfy config is required")
        return data


class ToleranceIn(Lenient):
    """The grace period."""

    class Meta(Lenient.Meta):
        include = fields_in((OVERDUE_TOLERANCE,))


class TemplateIn(Schema):
    """One template; omitted parts use the default text."""

    class Meta:
        unknown = RAISE

    title = fields.String()
    message = fields.String()
    priority = fields.String()
    tags = fields.String()


class TemplateSetIn(Schema):
    """Templates by kind, each replaced as a whole, and the language of dates and numbers."""

    class Meta:
        unknown = RAISE

    language = fields.String(validate=validate.OneOf(LANGUAGES))
    success = fields.Nested(TemplateIn)
    warning = fields.Nested(TemplateIn)
    overdueBackup = fields.Nested(TemplateIn)
    recovered = fields.Nested(TemplateIn)
    dailySummary = fields.Nested(TemplateIn)
    digest = fields.Nested(TemplateIn)


class TemplatesIn(Lenient):
    """Wrapper of the templates."""

    templates = fields.Nested(TemplateSetIn, required=True)

    @pre_load
    def check(self, data: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Reject a body without them."""
        refuse_without(data, "templates", "templates are required")
        return data


class DefaultsQuery(Lenient):
    """For which language the built-in templates are wanted."""

    language = fields.String(load_default=DEFAULT_LANGUAGE, metadata={"enum": list(LANGUAGES)})

    @pre_load
    def check(self, data: Any, **_options: Any) -> Any:
        """Reject unknown values."""
        # wire: an empty language is the default one, as in the original
        chosen = {**data, "language": data.get("language") or DEFAULT_LANGUAGE}
        # wire: the message is not prefixed by a field
        if chosen["language"] not in LANGUAGES:
            raise ValidationError("Invalid language")
        return chosen


class EntryOut(Out):
    """The settings of one job."""

    notification_event = fields.String(data_key="notificationEvent")
    is_overdue_check_enabled = fields.Boolean(data_key="overdueBackupCheckEnabled")
    expected_interval = fields.String(data_key="expectedInterval")
    allowed_weekdays = fields.Function(
        lambda job: list(weekdays_from_mask(job.allowed_weekdays)), data_key="allowedWeekDays"
    )
    overdue_tolerance = fields.String(
        data_key="overdueTolerance",
        allow_none=True,
        metadata={"enum": [*TOLERANCES, None], "description": "Grace period of the job; null: the global one"},
    )
    next_expected_at = IsoInstant(data_key="time", missing="")
    last_began_at = IsoInstant(data_key="lastBackupDate", attribute="last_sent_began_at")
    ntfy_enabled = fields.Function(lambda job: is_channel_on(job, "ntfy"), data_key="ntfyEnabled")
    email_enabled = fields.Function(lambda job: is_channel_on(job, "email"), data_key="emailEnabled")


class AdditionalOut(Out):
    """Additional destinations of a job or defaults of a server; unset fields are omitted."""

    additional_event = fields.String(data_key="additionalNotificationEvent", metadata=SOMETIMES)
    additional_emails = fields.String(data_key="additionalEmails", metadata=SOMETIMES)
    additional_ntfy_topic = fields.String(data_key="additionalNtfyTopic", metadata=SOMETIMES)


class EmailOut(Out):
    """Email settings without the password."""

    host = fields.String()
    port = fields.Integer()
    connection_type = fields.String(data_key="connectionType")
    username = fields.String()
    mailto = fields.String()
    sender_name = fields.String(data_key="senderName", metadata=SOMETIMES)
    from_address = fields.String(data_key="fromAddress", metadata=SOMETIMES)
    requires_login = fields.Boolean(data_key="requireAuth")
    has_password = fields.Boolean(data_key="hasPassword")


class EmailStateOut(Out):
    """Whether email can be sent, and the email settings."""

    is_configured = fields.Boolean(data_key="configured")
    config = fields.Nested(EmailOut, allow_none=True)
    message = fields.String()


class NtfyOut(Out):
    """An ntfy destination; the token is masked and never sent."""

    url = fields.String()
    topic = fields.String()
    token = fields.Function(lambda ntfy: MASK if ntfy.has_token else "", data_key="accessToken", metadata=TEXT)
    has_token = fields.Boolean(data_key="hasAccessToken")


class TemplateOut(Out):
    """One template."""

    title = fields.String()
    message = fields.String()
    priority = fields.String()
    tags = fields.String()


class TemplateSetOut(Out):
    """Templates by kind."""

    success = fields.Nested(TemplateOut)
    warning = fields.Nested(TemplateOut)
    overdueBackup = fields.Nested(TemplateOut)
    recovered = fields.Nested(TemplateOut)
    dailySummary = fields.Nested(TemplateOut)
    digest = fields.Nested(TemplateOut)


class TemplatesOut(TemplateSetOut):
    """The templates in use, and the language of dates and numbers in them."""

    language = fields.String()


class FrequencyOut(Out):
    """How often an overdue alert is repeated."""

    class Meta:
        include = fields_out((NOTIFICATION_FREQUENCY,))


class NtfySavedOut(Out):
    """The ntfy destination as it was stored."""

    message = fields.String()
    ntfy = fields.Nested(NtfyOut)


_entry_out, _additional_out, _email_out, _ntfy_out = EntryOut(), AdditionalOut(), EmailOut(), NtfyOut()
_event_out = AdditionalOut(only=("additional_event",))
_NO_MAIL = EmailSettings("", 0, "", "", "", "", "", False, False, False)
# Defaults of the columns, which SQLAlchemy sets only when a row is inserted.
_NEW_JOB = Job(
    notification_event=WARNINGS,
    is_overdue_check_enabled=True,
    expected_interval="1D",
    allowed_weekdays=weekday_mask(EVERY_DAY),
    channel_switches={},
)


def dump_entry(job: Job, *, is_blank: bool = False) -> dict[str, Any]:
    """Return the settings of a job.

    If all its runs were deleted, with the begin of the newest one.

    With `is_blank` the additional destinations are omitted.
    """
    entry = _entry_out.dump(job)
    if job.last_began_at is None:
        del entry["lastBackupDate"]
        if job.deleted_began_at is not None:
            entry["lastBackupDate"] = iso(job.deleted_began_at)
    return entry | dump_additional(job, is_blank=is_blank)


def dump_defaults(server: Server, *, is_blank: bool = False) -> dict[str, Any]:
    """Return the defaults of a server, with those of new jobs, as the original does."""
    return dump_entry(_NEW_JOB) | dump_additional(server, is_blank=is_blank)


def dump_additional(row: Job | Server, *, is_blank: bool = False) -> dict[str, Any]:
    """Return the additional destinations that are set.

    With `is_blank` only the event is included.
    """
    dumped = _event_out.dump(row) if is_blank else _additional_out.dump(row)
    return {name: value for name, value in dumped.items() if value is not None}


def dump_mail(mail: EmailSettings, *, is_blank: bool = False) -> dict[str, Any]:
    """Return an email account; an empty sender is omitted.

    With `is_blank` the values are blank.
    """
    dumped = _email_out.dump(_NO_MAIL if is_blank else mail)
    return {name: value for name, value in dumped.items() if value != "" or name not in ("senderName", "fromAddress")}


def dump_ntfy(ntfy: NtfySettings, *, is_blank: bool = False) -> dict[str, Any]:
    """Return an ntfy destination; with `is_blank` its values are blank."""
    return _ntfy_out.dump(NtfySettings("", "", False) if is_blank else ntfy)


def _interval(text: str) -> str:
    """Return the interval without characters that the parser skips.

    Raises ValidationError.
    """
    try:
        return repair_interval(text)
    except Refused as refusal:
        raise ValidationError(InputText(refusal), "expectedInterval") from refusal


def _leading_number(value: Any) -> int | None:
    """Return a number, or the leading digits of a text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    text = str(value).strip()
    digits = text[: len(text) - len(text.lstrip("0123456789"))]
    return int(digits) if digits and len(digits) < 10 else None


def _connection_type(data: dict[str, Any]) -> str:
    """Return the connection type; older clients send `secure` instead."""
    kind = data.get("connectionType")
    if kind in ("plain", "starttls", "ssl"):
        return str(kind)
    return "ssl" if str(data.get("secure", "")).lower() == "true" else "starttls"


class FreeSpaceIn(Schema):
    """Minimum free disk space in MiB before an alert is sent; 0 means never."""

    class Meta:
        unknown = RAISE
        include = fields_in(FREE_SPACE_LIMIT)


class ExternalMonitorIn(Schema):
    """Changes to the external monitor; omitted fields are kept, except a token for another host."""

    class Meta:
        unknown = RAISE
        include = fields_in((IS_ENABLED, PING_URL, EVERY_MINUTES, SERVICE), service={"allow_none": True})

    token = fields.String(validate=validate.Length(max=LONGEST_TOKEN))


class ExternalMonitorOut(Out):
    """The external monitor and its last ping; `service` is null if it is detected from the URL."""

    class Meta:
        include = fields_out((IS_ENABLED, PING_URL, EVERY_MINUTES))

    service = fields.Function(lambda chosen: chosen.service or None, metadata={"type": ["string", "null"]})
    used_service = fields.String(data_key="usedService")
    has_token = fields.Boolean(data_key="hasToken")


class PingOut(Out):
    """Result of the last ping: `error` is why it failed, `reason` the problem that it reported."""

    sent_at = IsoInstant(data_key="sentAt", allow_none=True)
    good_at = IsoInstant(data_key="lastGoodAt", allow_none=True)
    error = fields.String()
    reason = fields.String()


class ExternalMonitorStateOut(ExternalMonitorOut):
    """The external monitor with its last ping."""

    last_ping = fields.Nested(PingOut, data_key="lastPing")


def dump_monitor(chosen: ExternalMonitor, last: PingResult) -> dict[str, Any]:
    """Return the external monitor with its last ping."""
    dumped: dict[str, Any] = ExternalMonitorOut().dump(chosen)
    return dumped | {"lastPing": PingOut().dump(last)}
