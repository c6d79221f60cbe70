"""View of the badges group."""

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from app.api.client import client_address
from app.api.program_access import limit_rate
from app.contracts import Content, described
from app.domain.badges import draw
from app.services import badges, clock

bp = Blueprint("badges", __name__)

SVG = "image/svg+xml"
HEADERS = {
    "Cache-Control": "max-age=60",
    "Content-Security-Policy": "default-src 'none'",
    "X-Content-Type-Options": "nosniff",
}


@bp.get("/badge/<slug>.svg")
@described({200: Content(SVG), 304: None, 404: Content(SVG)}, errors=(429,))
def show(slug: str) -> ResponseReturnValue:
    """How backups are, as a picture. An unknown badge is a grey one with status 404, so that no page shows a hole."""
    now = clock.now()
    limit_rate("read", client_address(), now)
    found = badges.picture(slug, now)
    answer = Response(found or draw("backups", "unknown"), 200 if found else 404, headers=HEADERS, mimetype=SVG)
    answer.add_etag()
    return answer.make_conditional(request) if found else answer
