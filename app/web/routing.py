"""Routing: a percent-encoded slash is part of a name, not a separator.

WSGI passes the decoded path, in which the two kinds of slashes are equal. Names of servers and jobs are free text.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, unquote

from flask import Flask
from werkzeug.datastructures import ImmutableDict
from werkzeug.routing import (
    IntegerConverter,
    Map,
    MapAdapter,
    PathConverter,
    Rule,
    UnicodeConverter,
)

# Stands for %2F while a path is matched. A noncharacter of Unicode, free for use within a program.
ENCODED_SLASH = "\ufdd0"


def path_as_sent(environ: Mapping[str, Any]) -> str:
    """Return the path below the script's root, still distinguishing encoded slashes.

    Each percent-encoded slash is ENCODED_SLASH. If the server does not provide the original URL, or another one,
    slashes are just slashes.
    """
    path: str = environ.get("PATH_INFO", "").encode("latin-1").decode(errors="replace")
    sent: str = environ.get("REQUEST_URI", "").partition("?")[0]
    if "%2f" not in sent.lower():
        return path
    raw = unquote(re.sub("%2f", quote(ENCODED_SLASH), sent, flags=re.IGNORECASE), errors="replace")
    raw = raw[-len(path) :]  # a proxy's prefix may come first
    return raw if raw.replace(ENCODED_SLASH, "/") == path else path


def quoted(path: str) -> str:
    """Return a path of `path_as_sent` percent-encoded again."""
    return quote(path).replace(quote(ENCODED_SLASH), "%2F")


class NumberConverter(IntegerConverter):
    """The number of a row, `<int:name>`; no row has one with more digits."""

    regex = r"\d{1,18}"


class PartConverter(UnicodeConverter):
    """One part of a path, as `<name>` and `<string:name>`.

    May contain slashes of its own. Like all names it contains no NUL, which PostgreSQL cannot search for.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.regex = self.regex.replace("[^/]", r"[^/\x00]")

    def to_python(self, value: str) -> str:
        """Return the part decoded."""
        return value.replace(ENCODED_SLASH, "/")

    def to_url(self, value: Any) -> str:
        """Return the part encoded."""
        return super().to_url(value).replace("/", "%2F")


class RestConverter(PathConverter):
    """The rest of a path, `<path:name>`, which is separated by slashes."""

    regex = r"[^/\x00][^\x00]*?"

    def to_python(self, value: str) -> str:
        """Return the rest decoded."""
        return value.replace(ENCODED_SLASH, "/")


class NameConverter(RestConverter):
    """The rest of a path as one name, `<name:name>`.

    For clients and proxies that do not encode slashes.
    """

    regex = r"[^\x00]+"
    part_isolating = False

    def to_url(self, value: Any) -> str:
        """Return the name encoded."""
        return super().to_url(value).replace("/", "%2F")


class AddressMap(Map):
    """All routes, matched against the original path."""

    default_converters = ImmutableDict(
        {
            **Map.default_converters,
            "default": PartConverter,
            "int": NumberConverter,
            "string": PartConverter,
            "path": RestConverter,
            "name": NameConverter,
        }
    )

    def bind_to_environ(self, environ: Any, *args: Any, **options: Any) -> MapAdapter:
        """Bind to a request."""
        adapter = super().bind_to_environ(environ, *args, **options)
        adapter.path_info = path_as_sent(getattr(environ, "environ", environ))
        return adapter


class Address(Rule):
    """A route that compiles how its URLs are built when the first one is needed.

    Compiling all of them takes nine tenths of a start.
    """

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        compile_now = super()._compile_builder
        made: list[Callable[..., tuple[str, str]]] = []

        def build(rule: Rule, **values: Any) -> tuple[str, str]:
            if not made:
                made.append(compile_now(append_unknown))
            return made[0](rule, **values)

        return build


class Application(Flask):
    """Flask with these routes."""

    url_rule_class = Address
    url_map_class = AddressMap
