"""Addresses within the pages: where a person is, where one may be sent to, and old bookmarks."""

from urllib.parse import quote, urlsplit

from flask import request, url_for

LOCALES = ("en-GB", "en", "de", "fr", "es", "pt-BR", "hi-Latn", "hi", "zh-Hans")
LONGEST = 2000


def here() -> str:
    """The address of this page as the browser knows it, with its query."""
    query = request.query_string.decode("latin-1")
    return f"{request.script_root}{request.path}{'?' + query if query else ''}"


def local_address(wanted: str | None) -> str:
    """The address that a visitor wanted when it is one of ours; else the dashboard.

    Ours are paths with one slash in front. Browsers read `//host` and `/\\host` as other machines, and drop control
    characters before they look.
    """
    home = url_for("pages.dashboard")
    if not wanted or len(wanted) > LONGEST or not wanted.startswith("/") or wanted.startswith(("//", "/\\")):
        return home
    if "\\" in wanted or "://" in wanted or any(ord(sign) < 33 for sign in wanted):
        return home
    return home if urlsplit(wanted).path.rstrip("/") == url_for("pages.login") else wanted


def without_locale(rest: str) -> str:
    """The address that an old bookmark with a language in front means, with its query."""
    query = request.query_string.decode("latin-1")
    root = url_for("pages.dashboard")
    return f"{root}{quote(rest.lstrip('/').replace(chr(92), ''), safe='/')}{'?' + query if query else ''}"
