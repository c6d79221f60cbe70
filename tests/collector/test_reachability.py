"""Asking whether a Duplicati answers, against real sockets."""

import json
import socket

import pytest

from app.collector.reachability import try_connection
from app.core.errors import Refused
from app.plugin.testing.http_servers import Answer, recording_server

REFUSAL = json.dumps({"Error": "Failed to log in", "Code": 401}).encode()


@pytest.fixture
def duplicati():
    """A server that refuses sign-ins as Duplicati does."""
    with recording_server() as server:
        server.standard = Answer(401, REFUSAL)
        yield server


def test_refusal_of_nobodys_password_tells_a_duplicati(duplicati):
    assert try_connection(duplicati.url).is_success


def test_request_goes_to_the_sign_in_whatever_the_path(duplicati):
    try_connection(f"{duplicati.url}/ngax/index.html?x=1")
    received = duplicati.received[0]
    assert (received.method, received.path) == ("POST", "/api/v1/auth/login")
    assert received.json == {"Password": "x", "RememberMe": False}


def test_refusal_that_is_no_json_counts(duplicati):
    duplicati.standard = Answer(401, b"<html>")
    assert try_connection(duplicati.url).is_success


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200),
        Answer(401, b'{"Error": "Other", "Code": 401}'),
        Answer(401, b"[]"),
        Answer(404, REFUSAL),
        Answer(500),
    ],
    ids=["accepted", "other-words", "list", "not-found", "broken"],
)
def test_other_answers_are_no_duplicati(duplicati, answer):
    duplicati.standard = answer
    outcome = try_connection(duplicati.url)
    assert not outcome.is_success
    assert str(answer.status) in outcome.message


def test_redirects_are_not_followed(duplicati):
    with recording_server() as other:
        other.standard = Answer(401, REFUSAL)
        duplicati.standard = Answer(307, b"", {"Location": f"{other.url}/api/v1/auth/login"})
        assert not try_connection(duplicati.url).is_success
        assert other.received == []


def test_silence_ends_after_the_time_limit(duplicati):
    duplicati.standard = Answer(401, REFUSAL, delay_s=0.5)
    outcome = try_connection(duplicati.url, timeout_s=0.1)
    assert not outcome.is_success
    assert "0.1 seconds" in outcome.message


def test_nobody_at_the_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert not try_connection(f"http://127.0.0.1:{port}").is_success


def test_https_to_a_plain_server_is_said(duplicati):
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
def test_addresses_that_nobody_may_call(url):
    with pytest.raises(Refused):
        try_connection(url)
