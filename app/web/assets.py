"""Static files: compressed once, kept in memory, cached by browsers without limit.

URLs contain a hash of the content (`?v=`), so a changed file has a new URL and the old one may be cached for ever.
Compressing at the first request, rather than storing `.gz` files, cannot produce stale files.
"""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import orjson
from flask import Flask, Response, abort, current_app, request, url_for
from flask_babel import gettext as _
from werkzeug.security import safe_join

from app.plugin import Access, guarded
from app.web.http import pages_bp
from app.web.i18n import chosen_language

COMPRESSED_SUFFIXES = frozenset({".css", ".js", ".svg", ".txt", ".webmanifest"})
FOR_GOOD = "public, max-age=31536000, immutable"
# Python's table depends on the operating system, and a small container knows neither of these.
MIME_TYPES = {".js": "text/javascript", ".woff2": "font/woff2", ".webmanifest": "application/manifest+json"}
LICENCE_NAME = "LICENSE"


@dataclass(frozen=True, slots=True)
class Asset:
    """A static file in memory; `compressed` is None if gzip saves nothing."""

    content: bytes
    compressed: bytes | None
    digest: str
    mime_type: str


def install(app: Flask) -> None:
    """Serve the static folder, and add the hash of the content to every URL of a file."""
    app.view_functions["static"] = send
    app.url_defaults(add_digest)


def send(filename: str) -> Response:
    """Return a static file, compressed if the browser supports it.

    404 if it does not exist.
    """
    asset = _find(filename)
    if asset is None:
        abort(404)
    wants_compressed = asset.compressed is not None and request.accept_encodings["gzip"] > 0
    body = asset.compressed if wants_compressed and asset.compressed else asset.content
    response = Response(body, mimetype=asset.mime_type)
    response.set_etag(f"{asset.digest}-gzip" if wants_compressed else asset.digest)
    response.headers["Cache-Control"] = FOR_GOOD if request.args.get("v") == asset.digest else "no-cache"
    response.headers["X-Content-Type-Options"] = "nosniff"
    if asset.compressed is not None:
        response.headers["Vary"] = "Accept-Encoding"
    if wants_compressed:
        response.headers["Content-Encoding"] = "gzip"
    response.make_conditional(request)
    return response


def add_digest(endpoint: str, values: dict[str, object]) -> None:
    """Add the hash of the current content to URLs of static files."""
    if endpoint == "static" and "v" not in values:
        asset = _find(str(values.get("filename", "")))
        if asset is not None:
            values["v"] = asset.digest


def _find(filename: str) -> Asset | None:
    path = safe_join(str(current_app.static_folder), filename)
    if path is None:
        return None
    try:
        return _read(path, Path(path).stat().st_mtime_ns)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None


@lru_cache(maxsize=128)
def _read(path: str, _modified_at_ns: int) -> Asset:
    content = Path(path).read_bytes()
    suffix = Path(path).suffix
    compressed = gzip.compress(content, 9, mtime=0) if suffix in COMPRESSED_SUFFIXES else None
    return Asset(
        content=content,
        compressed=compressed if compressed is not None and len(compressed) < len(content) else None,
        digest=hashlib.sha256(content).hexdigest()[:12],
        mime_type=_mime_type(Path(path)),
    )


def _mime_type(path: Path) -> str:
    if path.name == LICENCE_NAME:
        return "text/plain"
    return MIME_TYPES.get(path.suffix) or mimetypes.guess_type(path)[0] or "application/octet-stream"


# The manifest, with which a browser installs the pages like an application
#
# There is no service worker: it could only show old states, and a page about backups must not do that.

ICON_SIZES = (192, 512)
BACKGROUND, ACCENT = "#f6f8fb", "#3b6fd4"


@pages_bp.get("/manifest.webmanifest")
@guarded(Access.PUBLIC)
def manifest() -> Response:
    """Return name, icons and start page of the application."""
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
    manifest = {
        "name": "duplistatus",
        "short_name": "duplistatus",
        "description": _("See at a glance whether your backups are working"),
        "lang": chosen_language(),
        "id": home,
        "start_url": home,
        "scope": home,
        "display": "standalone",
        "background_color": BACKGROUND,
        "theme_color": ACCENT,
        "icons": pictures,
    }
    return Response(orjson.dumps(manifest), mimetype="application/manifest+json")
