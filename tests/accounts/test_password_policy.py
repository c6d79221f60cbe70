"""Rules for passwords."""

import pytest

from app.accounts.passwords import PasswordPolicy

POLICY = PasswordPolicy(min_length=8, are_classes_enforced=True, refused="Duplistatus09")


@pytest.mark.parametrize(
    ("password", "broken"),
    [
        pytest.param("Correct7Horse", [], id="good"),
        pytest.param("Aa345678", [], id="just-long-enough"),
        pytest.param("Aa34567", ["8 characters"], id="one-too-short"),
        pytest.param("a", ["8 characters", "uppercase", "number"], id="all-failures-are-reported"),
        pytest.param("ALLUPPER1", ["lowercase"], id="no-lowercase"),
        pytest.param("Duplistatus09", ["default password"], id="everybody-knows-it"),
        pytest.param("ÄÖÜäöü12", ["uppercase", "lowercase"], id="only-ascii-letters-count"),
    ],
)
def test_violations(password, broken):
    found = POLICY.find_violations(password)
    assert len(found) == len(broken)
    assert all(words in violation.message for words, violation in zip(broken, found, strict=True))


def test_classes_can_be_disabled_but_length_and_default_cannot():
    policy = PasswordPolicy(min_length=8, are_classes_enforced=False, refused="Duplistatus09")
    assert policy.find_violations("lowercase") == []
    assert len(policy.find_violations("short")) == 1
    assert len(policy.find_violations("Duplistatus09")) == 1


def test_length_is_counted_as_browsers_do():
    policy = PasswordPolicy(min_length=4, are_classes_enforced=False)
    assert policy.find_violations("😀😀") == []
    assert len(policy.find_violations("😀a")) == 1
