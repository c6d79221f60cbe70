"""API group `backups`: collect from Duplicati servers, and start a job."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from flask.typing import ResponseReturnValue
from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, pre_load, validate

from app import runtime
from app.backups import servers
from app.backups.models import Server
from app.backups.runs_api import bp
from app.collector import batches, collecting
from app.collector.addresses import HTTP, HTTPS
from app.collector.batches import CHOICES, Batch, Item, State
from app.collector.collecting import Collected, Started, Synchronised
from app.collector.request import caller, find_batch
from app.collector.targets import Order
from app.core.errors import Refused
from app.core.instants import iso
from app.plugin import Access, AnyOf, ApiGroup, Content, described, guarded
from app.web.http import (
    MESSAGE,
    SOMETIMES,
    IsoInstant,
    Out,
    RequestHeaders,
    actor,
    json_body,
    saved_file,
    visible_server_ids,
)

SCHEDULES_SAVED = "Schedules of the backup jobs saved"
NO_JOBS = "No backups found"
HEADERS_UNUSED = "headers need a hostname and a password; those of a stored server are changed in its settings"


class OrderIn(Schema):
    """A server to collect from: by its record, by host and password, or both. https unless `protocol` is http.

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
        """Return the order as a dataclass."""
        texts = {name: values[name] or "" for name in ("hostname", "password", "server_id", "scheme")}
        order = Order(**{**values, **texts, "headers": values["headers"] or {}})
        if order.headers and order.server_id and not order.is_complete:
            raise ValidationError({"headers": [HEADERS_UNUSED]})
        return order


class CollectIn(OrderIn):
    """A server to collect from."""

    keeps_document = fields.Boolean(data_key="downloadJson", load_default=False)


class CollectionIn(Schema):
    """The servers to collect from: the named ones, or all with a stored URL and password."""

    class Meta:
        unknown = EXCLUDE

    orders = fields.List(fields.Nested(CollectIn), data_key="servers", load_default=list)
    is_for_all = fields.Boolean(data_key="all", load_default=False)

    @pre_load
    def check(self, body: Mapping[str, Any], **_options: Any) -> Mapping[str, Any]:
        """Require one of both."""
        if bool(body.get("servers")) == bool(body.get("all")):
            raise ValidationError("Either servers or all is required")
        return body


class RunIn(Schema):
    """A job to start, by its server and name."""

    class Meta:
        unknown = EXCLUDE

    server_id = fields.String(data_key="serverId", required=True, validate=validate.Length(min=1))
    job_name = fields.String(data_key="backupName", required=True, validate=validate.Length(min=1))


class PullIn(Schema):
    """Automatic collection: interval, and whether the certificate is verified. Omitted fields are kept."""

    class Meta:
        unknown = EXCLUDE

    interval = fields.String(load_default=None, validate=validate.OneOf(["", *CHOICES]))
    verifies_certificate = fields.Boolean(data_key="verifyCertificate", load_default=None)


class CountsOut(Out):
    """Numbers of new runs, existing runs, and entries or logs that could not be used."""

    stored = fields.Integer(data_key="processed")
    skipped = fields.Integer()
    error_count = fields.Integer(data_key="errors")


class PullOut(Out):
    """Automatic collection of a server: interval and last result."""

    id = fields.String(data_key="serverId")
    collect_interval = fields.String(data_key="interval")
    verifies_certificate = fields.Boolean(data_key="verifyCertificate")
    next_collect_at = IsoInstant(data_key="nextAt")
    collected_at = IsoInstant(data_key="collectedAt")
    collect_error = fields.String(data_key="error", allow_none=True)


class RunningOut(Out):
    """A job whose log cannot be read yet because it is running."""

    name = fields.String()
    since = IsoInstant()


class ItemOut(Out):
    """One server of a collection: progress and result."""

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
    """A collection from several servers."""

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
    """Return the result of collecting from a server."""
    if not collected.has_jobs:
        return {"message": NO_JOBS}
    answer: dict[str, Any] = {
        "success": True,
        "serverName": collected.server_name,
        "serverAlias": collected.server_alias,
        "stats": _counts_out.dump(collected),
        "backupSettings": {"message": SCHEDULES_SAVED},
    }
    if collected.problems:
        answer["errors"] = list(collected.problems)
    if collected.running:
        answer["running"] = _dump_running(collected)
    if collected.document is not None:
        answer["jsonData"] = collected.document
    return answer


def dump_synchronised(found: Synchronised) -> dict[str, Any]:
    """Return the result of collecting a server's schedules."""
    answer: dict[str, Any] = {
        "success": True,
        "serverName": found.server_name,
        "stats": {"processed": found.scheduled_count, "errors": len(found.problems)},
    }
    if found.problems:
        answer["errors"] = list(found.problems)
    return answer if found.has_jobs else answer | {"message": NO_JOBS}


def dump_started(started: Started) -> dict[str, Any]:
    """Return a job that was started."""
    message = f'Duplicati on "{started.server_name}" was requested to run "{started.job_name}"'
    return {"success": True, "message": message, "taskId": started.task_id}


def dump_pull(server: Server) -> dict[str, Any]:
    """Return the automatic collection of a server."""
    return PullOut().dump(server)


def dump_batch(batch: Batch) -> dict[str, Any]:
    """Return a collection from several servers, in the given order."""
    return {
        "id": batch.id,
        "isDone": batch.is_done,
        "beganAt": iso(batch.began_at),
        "servers": [_dump_item(item) for item in batch.items],
    }


def _dump_item(item: Item) -> dict[str, Any]:
    answer: dict[str, Any] = {
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
        answer |= {"stats": _counts_out.dump(item.collected), "errors": list(item.collected.problems)}
        answer["running"] = _dump_running(item.collected)
    return answer


def _dump_running(collected: Collected) -> list[dict[str, Any]]:
    return [{"name": name, "since": iso(since)} for name, since in collected.running]


# Views


@bp.post("/collect")
@guarded(Access.USER)
@described({200: AnyOf(COLLECTED, MESSAGE)}, body=CollectIn, errors=(403, 404))
def collect() -> ResponseReturnValue:
    """Collect schedules and logs from a Duplicati server, and store new runs.

    With only `serverId`, the stored URL and password are used. No notifications are sent for these runs.
    """
    order = CollectIn().load(json_body())
    return dump_collected(collecting.collect(order, caller=caller(), now=runtime.now()))


@bp.post("/sync-schedule")
@guarded(Access.USER)
@described({200: SYNCHRONISED}, body=OrderIn, errors=(403, 404))
def sync_schedule() -> ResponseReturnValue:
    """Collect the schedules of the jobs from a Duplicati server.

    Nothing else is stored.
    """
    order = OrderIn().load(json_body())
    return dump_synchronised(collecting.synchronise(order, caller=caller(), now=runtime.now()))


@bp.post("/collections")
@guarded(Access.USER)
@described({202: BatchOut}, body=CollectionIn, errors=(409,))
def start_collection() -> ResponseReturnValue:
    """Start collecting from several Duplicati servers in the background: the named ones, or all.

    Returns immediately. Poll the collection by its id until `isDone`; it is deleted half an hour later.
    """
    wanted, asking = CollectionIn().load(json_body()), caller()
    orders = batches.orders_for_all(asking.visible_server_ids) if wanted["is_for_all"] else wanted["orders"]
    return dump_batch(batches.batches_of_application().start(orders, caller=asking, now=runtime.now())), 202


@bp.get("/collections/<batch_id>")
@guarded(Access.USER)
@described({200: BatchOut})
def show_collection(batch_id: str) -> ResponseReturnValue:
    """Get progress and results of a collection, for the user who started it and administrators."""
    return dump_batch(find_batch(batch_id))


@bp.get("/collections/<batch_id>/<int:number>/json")
@guarded(Access.USER)
@described({200: Content("application/json", shape={})})
def show_document(batch_id: str, number: int) -> ResponseReturnValue:
    """Download the data collected from one server, without secrets, if requested with `downloadJson`."""
    batch = find_batch(batch_id)
    found = next((item.collected for item in batch.items if item.number == number), None)
    if found is None or found.document is None:
        raise Refused("collected_data_missing")
    name = f"{found.server_name}_collected_{batch.began_at:%Y-%m-%dT%H-%M-%S}.json"
    return saved_file(BytesIO(found.document.encode()), name, "application/json")


@bp.get("/collect/<server_id>")
@guarded(Access.USER)
@described({200: PullOut})
def show_pull(server_id: str) -> ResponseReturnValue:
    """Get the automatic collection of a server: interval, last collection and last error."""
    return dump_pull(servers.find_by_id(server_id, visible_server_ids()))


@bp.patch("/collect/<server_id>")
@described({200: PullOut}, body=PullIn)
def change_pull(server_id: str) -> ResponseReturnValue:
    """Set the interval of automatic collection, and whether the certificate is verified."""
    return dump_pull(batches.choose_interval(server_id, **PullIn().load(json_body()), actor=actor(), now=runtime.now()))


@bp.post("/run")
@described({200: STARTED}, body=RunIn, errors=(404,))
def run() -> ResponseReturnValue:
    """Start a backup job on a Duplicati server, with the stored URL and password.

    Waits only for the start; the result is sent with the report of the run.
    """
    return dump_started(collecting.start_job(**RunIn().load(json_body()), actor=actor(), now=runtime.now()))


group = ApiGroup(name="backups", blueprint=bp, access=Access.ADMIN, summary="Newest runs; collect and delete runs")
