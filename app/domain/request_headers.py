"""Request headers that people have sent along to a Duplicati server, for a proxy with a sign-in in front of it."""

import re
from collections.abc import Mapping

MOST_HEADERS = 20
LARGEST_BYTES = 8 * 1024
# A token and a field value of RFC 9110 (sections 5.1 and 5.5), of the value what can be typed.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?", re.ASCII)
# What the connection and the sign-in to Duplicati are made of.
RESERVED = frozenset(
    {
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-xsrf-token",
    }
)


class BadHeader(ValueError):
    """A header that is not sent. `name` is its name as far as there is one; the text is for people.

    `kind` is `line`, `name`, `value`, `reserved`, `twice`, `count` or `size`. No value stands in it.
    """

    def __init__(self, kind: str, name: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind, self.name = kind, name


def read_lines(text: str) -> dict[str, str]:
    """Return the headers of a text with one `Name: value` a line. Raises BadHeader."""
    pairs = []
    for number, line in enumerate(text.splitlines(), 1):
        name, colon, value = line.partition(":")
        if not line.strip():
            continue
        if not colon:
            raise BadHeader("line", str(number), f"Line {number} is not a header: write Name: value")
        pairs.append((name.strip(), value.strip()))
    return _checked(pairs)


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers as they are sent. Raises BadHeader."""
    return _checked([(name.strip(), value.strip(" \t")) for name, value in headers.items()])


def _checked(pairs: list[tuple[str, str]]) -> dict[str, str]:
    seen: set[str] = set()
    for name, value in pairs:
        shown = name[:80]
        if not _NAME.fullmatch(name):
            raise BadHeader("name", shown, f"{shown!r} is not the name of a header")
        if name.lower() in RESERVED:
            raise BadHeader("reserved", shown, f"The header {shown} cannot be set: the sign-in to Duplicati needs it")
        if name.lower() in seen:
            raise BadHeader("twice", shown, f"The header {shown} stands there twice")
        if not _VALUE.fullmatch(value):
            raise BadHeader("value", shown, f"The header {shown} needs a value of letters, digits and signs of ASCII")
        seen.add(name.lower())
    if len(pairs) > MOST_HEADERS:
        raise BadHeader("count", "", f"No more than {MOST_HEADERS} headers can be stored")
    if sum(len(name) + len(value) + 4 for name, value in pairs) > LARGEST_BYTES:
        raise BadHeader("size", "", f"The headers are larger than {LARGEST_BYTES // 1024} KiB together")
    return dict(pairs)
