"""What a password has to be."""

import string
from dataclasses import dataclass

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
