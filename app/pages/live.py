"""Pages that keep themselves fresh: one address gives the page, or its board alone, or 304 if nothing changed."""

from typing import Any

from flask import Response, make_response, render_template, request


def render_live(folder: str, etag: str, **values: Any) -> Response:
    """Render `page.html` of a folder, or only `board.html` when the page asks for its board again.

    The script sends the board's tag along, since pages are not to be kept by the browser.
    """
    is_board = request.headers.get("HX-Target") == "board"
    if is_board and request.if_none_match.contains(etag):
        return Response(status=304)
    response = make_response(render_template(f"{folder}/{'board' if is_board else 'page'}.html", **values))
    if is_board:
        response.set_etag(etag)
    return response
