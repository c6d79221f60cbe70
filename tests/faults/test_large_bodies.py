"""Bodies over the limit are rejected by the real server too, in any form."""

import gzip

import pytest
from real_server import real_server

pytestmark = pytest.mark.slow


def parts(count: int):
    for _ in range(count):
        yield b" " * 65_536


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that accepts a megabyte."""
    with real_server(tmp_path_factory.mktemp("data"), UPLOAD_MAX_MIB="1") as running:
        yield running


def test_body_sent_in_parts_is_rejected(server):
    status, body = server.request("POST", "/api/upload", parts(40))
    assert (status, bool(body["error"])) == (413, True)


def test_body_sent_in_parts_is_read_below_the_limit(server):
    assert server.request("POST", "/api/upload", parts(4))[0] == 400


def test_announced_large_body_is_rejected(server):
    assert server.request("POST", "/api/upload", b" " * (1 << 21))[0] == 413


def test_compressed_large_body_is_rejected(server):
    bomb = gzip.compress(b" " * (1 << 28), 9)
    assert server.request("POST", "/api/upload", bomb, {"Content-Encoding": "gzip"})[0] == 413


def test_server_continues_afterwards(server):
    server.request("POST", "/api/upload", b" " * (1 << 21))
    assert server.request("GET", "/api/ping") == (200, {"ok": True})
