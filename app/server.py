"""Serving by waitress, with bounds on what a stranger may send and on how long it may take.

waitress receives a whole body before it calls the application, and has one bound for all bodies. Here each route has
its own, what is large is received from known persons only, and requests that may wait or take long have threads of
their own, so that they keep no others waiting.
"""

import gc
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from typing import Any

import orjson
import waitress.server
from flask import Flask
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import ThreadedTaskDispatcher, WSGITask
from waitress.utilities import BadRequest, RequestEntityTooLarge

from app.api import guards
from app.api.guards import BodyLimit
from app.domain.addresses import Network, is_loopback, is_within, parse_address
from app.domain.envelopes import is_packed
from app.settings import Settings

MIB = 1024 * 1024
CONNECTIONS = 500
# Of one address; behind a trusted proxy all clients have the same.
CONNECTIONS_OF_ADDRESS = 100
HEADER_BYTES = 32 * 1024
# The line before a piece of a body that is sent in pieces, and what follows the last one.
CHUNK_LINE_BYTES = 1024
# What is read and dropped of a body that is refused: a client that is cut off while it sends sees no answer.
DROPPED_BYTES = 32 * MIB
# Bodies of strangers that are being received or wait, all together. They are kept in memory: writing them into files
# made the one thread wait that receives everything, for a tenth of a second at a time.
STRANGERS_BYTES = 256 * MIB
MEMORY_BYTES = 32 * MIB
RECEIVED_BYTES = 64 * 1024
# A request that comes more slowly than this, on average and after the first minute, is given up.
LEAST_BYTES_PER_S = 1024
IDLE_S = 60
# Uploads wait for the one writer of SQLite, each for half a minute at most.
UPLOAD_THREADS = 4
# Reading a larger body takes long enough to be noticed.
LARGE_BYTES = 256 * 1024


def serve(app: Flask, settings: Settings) -> None:
    """Serve until the process is asked to stop."""
    # The garbage collector looks at what the program itself consists of no more. It did so again and again while one
    # body with many lists was read, which took half a second instead of 0.03 s and kept all threads waiting.
    gc.collect()
    gc.freeze()
    make_server(app, settings).run()


def make_server(app: Flask, settings: Settings) -> Any:
    """Give a waitress server that listens; its `run` serves."""
    server = waitress.server.create_server(app, _dispatcher=Lanes(settings.threads), **waitress_options(settings))
    for each in [server] if isinstance(server, waitress.server.BaseWSGIServer) else server.map.values():
        each.channel_class = partial(BoundedChannel, Bounds(app, settings.trusted_proxies))
    return server


def waitress_options(settings: Settings) -> dict[str, object]:
    """Give how waitress serves us; the bench uses the same options for its bare comparison."""
    return {
        "host": settings.host,
        "port": settings.port,
        "threads": settings.threads,
        "ident": None,
        "channel_timeout": IDLE_S,
        "connection_limit": CONNECTIONS,
        "max_request_header_size": HEADER_BYTES,
        "inbuf_overflow": MEMORY_BYTES,
        "recv_bytes": RECEIVED_BYTES,
        "max_request_body_size": 1 << 40,  # each route has its own bound, in `BoundedRequest`
        "clear_untrusted_proxy_headers": False,  # the application reads them itself, from trusted peers only
        "url_scheme": "http",
    }


class Refused(RequestEntityTooLarge):
    """An answer of the server itself, in the form of the API's errors."""

    def __init__(self, sentence: str, code: int = 413, reason: str = "Request Entity Too Large") -> None:
        super().__init__(sentence)
        self.code, self.reason = code, reason

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """Give status, headers and body."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        headers = [("Content-Type", "application/json"), ("X-Content-Type-Options", "nosniff")]
        headers += [("Retry-After", "30")] if self.code == 503 else []
        return f"{self.code} {self.reason}", headers, orjson.dumps({"error": self.body, "timestamp": at})


class Nowhere:
    """In place of the buffer of a body that is dropped."""

    def append(self, data: bytes) -> None:
        """Drop a piece."""

    def __len__(self) -> int:
        return 0

    def getfile(self) -> BytesIO:
        """Give an empty body."""
        return BytesIO()

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""


class BoundedRequest(HTTPRequestParser):
    """A request that is being received; its body is dropped as soon as it is refused or too large."""

    error: Any
    completed: bool
    expect_continue: bool

    def __init__(self, adj: Any, bounds: "Bounds") -> None:
        super().__init__(adj)
        self.began_at = time.time()
        self.limit = BodyLimit(guards.STRANGERS_BYTES)
        self.is_dropped = False
        self._bounds = bounds

    def parse_header(self, header_plus: bytes) -> None:
        """Read the headers, and find how large a body this route may receive."""
        super().parse_header(header_plus)
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length and Transfer-Encoding exclude each other")
        if self.may_exceed(guards.STRANGERS_BYTES):
            self.limit = self._bounds.limit_of(self)

    def may_exceed(self, size_bytes: int) -> bool:
        """Say whether the body is, or may turn out to be, larger than this."""
        return self.chunked or self.content_length > size_bytes

    def received(self, data: bytes) -> int:
        """Take what came, as `HTTPRequestParser.received`; what is too large ends with an answer that says so."""
        consumed: int = super().received(data)
        if self.body_rcv is None:
            return consumed
        if self.is_dropped:
            if self.body_bytes_received > DROPPED_BYTES:
                self._end_early()
        elif max(self.content_length, len(self.body_rcv)) > self.limit.most_bytes:
            self.drop(Refused(f"The request is larger than {self.limit.most_bytes} bytes"))
        elif self.chunked and max(len(self.body_rcv.control_line), len(self.body_rcv.trailer)) > CHUNK_LINE_BYTES:
            self.error, self.completed = BadRequest("The body is not sent in pieces as it should be"), True
        return consumed

    def drop(self, error: Refused | None = None) -> None:
        """Drop the body, what is still to come of it too; without an error the application answers without it."""
        self.is_dropped, self.error = True, error
        self.body_rcv.getbuf().close()
        self.body_rcv.buf = Nowhere()
        if not self.chunked:
            self.headers["CONTENT_LENGTH"] = "0"
        if self.expect_continue or self.content_length > DROPPED_BYTES:
            self._end_early()

    def _end_early(self) -> None:
        """Answer now, and close the connection, since the rest of the body may still come."""
        self.expect_continue, self.completed = False, True
        self.headers["CONNECTION"] = "close"


class BoundedChannel(HTTPChannel):
    """A connection whose requests are bounded; larger bodies wait until it is known who sends them."""

    last_activity: float

    def __init__(self, bounds: "Bounds", server: Any, sock: Any, addr: Any, adj: Any, map: Any = None) -> None:
        self._bounds = bounds
        self._is_asking = False
        self.parser_class = partial(BoundedRequest, bounds=bounds)
        super().__init__(server, sock, addr, adj, map)
        self.will_close = bounds.has_too_many(server, addr)

    def readable(self) -> bool:
        """Say whether more may be received."""
        return not self._is_asking and bool(super().readable())

    def handle_read(self) -> None:
        """Receive; a request that comes too slowly counts as idle."""
        super().handle_read()
        if self.request is not None:
            earned_s = self.request.body_bytes_received / LEAST_BYTES_PER_S
            self.last_activity = min(self.last_activity, self.request.began_at + earned_s)

    def received(self, data: bytes) -> bool:
        """Take what came; before the rest of a large body, ask who sends it."""
        former = self.request
        was_received = bool(super().received(data))
        request = self.request
        if request is None or request.is_dropped or request.body_rcv is None:
            return was_received
        if request.limit.needs_person:
            if request is not former and request.may_exceed(guards.STRANGERS_BYTES):
                self._is_asking = True
                self.server.add_task(Question(self, request, self._bounds.app))
        elif request.body_bytes_received > MIB and self._bounds.are_strangers_bytes_used_up(self.server):
            request.drop(Refused("Too many large requests at once, try again later", 503, "Service Unavailable"))
        return was_received

    def go_on(self, request: BoundedRequest, is_known: bool) -> None:
        """Receive the rest of a body, or drop it."""
        with self.requests_lock:
            if not is_known:
                request.drop()
            self._is_asking = False
        self.server.pull_trigger()


class Question:
    """Who sends a large body, and whether they may: asked of the application in a thread of its own."""

    def __init__(self, channel: BoundedChannel, request: BoundedRequest, app: Flask) -> None:
        self._channel, self._request, self._app = channel, request, app

    def service(self) -> None:
        """Ask; whatever happens, the connection goes on."""
        is_known = False
        try:
            environ = WSGITask(self._channel, self._request).get_environment()
            is_known = guards.would_admit(self._app, environ)
        finally:
            self._channel.go_on(self._request, is_known)

    def cancel(self) -> None:
        """Do nothing: the connection is closed as well."""


class Bounds:
    """What the connections of a server share."""

    def __init__(self, app: Flask, trusted_proxies: Sequence[Network]) -> None:
        self.app = app
        self._trusted_proxies = trusted_proxies
        self._counted_at, self._is_used_up = 0.0, False

    def limit_of(self, request: BoundedRequest) -> BodyLimit:
        """Give how large a body the route of a request may receive, and from whom."""
        path = request.path.encode("latin-1").decode("utf-8", "replace")
        prefix = request.headers.get("X_FORWARDED_PREFIX", "").rpartition(",")[2].strip().rstrip("/")
        return guards.find_limit(self.app, request.command, path.removeprefix(prefix))

    def has_too_many(self, server: Any, address: Any) -> bool:
        """Say whether an address has more connections than it may."""
        host = str(address[0])
        if is_loopback(host) or is_within(parse_address(host), self._trusted_proxies):
            return False
        return sum(channel.addr[0] == host for channel in server.active_channels.values()) > CONNECTIONS_OF_ADDRESS

    def are_strangers_bytes_used_up(self, server: Any) -> bool:
        """Say whether strangers have sent as much as may wait; counted a few times a second."""
        now = time.monotonic()
        if now - self._counted_at > 0.2:
            received = (
                request.body_bytes_received
                for channel in list(server.active_channels.values())
                for request in (channel.request, *channel.requests)
                if request is not None and not request.is_dropped and not request.limit.needs_person
            )
            self._counted_at, self._is_used_up = now, sum(received) > STRANGERS_BYTES
        return self._is_used_up


class Lanes:
    """Threads by the kind of request, so that those that may wait or take long keep no others waiting."""

    def __init__(self, threads: int) -> None:
        counts = {"usual": threads, "reports": UPLOAD_THREADS, "large reports": 1, "questions": 1}
        self._lanes = {name: ThreadedTaskDispatcher() for name in counts}
        for name, count in counts.items():
            self._lanes[name].set_thread_count(count)

    def add_task(self, task: Any) -> None:
        """Put a connection with a request, or a question, into its queue."""
        self._lanes[_lane_of(task)].add_task(task)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> None:
        """Let the threads finish what they are at, all of them within `timeout` seconds."""
        ends_at = time.monotonic() + timeout
        for lane in self._lanes.values():
            lane.set_thread_count(0)
        for lane in self._lanes.values():
            lane.shutdown(cancel_pending, max(0.0, ends_at - time.monotonic()))


def _lane_of(task: Any) -> str:
    if isinstance(task, Question):
        return "questions"
    request = task.requests[0]
    if request.body_rcv is None or not request.path.endswith("/api/upload"):
        return "usual"
    return "large reports" if len(request.body_rcv) > LARGE_BYTES or _is_packed(request) else "reports"


def _is_packed(request: BoundedRequest) -> bool:
    beginning: bytes = request.body_rcv.getbuf().get(2) if len(request.body_rcv) else b""
    return is_packed(beginning, request.headers.get("CONTENT_ENCODING", ""))
