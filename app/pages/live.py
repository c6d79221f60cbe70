"""Pages that keep themselves fresh: one address gives the page, or its board alone, or 304 if nothing changed."""

from collections.abc import Callable
from typing import Any

from flask import Response, make_response, render_template, request


def is_refresh() -> bool:
    """Whether the page itself asks if there is news, and not its reader for something else."""
    return request.headers.get("HX-Target") == "board" and bool(request.if_none_match)


def render_live(folder: str, etag: str, fill: Callable[[], dict[str, Any]] | None = None, /, **values: Any) -> Response:
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
