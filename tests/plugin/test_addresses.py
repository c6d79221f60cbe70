"""Which addresses the server may be asked to call."""

import socket
import time

import pytest
import requests

from app.plugin import ForbiddenAddress, check_url, guarded_connections, open_connection
from app.plugin.http import answers_within, guarded_session, is_forbidden, use_proxies
from app.plugin.testing.http_servers import Answer, recording_server


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
def test_other_addresses_than_http_are_rejected(url: str):
    with pytest.raises(ValueError):  # noqa: PT011 (the parser of the standard library raises its own)
        check_url(url)


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "http://2852039166/", "http://0xa9.0xfe.0xa9.0xfe/"])
def test_a_forbidden_address_is_rejected_in_every_spelling(url: str):
    with pytest.raises(ForbiddenAddress):
        check_url(url)


def test_a_session_rejects_before_it_connects():
    with guarded_session() as session, pytest.raises(ForbiddenAddress):
        session.get("http://169.254.169.254/", timeout=1)


def test_a_session_reaches_allowed_addresses():
    with recording_server() as server, guarded_session() as session:
        assert session.post(server.url, data=b"x", timeout=5).status_code == 200


def test_a_name_that_resolves_elsewhere_later_is_rejected(monkeypatch):
    class Elsewhere:
        def getpeername(self) -> tuple[str, int]:
            return ("169.254.169.254", 80)

        def close(self) -> None:
            """No connection was opened."""

    def connect(_connection: object) -> None:
        _connection.sock = Elsewhere()

    monkeypatch.setattr("urllib3.connection.HTTPConnection.connect", connect)
    with guarded_session() as session, pytest.raises(ForbiddenAddress):
        session.get("http://127.0.0.1/", timeout=1)


def test_an_unresolvable_name_is_passed_to_the_connection(monkeypatch):
    def fail(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    check_url("http://nowhere.invalid/")
    with guarded_session() as session, pytest.raises(requests.ConnectionError):
        session.get("http://nowhere.invalid/", timeout=1)


METADATA = "169.254.169.254"


@pytest.fixture
def answers(monkeypatch):
    """Return the addresses that names resolve to, one list for each look-up; the last one for all further look-ups."""
    looks: list[list[str]] = []

    def look_up(_host: str, port: int, *_arguments: object, **_options: object) -> list[tuple[object, ...]]:
        addresses = looks.pop(0) if len(looks) > 1 else looks[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port or 0)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return looks


class TestResolution:
    def test_session_rejects_at_the_connection(self, answers):
        answers += [["127.0.0.1"], [METADATA]]
        with guarded_session() as session, pytest.raises(ForbiddenAddress):
            session.get("http://rebinding.example/", timeout=1)

    @pytest.mark.parametrize("found", [[METADATA], ["127.0.0.1", METADATA]])
    def test_connection_is_rejected_before_any_address_is_called(self, answers, found):
        answers.append(found)
        with pytest.raises(ForbiddenAddress):
            open_connection("rebinding.example", 9, time.monotonic() + 1)

    def test_connection_uses_the_checked_address(self, answers):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            answers += [["127.0.0.1"], [METADATA]]
            with open_connection("rebinding.example", port, time.monotonic() + 5) as connected:
                assert connected.getpeername() == ("127.0.0.1", port)

    def test_connection_uses_the_first_address_that_responds(self, answers):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            answers.append(["127.0.0.2", "127.0.0.1"])
            with open_connection("two.example", listener.getsockname()[1], time.monotonic() + 5) as connected:
                assert connected.getpeername()[0] == "127.0.0.1"


class TestGuardedConnections:
    @pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
    def test_socket_of_any_library_is_rejected(self, kind):
        with guarded_connections(), socket.socket(socket.AF_INET, kind) as sock, pytest.raises(ForbiddenAddress):
            sock.connect((METADATA, 9))

    def test_datagram_is_rejected(self):
        with guarded_connections(), socket.socket(type=socket.SOCK_DGRAM) as sock, pytest.raises(ForbiddenAddress):
            sock.sendto(b"x", (METADATA, 9))

    def test_loopback_and_socket_pairs_of_this_host_are_reached(self):
        with guarded_connections(), recording_server() as server:
            assert requests.post(server.url, data=b"x", timeout=5).status_code == 200
            here, there = socket.socketpair()
            here.close()
            there.close()


class TestEnvironment:
    @pytest.fixture
    def proxy(self, monkeypatch):
        with recording_server() as server:
            for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
                monkeypatch.setenv(name, server.url)
            monkeypatch.delenv("NO_PROXY", raising=False)
            monkeypatch.delenv("no_proxy", raising=False)
            yield server
            use_proxies(False)

    def test_proxies_are_not_used(self, proxy):
        with recording_server() as server, guarded_session() as session:
            assert session.get(server.url, timeout=5).status_code == 200
        assert (len(server.received), proxy.received) == (1, [])

    def test_proxy_does_not_allow_forbidden_addresses(self, proxy):
        use_proxies(True)
        with guarded_session() as session, pytest.raises(ForbiddenAddress):
            session.get(f"http://{METADATA}/latest", timeout=5)
        assert proxy.received == []

    def test_proxies_are_used_if_configured(self, proxy):
        use_proxies(True)
        with guarded_session() as session:
            assert session.get("http://nowhere.invalid/x", timeout=5).status_code == 200
        assert [request.path for request in proxy.received] == ["http://nowhere.invalid/x"]

    def test_response_of_a_proxy_has_a_deadline_too(self, proxy):
        use_proxies(True)
        proxy.answers = [Answer(delay_s=0.6)]
        with guarded_session() as session, answers_within(0.2), pytest.raises(requests.RequestException):
            session.get("http://nowhere.invalid/x", timeout=5)

    def test_password_of_netrc_is_not_added(self, monkeypatch, tmp_path):
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password s3cret\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        with recording_server() as server, guarded_session() as session:
            session.get(server.url, timeout=5)
        assert "authorization" not in server.received[0].headers

    def test_bundle_of_certificates_is_used(self, monkeypatch, tmp_path):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
        with guarded_session() as session, pytest.raises(OSError, match="CA certificate bundle"):
            session.get("https://127.0.0.1:9/", timeout=1, verify=True)
