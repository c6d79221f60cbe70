"""The HTTP server: limits of bodies by route and user, slow senders, unusual requests."""

import json
import socket
import time
from contextlib import closing
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from applications import ADMIN_PASSWORD
from factories import report_body
from real_server import real_server
from statements import sent_statements

from app.config import networks
from app.reports import ingest
from app.server import Bounds, FairQueue
from app.web import guards
from app.web.guards import BodyLimit

pytestmark = pytest.mark.slow

KIB, MIB = 1024, 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that accepts reports of 2 MiB."""
    with real_server(tmp_path_factory.mktemp("data"), UPLOAD_MAX_MIB="2", ADMIN_PASSWORD=ADMIN_PASSWORD) as running:
        yield running


@pytest.fixture(scope="module")
def cookie(server):
    """The session of an administrator."""
    with closing(server.connect()) as connection:
        body = json.dumps({"username": "admin", "password": ADMIN_PASSWORD})
        connection.request("POST", "/api/auth/login", body, {"X-CSRF-Token": "any"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        return answer.headers["Set-Cookie"].partition(";")[0]


@pytest.fixture(scope="module")
def headers(server, cookie):
    """The headers of a signed-in administrator."""
    token = server.request("GET", "/api/csrf", headers={"Cookie": cookie})[1]["token"]
    return {"Cookie": cookie, "X-CSRF-Token": token}


def exchange(server, sent: bytes) -> bytes:
    """Send bytes unchanged; return everything that is received."""
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=30)) as connection:
        connection.sendall(sent)
        received = b""
        while part := connection.recv(65_536):
            received += part
        return received


def post(path: str, length: int, *headers: str) -> bytes:
    """Return the head of a request that closes its connection."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Connection: close", f"Content-Length: {length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


LIMITS = {
    "no such address": ("POST", "/nothing", 64 * KIB),
    "sign-in": ("POST", "/api/auth/login", 64 * KIB),
    "sign-in page": ("POST", "/login", 64 * KIB),
    "report": ("POST", "/api/upload", 2 * MIB + 1),
    "read": ("GET", "/api/summary", 64 * KIB),
}


@pytest.mark.parametrize(("method", "path", "limit"), LIMITS.values(), ids=LIMITS)
@pytest.mark.parametrize("is_chunked", [False, True], ids=["announced", "chunked"])
def test_body_over_the_limit_of_its_route_is_rejected(server, method, path, limit, is_chunked):
    body = b"x" * (limit + 1)
    sent = (body[at : at + 8192] for at in range(0, len(body), 8192)) if is_chunked else body
    status, result = server.request(method, path, sent)
    assert (status, result["error"]) == (413, f"The request is larger than {limit} bytes")
    assert "timestamp" in result


@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
@pytest.mark.parametrize("path", ["/nothing", "/api/auth/login", "/api/database/restore", "/settings/database/restore"])
def test_announced_body_of_an_unauthenticated_client_is_not_read(server, path, method):
    size = 20 * MIB
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=30)) as connection:
        before = server.kept_bytes()
        head = post(path, size).replace(b"POST", method.encode(), 1)
        connection.sendall(head + b"x" * (size - MIB))
        assert server.kept_bytes() - before < 8 * MIB
        connection.sendall(b"x" * MIB)
        assert connection.recv(65_536).partition(b"\r\n")[0].split(b" ")[1] in (b"413", b"401", b"303")


@pytest.mark.parametrize("path", ["/api/database/restore", "/api/configuration/backup-settings"])
def test_unauthenticated_client_gets_the_response_of_the_guard(server, path):
    status, body = server.request("POST", path, b"x" * MIB)
    assert (status, body["error"]) == (401, "Invalid or expired session")


@pytest.mark.parametrize("path", ["/api/upload/", "//api/upload"])
def test_url_with_slashes_accepts_a_report_too(server, path):
    body = report_body(lines=["x" * 100] * 1000)
    assert exchange(server, post(path, len(body)) + body).split(b" ")[1] in (b"200", b"308")


def test_unauthenticated_client_with_an_invalid_session_or_key_gets_the_response_of_the_guard(server):
    for headers in ({"Cookie": "session=abc"}, {"X-Api-Key": "abc"}, {"Authorization": "Bearer abc"}):
        assert server.request("POST", "/api/database/restore", b"x" * MIB, headers)[0] == 401


def test_administrator_can_send_a_large_file(server, headers):
    form = b'--b\r\nContent-Disposition: form-data; name="database"; filename="x.db"\r\n\r\n'
    body = form + b"x" * 6 * MIB + b"\r\n--b--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    status, result = server.request("POST", "/api/database/restore", body, headers | kind)
    assert (status, "SQLite" in result["error"]) == (400, True)


def test_settings_of_an_administrator_may_have_4_mib(server, headers):
    def change(size: int) -> int:
        body = json.dumps({"interval": "x" * size}).encode()
        return server.request("POST", "/api/cron-config", body, headers)[0]

    assert change(4 * MIB - 100) == 400
    assert change(4 * MIB) == 413


def test_settings_with_too_many_values_are_too_large(server, headers):
    body = b'{"interval": [' + b"0," * 600_000 + b"0]}"
    assert server.request("POST", "/api/cron-config", body, headers)[0] == 413


def test_client_that_expects_continue_gets_the_rejection(server):
    answer = exchange(server, post("/nothing", 20 * MIB, "Expect: 100-continue"))
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_content_length_and_chunks_exclude_each_other(server):
    body = b"0\r\n\r\n"
    answer = exchange(server, post("/api/upload", len(body), "Transfer-Encoding: chunked") + body)
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("body", [b"1" * 100_000, b"1;" + b"a" * 100_000, b"0\r\n" + b"A: b\r\n" * 20_000])
def test_endless_line_of_a_chunked_body_is_rejected(server, body):
    head = b"POST /api/upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert exchange(server, head + body[:3000]).startswith(b"HTTP/1.1 400 ")


def test_headers_are_limited(server):
    head = b"GET / HTTP/1.1\r\nHost: x\r\nA: "
    answer = exchange(server, head + b"a" * (32 * KIB - len(head)))
    assert answer.split(b" ")[1] == b"431"


def test_connection_continues_after_a_body_was_dropped(server):
    with closing(server.connect()) as connection:
        for expected in (413, 200):
            if expected == 413:
                connection.request("POST", "/nothing", b"x" * MIB)
            else:
                connection.request("POST", "/api/upload", report_body(server_id="m2"))
            answer = connection.getresponse()
            answer.read()
            assert answer.status == expected


@dataclass
class Waiting:
    """A task of a sender."""

    name: str
    sent_by: str

    def sender(self) -> str:
        return self.sent_by


def test_senders_alternate():
    queue = FairQueue()
    for task in (Waiting("a1", "a"), Waiting("a2", "a"), Waiting("a3", "a"), Waiting("b1", "b"), Waiting("c1", "c")):
        queue.append(task)
    assert len(queue) == 5
    assert [queue.popleft().name for _ in range(5)] == ["a1", "b1", "c1", "a2", "a3"]
    assert not queue


def channel(address: str, *, received: int = 0, last_activity: float = 0.0) -> SimpleNamespace:
    """A connection on which a body is being received, or nothing."""
    limit = BodyLimit(16 * MIB)
    request = SimpleNamespace(body_bytes_received=received, is_dropped=False, limit=limit, headers={})
    return SimpleNamespace(
        addr=(address, 1),
        request=request if received else None,
        requests=[],
        last_activity=last_activity,
        will_close=False,
        sender=lambda _request=None: address,
    )


def serving(*channels: SimpleNamespace) -> SimpleNamespace:
    return SimpleNamespace(active_channels=dict(enumerate(channels)))


def test_one_sender_uses_up_only_its_own_share():
    busy = serving(*(channel("192.0.2.1", received=16 * MIB) for _ in range(9)), channel("192.0.2.2", received=MIB))
    assert Bounds(None, ()).is_backlog_full(busy, "192.0.2.1")
    assert not Bounds(None, ()).is_backlog_full(busy, "192.0.2.2")


def test_all_senders_together_are_limited():
    busy = serving(*(channel(f"192.0.2.{number}", received=16 * MIB) for number in range(20)))
    assert Bounds(None, ()).is_backlog_full(busy, "192.0.2.99")


def test_connections_of_a_network_are_limited():
    many = serving(*(channel(f"2001:db8::{number:x}") for number in range(101)))
    assert Bounds(None, ()).has_too_many(many, ("2001:db8::1", 1))
    assert not Bounds(None, ()).has_too_many(many, ("2001:db8:1::1", 1))
    assert not Bounds(None, networks("2001:db8::/64")).has_too_many(many, ("2001:db8::1", 1))
    assert not Bounds(None, ()).has_too_many(serving(*(channel("127.0.0.1") for _ in range(200))), ("127.0.0.1", 1))


@pytest.mark.parametrize(("count", "is_closed"), [(399, False), (400, True)])
def test_silent_connections_are_closed_when_few_are_free(count, is_closed):
    now = time.time()
    silent = [channel("127.0.0.1", last_activity=now - 60) for _ in range(count - 3)]
    others = [channel("127.0.0.1", last_activity=now), channel("127.0.0.1", received=1), channel("127.0.0.1")]
    Bounds(None, ()).close_silent(serving(*silent, *others), others[-1])
    assert {each.will_close for each in silent} == {is_closed}
    assert not any(each.will_close for each in others)


def test_limit_of_a_route_is_found_without_the_database(app):
    with app.app_context():
        assert ingest.max_upload_bytes() == 16 * MIB
    with sent_statements() as made:
        limits = [guards.find_limit(app, "POST", path).most_bytes for path in ("/api/upload", "/api/upload/", "/x")]
    assert (limits, made) == ([16 * MIB + 1, 16 * MIB + 1, 64 * KIB], [])
