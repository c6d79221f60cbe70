"""Whether a Duplicati server responds, with real sockets."""

import json
import socket

import pytest

from app.collector.reachability import try_connection
from app.core.errors import Refused
from app.plugin.testing.http_servers import Answer, recording_server

REJECTION = json.dumps({"Error": "Failed to log in", "Code": 401}).encode()


@pytest.fixture
def duplicati():
    """A server that rejects sign-ins as Duplicati does."""
    with recording_server() as server:
        server.standard = Answer(401, REJECTION)
        yield server


def test_rejected_password_identifies_duplicati(duplicati):
    assert try_connection(duplicati.url).is_success


def test_request_is_sent_to_the_sign_in_for_any_path(duplicati):
    try_connection(f"{duplicati.url}/ngax/index.html?x=1")
    received = duplicati.received[0]
    assert (received.method, received.path) == ("POST", "/api/v1/auth/login")
    assert received.json == {"Password": "x", "RememberMe": False}


def test_rejection_without_json_counts(duplicati):
    duplicati.standard = Answer(401, b"<html>")
    assert try_connection(duplicati.url).is_success


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200),
        Answer(401, b'{"Error": "Other", "Code": 401}'),
        Answer(401, b"[]"),
        Answer(404, REJECTION),
        Answer(500),
    ],
    ids=["accepted", "other-words", "list", "not-found", "broken"],
)
def test_other_responses_are_no_duplicati(duplicati, answer):
    duplicati.standard = answer
    outcome = try_connection(duplicati.url)
    assert not outcome.is_success
    assert str(answer.status) in outcome.message


def test_redirects_are_not_followed(duplicati):
    with recording_server() as other:
        other.standard = Answer(401, REJECTION)
        duplicati.standard = Answer(307, b"", {"Location": f"{other.url}/api/v1/auth/login"})
        assert not try_connection(duplicati.url).is_success
        assert other.received == []


def test_no_response_ends_after_the_time_limit(duplicati):
    duplicati.standard = Answer(401, REJECTION, delay_s=0.5)
    outcome = try_connection(duplicati.url, timeout_s=0.1)
    assert not outcome.is_success
    assert "0.1 seconds" in outcome.message


def test_closed_port_is_reported():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert not try_connection(f"http://127.0.0.1:{port}").is_success


def test_https_to_a_plain_server_is_reported(duplicati):
    outcome = try_connection(duplicati.url.replace("http://", "https://"))
    assert not outcome.is_success
    assert "http" in outcome.message


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]:8200",
        "http://224.0.0.1",
        "http://0.0.0.0:8200",
        "http://[::ffff:169.254.169.254]",
        "http://100.100.100.200",
        "http://2852039166",  # 169.254.169.254 as one number
        "file:///etc/passwd",
        "gopher://nas",
        "nas",
        "http://",
        "http://nas:port",
    ],
)
def test_forbidden_addresses_are_rejected(url):
    with pytest.raises(Refused):
        try_connection(url)
