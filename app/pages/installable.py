"""What a browser needs to know to put the pages on a home screen like an application.

There is no service worker: it could only show what was true some time ago, and a page about backups must not do that.
"""

import orjson
from flask import Response, url_for
from flask_babel import gettext as _

from app.contracts import Guard, guarded
from app.pages.languages import chosen_language
from app.pages.views import bp

ICON_SIZES = (192, 512)
BACKGROUND, ACCENT = "#f6f8fb", "#3b6fd4"


@bp.get("/manifest.webmanifest")
@guarded(Guard.OPEN)
def manifest() -> Response:
    """Name, icons and start of the application."""
    home = url_for("pages.dashboard")
    pictures = [
        {
            "src": url_for("static", filename=f"icons/app-{size}.png"),
            "sizes": f"{size}x{size}",
            "type": "image/png",
            "purpose": "any",
        }
        for size in ICON_SIZES
    ]
    said = {
        "name": "duplistatus",
        "short_name": "duplistatus",
        "description": _("One page that says whether all your backups are fine"),
        "lang": chosen_language(),
        "id": home,
        "start_url": home,
        "scope": home,
        "display": "standalone",
        "background_color": BACKGROUND,
        "theme_color": ACCENT,
        "icons": pictures,
    }
    return Response(orjson.dumps(said), mimetype="application/manifest+json")
