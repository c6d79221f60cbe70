"""Ways to somewhere else: the command palette, the pages of all Duplicati servers, the topic of messages."""

from flask import redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from app.api.client import visible_server_ids
from app.pages import palette
from app.pages.views import bp
from app.services import clock, history, ntfy_settings


@bp.get("/palette")
def palette_entries() -> ResponseReturnValue:
    """Everything that this person may go to, as JSON for the command palette."""
    return palette.entries(history.overview(clock.now(), visible_server_ids()))


@bp.get("/consoles")
def consoles() -> ResponseReturnValue:
    """The pages of all Duplicati servers, for the dialog."""
    found = palette.consoles(history.overview(clock.now(), visible_server_ids()))
    return render_template("parts/consoles.html", consoles=found)


@bp.get("/ntfy")
def ntfy_topic() -> ResponseReturnValue:
    """Go to the topic of the standard ntfy channel; to its settings where it has none yet."""
    return redirect(ntfy_settings.topic_address() or url_for("settings.index", tab="ntfy"))
