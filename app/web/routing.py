"""How addresses are read: a slash that came percent-encoded belongs to a name, and parts nothing.

WSGI hands on the decoded path, in which the two kinds of slashes look alike. Names of servers and jobs are free text.
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

# Stands for %2F while an address is matched. Unicode keeps it free for use within a program.
ENCODED_SLASH = "\ufdd0"


def path_as_sent(environ: Mapping[str, Any]) -> str:
    """The path below the script's root, with ENCODED_SLASH in place of each slash that came percent-encoded.

    Where the server does not tell the address as it was sent, or tells another one, slashes are just slashes.
    """
    path: str = environ.get("PATH_INFO", "").encode("latin-1").decode(errors="replace")
    sent: str = environ.get("REQUEST_URI", "").partition("?")[0]
    if "%2f" not in sent.lower():
        return path
    kept = unquote(re.sub("%2f", quote(ENCODED_SLASH), sent, flags=re.IGNORECASE), errors="replace")
    kept = kept[-len(path) :]  # a proxy's prefix may stand in front
    return kept if kept.replace(ENCODED_SLASH, "/") == path else path


def quoted(path: str) -> str:
    """A path as `path_as_sent` gives it, percent-encoded again."""
    return quote(path).replace(quote(ENCODED_SLASH), "%2F")


class NumberConverter(IntegerConverter):
    """A number of a row, `<int:name>`; no row has one of more digits."""

    regex = r"\d{1,18}"


class PartConverter(UnicodeConverter):
    """One part of an address, as `<name>` and `<string:name>` mean it; may hold slashes of its own.

    Like all names it holds no NUL, which PostgreSQL cannot look for.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.regex = self.regex.replace("[^/]", r"[^/\x00]")

    def to_python(self, value: str) -> str:
        """The part as it was meant."""
        return value.replace(ENCODED_SLASH, "/")

    def to_url(self, value: Any) -> str:
        """The part as it stands in an address."""
        return super().to_url(value).replace("/", "%2F")


class RestConverter(PathConverter):
    """The rest of an address, `<path:name>`, whose slashes part it further."""

    regex = r"[^/\x00][^\x00]*?"

    def to_python(self, value: str) -> str:
        """The rest as it was meant."""
        return value.replace(ENCODED_SLASH, "/")


class NameConverter(RestConverter):
    """The rest of an address as one name, `<name:name>`, for clients and proxies that leave slashes as they are."""

    regex = r"[^\x00]+"
    part_isolating = False

    def to_url(self, value: Any) -> str:
        """The name as it stands in an address."""
        return super().to_url(value).replace("/", "%2F")


class AddressMap(Map):
    """All routes, matched against the path as it was sent."""

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
    """A route that works out how its addresses are written when the first one is asked for.

    Done for all of them at once, this takes nine tenths of a start.
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
    """Flask with addresses that are read so."""

    url_rule_class = Address
    url_map_class = AddressMap
