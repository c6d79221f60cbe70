"""Ways to somewhere else: the command palette, the pages of all Duplicati servers, the topic of messages."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from app.api.client import visible_server_ids
from app.contracts import Guard, guarded
from app.domain.qr_codes import qr_code
from app.models import Channel
from app.pages import palette
from app.pages.views import bp
from app.services import channels, clock, history, ntfy_settings


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
@guarded(Guard.LOGIN, needs_all_servers=True)
def ntfy_topic() -> ResponseReturnValue:
    """Go to the topic of the standard ntfy channel; to its settings where it has none yet."""
    return redirect(ntfy_settings.topic_address() or url_for("settings.index", tab="ntfy"))


@bp.get("/ntfy/code")
@guarded(Guard.LOGIN, needs_all_servers=True)
def ntfy_code() -> ResponseReturnValue:
    """Show the topic of the standard ntfy channel, or another one of its server, as a code for a phone's camera."""
    return _show_code(channels.standard(channels.NTFY))


@bp.get("/channels/<int:channel_id>/code")
@guarded(Guard.LOGIN, needs_all_servers=True)
def channel_code(channel_id: int) -> ResponseReturnValue:
    """Show a channel as a code for a phone's camera."""
    return _show_code(channels.find_channel(channel_id))


def _show_code(row: Channel | None) -> str:
    address = channels.subscription(row, request.args.get("topic", "").strip()) if row else None
    picture = Markup(qr_code(address)) if address else None  # noqa: S704 (drawn by us, holds no text)
    part = "parts/channel_code.html"
    template = part if "HX-Request" in request.headers else "parts/channel_code_page.html"
    return render_template(template, part=part, channel=row, address=address, picture=picture)
