"""Settings tab of servers: list, forms, passwords, headers, merging, deletion."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext, ngettext
from flask_login import current_user
from wtforms import BooleanField, PasswordField, SelectField, StringField, TextAreaField, URLField
from wtforms.fields.choices import SelectChoice

from app import runtime
from app.accounts.models import ALL_SERVERS
from app.audit.log import Actor
from app.backups import merging, servers
from app.backups.models import Server
from app.backups.servers import LARGEST_BYTES, MOST_HEADERS, BadHeader, ServerChange, names_of_headers, read_lines
from app.collector import batches, reachability
from app.collector.batches import CHOICES
from app.collector.reachability import Outcome
from app.collector.targets import headers_of, stored_address
from app.core.db.orm import writing
from app.core.errors import Refused
from app.plugin import Access, guarded
from app.reports.decoding import SCHEDULED
from app.schedules import job_settings
from app.web.errors import refusal_text
from app.web.formats import count_text, every_text
from app.web.forms import Column, Confirmation, ListQuery, SettingsForm, ask_confirmation, read_query
from app.web.http import actor, settings_bp, visible_server_ids


def header_words(wrong: BadHeader) -> str:
    """Return a message on an invalid request header."""
    words: dict[str, Callable[[], str]] = {
        "line": lambda: _("Line %(number)s is not a header. Enter it as Name: value.", number=wrong.name),
        "name": lambda: _("%(name)s is not a valid header name.", name=wrong.name),
        "reserved": lambda: _("%(name)s cannot be set because it is used to sign in to Duplicati.", name=wrong.name),
        "twice": lambda: _("%(name)s is entered twice.", name=wrong.name),
        "value": lambda: _("%(name)s needs a value of printable ASCII characters.", name=wrong.name),
        "count": lambda: _("At most %(count)s headers can be stored.", count=MOST_HEADERS),
        "size": lambda: _("The headers exceed %(size)s KiB in total.", size=LARGEST_BYTES // 1024),
    }
    return words[wrong.kind]()


# Forms of a server: alias and URL, collecting, password, headers

NAME_LENGTH, NOTE_LENGTH = 255, 2000


class ServerForm(SettingsForm):
    """The editable data of a server."""

    alias = StringField(
        lazy_gettext("Alias"),
        description=lazy_gettext("Shown instead of the server name."),
        render_kw={"maxlength": NAME_LENGTH, "autocomplete": "off"},
    )
    note = StringField(lazy_gettext("Note"), render_kw={"maxlength": NOTE_LENGTH, "autocomplete": "off"})
    url = URLField(
        lazy_gettext("Duplicati URL"),
        description=lazy_gettext(
            "Used to open Duplicati and collect logs. Changing the host removes the stored password and headers."
        ),
        render_kw={"placeholder": "https://nas.example:8200", "autocomplete": "off", "spellcheck": "false"},
    )
    verifies_certificate = BooleanField(
        lazy_gettext("Verify certificate"),
        description=lazy_gettext("Turn off only for self-signed certificates."),
    )
    collect_interval = SelectField(
        lazy_gettext("Collect automatically"),
        description=lazy_gettext("For servers that cannot send reports. Requires URL and password."),
        validate_choice=False,
    )

    def offer_intervals(self) -> None:
        """Fill the choices of the collecting interval."""
        self.collect_interval.choices = [
            SelectChoice("", _("Never")),
            *(SelectChoice(text, _begun(every_text(text))) for text in CHOICES),
        ]

    def attempt(self, server_id: str, actor: Actor, now: datetime) -> str | None:
        """Store all fields or none; return a message, None if the form has errors.

        Raise Refused (404).
        """
        change = ServerChange(self.url.data or "", self.alias.data or "", self.note.data or "")
        try:
            with writing():
                changed = servers.change_server(server_id, change, actor=actor, now=now)
                batches.choose_interval(
                    server_id,
                    interval=self.collect_interval.data or "",
                    verifies_certificate=bool(self.verifies_certificate.data),
                    actor=actor,
                    now=now,
                )
        except Refused as refusal:
            if refusal.status == 404:
                raise
            self.add_refusal(refusal)
            return None
        if changed.lost_headers:
            return _("Saved. The stored credentials were removed because the URL points to another host.")
        if changed.lost_password:
            return _("Saved. The stored password was removed because the URL points to another host.")
        return _("Saved.")


class PasswordForm(SettingsForm):
    """The password of a server's Duplicati, twice; or that it has none."""

    password = PasswordField(lazy_gettext("Password"), render_kw={"autocomplete": "new-password", "maxlength": 1000})
    again = PasswordField(
        lazy_gettext("Confirm password"), render_kw={"autocomplete": "new-password", "maxlength": 1000}
    )
    is_empty = BooleanField(lazy_gettext("This Duplicati 2.0 has no password"))

    def attempt(self, server_id: str, actor: Actor, now: datetime) -> bool:
        """Store the password; False if the form has errors. Raise Refused (404)."""
        if self.is_empty.data and not (self.password.data or self.again.data):
            servers.change_password(server_id, "", is_empty=True, actor=actor, now=now)
            return True
        if not (self.password.data or "").strip():
            self.add_error("password", _("Enter the password."))
        elif self.password.data != self.again.data:
            self.add_error("again", _("The passwords do not match."))
        if self.wrong_fields:
            return False
        servers.change_password(server_id, self.password.data, actor=actor, now=now)
        return True


class HeadersForm(SettingsForm):
    """The extra request headers of a server, which are never shown again."""

    headers = TextAreaField(
        lazy_gettext("Headers"),
        description=lazy_gettext(
            "One per line, for example CF-Access-Client-Id: abc. They replace the stored headers."
        ),
        render_kw={"rows": 5, "required": True, "autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"},
    )

    def attempt(self, server_id: str, actor: Actor, now: datetime) -> bool:
        """Store the headers; False if the form has errors. Raise Refused (404)."""
        try:
            headers = read_lines(self.headers.data or "")
        except BadHeader as wrong:
            self.add_error("headers", header_words(wrong))
            return False
        if not headers:
            self.add_error("headers", _("Enter a header."))
            return False
        servers.change_headers(server_id, headers, actor=actor, now=now)
        return True


def _begun(text: str) -> str:
    """Return a text with its first letter capitalised."""
    return text[:1].upper() + text[1:]


# Content of the tab: filtered list, one server, confirmations


@dataclass(frozen=True, slots=True)
class Row:
    """A server of the list; `lack` says what is missing for collecting."""

    server: Server
    lack: str

    @property
    def is_collectable(self) -> bool:
        """Whether it can be collected with the stored data."""
        return not self.lack


COLUMNS: tuple[Column[Row], ...] = (
    Column("name", lazy_gettext("Server"), lambda row: row.server.display_name.casefold()),
    Column("url", lazy_gettext("Address"), lambda row: row.server.url.casefold()),
)


@dataclass(frozen=True, slots=True)
class ServerList:
    """The list with its query and totals."""

    query: ListQuery
    rows: list[Row]
    total_count: int
    collectable_count: int
    duplicate_names: tuple[str, ...]


def build_list(query: ListQuery, visible_server_ids: frozenset[str] | None, *, is_admin: bool) -> ServerList:
    """Return the requested servers in the requested order."""
    rows = [Row(server, _lack_of(server)) for server in job_settings.list_servers(visible_server_ids)]
    wanted = query.search.casefold()
    found = [row for row in rows if wanted in "\n".join(_searched(row.server)).casefold()]
    doubles = tuple(name for name, _servers in servers.find_duplicates()) if is_admin else ()
    collectable_count = sum(row.is_collectable for row in rows)
    return ServerList(query, query.ordered(found, COLUMNS), len(rows), collectable_count, doubles)


def find_row(server_id: str, visible_server_ids: frozenset[str] | None) -> Row:
    """Return one server of the list. Raise Refused (404)."""
    server = servers.find_by_id(server_id, visible_server_ids)
    return Row(server, _lack_of(server))


def form_of(server: Server, *, is_sent: bool = True) -> ServerForm:
    """Return the form of a server with its stored values.

    If `is_sent`, those of the request.
    """
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


def find_same_named(name: str) -> list[Server]:
    """Return the servers that share a name, newest first. Raise Refused (404)."""
    found = next((members for known, members in servers.find_duplicates() if known == name), None)
    if found is None:
        raise Refused("no_duplicate_servers")
    return found


def deletion_question(server: Server, run_count: int) -> Confirmation:
    """Return the confirmation of a server's deletion."""
    runs = ngettext("%(count)s run", "%(count)s runs", run_count, count=count_text(run_count))
    return Confirmation(
        title=_("Delete %(name)s?", name=server.display_name),
        sentences=[
            _("The server will be deleted with its settings, its jobs and %(runs)s. This cannot be undone.", runs=runs),
            _("If it reports again, it is added as a new server."),
        ],
        button=_("Delete %(name)s", name=server.display_name),
        action=url_for("settings.delete_server", server_id=server.id),
        back=url_for("settings.show_server", server_id=server.id),
    )


def password_question(server: Server) -> Confirmation:
    """Return the confirmation of a password's removal."""
    return Confirmation(
        title=_("Remove password of %(name)s?", name=server.display_name),
        sentences=[
            _(
                "Collecting logs from this server and starting runs on it will not be possible "
                "until a password is set again."
            )
        ],
        button=_("Remove password"),
        action=url_for("settings.remove_server_password", server_id=server.id),
        back=url_for("settings.show_server", server_id=server.id),
    )


def _lack_of(server: Server) -> str:
    has_address = stored_address(server) is not None
    if has_address and server.has_password:
        return ""
    if has_address:
        return _("No password")
    return _("No URL") if server.has_password else _("Not set up for collecting")


def _searched(server: Server) -> tuple[str, ...]:
    return (server.name, server.alias, server.note, server.url)


# Views

TAB, LABEL = "server", lazy_gettext("Servers")


def show() -> ResponseReturnValue:
    """Show all servers, or those that match a text."""
    query = read_query(request.args, COLUMNS)
    listed = build_list(query, visible_server_ids(), is_admin=current_user.is_admin)
    values = {"columns": COLUMNS, "query": query, "now": runtime.now()}
    return render_template("backups/settings/servers.html", tab=TAB, label=LABEL, listed=listed, **values)


@settings_bp.get("/servers/<server_id>")
def show_server(server_id: str) -> ResponseReturnValue:
    """Show one server."""
    row = find_row(server_id, visible_server_ids())
    return _show(row, form_of(row.server, is_sent=False))


@settings_bp.post("/servers/<server_id>")
@guarded(Access.ADMIN)
def save_server(server_id: str) -> ResponseReturnValue:
    """Change a server."""
    row = find_row(server_id, ALL_SERVERS)
    form = form_of(row.server)
    message = form.attempt(server_id, actor(), runtime.now())
    if message is None:
        return _show(row, form), 400
    flash(message, "success")
    return _back_to(server_id)


@settings_bp.post("/servers/<server_id>/try")
def try_server(server_id: str) -> ResponseReturnValue:
    """Test the connection to a server's Duplicati.

    The result is a partial or a message.
    """
    row = find_row(server_id, visible_server_ids())
    outcome = _try(row)
    if "HX-Request" in request.headers:
        return render_template("backups/settings/server_test.html", outcome=outcome, at=runtime.now())
    if outcome.problem is None:
        flash(_("Connected"), "success")
    else:
        flash(refusal_text(outcome.problem), "error")
    return _back_to(server_id)


@settings_bp.get("/servers/<server_id>/password")
@guarded(Access.ADMIN)
def server_password(server_id: str) -> ResponseReturnValue:
    """Show the password form of a server's Duplicati."""
    return _show_password(find_row(server_id, ALL_SERVERS), PasswordForm(formdata=None))


@settings_bp.post("/servers/<server_id>/password")
@guarded(Access.ADMIN)
def save_server_password(server_id: str) -> ResponseReturnValue:
    """Store the password of a server's Duplicati."""
    form = PasswordForm()
    if not form.attempt(server_id, actor(), runtime.now()):
        return _show_password(find_row(server_id, ALL_SERVERS), form), 400
    flash(_("The password was stored."), "success")
    return _back_to(server_id)


@settings_bp.get("/servers/<server_id>/password/remove")
@guarded(Access.ADMIN)
def ask_to_remove_password(server_id: str) -> ResponseReturnValue:
    """Ask for confirmation before a stored password is removed."""
    return ask_confirmation(password_question(find_row(server_id, ALL_SERVERS).server), tab=TAB, label=LABEL)


@settings_bp.post("/servers/<server_id>/password/remove")
@guarded(Access.ADMIN)
def remove_server_password(server_id: str) -> ResponseReturnValue:
    """Remove a stored password."""
    servers.change_password(server_id, "", actor=actor(), now=runtime.now())
    flash(_("The password was removed."), "success")
    return _back_to(server_id)


@settings_bp.get("/servers/<server_id>/headers")
@guarded(Access.ADMIN)
def server_headers(server_id: str) -> ResponseReturnValue:
    """Show the form for the extra request headers of a server."""
    return _show_headers(find_row(server_id, ALL_SERVERS), HeadersForm(formdata=None))


@settings_bp.post("/servers/<server_id>/headers")
@guarded(Access.ADMIN)
def save_server_headers(server_id: str) -> ResponseReturnValue:
    """Store the extra request headers of a server."""
    form = HeadersForm()
    if not form.attempt(server_id, actor(), runtime.now()):
        return _show_headers(find_row(server_id, ALL_SERVERS), form), 400
    flash(_("The headers were stored."), "success")
    return _back_to(server_id)


@settings_bp.post("/servers/<server_id>/headers/remove")
@guarded(Access.ADMIN)
def remove_server_headers(server_id: str) -> ResponseReturnValue:
    """Remove the extra request headers of a server."""
    servers.change_headers(server_id, {}, actor=actor(), now=runtime.now())
    flash(_("The headers were removed."), "success")
    return _back_to(server_id)


@settings_bp.get("/servers/<server_id>/delete")
@guarded(Access.ADMIN)
def ask_to_delete_server(server_id: str) -> ResponseReturnValue:
    """Ask for confirmation before a server is deleted."""
    server = servers.find_by_id(server_id, ALL_SERVERS)
    return ask_confirmation(deletion_question(server, sum(job.run_count for job in server.jobs)), tab=TAB, label=LABEL)


@settings_bp.post("/servers/<server_id>/delete")
@guarded(Access.ADMIN)
def delete_server(server_id: str) -> ResponseReturnValue:
    """Delete a server with its jobs and runs."""
    servers.delete_server(server_id, actor=actor(), now=runtime.now())
    flash(_("The server was deleted."), "success")
    return redirect(url_for("settings.index", tab=TAB), 303)


@settings_bp.get("/servers/merge")
@guarded(Access.ADMIN)
def merge_form() -> ResponseReturnValue:
    """Ask which of several servers of one name is kept."""
    name = request.args.get("name", "")
    part = "server_merge" if "HX-Request" in request.headers else "server_merge_page"
    values = {"name": name, "doubles": find_same_named(name), "now": runtime.now()}
    return render_template(f"backups/settings/{part}.html", tab=TAB, label=LABEL, **values)


@settings_bp.post("/servers/merge")
@guarded(Access.ADMIN)
def merge_servers() -> ResponseReturnValue:
    """Merge several servers of one name into one."""
    target_id, name = request.form.get("target", ""), request.form.get("name", "")
    others = [server.id for server in find_same_named(name) if server.id != target_id]
    merging.merge_servers(others, target_id, actor=actor(), now=runtime.now())
    flash(_("The servers named %(name)s were merged.", name=name), "success")
    return redirect(url_for("settings.index", tab=TAB), 303)


def _try(row: Row) -> Outcome:
    if not row.server.url:
        return Outcome(Refused("server_url_missing"))
    try:
        server = row.server
        headers = headers_of(server)
        return reachability.try_connection(
            server.url, verifies_certificate=server.verifies_certificate, headers=headers
        )
    except Refused as refusal:
        return Outcome(refusal)


def _show(row: Row, form: ServerForm) -> str:
    values = {"row": row, "server": row.server, "SCHEDULED": SCHEDULED, "now": runtime.now()}
    values["header_names"] = names_of_headers(row.server)
    return render_template("backups/settings/server.html", tab=TAB, label=LABEL, form=form, **values)


def _show_password(row: Row, form: PasswordForm) -> str:
    return _show_form("backups/settings/server_password.html", row, form)


def _back_to(server_id: str) -> ResponseReturnValue:
    return redirect(url_for("settings.show_server", server_id=server_id), 303)


def _show_headers(row: Row, form: HeadersForm) -> str:
    return _show_form("backups/settings/server_headers.html", row, form)


def _show_form(part: str, row: Row, form: SettingsForm) -> str:
    """Show one form of a server: in a dialog, or as a page without JavaScript."""
    template = part if "HX-Request" in request.headers else "backups/settings/server_form_page.html"
    return render_template(template, tab=TAB, label=LABEL, server=row.server, form=form, part=part)
