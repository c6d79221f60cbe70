"""What a password has to be."""

import re
import secrets
import string
import threading
from dataclasses import dataclass
from functools import cache

import argon2
import bcrypt

from app.config import DEFAULT_PASSWORD, Settings
from app.runtime import settings

# What a rule asks for: the signs, and the words of the sentence about them.
CLASSES = (
    (string.ascii_uppercase, "uppercase letter (A-Z)"),
    (string.ascii_lowercase, "lowercase letter (a-z)"),
    (string.digits, "number (0-9)"),
)


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """The rules in force. `refused` is the one password that everybody knows."""

    min_length: int
    are_classes_enforced: bool
    refused: str = ""

    def find_violations(self, password: str) -> list[str]:
        """A sentence for each broken rule, in the order of the rules; empty when the password will do."""
        # wire: clients show and compare these sentences as they stand
        found = []
        if self.refused and password == self.refused:
            found.append("Cannot use the default password. Please choose a different password")
        if length_in_utf16(password) < self.min_length:
            found.append(f"Password must be at least {self.min_length} characters long")
        if self.are_classes_enforced:
            found += [
                f"Password must contain at least one {words}"
                for signs, words in CLASSES
                if not set(signs) & set(password)
            ]
        return found


def length_in_utf16(text: str) -> int:
    """The length in UTF-16 units, as browsers count: an emoji is two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


# Passwords: hashing, checking, and making temporary ones.

# What OWASP names as the least for argon2id, and on purpose no more: a Raspberry Pi 4 takes about a quarter of a second
# for it, and 19 MiB for each sign-in fit into its memory beside the backups it watches.
hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# A flood of sign-ins waits in line instead of taking all memory and both cores.
SEATS = 2
_seats = threading.BoundedSemaphore(SEATS)

# bcrypt reads no further; the reference cuts silently, newer libraries refuse.
BCRYPT_BYTES = 72
BCRYPT_MARKS = ("$2a$", "$2b$", "$2y$")
BCRYPT_FORM = re.compile(r"\$2[aby]\$(?:0[4-9]|1[0-9]|2[0-4])\$[./A-Za-z0-9]{53}")
# Salt and hash of argon2 in base64; what stands before them is read by the library.
ARGON2_FORM = re.compile(r"\$argon2(?:id|i|d)\$(?:[a-z]+=[0-9,a-z=]+\$){1,2}[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{16,}")
# With more no machine that runs this program could check a password: KiB, and rounds.
MOST_MEMORY, MOST_ROUNDS = 2 * 1024 * 1024, 1_000
TEMPORARY_LENGTH = 12
TEMPORARY_SIGNS = string.ascii_letters + string.digits + "!@#$%^&*"


def renew_seats() -> None:
    """Have seats of this process's own, after a fork: threads of the parent may have sat on the others."""
    global _seats
    _seats = threading.BoundedSemaphore(SEATS)


def policy_of(chosen: Settings) -> PasswordPolicy:
    """The password policy that the settings ask for."""
    return PasswordPolicy(chosen.password_min_length, chosen.password_classes_enforced, DEFAULT_PASSWORD)


def policy() -> PasswordPolicy:
    """The password policy of the running application."""
    return policy_of(settings())


def hash_password(password: str) -> str:
    """Hash with argon2id and a salt of its own."""
    with _seats:
        return hasher.hash(password)


def is_right(password: str, stored_hash: str) -> bool:
    """Whether a password belongs to a stored hash, argon2id or bcrypt; a hash that cannot be read fits nothing."""
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
    """Whether a stored hash is of a form that `is_right` can hold a password against."""
    if stored_hash.startswith(BCRYPT_MARKS):
        return BCRYPT_FORM.fullmatch(stored_hash) is not None
    try:
        found = argon2.extract_parameters(stored_hash)
    except (argon2.exceptions.InvalidHashError, ValueError):
        return False
    is_bounded = found.memory_cost <= MOST_MEMORY and 0 < found.time_cost <= MOST_ROUNDS
    return is_bounded and ARGON2_FORM.fullmatch(stored_hash) is not None


def needs_new_hash(stored_hash: str) -> bool:
    """Whether a hash is of an older kind than we make now, so that it should be replaced at the next chance."""
    return stored_hash.startswith(BCRYPT_MARKS) or hasher.check_needs_rehash(stored_hash)


def make_temporary(rules: PasswordPolicy) -> str:
    """Make a random password that fits the rules."""
    length = max(TEMPORARY_LENGTH, rules.min_length)
    needed = [secrets.choice(signs) for signs, _ in CLASSES] if rules.are_classes_enforced else []
    signs = needed + [secrets.choice(TEMPORARY_SIGNS) for _ in range(length - len(needed))]
    secrets.SystemRandom().shuffle(signs)
    return "".join(signs)


@cache
def nobodys_hash() -> str:
    """The hash of a password that nobody has."""
    return hash_password(secrets.token_hex(16))
