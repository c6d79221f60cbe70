"""The server that receives requests: bounds of bodies by route and person, slow senders, requests of odd forms."""

import json
import socket
from contextlib import closing

import pytest
from conftest import ADMIN_PASSWORD
from factories import report_body
from real_server import real_server

pytestmark = pytest.mark.slow

KIB, MIB = 1024, 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that takes reports of 2 MiB."""
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
    """What a signed-in administrator sends."""
    token = server.request("GET", "/api/csrf", headers={"Cookie": cookie})[1]["token"]
    return {"Cookie": cookie, "X-CSRF-Token": token}


def exchange(server, sent: bytes) -> bytes:
    """Send bytes as they are; gives all that comes back."""
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=30)) as connection:
        connection.sendall(sent)
        received = b""
        while part := connection.recv(65_536):
            received += part
        return received


def post(path: str, length: int, *headers: str) -> bytes:
    """The head of a request that closes its connection."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Connection: close", f"Content-Length: {length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def spooled(server) -> int:
    """How many bytes of bodies wait in files without a name."""
    return sum(size for name, size in server.open_files() if "(deleted)" in name)


LIMITS = {
    "no such address": ("POST", "/nothing", 64 * KIB),
    "sign-in": ("POST", "/api/auth/login", 64 * KIB),
    "sign-in page": ("POST", "/login", 64 * KIB),
    "report": ("POST", "/api/upload", 2 * MIB + 1),
    "read": ("GET", "/api/summary", 64 * KIB),
}


@pytest.mark.parametrize(("method", "path", "limit"), LIMITS.values(), ids=LIMITS)
@pytest.mark.parametrize("is_chunked", [False, True], ids=["announced", "chunked"])
def test_body_over_the_limit_of_its_route_is_refused(server, method, path, limit, is_chunked):
    body = b"x" * (limit + 1)
    sent = (body[at : at + 8192] for at in range(0, len(body), 8192)) if is_chunked else body
    status, told = server.request(method, path, sent)
    assert (status, told["error"]) == (413, f"The request is larger than {limit} bytes")
    assert "timestamp" in told


@pytest.mark.parametrize("path", ["/nothing", "/api/auth/login", "/api/database/restore", "/settings/database/restore"])
def test_announced_body_of_a_stranger_is_not_spooled(server, path):
    size = 20 * MIB
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=30)) as connection:
        connection.sendall(post(path, size) + b"x" * (size - MIB))
        assert spooled(server) == 0
        connection.sendall(b"x" * MIB)
        assert connection.recv(65_536).partition(b"\r\n")[0].split(b" ")[1] in (b"413", b"401", b"303")


@pytest.mark.parametrize("path", ["/api/database/restore", "/api/configuration/backup-settings"])
def test_stranger_gets_the_answer_of_the_guard(server, path):
    status, told = server.request("POST", path, b"x" * MIB)
    assert (status, told["error"]) == (401, "Invalid or expired session")


def test_stranger_with_a_wrong_session_or_key_gets_the_answer_of_the_guard(server):
    for headers in ({"Cookie": "session=abc"}, {"X-Api-Key": "abc"}, {"Authorization": "Bearer abc"}):
        assert server.request("POST", "/api/database/restore", b"x" * MIB, headers)[0] == 401


def test_administrator_sends_a_large_file(server, headers):
    form = b'--b\r\nContent-Disposition: form-data; name="database"; filename="x.db"\r\n\r\n'
    body = form + b"x" * 6 * MIB + b"\r\n--b--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    status, told = server.request("POST", "/api/database/restore", body, headers | kind)
    assert (status, "SQLite" in told["error"]) == (400, True)


def test_settings_of_an_administrator_may_hold_4_mib(server, headers):
    def change(size: int) -> int:
        body = json.dumps({"interval": "x" * size}).encode()
        return server.request("POST", "/api/cron-config", body, headers)[0]

    assert change(4 * MIB - 100) == 400
    assert change(4 * MIB) == 413


def test_settings_with_too_many_values_are_too_large(server, headers):
    body = b'{"interval": [' + b"0," * 600_000 + b"0]}"
    assert server.request("POST", "/api/cron-config", body, headers)[0] == 413


def test_client_that_waits_before_it_sends_gets_the_refusal(server):
    answer = exchange(server, post("/nothing", 20 * MIB, "Expect: 100-continue"))
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_length_and_pieces_exclude_each_other(server):
    body = b"0\r\n\r\n"
    answer = exchange(server, post("/api/upload", len(body), "Transfer-Encoding: chunked") + body)
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("body", [b"1" * 100_000, b"1;" + b"a" * 100_000, b"0\r\n" + b"A: b\r\n" * 20_000])
def test_endless_line_of_a_body_in_pieces_is_refused(server, body):
    head = b"POST /api/upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert exchange(server, head + body[:3000]).startswith(b"HTTP/1.1 400 ")


def test_headers_are_bounded(server):
    head = b"GET / HTTP/1.1\r\nHost: x\r\nA: "
    answer = exchange(server, head + b"a" * (32 * KIB - len(head)))
    assert answer.split(b" ")[1] == b"431"


def test_connection_goes_on_after_a_body_was_dropped(server):
    with closing(server.connect()) as connection:
        for expected in (413, 200):
            if expected == 413:
                connection.request("POST", "/nothing", b"x" * MIB)
            else:
                connection.request("POST", "/api/upload", report_body(), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == expected
