"""Errors as pages: with the header for signed-in users, without it for others."""

import logging

from flask import Response, make_response, render_template, request, url_for
from flask_babel import lazy_gettext
from flask_login import current_user

from app.accounts.models import User
from app.accounts.network_access import Zone, allow_lists
from app.core.errors import Refused
from app.web import i18n
from app.web import pages as web_pages
from app.web.refusals import refusal_text
from app.web.request import client_address

log = logging.getLogger(__name__)

TITLES = {
    403: lazy_gettext("Access denied"),
    404: lazy_gettext("Page not found"),
    413: lazy_gettext("Too large"),
    429: lazy_gettext("Too many requests"),
    500: lazy_gettext("Something went wrong"),
    503: lazy_gettext("Temporarily unavailable"),
}
OTHER_TITLE = lazy_gettext("Request failed")
# Shown if no template can be rendered, and so in one language.
LAST_RESORT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>duplistatus</title>
<h1>{status}</h1><p>This page cannot be shown at the moment. The application log has the details.</p></html>
"""
STALE_TITLE = lazy_gettext("Page expired")


def show_error(refusal: Refused) -> Response:
    """Render an error as a page.

    Without the header if that fails, as plain HTML if the page fails as well.
    """
    for may_have_header in (True, False):  # the header may need what has failed
        try:
            return _draw(refusal, has_header=may_have_header and _is_for_reader(refusal.status))
        except Exception:
            log.exception("an error page could not be rendered")
    return Response(LAST_RESORT.format(status=refusal.status), refusal.status, mimetype="text/html")


def _is_for_reader(status: int) -> bool:
    """Whether the reader may see the other pages.

    False without a query if the database is unavailable.
    """
    if status == 503 or not allow_lists().admit(Zone.ADMINISTRATION, client_address()):
        return False
    return isinstance(current_user._get_current_object(), User) and not current_user.must_change_password


def _draw(refusal: Refused, *, has_header: bool) -> Response:
    here, status = "", refusal.status
    if has_header:
        # After a change of theme or language here, redirect to a page that can be opened.
        here = web_pages.here() if request.method == "GET" and status != 405 else url_for("pages.dashboard")
    else:
        i18n.ignore_account()
    title = STALE_TITLE if refusal.code == "csrf_token_invalid" else TITLES.get(status, OTHER_TITLE)
    values = {"title": title, "sentence": refusal_text(refusal), "status": status}
    theme = i18n.reader_preferences().theme
    return make_response(render_template("error.html", has_header=has_header, here=here, theme=theme, **values), status)
