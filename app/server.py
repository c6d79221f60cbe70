"""Serve with waitress, limiting size and duration of requests from unknown clients.

waitress receives a whole body before it calls the application, and has one limit for all bodies. Here each route has
its own limit, large bodies are received from authenticated users only, and requests that may wait or take long have
threads of their own, so that they delay no others.
"""

import gc
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from io import BytesIO
from typing import Any

import orjson
import waitress.server
from flask import Flask
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import ThreadedTaskDispatcher, WSGITask
from waitress.utilities import Error

from app.accounts.network_access import Network, client_address, is_loopback, is_within, parse_address, rate_key
from app.config import Settings
from app.core.db import orm
from app.core.db.faults import DATABASE_ERRORS
from app.reports import ingest, reader_process
from app.reports.decoding import is_packed
from app.web import guards
from app.web.guards import BodyLimit

MIB = 1024 * 1024
CONNECTIONS = 500
# Per address; behind a trusted proxy all clients share one.
CONNECTIONS_OF_ADDRESS = 100
HEADER_BYTES = 32 * 1024
# The header line of a chunk in chunked encoding, and what follows the last chunk.
CHUNK_LINE_BYTES = 1024
# Bytes read and dropped of a rejected body: a client that is cut off while sending sees no response.
DROPPED_BYTES = 32 * MIB
# Bodies from unauthenticated clients that are being received or wait, in total. Kept in memory: writing them to files
# blocked the single receiving thread for a tenth of a second at a time.
UNAUTHENTICATED_BYTES = 256 * MIB
MEMORY_BYTES = 32 * MIB
RECEIVED_BYTES = 64 * 1024
# A request that receives less than this within a minute, without ending, is closed.
PROGRESS_BYTES = 64 * 1024
IDLE_S = 60
# With this many connections, those that were idle for some seconds are closed.
CONNECTIONS_SHORT, SILENT_S = 400, 5
# Uploads wait for the single writer of SQLite, each for up to half a minute.
UPLOAD_THREADS = 4
# Answered immediately, even if all other threads wait.
PROBES = ("/api/ping", "/api/health")


def serve(app: Flask, settings: Settings) -> None:
    """Serve until the process is asked to stop."""
    # The garbage collector skips objects of the program itself. It scanned them repeatedly while a body with 80,000
    # lists (250 KB) was parsed, which took 70 ms instead of 5 and blocked all threads.
    gc.collect()
    gc.freeze()
    make_server(app, settings).run()


def make_server(app: Flask, settings: Settings) -> Any:
    """Return a listening waitress server; its `run` serves."""
    with app.app_context(), suppress(*DATABASE_ERRORS):
        ingest.max_upload_bytes()  # loaded from now on, for the receiving thread
    server = waitress.server.create_server(
        app, _dispatcher=ThreadsByKind(settings.threads), **waitress_options(settings)
    )
    for each in [server] if isinstance(server, waitress.server.BaseWSGIServer) else server.map.values():
        each.channel_class = partial(BoundedChannel, Bounds(app, settings.trusted_proxies))
    return server


def waitress_options(settings: Settings) -> dict[str, object]:
    """Return the options of waitress.

    The benchmark uses the same for its bare comparison.
    """
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
        "max_request_body_size": 1 << 40,  # each route has its own limit, in `BoundedRequest`
        "clear_untrusted_proxy_headers": False,  # the application parses them itself, from trusted proxies only
        "url_scheme": "http",
    }


class ErrorResponse(Error):
    """A response of the server itself, in the format of API errors."""

    def __init__(self, sentence: str, status: HTTPStatus = HTTPStatus.REQUEST_ENTITY_TOO_LARGE) -> None:
        super().__init__(sentence)
        self.code, self.reason = status.value, status.phrase

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """Return status, headers and body."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        headers += [("X-Content-Type-Options", "nosniff"), *([("Retry-After", "30")] if self.code == 503 else [])]
        return f"{self.code} {self.reason}", headers, orjson.dumps({"error": self.body, "timestamp": at})


class NullBuffer:
    """Replaces the buffer of a body that is dropped."""

    def append(self, data: bytes) -> None:
        """Drop a chunk."""

    def __len__(self) -> int:
        return 0

    def getfile(self) -> BytesIO:
        """Return an empty body."""
        return BytesIO()

    def close(self) -> None:
        """Do nothing: there is nothing to release."""


class BoundedRequest(HTTPRequestParser):
    """A request being received; its body is dropped once it is rejected or too large."""

    error: Any
    completed: bool
    expect_continue: bool

    def __init__(self, adj: Any, bounds: "Bounds") -> None:
        super().__init__(adj)
        self.progress_at, self.progress_bytes = time.time(), 0
        self.completed_s = 0.0
        self.limit = BodyLimit(guards.PUBLIC_BODY_BYTES)
        self.is_dropped = False
        self._bounds = bounds

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the headers, and determine the size limit of the body for this route."""
        super().parse_header(header_plus)
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length and Transfer-Encoding cannot be used together")
        if self.may_exceed(guards.PUBLIC_BODY_BYTES):
            self.limit = self._bounds.limit_of(self)

    def may_exceed(self, size_bytes: int) -> bool:
        """Whether the body is, or may become, larger than this."""
        return self.chunked or self.content_length > size_bytes

    def received(self, data: bytes) -> int:
        """Process received data, as `HTTPRequestParser.received`.

        Too much ends with an error response.
        """
        consumed: int = super().received(data)
        if self.body_rcv is not None:
            self._bound_body()
        if self.error is not None and not isinstance(self.error, ErrorResponse):
            self.error = ErrorResponse(str(self.error.body), HTTPStatus(self.error.code))
        if self.completed:
            self.completed_s = time.monotonic()
        return consumed

    def _bound_body(self) -> None:
        if self.is_dropped:
            if self.body_bytes_received > DROPPED_BYTES:
                self._end_early()
        elif max(self.content_length, len(self.body_rcv)) > self.limit.most_bytes:
            self.drop(ErrorResponse(f"The request is larger than {self.limit.most_bytes} bytes"))
        elif self.chunked and max(len(self.body_rcv.control_line), len(self.body_rcv.trailer)) > CHUNK_LINE_BYTES:
            sentence = "The body is not sent in pieces as it should be"
            self.error, self.completed = ErrorResponse(sentence, HTTPStatus.BAD_REQUEST), True

    def drop(self, error: ErrorResponse | None = None) -> None:
        """Drop the body, also the rest.

        Without an error the application answers without it.
        """
        self.is_dropped, self.error = True, error
        self.body_rcv.getbuf().close()
        self.body_rcv.buf = NullBuffer()
        if not self.chunked:
            self.headers["CONTENT_LENGTH"] = "0"
        if self.expect_continue or self.content_length > DROPPED_BYTES:
            self._end_early()

    def _end_early(self) -> None:
        """Respond now and close the connection, since the rest of the body may still arrive."""
        self.expect_continue, self.completed = False, True
        self.headers["CONNECTION"] = "close"


class DatedTask(WSGITask):
    """A request for the application, with its time of arrival."""

    def get_environment(self) -> dict[str, Any]:
        """Return the WSGI environment."""
        environ: dict[str, Any] = super().get_environment()
        environ[orm.ARRIVED] = self.request.completed_s
        return environ


class BoundedChannel(HTTPChannel):
    """A connection with limited requests.

    Larger bodies wait until the sender is authenticated.
    """

    task_class = DatedTask
    last_activity: float

    def __init__(self, bounds: "Bounds", server: Any, sock: Any, addr: Any, adj: Any, map: Any = None) -> None:
        self._bounds = bounds
        self._is_asking = False
        self.parser_class = partial(BoundedRequest, bounds=bounds)
        super().__init__(server, sock, addr, adj, map)
        self.will_close = bounds.has_too_many(server, addr)
        bounds.close_silent(server, self)

    def readable(self) -> bool:
        """Whether more may be received."""
        return not self._is_asking and bool(super().readable())

    def handle_read(self) -> None:
        """Receive; a request that arrives too slowly counts as idle."""
        super().handle_read()
        request = self.request
        if request is not None:
            received_bytes = request.header_bytes_received + request.body_bytes_received
            if received_bytes - request.progress_bytes >= PROGRESS_BYTES:
                request.progress_at, request.progress_bytes = self.last_activity, received_bytes
            self.last_activity = request.progress_at

    def received(self, data: bytes) -> bool:
        """Process received data.

        Before the rest of a large body, authenticate the sender.
        """
        former = self.request
        was_received = bool(super().received(data))
        request = self.request
        if request is None or request.is_dropped or request.body_rcv is None:
            return was_received
        if request.limit.needs_sign_in:
            if request is not former and request.may_exceed(guards.PUBLIC_BODY_BYTES):
                self._is_asking = True
                self.server.add_task(SenderCheck(self, request, self._bounds.app))
        elif request.body_bytes_received > MIB and self._bounds.is_backlog_full(self.server, self.sender(request)):
            sentence = "Too many large requests at once, try again later"
            request.drop(ErrorResponse(sentence, HTTPStatus.SERVICE_UNAVAILABLE))
        return was_received

    def sender(self, request: BoundedRequest | None = None) -> str:
        """Return the key of a sender for limits.

        The network of the client; behind a trusted proxy the one that it forwards for.
        """
        headers = (request or self.requests[0]).headers
        forwarded_for, real_ip = headers.get("X_FORWARDED_FOR", ""), headers.get("X_REAL_IP", "")
        return rate_key(client_address(str(self.addr[0]), forwarded_for, real_ip, self._bounds.trusted_proxies))

    def resume(self, request: BoundedRequest, is_known: bool) -> None:
        """Receive the rest of a body, or drop it."""
        with self.requests_lock:
            if not is_known:
                request.drop()
            self._is_asking = False
        self.server.pull_trigger()


class SenderCheck:
    """Authentication of the sender of a large body, by the application in another thread."""

    def __init__(self, channel: BoundedChannel, request: BoundedRequest, app: Flask) -> None:
        self._channel, self._request, self._app = channel, request, app

    def service(self) -> None:
        """Authenticate; whatever happens, the connection continues."""
        is_known = False
        try:
            environ = WSGITask(self._channel, self._request).get_environment()
            is_known = guards.would_admit(self._app, environ)
        finally:
            self._channel.resume(self._request, is_known)

    def sender(self) -> str:
        """Return the key of the sender for limits."""
        return self._channel.sender(self._request)

    def cancel(self) -> None:
        """Do nothing: the connection is closed as well."""


class Bounds:
    """Limits shared by the connections of a server."""

    def __init__(self, app: Flask, trusted_proxies: Sequence[Network]) -> None:
        self.app = app
        self.trusted_proxies = trusted_proxies
        self._counted_at = self._tidied_at = 0.0
        self._received: Counter[str] = Counter()

    def limit_of(self, request: BoundedRequest) -> BodyLimit:
        """Return the maximum body size of a request's route, and who may send it."""
        if request.command.upper() == "OPTIONS":  # answered before authentication
            return BodyLimit(guards.PUBLIC_BODY_BYTES)
        path = request.path.encode("latin-1").decode("utf-8", "replace")
        prefix = request.headers.get("X_FORWARDED_PREFIX", "").rpartition(",")[2].strip().rstrip("/")
        return guards.find_limit(self.app, request.command, path.removeprefix(prefix))

    def has_too_many(self, server: Any, address: Any) -> bool:
        """Whether an address has more connections than allowed."""
        host = str(address[0])
        if is_loopback(host) or is_within(parse_address(host), self.trusted_proxies):
            return False
        same = (rate_key(str(channel.addr[0])) == rate_key(host) for channel in server.active_channels.values())
        return sum(same) > CONNECTIONS_OF_ADDRESS

    def close_silent(self, server: Any, newest: BoundedChannel) -> None:
        """Close idle connections if there are too many; once a second."""
        now = time.time()
        if len(server.active_channels) < CONNECTIONS_SHORT or now - self._tidied_at < 1:
            return
        self._tidied_at = now
        for channel in list(server.active_channels.values()):
            is_idle = channel.request is None and not channel.requests and now - channel.last_activity > SILENT_S
            channel.will_close = channel.will_close or (is_idle and channel is not newest)

    def is_backlog_full(self, server: Any, sender: str) -> bool:
        """Whether unauthenticated clients, or this one, have sent as much as may wait.

        Counted a few times a second.
        """
        now = time.monotonic()
        if now - self._counted_at > 0.2:
            self._counted_at = now
            self._received.clear()
            for channel in list(server.active_channels.values()):
                for request in (channel.request, *channel.requests):
                    if request is not None and not request.is_dropped and not request.limit.needs_sign_in:
                        self._received[channel.sender(request)] += request.body_bytes_received
        return self._received.total() > UNAUTHENTICATED_BYTES or self._received[sender] > UNAUTHENTICATED_BYTES // 2


class FairQueue:
    """Queue of tasks, round-robin by sender, so that a busy one does not delay others."""

    def __init__(self) -> None:
        self._by_sender: OrderedDict[str, deque[Any]] = OrderedDict()

    def append(self, task: Any) -> None:
        """Append a task behind those of its sender."""
        self._by_sender.setdefault(task.sender(), deque()).append(task)

    def popleft(self) -> Any:
        """Return the next task; its sender is next after all others."""
        sender, tasks = self._by_sender.popitem(last=False)
        task = tasks.popleft()
        if tasks:
            self._by_sender[sender] = tasks
        return task

    def __len__(self) -> int:
        return sum(map(len, self._by_sender.values()))


class ThreadsByKind:
    """Thread pools by type of request, so that slow ones do not delay others."""

    def __init__(self, threads: int) -> None:
        counts = {"usual": threads, "reports": UPLOAD_THREADS, "large reports": 1, "questions": 1, "probes": 2}
        self._pools = {name: ThreadedTaskDispatcher() for name in counts}
        for name, count in counts.items():
            self._pools[name].queue = FairQueue()
            self._pools[name].set_thread_count(count)

    def add_task(self, task: Any) -> None:
        """Queue a connection with a request or an authentication."""
        self._pools[_kind_of(task)].add_task(task)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> None:
        """Let active tasks finish, all within `timeout` seconds."""
        ends_at = time.monotonic() + timeout
        for pool in self._pools.values():
            pool.set_thread_count(0)
        for pool in self._pools.values():
            pool.shutdown(cancel_pending, max(0.0, ends_at - time.monotonic()))


def _kind_of(task: Any) -> str:
    if isinstance(task, SenderCheck):
        return "questions"
    request = task.requests[0]
    if request.path.endswith(PROBES):
        return "probes"
    if request.body_rcv is None or not request.path.endswith("/api/upload"):
        return "usual"
    return "large reports" if len(request.body_rcv) > reader_process.LARGE_BYTES or _is_packed(request) else "reports"


def _is_packed(request: BoundedRequest) -> bool:
    beginning: bytes = request.body_rcv.getbuf().get(2) if len(request.body_rcv) else b""
    return is_packed(beginning, request.headers.get("CONTENT_ENCODING", ""))
