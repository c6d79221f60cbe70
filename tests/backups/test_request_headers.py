"""Extra request headers: which are allowed, and which are rejected by name."""

import pytest

from app.backups.servers import LARGEST_BYTES, MOST_HEADERS, RESERVED, BadHeader, check_headers, read_lines


def test_lines_are_parsed_as_names_and_values():
    text = "CF-Access-Client-Id: abc.access\n\n  X-Token :  a: b\tc \r\n"
    assert read_lines(text) == {"CF-Access-Client-Id": "abc.access", "X-Token": "a: b\tc"}
    assert read_lines(" \n") == {}


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("X-A: 1\nsecret", "line", "2"),
        (": 1", "name", ""),
        ("X A: 1", "name", "X A"),
        ("Xä: 1", "name", "Xä"),
        ("X-A:", "value", "X-A"),
        ("X-A: ä", "value", "X-A"),
        ("X-A: 1\nx-a: 2", "twice", "x-a"),
        ("hOsT: nas", "reserved", "hOsT"),
    ],
)
def test_invalid_lines_are_reported_without_their_value(text, kind, name):
    with pytest.raises(BadHeader) as raised:
        read_lines(text)
    assert (raised.value.kind, raised.value.name) == (kind, name)


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_headers_of_the_sign_in_are_reserved(name):
    with pytest.raises(BadHeader, match=name.title()):
        check_headers({name.title(): "x"})


@pytest.mark.parametrize("value", ["a\r\nHost: b", "a\nb", "a\x00b", "", " ", "a\x7f", 8192 * "a"])
def test_unsendable_values_are_rejected(value):
    with pytest.raises(BadHeader):
        check_headers({"X-A": value})


def test_limits_are_applied():
    assert len(check_headers({f"X-{number}": "a" for number in range(MOST_HEADERS)})) == MOST_HEADERS
    with pytest.raises(BadHeader, match="No more than 20"):
        check_headers({f"X-{number}": "a" for number in range(MOST_HEADERS + 1)})
    assert check_headers({"X-A": "a" * (LARGEST_BYTES - 7)})
    with pytest.raises(BadHeader, match="8 KiB"):
        check_headers({"X-A": "a" * (LARGEST_BYTES - 6)})
