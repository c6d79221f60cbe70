"""Password policy, and hashing, checking and generating of passwords."""

import re
import secrets
import string
import threading
from dataclasses import dataclass
from functools import cache

import argon2
import bcrypt

from app.config import DEFAULT_PASSWORD, Settings
from app.core.errors import Refused
from app.runtime import settings

# What a rule asks for, and what breaks it.
CLASSES = (
    (string.ascii_uppercase, Refused("password_without_upper", "password")),
    (string.ascii_lowercase, Refused("password_without_lower", "password")),
    (string.digits, Refused("password_without_digit", "password")),
)


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """The password policy. `refused` is the documented default password."""

    min_length: int
    are_classes_enforced: bool
    refused: str = ""

    def find_violations(self, password: str) -> list[Refused]:
        """Return a refusal for each broken rule, in the order of the rules; none when the password will do."""
        found = []
        if self.refused and password == self.refused:
            found.append(Refused("password_is_default", "password"))
        if length_in_utf16(password) < self.min_length:
            found.append(Refused("password_too_short", "password", num=self.min_length))
        if self.are_classes_enforced:
            found += [refusal for signs, refusal in CLASSES if not set(signs) & set(password)]
        return found


def length_in_utf16(text: str) -> int:
    """Return the length in UTF-16 units, as browsers count: an emoji has two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


# Hashing, checking and generating

# The OWASP minimum for argon2id, and deliberately no more: it takes a Raspberry Pi 4 about 0.25 s, and 19 MiB for
# each sign-in fit into its memory beside the backups it monitors.
hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# Sign-ins wait in a queue instead of using all memory and both cores.
SEATS = 2
_seats = threading.BoundedSemaphore(SEATS)

# bcrypt uses only this many bytes; the reference truncates silently, newer libraries raise an error.
BCRYPT_BYTES = 72
BCRYPT_MARKS = ("$2a$", "$2b$", "$2y$")
BCRYPT_FORM = re.compile(r"\$2[aby]\$(?:0[4-9]|1[0-9]|2[0-4])\$[./A-Za-z0-9]{53}")
# Salt and hash of argon2 in base64; the library parses the rest.
ARGON2_FORM = re.compile(r"\$argon2(?:id|i|d)\$(?:[a-z]+=[0-9,a-z=]+\$){1,2}[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{16,}")
# Upper bounds (KiB, rounds); with more, no machine that runs this program could check a password.
MOST_MEMORY, MOST_ROUNDS = 2 * 1024 * 1024, 1_000
TEMPORARY_LENGTH = 12
TEMPORARY_CHARACTERS = string.ascii_letters + string.digits + "!@#$%^&*"


def renew_seats() -> None:
    """Create new seats in a forked process.

    Threads of the parent may hold the inherited ones.
    """
    global _seats
    _seats = threading.BoundedSemaphore(SEATS)


def policy_of(chosen: Settings) -> PasswordPolicy:
    """Return the password policy of some settings."""
    return PasswordPolicy(chosen.password_min_length, chosen.password_classes_enforced, DEFAULT_PASSWORD)


def policy() -> PasswordPolicy:
    """Return the password policy of the running application."""
    return policy_of(settings())


def hash_password(password: str) -> str:
    """Hash a password with argon2id and a random salt."""
    with _seats:
        return hasher.hash(password)


def is_right(password: str, stored_hash: str) -> bool:
    """Whether a password matches a stored hash, argon2id or bcrypt.

    False for an unreadable hash.
    """
    with _seats:
        if stored_hash.startswith(BCRYPT_MARKS):
            try:
                return bcrypt.checkpw(password.encode()[:BCRYPT_BYTES], stored_hash.encode())
            except ValueError:
                return False
        try:
            return hasher.verify(stored_hash, password)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False


def is_checkable(stored_hash: str) -> bool:
    """Whether a stored hash has a form that `is_right` can check."""
    if stored_hash.startswith(BCRYPT_MARKS):
        return BCRYPT_FORM.fullmatch(stored_hash) is not None
    try:
        found = argon2.extract_parameters(stored_hash)
    except (argon2.exceptions.InvalidHashError, ValueError):
        return False
    is_bounded = found.memory_cost <= MOST_MEMORY and 0 < found.time_cost <= MOST_ROUNDS
    return is_bounded and ARGON2_FORM.fullmatch(stored_hash) is not None


def needs_new_hash(stored_hash: str) -> bool:
    """Whether a hash has an outdated form and should be replaced at the next sign-in."""
    return stored_hash.startswith(BCRYPT_MARKS) or hasher.check_needs_rehash(stored_hash)


def make_temporary(rules: PasswordPolicy) -> str:
    """Generate a random password that fits the policy."""
    length = max(TEMPORARY_LENGTH, rules.min_length)
    needed = [secrets.choice(characters) for characters, _ in CLASSES] if rules.are_classes_enforced else []
    characters = needed + [secrets.choice(TEMPORARY_CHARACTERS) for _ in range(length - len(needed))]
    secrets.SystemRandom().shuffle(characters)
    return "".join(characters)


@cache
def dummy_hash() -> str:
    """Return a hash that no password matches."""
    return hash_password(secrets.token_hex(16))
