"""An HTTP server on loopback that records requests and sends configured answers."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

# Time limit of a failing test; what has arrived is returned at once.
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Response to one request, after `delay_s` and `until`.

    Or the connection is closed without one.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    until: threading.Event | None = None
    hangs_up: bool = False


@dataclass(frozen=True, slots=True)
class Received:
    """One received request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Return the body parsed as JSON."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """Return the text of the body, decoded.

        The values of JSON or of a form, one per line, or the body itself.
        """
        kind = self.headers.get("content-type", "")
        if "json" in kind:
            return "\n".join(_texts(self.json))
        if "x-www-form-urlencoded" in kind:
            return "\n".join(value for _, value in parse_qsl(self.body.decode()))
        return self.body.decode()


class RecordingServer:
    """Answers requests with `answers` in order, then with `standard`."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: list[Answer] = []
        self.standard = Answer()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        owner = self

        class Handler(BaseHTTPRequestHandler):
            # Headers and body are two packets: the second would wait 40 ms for the receipt of the first.
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                owner._handle(self)

            do_GET = do_PUT = do_POST

            def log_message(self, *_arguments: Any) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        """Start listening."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port and wait for the thread."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait_for(self, count: int, *, timeout_s: float = PATIENCE_S) -> list[Received]:
        """Return the requests as soon as there are `count`. Raise TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.received) >= count, timeout_s):
                raise TimeoutError(f"{len(self.received)} of {count} requests received within {timeout_s} s")
            return list(self.received)

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in request.headers.items()}
        with self._changed:
            self.received.append(Received(request.command, request.path, headers, body))
            answer = self.answers.pop(0) if self.answers else self.standard
            self._changed.notify_all()
        time.sleep(answer.delay_s)
        if answer.until is not None:
            answer.until.wait(PATIENCE_S)
        if answer.hangs_up:
            request.close_connection = True
            return
        request.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            request.send_header(name, value)
        with suppress(ConnectionError):  # the client may have closed the connection
            request.end_headers()
            request.wfile.write(answer.body)


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in a JSON value, in their order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


@contextmanager
def recording_server() -> Iterator[RecordingServer]:
    """Yield a running server, and stop it after the block."""
    server = RecordingServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()
