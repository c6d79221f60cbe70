"""A slow response ends at its deadline, in whichever part of it the server is slow."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
import requests

from app.plugin.http import answers_within, guarded_session
from app.plugin.testing.http_servers import Answer, recording_server

pytestmark = pytest.mark.slow

BEGUN = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def slow_url(request) -> Iterator[str]:
    """The URL of a server that sends a beginning at once, and then a part repeatedly."""
    beginning, piece = request.param
    over = threading.Event()

    def answer() -> None:
        with suppress(OSError), listener.accept()[0] as caller:
            caller.recv(65_536)
            caller.sendall(beginning)
            while not over.wait(0.05):
                caller.sendall(piece)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        over.set()
        thread.join()


@pytest.mark.parametrize(
    "slow_url",
    [
        (b"HTTP/1.1 2", b"0"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (BEGUN + b"X-Long: ", b"a"),
        (BEGUN + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
        (BEGUN + b"Content-Length: 9999\r\n\r\n", b" "),
    ],
    ids=["status", "continue", "header", "length-of-chunk", "body"],
    indirect=True,
)
def test_slow_response_ends_with_its_deadline(slow_url: str):
    with guarded_session() as session, answers_within(0.3), pytest.raises(requests.RequestException, match="timed out"):
        session.get(slow_url, timeout=5)


def test_response_in_time_is_complete_and_the_next_has_its_own_deadline():
    with recording_server() as server, guarded_session() as session:
        server.standard = Answer(200, b"x" * 300_000)
        for _ in range(2):
            assert len(session.get(server.url, timeout=5).content) == 300_000
