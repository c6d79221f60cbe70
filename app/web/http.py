"""Requests, routes and responses: who the client is, what was sent, how URLs and answers are written."""

import hashlib
import re
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

import orjson
from flask import Blueprint, Flask, Response, make_response, render_template, request, send_file, url_for
from flask.json.provider import JSONProvider
from flask_login import current_user, logout_user
from marshmallow import Schema, ValidationError, fields
from werkzeug.datastructures import ImmutableDict
from werkzeug.routing import (
    IntegerConverter,
    Map,
    MapAdapter,
    PathConverter,
    Rule,
    UnicodeConverter,
)

from app import runtime
from app.accounts import network_access, sessions
from app.accounts.models import servers_visible_to
from app.accounts.network_access import Network
from app.audit import log
from app.audit.log import Actor
from app.backups.servers import BadHeader, check_headers
from app.core.db.orm import cache
from app.core.errors import InputTooLarge, Refused
from app.core.instants import iso
from app.reports.decoding import check_extent
from app.runtime import runtime_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Key in the WSGI environment of requests from an untrusted proxy on this machine.
UNTRUSTED_PROXY = "duplistatus.untrusted_proxy"


def client_address() -> str:
    """Return the client's address.

    Behind a trusted proxy the one that the proxy reports.
    """
    return request.remote_addr or network_access.UNKNOWN_CLIENT


def is_behind_untrusted_proxy() -> bool:
    """Whether the request came through an untrusted proxy on this machine."""
    return UNTRUSTED_PROXY in request.environ


def user_agent() -> str:
    """Return the user agent of the client."""
    return request.user_agent.string or "unknown"


def actor() -> Actor:
    """Return the actor of this request, for the audit log."""
    if current_user.is_authenticated:
        return Actor(current_user.id, current_user.username, client_address(), user_agent())
    return visitor()


def visitor() -> Actor:
    """Return the client as an unknown actor; does not read the session."""
    return Actor(ip_address=client_address(), user_agent=user_agent())


def visible_server_ids() -> frozenset[str] | None:
    """Return the ids of servers that the signed-in user may see; None means all."""
    return servers_visible_to(current_user)


def json_body(*, optional: bool = False) -> dict[str, Any]:
    """Return the JSON object of the body, whatever its content type.

    Raise Refused: 400 for anything else, 413. With `optional` an empty body counts as an empty object.
    """
    raw = request.get_data()
    if request.content_length is None and len(raw) == request.max_content_length:
        raise InputTooLarge("request_too_large")  # Werkzeug truncates a body without length
    if optional and not raw.strip():
        return {}
    check_extent(raw)
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Refused("body_not_json") from error
    if not isinstance(body, dict):
        raise Refused("body_not_an_object")
    if rb"\u0000" in raw and _holds_nul(body):
        raise Refused("body_with_nul")
    return body


def _holds_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any("\0" in name or _holds_nul(inner) for name, inner in value.items())
    return any(map(_holds_nul, value)) if isinstance(value, list) else isinstance(value, str) and "\0" in value


class TrustedProxies:
    """WSGI middleware for forwarding headers.

    Those of trusted peers are used, others removed. Afterwards `REMOTE_ADDR`, the scheme, the host and `SCRIPT_NAME`
    are what the client sees, so that all other code reads them in the usual way. A client behind an untrusted proxy
    on this machine has no known address: with the proxy's own, every client would be allowed as this machine.
    """

    def __init__(self, application: "WSGIApplication", trusted: Sequence[Network]) -> None:
        self._application = application
        self._trusted = trusted

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Any:
        """Change the environment and call the application."""
        peer = environ.get("REMOTE_ADDR", "")
        if network_access.is_within(network_access.parse_address(peer), self._trusted):
            self._believe(environ, peer)
        elif network_access.is_untrusted_proxy(environ, self._trusted):
            environ["REMOTE_ADDR"], environ[UNTRUSTED_PROXY] = network_access.UNKNOWN_CLIENT, peer
        return self._application(environ, start_response)

    def _believe(self, environ: "WSGIEnvironment", peer: str) -> None:
        forwarded_for, real_ip = environ.get("HTTP_X_FORWARDED_FOR", ""), environ.get("HTTP_X_REAL_IP", "")
        environ["REMOTE_ADDR"] = network_access.client_address(peer, forwarded_for, real_ip, self._trusted)
        scheme = _last(environ.get("HTTP_X_FORWARDED_PROTO", ""))
        if scheme in ("http", "https"):
            environ["wsgi.url_scheme"] = scheme
        host = _last(environ.get("HTTP_X_FORWARDED_HOST", ""))
        if host:
            environ["HTTP_HOST"] = host
        prefix = _last(environ.get("HTTP_X_FORWARDED_PREFIX", "")).rstrip("/")
        if prefix.startswith("/") and not prefix.startswith("//"):
            environ["SCRIPT_NAME"] = prefix
            environ["PATH_INFO"] = environ.get("PATH_INFO", "").removeprefix(prefix)


def _last(header: str) -> str:
    """Return the value that the nearest proxy added."""
    return header.rpartition(",")[2].strip()


def end_session() -> None:
    """Sign out: record it if a user was signed in, and end the session."""
    if current_user.is_authenticated:
        log.record_entry("logout", "auth", now=runtime.now(), actor=actor(), details={})
        logout_user()
    sessions.current().end()


# Number and duration of requests, for the metrics. Every request is counted, so it is a dictionary and two additions.

# Upper bounds of the buckets of durations; one more bucket has no bound.
BOUNDS_S = (0.005, 0.025, 0.1, 0.5, 2.5, 10.0)
# Key in the WSGI environment: when the request began.
BEGAN = "duplistatus.began"
# URLs that do not exist count as one route, otherwise a client could fill the memory.
NO_ROUTE = "unknown"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestCounts:
    """Requests of one application since it started, by method, route and status."""

    def __init__(self) -> None:
        # Total seconds, then the number of requests in each bucket of duration.
        self._counts: dict[tuple[str, str, int], list[float]] = {}
        self._lock = Lock()

    def add(self, method: str, route: str, status: int, duration_s: float) -> None:
        """Count one request."""
        key = (method, route, status)
        with self._lock:
            counts = self._counts.get(key)
            if counts is None:
                counts = self._counts[key] = [0.0] * (len(BOUNDS_S) + 2)
            counts[0] += duration_s
            counts[1 + bisect_left(BOUNDS_S, duration_s)] += 1

    def copy(self) -> list[tuple[tuple[str, str, int], tuple[float, ...]]]:
        """Return the counts, sorted by method, route and status."""
        with self._lock:
            return sorted((key, tuple(counts)) for key, counts in self._counts.items())


def count_requests(app: Flask) -> None:
    """Count and time every request.

    The counts are looked up once: doing so per request costs as much as the timing.
    """
    add = runtime_of(app).part(RequestCounts).add
    the_request = request._get_current_object  # type: ignore[attr-defined]

    def start_clock(_endpoint: str | None, _values: dict[str, Any] | None) -> None:
        """Record the start of the request: called first, before the access rules."""
        the_request().environ[BEGAN] = perf_counter()

    def stop_clock(answer: Response) -> Response:
        """Count the request."""
        ended = the_request()
        environment, rule = ended.environ, ended.url_rule
        method = environment["REQUEST_METHOD"]
        add(
            method if method in METHODS else NO_ROUTE,
            NO_ROUTE if rule is None else rule.rule,
            answer.status_code,
            perf_counter() - environment[BEGAN],
        )
        return answer

    app.url_value_preprocessor(start_clock)
    app.after_request(stop_clock)


# Routes: a percent-encoded slash is part of a name, not a separator
#
# WSGI passes the decoded path, in which the two kinds of slashes are equal. Names of servers and jobs are free text.

# Stands for %2F while a path is matched. A noncharacter of Unicode, free for use within a program.
ENCODED_SLASH = "\ufdd0"


def path_as_sent(environ: Mapping[str, Any]) -> str:
    """Return the path below the script's root, still distinguishing encoded slashes.

    Each percent-encoded slash is ENCODED_SLASH. If the server does not provide the original URL, or another one,
    slashes are just slashes.
    """
    path: str = environ.get("PATH_INFO", "").encode("latin-1").decode(errors="replace")
    sent: str = environ.get("REQUEST_URI", "").partition("?")[0]
    if "%2f" not in sent.lower():
        return path
    raw = unquote(re.sub("%2f", quote(ENCODED_SLASH), sent, flags=re.IGNORECASE), errors="replace")
    raw = raw[-len(path) :]  # a proxy's prefix may come first
    return raw if raw.replace(ENCODED_SLASH, "/") == path else path


def quoted(path: str) -> str:
    """Return a path of `path_as_sent` percent-encoded again."""
    return quote(path).replace(quote(ENCODED_SLASH), "%2F")


class NumberConverter(IntegerConverter):
    """The number of a row, `<int:name>`; no row has one with more digits."""

    regex = r"\d{1,18}"


class PartConverter(UnicodeConverter):
    """One part of a path, as `<name>` and `<string:name>`.

    May contain slashes of its own. Like all names it contains no NUL, which PostgreSQL cannot search for.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.regex = self.regex.replace("[^/]", r"[^/\x00]")

    def to_python(self, value: str) -> str:
        """Return the part decoded."""
        return value.replace(ENCODED_SLASH, "/")

    def to_url(self, value: Any) -> str:
        """Return the part encoded."""
        return super().to_url(value).replace("/", "%2F")


class RestConverter(PathConverter):
    """The rest of a path, `<path:name>`, which is separated by slashes."""

    regex = r"[^/\x00][^\x00]*?"

    def to_python(self, value: str) -> str:
        """Return the rest decoded."""
        return value.replace(ENCODED_SLASH, "/")


class NameConverter(RestConverter):
    """The rest of a path as one name, `<name:name>`.

    For clients and proxies that do not encode slashes.
    """

    regex = r"[^\x00]+"
    part_isolating = False

    def to_url(self, value: Any) -> str:
        """Return the name encoded."""
        return super().to_url(value).replace("/", "%2F")


class AddressMap(Map):
    """All routes, matched against the original path."""

    default_converters = ImmutableDict(
        {
            **Map.default_converters,
            "default": PartConverter,
            "int": NumberConverter,
            "string": PartConverter,
            "path": RestConverter,
            "name": NameConverter,
        }
    )

    def bind_to_environ(self, environ: Any, *args: Any, **options: Any) -> MapAdapter:
        """Bind to a request."""
        adapter = super().bind_to_environ(environ, *args, **options)
        adapter.path_info = path_as_sent(getattr(environ, "environ", environ))
        return adapter


class Address(Rule):
    """A route that compiles how its URLs are built when the first one is needed.

    Compiling all of them takes nine tenths of a start.
    """

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        compile_now = super()._compile_builder
        made: list[Callable[..., tuple[str, str]]] = []

        def build(rule: Rule, **values: Any) -> tuple[str, str]:
            if not made:
                made.append(compile_now(append_unknown))
            return made[0](rule, **values)

        return build


class Application(Flask):
    """Flask with these routes."""

    url_rule_class = Address
    url_map_class = AddressMap


NOT_AVAILABLE = "N/A"
# Shared fields of responses, and base class of schemas
MESSAGE: dict[str, fields.Field[Any]] = {"message": fields.String()}
DONE: dict[str, fields.Field[Any]] = {"success": fields.Boolean(), **MESSAGE}
TEXT = {"type": "string"}
SOMETIMES = {"optional": True}
NUMBER = {"type": "number"}
COUNT = {"type": "integer"}
COUNT_OR_NULL = {"type": ["integer", "null"]}
TEXTS = {"type": "array", "items": TEXT}


class IsoInstant(fields.Field[Any]):
    """An instant as ISO 8601 text; None as null, or as `missing`."""

    def __init__(self, *, missing: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.missing_text = missing

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return self.missing_text if value is None else iso(value)


class DatabaseTime(fields.Field[Any]):
    """An instant as `YYYY-MM-DD HH:MM:SS` in UTC; None as null."""

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


class Out(Schema):
    """A schema of a response. A missing attribute is an error.

    Marshmallow would leave out the key.
    """

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Read an attribute, or a dotted path of several."""
        return attrgetter(attr)(obj)


class RequestHeaders(fields.Dict):
    """Request headers for a server, by name; invalid ones are rejected by name."""

    def __init__(self, **options: Any) -> None:
        sentence = "Sent with every request to the server, for a proxy that requires authentication; returned masked"
        super().__init__(fields.String(), fields.String(), metadata={"description": sentence}, **options)

    def _deserialize(self, value: Any, attr: Any, data: Any, **options: Any) -> dict[str, str]:
        try:
            return check_headers(super()._deserialize(value, attr, data, **options))  # type: ignore[no-untyped-call]
        except BadHeader as wrong:
            raise ValidationError(str(wrong)) from wrong


# JSON in responses: written by orjson, instants as ISO 8601 in UTC with milliseconds and Z


class OrjsonProvider(JSONProvider):
    """Flask's JSON provider."""

    def dumps(self, obj: Any, **_options: Any) -> str:
        """Write as text."""
        return _encode_value(obj).decode()

    def loads(self, s: str | bytes, **_options: Any) -> Any:
        """Read. Raise ValueError for invalid JSON."""
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """Return a JSON response, without converting to text in between."""
        return Response(_encode_value(self._prepare_response_obj(args, kwargs)), mimetype="application/json")


def _encode_value(value: Any) -> bytes:
    return orjson.dumps(value, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    if hasattr(value, "__html__") or type(value).__name__ == "LazyString":
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")


# Responses that are built once per state of the database, with an ETag, and sent as bytes

JSON = "application/json"
# Sets of docs/compatibility/conventions.md#cache-headers; B adds nosniff to C.
NO_STORE = {"Cache-Control": "no-store, no-cache, must-revalidate", "Pragma": "no-cache"}
CACHE_SET_A = {**NO_STORE, "Expires": "0"}
CACHE_SET_B = {**NO_STORE, "X-Content-Type-Options": "nosniff"}
CACHE_SET_C = NO_STORE


def cached_json(
    key: Hashable,
    build: Callable[[], Any],
    *,
    moment: Hashable = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """Respond with the result of `build` as JSON, cached until the database changes.

    304 if the client has it. See `ExactCache.get` for `moment`. Errors raised by `build` are not cached.
    """
    body, etag = cache().get(("json", key), lambda: _encode(build()), moment=moment)
    is_known = request.headers.get("If-None-Match") == etag
    answer = Response(status=304) if is_known else Response(body, mimetype=JSON)
    answer.headers["ETag"] = etag
    if headers:
        answer.headers.extend(headers)
    return answer


def streamed_list(rows: Iterable[Any], dump: Callable[[Any], dict[str, Any]]) -> Response:
    """Stream a JSON array while it is read; `rows` must not need the request context."""

    def parts() -> Iterator[bytes]:
        separator = b"["
        for row in rows:
            yield separator + orjson.dumps(dump(row))
            separator = b","
        yield b"]" if separator == b"," else b"[]"

    return Response(parts(), mimetype=JSON)


def saved_file(file: Path | IO[bytes], name: str, mimetype: str) -> Response:
    """Respond with a file to save under this name.

    Intermediate caches must not store it.
    """
    answer = send_file(file, mimetype=mimetype, as_attachment=True, download_name=name)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _encode(value: Any) -> tuple[bytes, str]:
    body = orjson.dumps(value)
    return body, f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


# CSV for spreadsheets: no cell is a formula

# First characters that a spreadsheet takes for a formula.
FORMULA_CHARACTERS = ("=", "+", "-", "@", "\t", "\r")


def csv_line(cells: Iterable[object]) -> str:
    """Return one line without its end.

    None is an empty cell, and numbers stay numbers, also negative ones.
    """
    return ",".join(_cell(cell) for cell in cells)


def _cell(value: object) -> str:
    if isinstance(value, int | float):
        return str(value)
    text = "" if value is None else str(value)
    if text.startswith(FORMULA_CHARACTERS):
        text = f"'{text}"
    # The csv module leaves a carriage return unquoted unless lines end with one.
    return '"' + text.replace('"', '""') + '"' if any(char in text for char in ',"\n\r') else text


# Blueprints of the pages, and of the settings tabs

pages_bp = Blueprint("pages", __name__)
settings_bp = Blueprint("settings", __name__, url_prefix="/settings")


# Pages that refresh: the same URL returns the page, only its board, or 304 if nothing changed


def is_refresh() -> bool:
    """Whether the page is refreshing, rather than being opened."""
    return request.headers.get("HX-Target") == "board" and bool(request.if_none_match)


def render_page_or_board(
    folder: str, etag: str, fill: Callable[[], dict[str, Any]] | None = None, /, **values: Any
) -> Response:
    """Render `page.html` of a folder, or only `board.html` for a refresh.

    The script sends the tag of the board, since browsers must not cache pages. `fill` returns further values; called
    only if something is rendered.
    """
    is_board = request.headers.get("HX-Target") == "board"
    if is_board and request.if_none_match.contains(etag):
        return Response(status=304)
    values |= fill() if fill is not None else {}
    response = make_response(render_template(f"{folder}/{'board' if is_board else 'page'}.html", **values))
    if is_board:
        response.set_etag(etag)
    return response


# URLs within the pages: the current one, valid targets of redirects, and old bookmarks

LONGEST = 2000


def here() -> str:
    """Return the URL of this page as the browser knows it, with its query."""
    query = request.query_string.decode("latin-1")
    return f"{request.script_root}{request.path}{'?' + query if query else ''}"


def local_address(wanted: str | None) -> str:
    """Return a wanted URL if it is one of ours, and not the sign-in page.

    Else the dashboard.
    """
    login = f"{request.script_root}{runtime.settings().base_path}/login"
    if not wanted or not is_local(wanted) or urlsplit(wanted).path.rstrip("/") == login:
        return url_for("pages.dashboard")
    return wanted


def is_local(address: str) -> bool:
    r"""Whether a URL leads to this installation.

    Ours are paths with one slash in front. Browsers read `//host` and `/\host` as other machines, and drop control
    characters first.
    """
    if len(address) > LONGEST or not address.startswith("/") or address.startswith("//"):
        return False
    return "\\" not in address and "://" not in address and all(ord(char) >= 33 for char in address)


def without_locale(rest: str) -> str:
    """Return the URL without the language prefix of an old bookmark, with its query."""
    query = request.query_string.decode("latin-1")
    root = url_for("pages.dashboard")
    return f"{root}{quote(rest.lstrip('/').replace(chr(92), ''), safe='/')}{'?' + query if query else ''}"
