"""Which destination receives which event, and the maximum length of a text."""

from datetime import UTC, datetime, timedelta

import pytest

from app.notifications.channels import email_addresses
from app.notifications.outbox import inherited, is_muted, should_notify
from app.reports.decoding import shorten

NOW = datetime(2031, 5, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("event", "status", "errors", "is_notified"),
    [
        ("off", "Fatal", 9, False),
        ("errors", "Error", 0, True),
        ("errors", "Fatal", 0, True),
        ("errors", "Warning", 0, False),
        ("errors", "Warning", 1, True),
        ("errors", "Success", 1, True),
        ("errors", "Unknown", 0, False),
        ("warnings", "Success", 0, False),
        ("warnings", "Success", 5, False),
        ("warnings", "Warning", 0, True),
        ("warnings", "Unknown", 0, True),
        ("all", "Success", 0, True),
        ("anything", "Success", 0, True),
        ("", "Success", 0, True),
    ],
)
def test_event_rule(event: str, status: str, errors: int, is_notified: bool):
    assert should_notify(event, status, errors) is is_notified


@pytest.mark.parametrize(
    ("own", "server", "otherwise", "expected"),
    [("a", "b", "c", "a"), ("", "b", "c", ""), (None, "b", "c", "b"), (None, "", "c", ""), (None, None, "c", "c")],
)
def test_an_empty_text_counts_as_present(own, server, otherwise, expected):
    assert inherited(own, server, otherwise) == expected


def test_addresses_are_split_trimmed_and_unique():
    assert email_addresses(" a@x , b@x,,nobody, a@x") == ("a@x", "b@x")


@pytest.mark.parametrize(("until", "muted"), [(None, False), (NOW, False), (NOW + timedelta(seconds=1), True)])
def test_muting_ends_at_its_time(until, muted):
    assert is_muted(until, NOW) is muted


@pytest.mark.parametrize(
    ("text", "limit", "in_bytes", "expected"),
    [
        ("abc", None, False, "abc"),
        ("abc", 3, False, "abc"),
        ("abcd", 3, False, "ab…"),
        ("äöü", 3, False, "äöü"),
        ("äöü", 6, True, "äöü"),
        ("äöüx", 6, True, "ä…"),
        ("🕑🕑🕑", 11, True, "🕑🕑…"),
        ("🕑🕑🕑", 10, True, "🕑…"),
    ],
)
def test_a_text_is_cut_at_whole_characters(text: str, limit, in_bytes: bool, expected: str):
    assert shorten(text, limit, in_bytes=in_bytes) == expected
