"""A small load generator: some keep-alive connections to one loopback server, driven by one selector loop."""

import selectors
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import quantiles

Request = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Measured:
    """What came back: answers per second, latencies in ms, and how many answers were not 200."""

    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    count: int
    failures: int


class Connection:
    """One keep-alive connection that always has one request under way."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = bytearray()
        self.sent_at = 0.0
        self.wanted = 0  # bytes of the whole answer, 0 until its head is here

    def send(self, request: bytes) -> None:
        """Send the next request."""
        self.received.clear()
        self.wanted = 0
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> int | None:
        """Take what is there; the status code once the answer is complete."""
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
    """The bytes of one request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body or method != "GET":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def drive(port: int, requests: Iterator[bytes], *, connections: int, seconds: float) -> Measured:
    """Send requests for some seconds over some connections, each at once after the last answer."""
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
