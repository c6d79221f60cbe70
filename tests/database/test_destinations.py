"""When a stored secret may be sent to another address."""

import pytest

from app.database.secrets import is_other_server


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("https://ntfy.sh/", "https://ntfy.sh"),
        ("https://ntfy.sh", " https://NTFY.sh:443/path "),
        ("http://ntfy.home", "https://ntfy.home"),  # from the default port to the default port
        ("http://ntfy.home:8080", "https://ntfy.home:8080"),
        ("http://[::1]:80/", "http://[::1]"),
        ("mail.example.org", "Mail.Example.org."),
        ("not an address", "not an address"),
    ],
)
def test_the_same_server_is_the_same_destination(before, after):
    assert not is_other_server(before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("https://ntfy.sh", "https://ntfy.sh.example.org"),
        ("https://ntfy.sh", "https://ntfy.sh@example.org/"),  # the name before the @ is a username
        ("https://ntfy.sh", "https://ntfy.sh:8443"),  # maybe the port of another user
        ("https://ntfy.sh", "http://ntfy.sh"),  # where the traffic can be read
        ("https://ntfy.sh", "http://ntfy.sh:443"),
        ("http://ntfy.home:8080", "https://ntfy.home"),
        ("mail.example.org", "mail.example.net"),
        ("mail.example.org", ""),
        ("", "mail.example.org"),
        ("https://ntfy.sh", "https://ntfy.sh:port"),
    ],
)
def test_another_host_port_or_no_tls_is_another_destination(before, after):
    assert is_other_server(before, after)
