"""A small load generator: keep-alive connections in one selector loop."""

import selectors
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import quantiles

Request = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Measured:
    """Results: responses per second, latencies in ms, number not 200."""

    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    count: int
    failures: int


class Connection:
    """A keep-alive connection that always has one request under way."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = bytearray()
        self.sent_at = 0.0
        self.wanted = 0  # bytes of the whole response, 0 until its head has arrived

    def send(self, request: bytes) -> None:
        """Send the next request."""
        self.received.clear()
        self.wanted = 0
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> int | None:
        """Read available data; return the status code once the response is complete."""
        part = self.socket.recv(1 << 18)
        if not part:
            raise ConnectionError("the server closed the connection")
        self.received += part
        if not self.wanted:
            end = self.received.find(b"\r\n\r\n")
            if end < 0:
                return None
            head = bytes(self.received[:end]).lower()
            _, _, length = head.partition(b"content-length:")
            self.wanted = end + 4 + int(length.split(b"\r\n")[0] or 0)
        return int(self.received[9:12]) if len(self.received) >= self.wanted else None


def http_request(path: str, *, method: str = "GET", headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    """Return the bytes of one request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body or method != "GET":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def drive(port: int, requests: Iterator[bytes], *, connections: int, seconds: float) -> Measured:
    """Send requests for some seconds over some connections.

    Each is sent immediately after the last response.
    """
    selector = selectors.DefaultSelector()
    opened = [Connection(("127.0.0.1", port)) for _ in range(connections)]
    latencies: list[float] = []
    failures = 0
    begin = time.perf_counter()
    for connection in opened:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send(next(requests))
    under_way = len(opened)
    while under_way:
        for key, _ in selector.select(timeout=30):
            connection = key.data
            status = connection.receive()
            if status is None:
                continue
            now = time.perf_counter()
            latencies.append((now - connection.sent_at) * 1000)
            failures += status != 200
            request = next(requests, None) if now - begin < seconds else None
            if request is None:
                selector.unregister(connection.socket)
                connection.socket.close()
                under_way -= 1
            else:
                connection.send(request)
    elapsed = time.perf_counter() - begin
    cuts = quantiles(latencies, n=100) if len(latencies) > 1 else latencies * 99
    return Measured(len(latencies) / elapsed, cuts[49], cuts[94], cuts[98], len(latencies), failures)
