"""Wire forms of what asks Duplicati servers: one, several, for schedules, and to start a job."""

from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, pre_load, validate

from app.api.wire import SOMETIMES, IsoInstant, Out, RequestHeaders, iso
from app.domain.duplicati_addresses import HTTP, HTTPS
from app.domain.pulls import CHOICES
from app.models import Server
from app.services.collect.batches import Batch, Item, State
from app.services.collect.collecting import Collected, Synchronised
from app.services.collect.control import Started
from app.services.collect.targets import Order

SETTINGS_TOLD = "The schedules of the backup jobs were taken over"
NO_JOBS = "No backups found"
HEADERS_UNUSED = "headers need a hostname and a password; those of a stored server are changed in its settings"


class OrderIn(Schema):
    """A server to ask: by its record, by host and password, or both. https unless `protocol` says http.

    `noPassword` is for a Duplicati 2.0 without a password. `headers` are used and stored with a password that is given.
    """

    class Meta:
        unknown = EXCLUDE

    hostname = fields.String(load_default="", allow_none=True)
    port = fields.Integer(load_default=None, allow_none=True, validate=validate.Range(1, 65535))
    password = fields.String(load_default="", allow_none=True)
    has_no_password = fields.Boolean(data_key="noPassword", load_default=False)
    headers = RequestHeaders(load_default=dict, allow_none=True)
    server_id = fields.String(data_key="serverId", load_default="", allow_none=True)
    scheme = fields.String(
        data_key="protocol", load_default="", allow_none=True, validate=validate.OneOf(["", HTTPS, HTTP])
    )
    verifies_certificate = fields.Boolean(data_key="verifyCertificate", load_default=None, allow_none=True)

    @post_load
    def make(self, values: dict[str, Any], **_options: Any) -> Order:
        """The order as a domain value."""
        texts = {name: values[name] or "" for name in ("hostname", "password", "server_id", "scheme")}
        order = Order(**{**values, **texts, "headers": values["headers"] or {}})
        if order.headers and order.server_id and not order.is_complete:
            raise ValidationError({"headers": [HEADERS_UNUSED]})
        return order


class CollectIn(OrderIn):
    """A server to ask for everything."""

    keeps_document = fields.Boolean(data_key="downloadJson", load_default=False)


class CollectionIn(Schema):
    """The servers to ask together: those that are named, or all that have an address and a password stored."""

    class Meta:
        unknown = EXCLUDE

    orders = fields.List(fields.Nested(CollectIn), data_key="servers", load_default=list)
    is_for_all = fields.Boolean(data_key="all", load_default=False)

    @pre_load
    def check(self, body: Mapping[str, Any], **_options: Any) -> Mapping[str, Any]:
        """Ask for one of both."""
        if bool(body.get("servers")) == bool(body.get("all")):
            raise ValidationError("Either servers or all is needed")
        return body


class RunIn(Schema):
    """A job to start, by its server and name."""

    class Meta:
        unknown = EXCLUDE

    server_id = fields.String(data_key="serverId", required=True, validate=validate.Length(min=1))
    job_name = fields.String(data_key="backupName", required=True, validate=validate.Length(min=1))


class PullIn(Schema):
    """How often a server is asked by itself, and whether its certificate is checked; what is left out stays."""

    class Meta:
        unknown = EXCLUDE

    interval = fields.String(load_default=None, validate=validate.OneOf(["", *CHOICES]))
    verifies_certificate = fields.Boolean(data_key="verifyCertificate", load_default=None)


class CountsOut(Out):
    """How many runs were new, how many were known already, and how many entries or logs could not be used."""

    stored = fields.Integer(data_key="processed")
    skipped = fields.Integer()
    error_count = fields.Integer(data_key="errors")


class PullOut(Out):
    """How often a server is asked by itself, and how that went."""

    id = fields.String(data_key="serverId")
    collect_interval = fields.String(data_key="interval")
    verifies_certificate = fields.Boolean(data_key="verifyCertificate")
    next_collect_at = IsoInstant(data_key="nextAt")
    collected_at = IsoInstant(data_key="collectedAt")
    collect_error = fields.String(data_key="error", allow_none=True)


class RunningOut(Out):
    """A job whose log cannot be read yet, since it runs."""

    name = fields.String()
    since = IsoInstant()


class ItemOut(Out):
    """One server of a collection: how far it is, and what came of it."""

    number = fields.Integer()
    place = fields.String()
    name = fields.String()
    server_id = fields.String(data_key="serverId")
    state = fields.String(metadata={"enum": list(State)})
    error = fields.String()
    error_code = fields.String(data_key="errorCode")
    stats = fields.Dict(values=fields.Integer(), metadata=SOMETIMES)
    problems = fields.List(fields.String(), data_key="errors", metadata=SOMETIMES)
    running = fields.List(fields.Nested(RunningOut), metadata=SOMETIMES)
    document = fields.Boolean(data_key="hasJson")


class BatchOut(Out):
    """Servers that are asked together."""

    id = fields.String()
    is_done = fields.Boolean(data_key="isDone")
    began_at = IsoInstant(data_key="beganAt")
    items = fields.List(fields.Nested(ItemOut), data_key="servers")


_counts_out = CountsOut()
COLLECTED: dict[str, fields.Field[Any]] = {
    "success": fields.Boolean(),
    "serverName": fields.String(),
    "serverAlias": fields.String(),
    "stats": fields.Nested(CountsOut),
    "backupSettings": fields.Dict(values=fields.String()),
    "errors": fields.List(fields.String(), metadata=SOMETIMES),
    "running": fields.List(fields.Nested(RunningOut), metadata=SOMETIMES),
    "jsonData": fields.String(metadata=SOMETIMES),
}
SYNCHRONISED: dict[str, fields.Field[Any]] = {
    "success": fields.Boolean(),
    "serverName": fields.String(),
    "stats": fields.Dict(values=fields.Integer()),
    "errors": fields.List(fields.String(), metadata=SOMETIMES),
    "message": fields.String(metadata=SOMETIMES),
}
STARTED: dict[str, fields.Field[Any]] = {
    "success": fields.Boolean(),
    "message": fields.String(),
    "taskId": fields.Integer(allow_none=True),
}


def dump_collected(collected: Collected) -> dict[str, Any]:
    """What came of asking a server."""
    if not collected.has_jobs:
        return {"message": NO_JOBS}
    told: dict[str, Any] = {
        "success": True,
        "serverName": collected.server_name,
        "serverAlias": collected.server_alias,
        "stats": _counts_out.dump(collected),
        "backupSettings": {"message": SETTINGS_TOLD},
    }
    if collected.problems:
        told["errors"] = list(collected.problems)
    if collected.running:
        told["running"] = _dump_running(collected)
    if collected.document is not None:
        told["jsonData"] = collected.document
    return told


def dump_synchronised(found: Synchronised) -> dict[str, Any]:
    """What came of asking a server for its schedules."""
    told: dict[str, Any] = {
        "success": True,
        "serverName": found.server_name,
        "stats": {"processed": found.planned, "errors": len(found.problems)},
    }
    if found.problems:
        told["errors"] = list(found.problems)
    return told if found.has_jobs else told | {"message": NO_JOBS}


def dump_started(started: Started) -> dict[str, Any]:
    """A job that was started."""
    message = f'Duplicati on "{started.server_name}" was told to run "{started.job_name}"'
    return {"success": True, "message": message, "taskId": started.task_id}


def dump_pull(server: Server) -> dict[str, Any]:
    """How a server is asked by itself."""
    return PullOut().dump(server)


def dump_batch(batch: Batch) -> dict[str, Any]:
    """Servers that are asked together, in the order in which they were named."""
    return {
        "id": batch.id,
        "isDone": batch.is_done,
        "beganAt": iso(batch.began_at),
        "servers": [_dump_item(item) for item in batch.items],
    }


def _dump_item(item: Item) -> dict[str, Any]:
    told: dict[str, Any] = {
        "number": item.number,
        "place": item.place,
        "name": item.name,
        "serverId": item.collected.server_id if item.collected else item.server_id,
        "state": item.state.value,
        "error": item.error,
        "errorCode": item.error_code,
        "hasJson": bool(item.collected and item.collected.document is not None),
    }
    if item.collected:
        told |= {"stats": _counts_out.dump(item.collected), "errors": list(item.collected.problems)}
        told["running"] = _dump_running(item.collected)
    return told


def _dump_running(collected: Collected) -> list[dict[str, Any]]:
    return [{"name": name, "since": iso(since)} for name, since in collected.running]
