"""API group `servers`: list, details, changes, merging, deletion."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from operator import attrgetter
from typing import Any, Self

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, pre_load, validate

from app import runtime
from app.accounts import sessions
from app.backups import merging, servers
from app.backups import overview as backups_overview
from app.backups.models import Server
from app.backups.overview import RUNS_SHOWN, JobStatus, Overview, ServerStatus
from app.backups.run_objects import ChartPointOut, ListedRunOut, dump_listed_run, dump_run_point
from app.backups.servers import ALIAS_LENGTH, ChangedServer, ServerChange
from app.charts import series
from app.collector import reachability, targets
from app.collector.reachability import Outcome
from app.core.db.orm import AnyRow
from app.core.errors import Refused
from app.core.instants import iso
from app.notifications.messages import elapsed_text
from app.plugin import Access, AnyOf, ApiGroup, described, guarded
from app.reports.decoding import read_instant
from app.web.http import (
    CACHE_SET_A,
    DONE,
    MESSAGE,
    NOT_AVAILABLE,
    SOMETIMES,
    DatabaseTime,
    IsoInstant,
    Out,
    RequestHeaders,
    actor,
    json_body,
    visible_server_ids,
)

# Schemas of servers

MOST_RUNS = 1000


@dataclass(frozen=True, slots=True)
class RunsQuery:
    """How many runs to list, and before when."""

    limit: int = RUNS_SHOWN
    before: datetime | None = None

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Self:
        """Read `limit` (clamped to 1 to 1,000) and `before` (an ISO time). Raise Refused."""
        limit, before = query.get("limit"), query.get("before")
        try:
            number = RUNS_SHOWN if limit is None else min(max(int(limit), 1), MOST_RUNS)
        except ValueError as error:
            raise Refused("limit_invalid", "limit") from error
        try:
            instant = None if before is None else read_instant(before, runtime.settings().zone)
        except ValueError as error:
            raise Refused("before_invalid", "before") from error
        return cls(number, instant)


class ServerNameOut(Out):
    """A server in the plain list."""

    id = fields.String()
    name = fields.String()
    alias = fields.String()
    note = fields.String()


class ServerOut(ServerNameOut):
    """A server."""

    server_url = fields.String(attribute="url")


class FullServerOut(ServerOut):
    """A server, and whether a password is stored."""

    has_password = fields.Boolean(data_key="hasPassword")


class OverdueJobOut(Out):
    """A job that is overdue."""

    server_name = fields.String(data_key="serverName")
    name = fields.String(data_key="backupName")
    last_began_at = IsoInstant(data_key="lastBackupDate")
    next_expected_at = IsoInstant(data_key="expectedBackupDate")
    overdue_alerted_at = IsoInstant(data_key="lastNotificationSent", missing=NOT_AVAILABLE)
    notification_event = fields.String(data_key="notificationEvent")


class ServerAndJobOut(FullServerOut):
    """A server with one of its jobs."""

    job_name = fields.String(data_key="backupName")


class ServerWithRunsOut(FullServerOut):
    """A server with its runs, newest first, and their chart points, oldest first."""

    runs = fields.List(fields.Nested(ListedRunOut), data_key="backups")
    points = fields.List(fields.Nested(ChartPointOut), data_key="chartData")


class OverdueJobForLongOut(OverdueJobOut):
    """An overdue job, with the duration."""

    elapsed = fields.String(data_key="expectedBackupElapsed")


class DetailOut(Out):
    """A server with its overdue jobs."""

    server = fields.Nested(ServerWithRunsOut)
    overdue_jobs = fields.List(fields.Nested(OverdueJobForLongOut), data_key="overdueBackups")
    checked_at = IsoInstant(data_key="lastOverdueCheck", missing=NOT_AVAILABLE)


RUNS_QUERY: dict[str, fields.Field[Any]] = {
    "limit": fields.Integer(metadata={"minimum": 1, "maximum": MOST_RUNS}),
    "before": fields.String(metadata={"description": "A time in ISO 8601; only runs before it are listed"}),
}

_name_out, _server_out, _full_out, _overdue_out = ServerNameOut(), ServerOut(), FullServerOut(), OverdueJobOut()


def dump_server_list(servers: Sequence[ServerStatus]) -> list[dict[str, Any]]:
    """Return all servers, by name."""
    return _name_out.dump(servers, many=True)


def dump_backup_list(overview: Overview) -> list[dict[str, Any]]:
    """Return one entry for each server and job, by server name and job name."""
    return [_full_out.dump(server) | {"backupName": job.name} for server, job in overview.named_jobs]


def dump_server(server: ServerStatus) -> dict[str, Any]:
    """Return one server."""
    return _server_out.dump(server)


def dump_full_server(
    server: ServerStatus,
    runs: Sequence[AnyRow],
    points: Sequence[AnyRow],
    zone: tzinfo,
) -> dict[str, Any]:
    """Return one server with its runs, newest first, and chart points, oldest first."""
    return _full_out.dump(server) | {
        "backups": [dump_listed_run(run, name, server.id) for run, name in runs],
        "chartData": [dump_run_point(point, zone) for point in points],
    }


def dump_detail(server: ServerStatus, full: dict[str, Any], overview: Overview) -> dict[str, Any]:
    """Return a server with its overdue jobs."""
    return {
        "server": full,
        # wire: in the order in which the jobs were created
        "overdueBackups": [
            dump_overdue(job, overview.now) for job in sorted(server.jobs, key=attrgetter("job_id")) if job.is_overdue
        ],
        "lastOverdueCheck": NOT_AVAILABLE if overview.checked_at is None else iso(overview.checked_at),
    }


def dump_overdue(job: JobStatus, now: datetime) -> dict[str, Any]:
    """Return an overdue job, with the duration."""
    return _overdue_out.dump(job) | {"expectedBackupElapsed": elapsed_text(job.next_expected_at, now)}


# Servers group: reading

bp = Blueprint("servers", __name__)


@bp.get("/servers")
@described({200: AnyOf([ServerNameOut], [ServerAndJobOut])}, query={"includeBackups": fields.Boolean()})
def index() -> ResponseReturnValue:
    """List all servers; one entry per server and job with `?includeBackups=true`."""
    overview = backups_overview.overview(runtime.now(), visible_server_ids())
    has_jobs = request.args.get("includeBackups") == "true"
    return dump_backup_list(overview) if has_jobs else dump_server_list(overview.servers)


@bp.get("/servers/<server_id>")
@described(
    {200: AnyOf(ServerOut, ServerWithRunsOut)},
    query={"includeBackups": fields.Boolean(), "includeChartData": fields.Boolean(), **RUNS_QUERY},
)
def show(server_id: str) -> ResponseReturnValue:
    """Get a server; with `includeBackups` or `includeChartData` also its runs, paged by `limit` and `before`."""
    server = backups_overview.find_server(server_id, runtime.now(), visible_server_ids())
    wants_runs = "true" in (request.args.get("includeBackups"), request.args.get("includeChartData"))
    return full_server(server) if wants_runs else dump_server(server)


@bp.get("/detail/<server_id>")
@described({200: DetailOut}, query=RUNS_QUERY)
def detail(server_id: str) -> ResponseReturnValue:
    """Get a server with its runs and overdue jobs."""
    now = runtime.now()
    overview = backups_overview.overview(now, visible_server_ids())
    server = backups_overview.find_server(server_id, now, visible_server_ids())
    return dump_detail(server, full_server(server), overview), CACHE_SET_A


def full_server(server: backups_overview.ServerStatus) -> dict[str, object]:
    """Return a server with its runs and chart points, limited by the query."""
    query = RunsQuery.read(request.args)
    runs = backups_overview.list_runs(server.id, limit=query.limit, before=query.before)
    points = series.run_points(server.id, limit=query.limit, visible_server_ids=visible_server_ids())
    return dump_full_server(server, runs, points, runtime.settings().zone)


# Schemas of changes to a server

DROPPED = "; its stored password was removed, since the address leads to another host"
HEADERS_DROPPED = "; its stored headers were removed, since the address leads to another host"
MASK = "***"


class ServerChangeIn(Schema):
    """URL, alias and note of a server; omitted fields become empty."""

    class Meta:
        unknown = EXCLUDE

    url = fields.String(data_key="server_url", load_default="", allow_none=True)
    alias = fields.String(load_default="", allow_none=True, validate=validate.Length(max=ALIAS_LENGTH))
    note = fields.String(load_default="", allow_none=True)

    @post_load
    def make(self, values: dict[str, Any], **_options: Any) -> ServerChange:
        """Return the change as a dataclass."""
        return ServerChange(**{name: value or "" for name, value in values.items()})


class UrlIn(Schema):
    """The Duplicati URL of a server; omitted or null is empty."""

    class Meta:
        unknown = EXCLUDE

    url = fields.String(data_key="server_url", load_default="", allow_none=True)

    @post_load
    def fill_in(self, values: dict[str, Any], **_options: Any) -> dict[str, str]:
        """Convert null to ""."""
        return {"url": values["url"] or ""}


class ConnectionIn(UrlIn):
    """The URL to test; with `serverId`, the headers of that server are sent if the URL is its own."""

    server_id = fields.String(data_key="serverId", load_default="", allow_none=True)

    @post_load
    def fill_in(self, values: dict[str, Any], **_options: Any) -> dict[str, str]:
        """Convert null to ""."""
        return {name: value or "" for name, value in values.items()}

    @pre_load
    def check(self, body: Mapping[str, Any], **_options: Any) -> Mapping[str, Any]:
        """Require a URL."""
        url = body.get("server_url")
        if not url or (isinstance(url, str) and not url.strip()):
            raise ValidationError("Server URL is required")
        return body


class PasswordIn(Schema):
    """Credentials for the Duplicati of a server; omitted fields are kept.

    A blank password removes the stored one, unless `noPassword` says that this Duplicati 2.0 has none. `headers`
    replace all stored request headers.
    """

    class Meta:
        unknown = EXCLUDE

    password = fields.String(load_default=None)
    is_empty = fields.Boolean(
        data_key="noPassword",
        load_default=False,
        metadata={"description": "The Duplicati has no password, which is the default of Duplicati 2.0"},
    )
    headers = RequestHeaders(load_default=None, allow_none=True)

    @pre_load
    def check(self, body: Mapping[str, Any], **_options: Any) -> Mapping[str, Any]:
        """Require a text, unless another field is set."""
        is_other = "password" not in body and (body.get("headers") is not None or body.get("noPassword") is True)
        if not is_other and not isinstance(body.get("password"), str):
            raise ValidationError("Password must be a string")
        return body


class MergeIn(Schema):
    """The servers to merge, and the one to keep."""

    class Meta:
        unknown = EXCLUDE

    old_ids = fields.List(fields.String(), data_key="oldServerIds", required=True)
    target_id = fields.String(data_key="targetServerId", required=True)

    @pre_load
    def check(self, body: Mapping[str, Any], **_options: Any) -> Mapping[str, Any]:
        """Require both, and reject merging a server with itself."""
        old_ids, target_id = body.get("oldServerIds"), body.get("targetServerId")
        if not isinstance(old_ids, list) or not old_ids:
            raise ValidationError("oldServerIds must be a non-empty array")
        if not isinstance(target_id, str) or not target_id:
            raise ValidationError("targetServerId is required")
        if target_id in old_ids:
            raise ValidationError("Target server cannot be in the list of servers to merge")
        return body


class DuplicateOut(Out):
    """One of several servers with the same name."""

    id = fields.String()
    created_at = DatabaseTime()
    alias = fields.String()
    note = fields.String()
    server_url = fields.String(attribute="url")


class DuplicatesOut(Out):
    """List servers that share a name, newest first."""

    name = fields.String()
    servers = fields.List(fields.Nested(DuplicateOut))


class UrlChangeOut(Out):
    """A server with its new URL, and whether its password was removed."""

    message = fields.String()
    server_id = fields.String(data_key="serverId")
    lost_password = fields.Boolean(data_key="passwordRemoved")
    lost_headers = fields.Boolean(data_key="headersRemoved", metadata=SOMETIMES)
    server_name = fields.String(data_key="serverName")
    server_url = fields.String()


class ServerChangeOut(Out):
    """A server with its new URL, alias and note."""

    message = fields.String()
    server_id = fields.String(data_key="serverId")
    lost_password = fields.Boolean(data_key="passwordRemoved")
    lost_headers = fields.Boolean(data_key="headersRemoved", metadata=SOMETIMES)
    server_url = fields.String()
    alias = fields.String()
    note = fields.String()


_duplicate_out = DuplicateOut()


def dump_duplicates(groups: Iterable[tuple[str, Sequence[Server]]]) -> list[dict[str, Any]]:
    """Return servers with the same name, by name."""
    return [{"name": name, "servers": _duplicate_out.dump(servers, many=True)} for name, servers in groups]


def dump_change(changed: ChangedServer) -> dict[str, Any]:
    """Return a server with its new URL, alias and note."""
    server = changed.server
    return _outcome("Server updated successfully", changed) | {
        "server_url": server.url,
        "alias": server.alias,
        "note": server.note,
    }


def dump_url_change(changed: ChangedServer) -> dict[str, Any]:
    """Return a server after a change of its URL."""
    answer = _outcome("Server URL updated successfully", changed)
    return answer | {"serverName": changed.server.name, "server_url": changed.server.url}


def dump_outcome(outcome: Outcome) -> dict[str, Any]:
    """Return whether a Duplicati answered."""
    return {"success": outcome.is_success, "message": outcome.message}


def dump_access(server_id: str, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was stored, as `PasswordIn` loads it, with masked headers if given."""
    headers, is_password = stored["headers"], stored["password"] is not None or stored["is_empty"]
    message = "Password updated successfully" if is_password else "Headers updated successfully"
    answer: dict[str, Any] = {"message": message, "serverId": server_id}
    return answer if headers is None else answer | {"headers": dict.fromkeys(headers, MASK)}


def _outcome(message: str, changed: ChangedServer) -> dict[str, Any]:
    dropped = (DROPPED if changed.lost_password else "") + (HEADERS_DROPPED if changed.lost_headers else "")
    return {
        "message": message + dropped,
        "serverId": changed.server.id,
        "passwordRemoved": changed.lost_password,
        **({"headersRemoved": True} if changed.lost_headers else {}),
    }


# Servers group: changes

PASSWORD_STORED = {
    **MESSAGE,
    "serverId": fields.String(),
    "headers": fields.Dict(keys=fields.String(), values=fields.String(), metadata=SOMETIMES),
}


@bp.patch("/servers/<server_id>")
@guarded(Access.ADMIN)
@described({200: ServerChangeOut}, body=ServerChangeIn)
def update(server_id: str) -> ResponseReturnValue:
    """Replace URL, alias and note of a server; omitted fields become empty."""
    change = ServerChangeIn().load(json_body())
    return dump_change(servers.change_server(server_id, change, actor=actor(), now=runtime.now()))


@bp.delete("/servers/<server_id>")
@guarded(Access.ADMIN)
@described({200: {**MESSAGE, "status": fields.Integer(), "changes": fields.Dict(values=fields.Integer())}})
def delete(server_id: str) -> ResponseReturnValue:
    """Delete a server with its jobs, runs and settings."""
    count = servers.delete_server(server_id, actor=actor(), now=runtime.now())
    changes = {"backupChanges": count, "serverChanges": 1}
    return {"message": f"Successfully deleted server and {count} backups", "status": 200, "changes": changes}


@bp.get("/servers/duplicates")
@guarded(Access.ADMIN)
@described({200: [DuplicatesOut]})
def duplicates() -> ResponseReturnValue:
    """List servers that share a name, newest first."""
    return dump_duplicates(servers.find_duplicates())


@bp.post("/servers/merge")
@guarded(Access.ADMIN)
@described({200: {**DONE, "backupIdsNormalized": fields.Integer()}}, body=MergeIn, errors=(404,))
def merge() -> ResponseReturnValue:
    """Merge servers: move all data to the target server and delete the others."""
    wanted = MergeIn().load(json_body())
    normalised = merging.merge_servers(**wanted, actor=actor(), now=runtime.now())
    message = f"Successfully merged {len(wanted['old_ids'])} server(s) into target server"
    return {"success": True, "message": message, "backupIdsNormalized": normalised}


@bp.post("/servers/test-connection")
@described({200: DONE}, body=ConnectionIn)
def test_connection() -> ResponseReturnValue:
    """Test the connection to a Duplicati server; nothing is stored."""
    wanted = ConnectionIn().load(json_body())
    headers = targets.headers_to(wanted["url"], wanted["server_id"], visible_server_ids())
    return dump_outcome(reachability.try_connection(wanted["url"], headers=headers))


@bp.get("/servers/<server_id>/password")
@described({200: {"csrfToken": fields.String(), "serverId": fields.String()}})
def password_token(server_id: str) -> ResponseReturnValue:
    """Get a CSRF token for changing the password; never the password itself."""
    return {"csrfToken": sessions.current().csrf_token(), "serverId": server_id}


@bp.patch("/servers/<server_id>/password")
@guarded(Access.ADMIN)
@described({200: PASSWORD_STORED}, body=PasswordIn)
def update_password(server_id: str) -> ResponseReturnValue:
    """Save the Duplicati password of a server, and headers for a proxy in front of it.

    A blank password removes the stored one. Headers are returned masked.
    """
    wanted = PasswordIn().load(json_body())
    servers.change_access(server_id, **wanted, actor=actor(), now=runtime.now())
    return dump_access(server_id, wanted)


@bp.get("/servers/<server_id>/server-url")
@described({200: {"serverId": fields.String(), "server_url": fields.String()}})
def show_url(server_id: str) -> ResponseReturnValue:
    """Get the Duplicati URL of a server."""
    return {"serverId": server_id, "server_url": servers.find_by_id(server_id, visible_server_ids()).url}


@bp.patch("/servers/<server_id>/server-url")
@guarded(Access.ADMIN)
@described({200: UrlChangeOut}, body=UrlIn)
def update_url(server_id: str) -> ResponseReturnValue:
    """Change the Duplicati URL of a server.

    Changing the host removes the stored password and headers.
    """
    changed = servers.change_url(server_id, **UrlIn().load(json_body()), actor=actor(), now=runtime.now())
    return dump_url_change(changed)


group = ApiGroup(name="servers", blueprint=bp, summary="Servers, their runs and details")
