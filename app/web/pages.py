"""What all pages share: their blueprints, addresses within them, and boards that are refreshed in place."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

from flask import Blueprint, Response, make_response, render_template, request, url_for

pages_bp = Blueprint("pages", __name__)


# The blueprint that the views of all tabs belong to.

settings_bp = Blueprint("settings", __name__, url_prefix="/settings")


# Pages that keep themselves fresh: one address gives the page, or its board alone, or 304 if nothing changed.


def is_refresh() -> bool:
    """Whether the page itself asks if there is news, and not its reader for something else."""
    return request.headers.get("HX-Target") == "board" and bool(request.if_none_match)


def render_page_or_board(
    folder: str, etag: str, fill: Callable[[], dict[str, Any]] | None = None, /, **values: Any
) -> Response:
    """Render `page.html` of a folder, or only `board.html` when the page asks for its board again.

    The script sends the board's tag along, since pages are not to be kept by the browser. `fill` gives further values
    once it is clear that something is to be drawn.
    """
    is_board = request.headers.get("HX-Target") == "board"
    if is_board and request.if_none_match.contains(etag):
        return Response(status=304)
    values |= fill() if fill is not None else {}
    response = make_response(render_template(f"{folder}/{'board' if is_board else 'page'}.html", **values))
    if is_board:
        response.set_etag(etag)
    return response


# Addresses within the pages: where a person is, where one may be sent to, and old bookmarks.

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
