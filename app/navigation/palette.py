"""The command palette, the list of Duplicati's own pages, and QR codes."""

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
from app.plugin import Access, guarded
from app.web.http import pages_bp, visible_server_ids


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the palette.

    `label` is shown with `hint`, both are searched, `href` is its target.
    """

    group: str
    label: str
    href: str
    icon: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Console:
    """The web pages of a server's Duplicati.

    The current one and, for versions before 2.1, the old one.
    """

    label: str
    href: str
    old_href: str


def entries(overview: Overview) -> list[dict[str, str]]:
    """Return everything that the user may open: pages, settings, servers, jobs."""
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
    """Return the servers with a link to their Duplicati, by name."""
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


# QR codes

QUIET_ZONE_MODULES = 4  # the empty border that ISO/IEC 18004 requires


def qr_code(text: str) -> str:
    """Return the QR code of a text as one inline SVG element.

    It takes the size of its container.
    """
    picture: str = segno.make_qr(text, error="m").svg_inline(
        border=QUIET_ZONE_MODULES, omitsize=True, svgclass="qr-code", lineclass=None
    )
    return picture


# Views


@pages_bp.get("/palette")
def palette_entries() -> ResponseReturnValue:
    """Return the lines of the command palette as JSON."""
    return entries(overview.overview(runtime.now(), visible_server_ids()))


@pages_bp.get("/consoles")
def consoles() -> ResponseReturnValue:
    """Show the links to all Duplicati servers, for the dialog."""
    found = list_consoles(overview.overview(runtime.now(), visible_server_ids()))
    return render_template("parts/consoles.html", consoles=found)


@pages_bp.get("/ntfy")
@guarded(Access.USER, needs_all_servers=True)
def ntfy_topic() -> ResponseReturnValue:
    """Redirect to the topic of the standard ntfy channel.

    To its settings if it has none.
    """
    return redirect(channel_settings.topic_address() or url_for("settings.index", tab="ntfy"))


@pages_bp.get("/ntfy/code")
@guarded(Access.USER, needs_all_servers=True)
def ntfy_code() -> ResponseReturnValue:
    """Show a topic of the standard ntfy server as a QR code.

    It is the standard topic unless the query names another one.
    """
    return _show_code(channels.standard(channels.NTFY))


@pages_bp.get("/channels/<int:channel_id>/code")
@guarded(Access.USER, needs_all_servers=True)
def channel_code(channel_id: int) -> ResponseReturnValue:
    """Show a channel as a QR code."""
    return _show_code(channels.find_channel(channel_id))


def _show_code(row: Channel | None) -> str:
    address = channels.subscribe_url(row, request.args.get("topic", "").strip()) if row else None
    picture = Markup(qr_code(address)) if address else None  # noqa: S704 (drawn by us, holds no text)
    part = "parts/channel_code.html"
    template = part if "HX-Request" in request.headers else "parts/channel_code_page.html"
    return render_template(template, part=part, channel=row, address=address, picture=picture)
