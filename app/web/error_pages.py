"""Errors as pages: with the header for signed-in users, without it for others."""

import logging

from flask import Response, make_response, render_template, request, url_for
from flask_babel import lazy_gettext
from flask_login import current_user

from app.accounts.models import User
from app.accounts.network_access import Zone, allow_lists
from app.web import guards, i18n
from app.web import pages as web_pages
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
# Translations of the API's English errors; others were written for a page.
PLAINER = {
    "Not found": lazy_gettext("Check the URL. The page may have been deleted."),
    "Server not found": lazy_gettext("Server not found. It may have been deleted."),
    "Backup job not found": lazy_gettext("Backup job not found. It may have been deleted."),
    "Backup not found": lazy_gettext("Run not found. It may have been deleted."),
    "Administrator access required": lazy_gettext("Only administrators may do this."),
    "This account can see selected servers only": lazy_gettext("This account can only see selected servers."),
    "Too many test notifications; try again later": lazy_gettext(
        "Too many test notifications were sent. Try again in a minute."
    ),
    "Your address is not allowed here": lazy_gettext("Access from your IP address is not allowed."),
    guards.UNKNOWN_ADDRESS: lazy_gettext(
        "Your IP address is unknown. Add the proxy on the host of duplistatus to IP_TRUSTED_PROXIES."
    ),
    "Method not allowed": lazy_gettext("This URL cannot be opened directly."),
    "The request cannot be understood": lazy_gettext("Invalid request."),
    "The request is too large": lazy_gettext("The upload is too large."),
    "The database cannot be reached at the moment": lazy_gettext("The database cannot be reached. Try again later."),
    "The database is busy or locked at the moment": lazy_gettext("The database is busy or locked. Try again later."),
    "The database is damaged; restore a backup": lazy_gettext(
        "The database is damaged. An administrator must restore a backup."
    ),
    "The database cannot be written": lazy_gettext(
        "The database is read-only. An administrator must check the permissions of its directory."
    ),
    "The disk is full, so nothing can be stored": lazy_gettext(
        "The disk is full, so nothing can be stored. An administrator must free up space."
    ),
    "The disk of the database cannot be read or written": lazy_gettext(
        "The disk of the database cannot be read or written. An administrator must check it."
    ),
    "The database lacks tables or columns that this version needs": lazy_gettext(
        "The database lacks tables or columns that this version needs. Run “duplistatus doctor” to list them."
    ),
    "Someone else just changed this; reload and try again": lazy_gettext(
        "Someone else just changed this. Reload and try again."
    ),
    "Something unexpected went wrong; the application log has the details": lazy_gettext(
        "Unexpected error. See the application log for details."
    ),
}
# Shown if no template can be rendered, and so in one language.
LAST_RESORT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>duplistatus</title>
<h1>{status}</h1><p>This page cannot be shown at the moment. The application log has the details.</p></html>
"""
STALE_PAGE = "Invalid CSRF token"
STALE_TITLE = lazy_gettext("Page expired")
STALE = lazy_gettext("This page has expired and nothing was saved. Reload it and try again.")


def show_error(sentence: str, status: int) -> Response:
    """Render an error as a page.

    Without the header if that fails, as plain HTML if the page fails as well.
    """
    for may_have_header in (True, False):  # the header may need what has failed
        try:
            return _draw(sentence, status, has_header=may_have_header and _is_for_reader(status))
        except Exception:
            log.exception("an error page could not be rendered")
    return Response(LAST_RESORT.format(status=status), status, mimetype="text/html")


def _is_for_reader(status: int) -> bool:
    """Whether the reader may see the other pages.

    False without a query if the database is unavailable.
    """
    if status == 503 or not allow_lists().admit(Zone.ADMINISTRATION, client_address()):
        return False
    return isinstance(current_user._get_current_object(), User) and not current_user.must_change_password


def _draw(sentence: str, status: int, *, has_header: bool) -> Response:
    here = ""
    if has_header:
        # After a change of theme or language here, redirect to a page that can be opened.
        here = web_pages.here() if request.method == "GET" and status != 405 else url_for("pages.dashboard")
    else:
        i18n.ignore_account()
    title = TITLES.get(status, OTHER_TITLE)
    if sentence == STALE_PAGE:
        title, sentence = STALE_TITLE, STALE
    values = {"title": title, "sentence": PLAINER.get(sentence, sentence), "status": status}
    theme = i18n.reader_preferences().theme
    return make_response(render_template("error.html", has_header=has_header, here=here, theme=theme, **values), status)
