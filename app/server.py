"""Serving by waitress, with bounds on what a stranger may send and on how long it may take.

waitress receives a whole body before it calls the application, and has one bound for all bodies. Here each route has
its own, what is large is received from known persons only, and requests that may wait or take long have threads of
their own, so that they keep no others waiting.
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
from app.core.db import transaction
from app.core.db.faults import DATABASE_ERRORS
from app.reports import intake, reading
from app.reports.decoding import is_packed
from app.web import guards
from app.web.guards import BodyLimit

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
# A request of which less than this comes within a minute, and that does not end with it, is given up.
PROGRESS_BYTES = 64 * 1024
IDLE_S = 60
# With so many connections those are closed on which nothing was under way for some seconds.
CONNECTIONS_SHORT, SILENT_S = 400, 5
# Uploads wait for the one writer of SQLite, each for half a minute at most.
UPLOAD_THREADS = 4
# Answered at once, whatever the others wait for.
PROBES = ("/api/ping", "/api/health")


def serve(app: Flask, settings: Settings) -> None:
    """Serve until the process is asked to stop."""
    # The garbage collector looks at what the program itself consists of no more. It did so again and again while a body
    # with 80,000 lists (250 KB) was read, which took 70 ms instead of 5 and kept all threads waiting.
    gc.collect()
    gc.freeze()
    make_server(app, settings).run()


def make_server(app: Flask, settings: Settings) -> Any:
    """Give a waitress server that listens; its `run` serves."""
    with app.app_context(), suppress(*DATABASE_ERRORS):
        intake.max_upload_bytes()  # is in memory from now on, for the thread that receives everything
    server = waitress.server.create_server(
        app, _dispatcher=ThreadsByKind(settings.threads), **waitress_options(settings)
    )
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


class Refused(Error):
    """An answer of the server itself, in the form of the API's errors."""

    def __init__(self, sentence: str, status: HTTPStatus = HTTPStatus.REQUEST_ENTITY_TOO_LARGE) -> None:
        super().__init__(sentence)
        self.code, self.reason = status.value, status.phrase

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """Give status, headers and body."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        headers += [("X-Content-Type-Options", "nosniff"), *([("Retry-After", "30")] if self.code == 503 else [])]
        return f"{self.code} {self.reason}", headers, orjson.dumps({"error": self.body, "timestamp": at})


class NullBuffer:
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
        self.progress_at, self.progress_bytes = time.time(), 0
        self.completed_s = 0.0
        self.limit = BodyLimit(guards.STRANGERS_BYTES)
        self.is_dropped = False
        self._bounds = bounds

    def parse_header(self, header_plus: bytes) -> None:
        """Read the headers, and find how large a body this route may receive."""
        super().parse_header(header_plus)
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length and Transfer-Encoding cannot be used together")
        if self.may_exceed(guards.STRANGERS_BYTES):
            self.limit = self._bounds.limit_of(self)

    def may_exceed(self, size_bytes: int) -> bool:
        """Say whether the body is, or may turn out to be, larger than this."""
        return self.chunked or self.content_length > size_bytes

    def received(self, data: bytes) -> int:
        """Take what came, as `HTTPRequestParser.received`; what is too large ends with an answer that says so."""
        consumed: int = super().received(data)
        if self.body_rcv is not None:
            self._bound_body()
        if self.error is not None and not isinstance(self.error, Refused):
            self.error = Refused(str(self.error.body), HTTPStatus(self.error.code))
        if self.completed:
            self.completed_s = time.monotonic()
        return consumed

    def _bound_body(self) -> None:
        if self.is_dropped:
            if self.body_bytes_received > DROPPED_BYTES:
                self._end_early()
        elif max(self.content_length, len(self.body_rcv)) > self.limit.most_bytes:
            self.drop(Refused(f"The request is larger than {self.limit.most_bytes} bytes"))
        elif self.chunked and max(len(self.body_rcv.control_line), len(self.body_rcv.trailer)) > CHUNK_LINE_BYTES:
            sentence = "The body is not sent in pieces as it should be"
            self.error, self.completed = Refused(sentence, HTTPStatus.BAD_REQUEST), True

    def drop(self, error: Refused | None = None) -> None:
        """Drop the body, what is still to come of it too; without an error the application answers without it."""
        self.is_dropped, self.error = True, error
        self.body_rcv.getbuf().close()
        self.body_rcv.buf = NullBuffer()
        if not self.chunked:
            self.headers["CONTENT_LENGTH"] = "0"
        if self.expect_continue or self.content_length > DROPPED_BYTES:
            self._end_early()

    def _end_early(self) -> None:
        """Answer now, and close the connection, since the rest of the body may still come."""
        self.expect_continue, self.completed = False, True
        self.headers["CONNECTION"] = "close"


class DatedTask(WSGITask):
    """A request for the application, with the time at which it had come."""

    def get_environment(self) -> dict[str, Any]:
        """Give the WSGI environment."""
        environ: dict[str, Any] = super().get_environment()
        environ[transaction.ARRIVED] = self.request.completed_s
        return environ


class BoundedChannel(HTTPChannel):
    """A connection whose requests are bounded; larger bodies wait until it is known who sends them."""

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
        """Say whether more may be received."""
        return not self._is_asking and bool(super().readable())

    def handle_read(self) -> None:
        """Receive; a request that comes too slowly counts as idle."""
        super().handle_read()
        request = self.request
        if request is not None:
            received_bytes = request.header_bytes_received + request.body_bytes_received
            if received_bytes - request.progress_bytes >= PROGRESS_BYTES:
                request.progress_at, request.progress_bytes = self.last_activity, received_bytes
            self.last_activity = request.progress_at

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
        elif request.body_bytes_received > MIB and self._bounds.is_used_up(self.server, self.sender(request)):
            sentence = "Too many large requests at once, try again later"
            request.drop(Refused(sentence, HTTPStatus.SERVICE_UNAVAILABLE))
        return was_received

    def sender(self, request: BoundedRequest | None = None) -> str:
        """Give what a sender counts by: the network of the client, behind a trusted proxy of the one it tells."""
        headers = (request or self.requests[0]).headers
        forwarded_for, real_ip = headers.get("X_FORWARDED_FOR", ""), headers.get("X_REAL_IP", "")
        return rate_key(client_address(str(self.addr[0]), forwarded_for, real_ip, self._bounds.trusted_proxies))

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

    def sender(self) -> str:
        """Give what the sender counts by."""
        return self._channel.sender(self._request)

    def cancel(self) -> None:
        """Do nothing: the connection is closed as well."""


class Bounds:
    """What the connections of a server share."""

    def __init__(self, app: Flask, trusted_proxies: Sequence[Network]) -> None:
        self.app = app
        self.trusted_proxies = trusted_proxies
        self._counted_at = self._tidied_at = 0.0
        self._received: Counter[str] = Counter()

    def limit_of(self, request: BoundedRequest) -> BodyLimit:
        """Give how large a body the route of a request may receive, and from whom."""
        if request.command.upper() == "OPTIONS":  # answered before anybody asks who it is
            return BodyLimit(guards.STRANGERS_BYTES)
        path = request.path.encode("latin-1").decode("utf-8", "replace")
        prefix = request.headers.get("X_FORWARDED_PREFIX", "").rpartition(",")[2].strip().rstrip("/")
        return guards.find_limit(self.app, request.command, path.removeprefix(prefix))

    def has_too_many(self, server: Any, address: Any) -> bool:
        """Say whether an address has more connections than it may."""
        host = str(address[0])
        if is_loopback(host) or is_within(parse_address(host), self.trusted_proxies):
            return False
        same = (rate_key(str(channel.addr[0])) == rate_key(host) for channel in server.active_channels.values())
        return sum(same) > CONNECTIONS_OF_ADDRESS

    def close_silent(self, server: Any, newest: BoundedChannel) -> None:
        """Close connections on which nothing is under way, when there is hardly room for others; once a second."""
        now = time.time()
        if len(server.active_channels) < CONNECTIONS_SHORT or now - self._tidied_at < 1:
            return
        self._tidied_at = now
        for channel in list(server.active_channels.values()):
            is_idle = channel.request is None and not channel.requests and now - channel.last_activity > SILENT_S
            channel.will_close = channel.will_close or (is_idle and channel is not newest)

    def is_used_up(self, server: Any, sender: str) -> bool:
        """Say whether strangers, or this one, have sent as much as may wait; counted a few times a second."""
        now = time.monotonic()
        if now - self._counted_at > 0.2:
            self._counted_at = now
            self._received.clear()
            for channel in list(server.active_channels.values()):
                for request in (channel.request, *channel.requests):
                    if request is not None and not request.is_dropped and not request.limit.needs_person:
                        self._received[channel.sender(request)] += request.body_bytes_received
        return self._received.total() > STRANGERS_BYTES or self._received[sender] > STRANGERS_BYTES // 2


class FairQueue:
    """Tasks that wait: those of all senders in turn, so that nobody who sends much keeps others waiting."""

    def __init__(self) -> None:
        self._by_sender: OrderedDict[str, deque[Any]] = OrderedDict()

    def append(self, task: Any) -> None:
        """Take a task up, behind those of its sender."""
        self._by_sender.setdefault(task.sender(), deque()).append(task)

    def popleft(self) -> Any:
        """Give the next task; its sender comes again after all others."""
        sender, tasks = self._by_sender.popitem(last=False)
        task = tasks.popleft()
        if tasks:
            self._by_sender[sender] = tasks
        return task

    def __len__(self) -> int:
        return sum(map(len, self._by_sender.values()))


class ThreadsByKind:
    """Threads by the kind of request, so that those that may wait or take long keep no others waiting."""

    def __init__(self, threads: int) -> None:
        counts = {"usual": threads, "reports": UPLOAD_THREADS, "large reports": 1, "questions": 1, "probes": 2}
        self._pools = {name: ThreadedTaskDispatcher() for name in counts}
        for name, count in counts.items():
            self._pools[name].queue = FairQueue()
            self._pools[name].set_thread_count(count)

    def add_task(self, task: Any) -> None:
        """Put a connection with a request, or a question, into its queue."""
        self._pools[_kind_of(task)].add_task(task)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> None:
        """Let the threads finish what they are at, all of them within `timeout` seconds."""
        ends_at = time.monotonic() + timeout
        for pool in self._pools.values():
            pool.set_thread_count(0)
        for pool in self._pools.values():
            pool.shutdown(cancel_pending, max(0.0, ends_at - time.monotonic()))


def _kind_of(task: Any) -> str:
    if isinstance(task, Question):
        return "questions"
    request = task.requests[0]
    if request.path.endswith(PROBES):
        return "probes"
    if request.body_rcv is None or not request.path.endswith("/api/upload"):
        return "usual"
    return "large reports" if len(request.body_rcv) > reading.LARGE_BYTES or _is_packed(request) else "reports"


def _is_packed(request: BoundedRequest) -> bool:
    beginning: bytes = request.body_rcv.getbuf().get(2) if len(request.body_rcv) else b""
    return is_packed(beginning, request.headers.get("CONTENT_ENCODING", ""))
