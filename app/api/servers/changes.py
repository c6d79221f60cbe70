"""Wire forms of what changes a server."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, pre_load, validate

from app.api.wire import SOMETIMES, DatabaseTime, Out, RequestHeaders
from app.models import Server
from app.services.reachability import Outcome
from app.services.servers import ChangedServer, ServerChange

ALIAS_LENGTH = 255
DROPPED = "; its stored password was removed, since the address leads to another host"
HEADERS_DROPPED = "; its stored headers were removed, since the address leads to another host"
MASK = "***"


class ServerChangeIn(Schema):
    """Address, alias and note of a server; what is missing becomes empty."""

    class Meta:
        unknown = EXCLUDE

    url = fields.String(data_key="server_url", load_default="", allow_none=True)
    alias = fields.String(load_default="", allow_none=True, validate=validate.Length(max=ALIAS_LENGTH))
    note = fields.String(load_default="", allow_none=True)

    @post_load
    def make(self, values: dict[str, Any], **_options: Any) -> ServerChange:
        """The change as a domain value."""
        return ServerChange(**{name: value or "" for name, value in values.items()})


class UrlIn(Schema):
    """The address of a server's Duplicati; missing or null is empty."""

    class Meta:
        unknown = EXCLUDE

    url = fields.String(data_key="server_url", load_default="", allow_none=True)

    @post_load
    def fill_in(self, values: dict[str, Any], **_options: Any) -> dict[str, str]:
        """Take null for empty."""
        return {"url": values["url"] or ""}


class ConnectionIn(UrlIn):
    """The address to try; with `serverId` the headers of that server go along, if it is its address."""

    server_id = fields.String(data_key="serverId", load_default="", allow_none=True)

    @post_load
    def fill_in(self, values: dict[str, Any], **_options: Any) -> dict[str, str]:
        """Take null for empty."""
        return {name: value or "" for name, value in values.items()}

    @pre_load
    def check(self, body: Mapping[str, Any], **_options: Any) -> Mapping[str, Any]:
        """Ask for an address."""
        url = body.get("server_url")
        if not url or (isinstance(url, str) and not url.strip()):
            raise ValidationError("Server URL is required")
        return body


class PasswordIn(Schema):
    """What opens a server's Duplicati; what is left out stays.

    A blank password takes the stored one away, unless `noPassword` says that this Duplicati 2.0 has none. `headers`
    replace all extra request headers that are stored.
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
        """Ask for a text, unless something else is set."""
        is_other = "password" not in body and (body.get("headers") is not None or body.get("noPassword") is True)
        if not is_other and not isinstance(body.get("password"), str):
            raise ValidationError("Password must be a string")
        return body


class MergeIn(Schema):
    """The servers to merge, and the one that stays."""

    class Meta:
        unknown = EXCLUDE

    old_ids = fields.List(fields.String(), data_key="oldServerIds", required=True)
    target_id = fields.String(data_key="targetServerId", required=True)

    @pre_load
    def check(self, body: Mapping[str, Any], **_options: Any) -> Mapping[str, Any]:
        """Ask for both, and refuse to merge a server with itself."""
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
    """Servers that share a name, newest first."""

    name = fields.String()
    servers = fields.List(fields.Nested(DuplicateOut))


class UrlChangeOut(Out):
    """A server after its address was replaced, and whether its password was dropped with that."""

    message = fields.String()
    server_id = fields.String(data_key="serverId")
    lost_password = fields.Boolean(data_key="passwordRemoved")
    lost_headers = fields.Boolean(data_key="headersRemoved", metadata=SOMETIMES)
    server_name = fields.String(data_key="serverName")
    server_url = fields.String()


class ServerChangeOut(Out):
    """A server after its address, alias and note were replaced."""

    message = fields.String()
    server_id = fields.String(data_key="serverId")
    lost_password = fields.Boolean(data_key="passwordRemoved")
    lost_headers = fields.Boolean(data_key="headersRemoved", metadata=SOMETIMES)
    server_url = fields.String()
    alias = fields.String()
    note = fields.String()


_duplicate_out = DuplicateOut()


def dump_duplicates(groups: Iterable[tuple[str, Sequence[Server]]]) -> list[dict[str, Any]]:
    """Servers with the same name, by name."""
    return [{"name": name, "servers": _duplicate_out.dump(servers, many=True)} for name, servers in groups]


def dump_change(changed: ChangedServer) -> dict[str, Any]:
    """A server after its address, alias and note were replaced."""
    server = changed.server
    return _outcome("Server updated successfully", changed) | {
        "server_url": server.url,
        "alias": server.alias,
        "note": server.note,
    }


def dump_url_change(changed: ChangedServer) -> dict[str, Any]:
    """A server after its address was replaced."""
    told = _outcome("Server URL updated successfully", changed)
    return told | {"serverName": changed.server.name, "server_url": changed.server.url}


def dump_outcome(outcome: Outcome) -> dict[str, Any]:
    """Whether a Duplicati answered."""
    return {"success": outcome.is_success, "message": outcome.message}


def dump_access(server_id: str, stored: Mapping[str, Any]) -> dict[str, Any]:
    """What was stored, as `PasswordIn` loads it, with masked headers where some were given."""
    headers, is_password = stored["headers"], stored["password"] is not None or stored["is_empty"]
    message = "Password updated successfully" if is_password else "Headers updated successfully"
    told: dict[str, Any] = {"message": message, "serverId": server_id}
    return told if headers is None else told | {"headers": dict.fromkeys(headers, MASK)}


def _outcome(message: str, changed: ChangedServer) -> dict[str, Any]:
    dropped = (DROPPED if changed.lost_password else "") + (HEADERS_DROPPED if changed.lost_headers else "")
    return {
        "message": message + dropped,
        "serverId": changed.server.id,
        "passwordRemoved": changed.lost_password,
        **({"headersRemoved": True} if changed.lost_headers else {}),
    }
