"""Views of the servers group that change servers, or help to: data, addresses, passwords, merging, deleting."""

from flask.typing import ResponseReturnValue
from marshmallow import fields

from app.api.client import actor, json_body, visible_server_ids
from app.api.servers.changes import (
    ConnectionIn,
    DuplicatesOut,
    MergeIn,
    PasswordIn,
    ServerChangeIn,
    ServerChangeOut,
    UrlChangeOut,
    UrlIn,
    dump_access,
    dump_change,
    dump_duplicates,
    dump_outcome,
    dump_url_change,
)
from app.api.servers.views import bp
from app.api.wire import DONE, MESSAGE, SOMETIMES
from app.contracts import (
    Guard,
    described,
    guarded,
)
from app.services import clock, merging, reachability, servers, sessions
from app.services.collect import targets

PASSWORD_STORED = {
    **MESSAGE,
    "serverId": fields.String(),
    "headers": fields.Dict(keys=fields.String(), values=fields.String(), metadata=SOMETIMES),
}


@bp.patch("/servers/<server_id>")
@guarded(Guard.ADMIN)
@described({200: ServerChangeOut}, body=ServerChangeIn)
def update(server_id: str) -> ResponseReturnValue:
    """Replace address, alias and note of a server; what is left out becomes empty."""
    change = ServerChangeIn().load(json_body())
    return dump_change(servers.change_server(server_id, change, actor=actor(), now=clock.now()))


@bp.delete("/servers/<server_id>")
@guarded(Guard.ADMIN)
@described({200: {**MESSAGE, "status": fields.Integer(), "changes": fields.Dict(values=fields.Integer())}})
def delete(server_id: str) -> ResponseReturnValue:
    """Delete a server with its jobs, runs and settings."""
    count = servers.delete_server(server_id, actor=actor(), now=clock.now())
    changes = {"backupChanges": count, "serverChanges": 1}
    return {"message": f"Successfully deleted server and {count} backups", "status": 200, "changes": changes}


@bp.get("/servers/duplicates")
@guarded(Guard.ADMIN)
@described({200: [DuplicatesOut]})
def duplicates() -> ResponseReturnValue:
    """Servers that share a name, newest first."""
    return dump_duplicates(servers.find_duplicates())


@bp.post("/servers/merge")
@guarded(Guard.ADMIN)
@described({200: {**DONE, "backupIdsNormalized": fields.Integer()}}, body=MergeIn, errors=(404,))
def merge() -> ResponseReturnValue:
    """Move everything of some servers to another one, and delete them."""
    wanted = MergeIn().load(json_body())
    normalised = merging.merge_servers(**wanted, actor=actor(), now=clock.now())
    message = f"Successfully merged {len(wanted['old_ids'])} server(s) into target server"
    return {"success": True, "message": message, "backupIdsNormalized": normalised}


@bp.post("/servers/test-connection")
@described({200: DONE}, body=ConnectionIn)
def test_connection() -> ResponseReturnValue:
    """Ask whether a Duplicati answers at an address; nothing is stored."""
    wanted = ConnectionIn().load(json_body())
    headers = targets.headers_to(wanted["url"], wanted["server_id"], visible_server_ids())
    return dump_outcome(reachability.try_connection(wanted["url"], headers=headers))


@bp.get("/servers/<server_id>/password")
@described({200: {"csrfToken": fields.String(), "serverId": fields.String()}})
def password_token(server_id: str) -> ResponseReturnValue:
    """A CSRF token for changing the password; never the password itself."""
    return {"csrfToken": sessions.current().csrf_token(), "serverId": server_id}


@bp.patch("/servers/<server_id>/password")
@guarded(Guard.ADMIN)
@described({200: PASSWORD_STORED}, body=PasswordIn)
def update_password(server_id: str) -> ResponseReturnValue:
    """Store the password of a server's Duplicati, and headers for a proxy in front of it.

    A blank password takes the stored one away. Headers are given back masked.
    """
    wanted = PasswordIn().load(json_body())
    servers.change_access(server_id, **wanted, actor=actor(), now=clock.now())
    return dump_access(server_id, wanted)


@bp.get("/servers/<server_id>/server-url")
@described({200: {"serverId": fields.String(), "server_url": fields.String()}})
def show_url(server_id: str) -> ResponseReturnValue:
    """The address of a server's Duplicati."""
    return {"serverId": server_id, "server_url": servers.find_by_id(server_id, visible_server_ids()).url}


@bp.patch("/servers/<server_id>/server-url")
@guarded(Guard.ADMIN)
@described({200: UrlChangeOut}, body=UrlIn)
def update_url(server_id: str) -> ResponseReturnValue:
    """Replace the address of a server's Duplicati; another host removes password and headers."""
    changed = servers.change_url(server_id, **UrlIn().load(json_body()), actor=actor(), now=clock.now())
    return dump_url_change(changed)
