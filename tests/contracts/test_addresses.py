"""Which addresses a server may be asked to call."""

import socket

import pytest
import requests

from app.contracts.addresses import ForbiddenAddress, check_url, guarded_session, is_forbidden
from app.testing.http_servers import recording_server


@pytest.mark.parametrize(
    ("address", "forbidden"),
    [
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("192.168.1.1", False),
        ("::1", False),
        ("fd00::1", False),
        ("93.184.216.34", False),
        ("169.254.169.254", True),
        ("169.254.0.1", True),
        ("fe80::1%eth0", True),
        ("fd00:ec2::254", True),
        ("100.100.100.200", True),
        ("224.0.0.251", True),
        ("ff02::1", True),
        ("0.0.0.0", True),
        ("::", True),
        ("::ffff:169.254.169.254", True),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::169.254.169.254", True),
        ("64:ff9b:1::169.254.169.254", True),
        ("64:ff9b::10.0.0.1", False),
        ("2002:a9fe:a9fe::1", True),
        ("2001:0:4136:e378:8000:63bf:5601:5601", True),
        ("::169.254.169.254", True),
        ("fd20:ce::254", True),
        ("168.63.129.16", True),
        ("fd00:c1::1", False),
    ],
)
def test_link_local_metadata_and_multicast_are_forbidden(address: str, forbidden: bool):
    assert is_forbidden(address) is forbidden


@pytest.mark.parametrize("url", ["ftp://x", "x", "http://", "//x", "file:///etc/passwd", "http://["])
def test_other_addresses_than_http_are_refused(url: str):
    with pytest.raises(ValueError):  # noqa: PT011 (the parser of the standard library raises its own)
        check_url(url)


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "http://2852039166/", "http://0xa9.0xfe.0xa9.0xfe/"])
def test_a_forbidden_address_is_refused_in_every_spelling(url: str):
    with pytest.raises(ForbiddenAddress):
        check_url(url)


def test_a_session_refuses_before_it_connects():
    with guarded_session() as session, pytest.raises(ForbiddenAddress):
        session.get("http://169.254.169.254/", timeout=1)


def test_a_session_reaches_what_is_allowed():
    with recording_server() as server, guarded_session() as session:
        assert session.post(server.url, data=b"x", timeout=5).status_code == 200


def test_a_name_that_leads_elsewhere_at_the_second_look_is_caught(monkeypatch):
    class Elsewhere:
        def getpeername(self) -> tuple[str, int]:
            return ("169.254.169.254", 80)

        def close(self) -> None:
            """Nothing was opened."""

    def connect(_connection: object) -> None:
        _connection.sock = Elsewhere()

    monkeypatch.setattr("urllib3.connection.HTTPConnection.connect", connect)
    with guarded_session() as session, pytest.raises(ForbiddenAddress):
        session.get("http://127.0.0.1/", timeout=1)


def test_a_name_that_cannot_be_resolved_is_left_to_the_connection(monkeypatch):
    def fail(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    check_url("http://nowhere.invalid/")
    with guarded_session() as session, pytest.raises(requests.ConnectionError):
        session.get("http://nowhere.invalid/", timeout=1)
