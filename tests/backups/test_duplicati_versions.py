"""Versions of Duplicati: which text names which, and which one is newer."""

import pytest

from app.backups.duplicati_versions import (
    DuplicatiVersion,
    InstalledDuplicati,
    installed,
    newest_by_channel,
    read_version,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2.2.0.1 (2.2.0.1_stable_2025-11-09)", DuplicatiVersion((2, 2, 0, 1), "stable")),
        ("2.0.9.104 (2.0.9.104_canary_2024-06-14)", DuplicatiVersion((2, 0, 9, 104), "canary")),
        ("v2.0.7.1_beta_2023-05-25", DuplicatiVersion((2, 0, 7, 1), "beta")),
        ("2.1.0.5", DuplicatiVersion((2, 1, 0, 5))),  # no channel given
        ("2.1.0.5_debug_2025-01-01", DuplicatiVersion((2, 1, 0, 5))),  # an unknown channel
        ("1.2.3.4.5", None),
        ("unknown", None),
        ("٢.٢", None),
        ("", None),
        (None, None),
    ],
)
def test_version_is_parsed_from_the_text_of_a_report(text, expected):
    assert read_version(text) == expected


def test_newest_version_of_each_channel_is_found_by_number_in_any_text():
    text = """[{"tag_name": "v2.2.0.9_stable_2026-01-02"}, {"tag_name": "v2.2.0.10_stable_2025-12-01"},
        {"url": "https://x.example/duplicati-2.3.0.1_canary_2026-02-03-linux.zip"}, "3.0.0.0_nightly_2026-02-03"]"""
    found = newest_by_channel(text)
    assert {channel: str(version) for channel, version in found.items()} == {"stable": "2.2.0.10", "canary": "2.3.0.1"}


@pytest.mark.parametrize(
    ("reported", "newest", "is_outdated"),
    [
        ("2.2.0.1_stable_2025-11-09", (2, 2, 0, 2), True),
        ("2.2.0.2_stable_2025-11-09", (2, 2, 0, 2), False),
        ("2.2.0.10_stable_2025-11-09", (2, 2, 0, 9), False),
        ("2.0.0.1_beta_2020-01-01", (2, 2, 0, 2), False),  # of another channel
        ("2.0.0.1", (2, 2, 0, 2), False),  # of an unknown channel
    ],
)
def test_a_version_is_outdated_by_a_newer_one_of_its_channel(reported, newest, is_outdated):
    found = installed(reported, {"stable": DuplicatiVersion(newest, "stable")})
    assert found.is_outdated is is_outdated


def test_missing_version_is_no_installed_version():
    assert installed(None, {}) is None
    assert installed("2.2.0.1", {}) == InstalledDuplicati(DuplicatiVersion((2, 2, 0, 1)))
