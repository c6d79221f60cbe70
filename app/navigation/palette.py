"""Where a person may go and what can be done: what the command palette searches, and the list of Duplicati's pages."""

from dataclasses import asdict, dataclass

import segno
from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user
from markupsafe import Markup

from app import runtime
from app.backups import overview
from app.backups.overview import Overview, ServerStatus
from app.navigation.settings import grouped_tabs
from app.notifications import channel_settings, channels
from app.notifications.models import Channel
from app.plugin import Guard, guarded
from app.web.pages import pages_bp
from app.web.request import visible_server_ids


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the palette: `hint` is searched and shown beside `label`, `href` is where it leads."""

    group: str
    label: str
    href: str
    icon: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Console:
    """The page of a server's own Duplicati: of today and, for versions before 2.1, the old one."""

    label: str
    href: str
    old_href: str


def entries(overview: Overview) -> list[dict[str, str]]:
    """Everything that this person may go to: pages, settings, servers, jobs."""
    found = _pages()
    for group, tabs in grouped_tabs(current_user):
        for tab in tabs:
            href = url_for("settings.index", tab=tab.name)
            found.append(Entry(_("Settings"), str(tab.label), href, tab.icon, str(group)))
    for server in overview.servers:
        href = url_for("pages.server", server_id=server.id)
        found.append(Entry(_("Servers"), server.display_name, href, "server", _about(server)))
    for server in overview.servers:
        for job in server.jobs:
            href = url_for("pages.server", server_id=server.id, backup=job.name)
            found.append(Entry(_("Jobs"), job.name, href, "database", server.display_name))
    return [asdict(entry) for entry in found]


def list_consoles(overview: Overview) -> list[Console]:
    """The servers whose Duplicati can be opened, by name."""
    return sorted(
        (
            Console(_titled(server), server.url, f"{server.url.rstrip('/')}/ngax")
            for server in overview.servers
            if server.url.startswith(("http://", "https://"))
        ),
        key=lambda console: console.label.casefold(),
    )


def _pages() -> list[Entry]:
    group = _("Pages")
    return [
        Entry(group, _("Dashboard"), url_for("pages.dashboard"), "layout-grid"),
        Entry(group, _("Charts"), url_for("pages.charts"), "chart-line"),
        Entry(group, _("Collect backup logs"), url_for("pages.collect_form"), "download"),
        Entry(group, _("Connect Duplicati"), url_for("pages.first_steps"), "plug-connected"),
        Entry(group, _("Change password"), url_for("pages.change_password"), "key"),
        Entry(group, _("API"), url_for("api_manual.show"), "code"),
    ]


def _about(server: ServerStatus) -> str:
    return " · ".join(part for part in (server.name if server.alias else "", server.note) if part)


def _titled(server: ServerStatus) -> str:
    return f"{server.alias} ({server.name})" if server.alias else server.name


# Texts as pictures that the camera of a phone reads.

QUIET_ZONE_MODULES = 4  # the empty border that ISO/IEC 18004 asks for


def qr_code(text: str) -> str:
    """The QR code of a text as one inline SVG element, which takes the size of the place it stands in."""
    picture: str = segno.make_qr(text, error="m").svg_inline(
        border=QUIET_ZONE_MODULES, omitsize=True, svgclass="qr-code", lineclass=None
    )
    return picture


# Ways to somewhere else: the command palette, the pages of all Duplicati servers, the topic of messages.


@pages_bp.get("/palette")
def palette_entries() -> ResponseReturnValue:
    """Everything that this person may go to, as JSON for the command palette."""
    return entries(overview.overview(runtime.now(), visible_server_ids()))


@pages_bp.get("/consoles")
def consoles() -> ResponseReturnValue:
    """The pages of all Duplicati servers, for the dialog."""
    found = list_consoles(overview.overview(runtime.now(), visible_server_ids()))
    return render_template("parts/consoles.html", consoles=found)


@pages_bp.get("/ntfy")
@guarded(Guard.LOGIN, needs_all_servers=True)
def ntfy_topic() -> ResponseReturnValue:
    """Go to the topic of the standard ntfy channel; to its settings where it has none yet."""
    return redirect(channel_settings.topic_address() or url_for("settings.index", tab="ntfy"))


@pages_bp.get("/ntfy/code")
@guarded(Guard.LOGIN, needs_all_servers=True)
def ntfy_code() -> ResponseReturnValue:
    """Show the topic of the standard ntfy channel, or another one of its server, as a code for a phone's camera."""
    return _show_code(channels.standard(channels.NTFY))


@pages_bp.get("/channels/<int:channel_id>/code")
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
