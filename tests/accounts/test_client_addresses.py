"""Which source of a client address is trusted."""

import pytest

from app.accounts.network_access import (
    client_address,
    is_loopback,
    is_untrusted_proxy,
    is_within,
    parse_address,
    rate_key,
)
from app.config import networks

TRUSTED = networks("10.0.0.0/8, 2001:db8::/32")


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "real_ip", "expected"),
    [
        pytest.param("192.0.2.7", "203.0.113.9", "203.0.113.9", "192.0.2.7", id="untrusted-client-is-ignored"),
        pytest.param("10.0.0.1", "203.0.113.9", "", "203.0.113.9", id="trusted-proxy-is-believed"),
        pytest.param("10.0.0.1", "1.1.1.1, 203.0.113.9", "", "203.0.113.9", id="invented-entries-are-passed-over"),
        pytest.param("10.0.0.1", "203.0.113.9, 10.0.0.2", "", "203.0.113.9", id="chain-of-trusted-proxies"),
        pytest.param("10.0.0.1", "10.0.0.3, 10.0.0.2", "", "10.0.0.3", id="all-trusted-gives-the-farthest"),
        pytest.param("10.0.0.1", "", "203.0.113.9", "203.0.113.9", id="real-ip-as-fallback"),
        pytest.param("10.0.0.1", "203.0.113.9", "1.1.1.1", "203.0.113.9", id="real-ip-only-as-fallback"),
        pytest.param("10.0.0.1", "", "", "10.0.0.1", id="proxy-that-says-nothing"),
        pytest.param("10.0.0.1", "rubbish", "", "10.0.0.1", id="unreadable-entry"),
        pytest.param("10.0.0.1", "1.1.1.1, rubbish, 10.0.0.2", "", "10.0.0.2", id="nothing-beyond-unreadable"),
        pytest.param("10.0.0.1", "203.0.113.9:4711", "", "203.0.113.9", id="with-port"),
        pytest.param("10.0.0.1", "[2001:db9::5]:4711", "", "2001:db9::5", id="six-with-port"),
        pytest.param("::ffff:10.0.0.1", "203.0.113.9", "", "203.0.113.9", id="mapped-proxy"),
    ],
)
def test_client_address(peer, forwarded_for, real_ip, expected):
    assert client_address(peer, forwarded_for, real_ip, TRUSTED) == expected


def test_forwarded_addresses_are_ignored_without_trusted_proxies():
    assert client_address("127.0.0.1", "203.0.113.9", "", ()) == "127.0.0.1"


def test_unreadable_address_is_in_no_network():
    assert not is_within(parse_address("unknown"), networks("0.0.0.0/0, ::/0"))


@pytest.mark.parametrize(
    ("address", "expected"), [("127.0.0.1", True), ("::1", True), ("192.0.2.1", False), ("", False)]
)
def test_loopback(address, expected):
    assert is_loopback(address) is expected


def test_addresses_of_one_ipv6_subscriber_are_counted_together():
    assert rate_key("2001:db8:1:2::3") == rate_key("2001:db8:1:2:ffff::4") != rate_key("2001:db8:1:3::3")


@pytest.mark.parametrize("header", ["X_FORWARDED_FOR", "X_FORWARDED_PROTO", "X_REAL_IP", "FORWARDED", "VIA"])
@pytest.mark.parametrize(
    ("peer", "trusted", "expected"),
    [
        ("127.0.0.1", (), True),
        ("127.0.0.53", (), True),
        ("::1", (), True),
        ("::ffff:127.0.0.1", (), True),
        ("127.0.0.1", ("127.0.0.1",), False),
        ("127.0.0.1", ("::1",), True),
        ("192.0.2.7", (), False),
        ("", (), False),
    ],
)
def test_a_proxy_on_this_host_must_be_trusted(header, peer, trusted, expected):
    named = networks(" ".join(trusted))
    assert is_untrusted_proxy({"REMOTE_ADDR": peer, f"HTTP_{header}": "203.0.113.9"}, named) is expected
    assert is_untrusted_proxy({"REMOTE_ADDR": peer, f"HTTP_{header}": ""}, named) is False
    assert is_untrusted_proxy({"REMOTE_ADDR": peer}, named) is False
