"""What the tab of the servers shows: the list as it was asked for, one server, and what to ask before deeds."""

from dataclasses import dataclass

from flask import url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext, ngettext

from app.contracts.errors import NotFound
from app.models import Server
from app.pages.formats import count_text
from app.pages.settings.questions import Question
from app.pages.settings.server_forms import ServerForm
from app.pages.settings.sorted_lists import Column, ListQuery
from app.services import job_settings, servers
from app.services.collect.targets import stored_address


@dataclass(frozen=True, slots=True)
class Row:
    """A server of the list; `lack` names what it would need to be asked."""

    server: Server
    lack: str

    @property
    def is_collectable(self) -> bool:
        """Whether it can be asked with what is stored."""
        return not self.lack


COLUMNS: tuple[Column[Row], ...] = (
    Column("name", lazy_gettext("Server"), lambda row: row.server.display_name.casefold()),
    Column("url", lazy_gettext("Address"), lambda row: row.server.url.casefold()),
)


@dataclass(frozen=True, slots=True)
class ServerList:
    """The list, and what stands around it."""

    query: ListQuery
    rows: list[Row]
    total_count: int
    collectable_count: int
    duplicate_names: tuple[str, ...]


def build_list(query: ListQuery, visible_server_ids: frozenset[str] | None, *, is_admin: bool) -> ServerList:
    """The servers that were asked for, in the order that was asked for."""
    rows = [Row(server, _lack_of(server)) for server in job_settings.list_servers(visible_server_ids)]
    wanted = query.search.casefold()
    found = [row for row in rows if wanted in "\n".join(_searched(row.server)).casefold()]
    doubles = tuple(name for name, _servers in servers.find_duplicates()) if is_admin else ()
    collectable_count = sum(row.is_collectable for row in rows)
    return ServerList(query, query.ordered(found, COLUMNS), len(rows), collectable_count, doubles)


def find_row(server_id: str, visible_server_ids: frozenset[str] | None) -> Row:
    """One server of the list. Raises NotFound."""
    server = servers.find_by_id(server_id, visible_server_ids)
    return Row(server, _lack_of(server))


def form_of(server: Server, *, is_sent: bool = True) -> ServerForm:
    """The form of a server, filled from what is stored, and with `is_sent` from the request where it sends one."""
    source = {} if is_sent else {"formdata": None}
    form = ServerForm(
        **source,
        alias=server.alias,
        note=server.note,
        url=server.url,
        verifies_certificate=server.verifies_certificate,
        collect_interval=server.collect_interval,
    )
    form.offer_intervals()
    return form


def find_doubles(name: str) -> list[Server]:
    """The servers of a name, of which there are several, newest first. Raises NotFound."""
    found = next((members for known, members in servers.find_duplicates() if known == name), None)
    if found is None:
        raise NotFound(_("There are no several servers of this name any more."))
    return found


def deletion_question(server: Server, run_count: int) -> Question:
    """What to ask before a server is deleted."""
    runs = ngettext("%(count)s run", "%(count)s runs", run_count, count=count_text(run_count))
    return Question(
        title=_("Delete %(name)s?", name=server.display_name),
        sentences=[
            _("The server goes with its settings, its jobs and %(runs)s. This cannot be undone.", runs=runs),
            _("When it reports again, it comes back as a new one."),
        ],
        button=_("Delete %(name)s", name=server.display_name),
        action=url_for("settings.delete_server", server_id=server.id),
        back=url_for("settings.show_server", server_id=server.id),
    )


def password_question(server: Server) -> Question:
    """What to ask before a stored password is removed."""
    return Question(
        title=_("Remove the password of %(name)s?", name=server.display_name),
        sentences=[_("Nothing can be collected from this server, or started there, until one is stored again.")],
        button=_("Remove the password"),
        action=url_for("settings.remove_server_password", server_id=server.id),
        back=url_for("settings.show_server", server_id=server.id),
    )


def _lack_of(server: Server) -> str:
    has_address = stored_address(server) is not None
    if has_address and server.has_password:
        return ""
    if has_address:
        return _("No password")
    return _("No address") if server.has_password else _("No address, no password")


def _searched(server: Server) -> tuple[str, ...]:
    return (server.name, server.alias, server.note, server.url)
