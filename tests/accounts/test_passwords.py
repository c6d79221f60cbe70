"""Hashes and temporary passwords."""

import ast
from pathlib import Path

import argon2
import bcrypt
import pytest

from app.accounts import passwords
from app.accounts.passwords import PasswordPolicy


@pytest.mark.usefixtures("real_hashing")
def test_hash_is_argon2id_with_enough_work_and_its_own_salt():
    first, second = passwords.hash_password("Correct7Horse"), passwords.hash_password("Correct7Horse")
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert first != second


@pytest.mark.parametrize(("password", "expected"), [("Correct7Horse", True), ("correct7Horse", False), ("", False)])
def test_only_the_right_password_matches(password, expected):
    assert passwords.is_right(password, passwords.hash_password("Correct7Horse")) is expected


def test_bcrypt_hashes_of_the_original_are_accepted():
    stored = bcrypt.hashpw(b"Correct7Horse", bcrypt.gensalt(4)).decode()
    assert passwords.is_right("Correct7Horse", stored)
    assert not passwords.is_right("Correct7Horsf", stored)


def test_bcrypt_uses_72_bytes_only():
    stored = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    assert passwords.is_right("x" * 72 + "anything", stored)
    assert not passwords.is_right("x" * 71 + "y", stored)


@pytest.mark.parametrize("stored", ["", "plain", "$2b$nonsense", "$argon2id$nonsense"])
def test_unreadable_hash_matches_nothing(stored):
    assert not passwords.is_right("Correct7Horse", stored)


@pytest.mark.usefixtures("real_hashing")
def test_bcrypt_and_weaker_hashes_need_a_new_one():
    assert passwords.needs_new_hash(bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode())
    assert passwords.needs_new_hash(argon2.PasswordHasher(1, 8192, 1).hash("x"))
    assert not passwords.needs_new_hash(passwords.hash_password("x"))


@pytest.mark.parametrize("min_length", [1, 8, 20])
def test_temporary_passwords_fit_the_policy_and_differ(min_length):
    policy = PasswordPolicy(min_length, are_classes_enforced=True, refused="Duplistatus09")
    made = {passwords.make_temporary(policy) for _ in range(50)}
    assert len(made) == 50
    assert {len(password) for password in made} == {max(12, min_length)}
    assert not any(policy.find_violations(password) for password in made)


def test_no_secret_is_made_from_a_predictable_source():
    root = Path(passwords.__file__).parents[2]
    files = [path for room in ("app", "plugins") for path in (root / room).rglob("*.py") if "tests" not in path.parts]
    users = {
        path.stem
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Import) and any(name.name == "random" for name in node.names))
        or (isinstance(node, ast.ImportFrom) and node.module == "random")
    }
    # Invented data, and the time of a retry.
    assert users <= {"demo", "demo_plans", "demo_logs", "delivery"}
