"""Where a person may go and what can be done: what the command palette searches, and the list of Duplicati's pages."""

from dataclasses import asdict, dataclass

from flask import url_for
from flask_babel import gettext as _
from flask_login import current_user

from app.pages.settings.tabs import grouped_tabs
from app.services.history import Overview, ServerStatus


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


def consoles(overview: Overview) -> list[Console]:
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
