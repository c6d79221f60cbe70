"""Addresses within the pages: where a person is, where one may be sent to, and old bookmarks."""

from urllib.parse import quote, urlsplit

from flask import request, url_for

LONGEST = 2000


def here() -> str:
    """The address of this page as the browser knows it, with its query."""
    query = request.query_string.decode("latin-1")
    return f"{request.script_root}{request.path}{'?' + query if query else ''}"


def local_address(wanted: str | None) -> str:
    """The address that a visitor wanted when it is one of ours, and not that of signing in; else the dashboard."""
    if not wanted or not is_local(wanted) or urlsplit(wanted).path.rstrip("/") == url_for("pages.login"):
        return url_for("pages.dashboard")
    return wanted


def is_local(address: str) -> bool:
    """Whether an address leads to this installation: ours are paths with one slash in front.

    Browsers read `//host` and `/\\host` as other machines, and drop control characters before they look.
    """
    if len(address) > LONGEST or not address.startswith("/") or address.startswith("//"):
        return False
    return "\\" not in address and "://" not in address and all(ord(sign) >= 33 for sign in address)


def without_locale(rest: str) -> str:
    """The address that an old bookmark with a language in front means, with its query."""
    query = request.query_string.decode("latin-1")
    root = url_for("pages.dashboard")
    return f"{root}{quote(rest.lstrip('/').replace(chr(92), ''), safe='/')}{'?' + query if query else ''}"
