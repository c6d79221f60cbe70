"""Shared by all pages: blueprints, URLs, and parts that are refreshed in place."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

from flask import Blueprint, Response, make_response, render_template, request, url_for

pages_bp = Blueprint("pages", __name__)


# The blueprint of the views of all settings tabs.

settings_bp = Blueprint("settings", __name__, url_prefix="/settings")


# Pages that refresh: the same URL returns the page, only its board, or 304 if nothing changed


def is_refresh() -> bool:
    """Whether the page is refreshing, rather than being opened."""
    return request.headers.get("HX-Target") == "board" and bool(request.if_none_match)


def render_page_or_board(
    folder: str, etag: str, fill: Callable[[], dict[str, Any]] | None = None, /, **values: Any
) -> Response:
    """Render `page.html` of a folder, or only `board.html` for a refresh.

    The script sends the tag of the board, since browsers must not cache pages. `fill` returns further values; called
    only if something is rendered.
    """
    is_board = request.headers.get("HX-Target") == "board"
    if is_board and request.if_none_match.contains(etag):
        return Response(status=304)
    values |= fill() if fill is not None else {}
    response = make_response(render_template(f"{folder}/{'board' if is_board else 'page'}.html", **values))
    if is_board:
        response.set_etag(etag)
    return response


# URLs within the pages: the current one, valid targets of redirects, and old bookmarks

LONGEST = 2000


def here() -> str:
    """Return the URL of this page as the browser knows it, with its query."""
    query = request.query_string.decode("latin-1")
    return f"{request.script_root}{request.path}{'?' + query if query else ''}"


def local_address(wanted: str | None) -> str:
    """Return a wanted URL if it is one of ours, and not the sign-in page.

    Else the dashboard.
    """
    if not wanted or not is_local(wanted) or urlsplit(wanted).path.rstrip("/") == url_for("pages.login"):
        return url_for("pages.dashboard")
    return wanted


def is_local(address: str) -> bool:
    r"""Whether a URL leads to this installation.

    Ours are paths with one slash in front. Browsers read `//host` and `/\host` as other machines, and drop control
    characters first.
    """
    if len(address) > LONGEST or not address.startswith("/") or address.startswith("//"):
        return False
    return "\\" not in address and "://" not in address and all(ord(char) >= 33 for char in address)


def without_locale(rest: str) -> str:
    """Return the URL without the language prefix of an old bookmark, with its query."""
    query = request.query_string.decode("latin-1")
    root = url_for("pages.dashboard")
    return f"{root}{quote(rest.lstrip('/').replace(chr(92), ''), safe='/')}{'?' + query if query else ''}"
