"""Views of the tab of the servers: where they are, how they are asked, and what else is done to them."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from flask_login import current_user

from app.api.client import actor, visible_server_ids
from app.contracts import AppError, Guard, guarded
from app.domain.reports import SCHEDULED
from app.pages.settings import servers as layout
from app.pages.settings.blueprint import bp
from app.pages.settings.forms import SettingsForm
from app.pages.settings.questions import ask
from app.pages.settings.server_forms import HeadersForm, PasswordForm, ServerForm
from app.pages.settings.sorted_lists import read_query
from app.services import clock, merging, reachability, servers
from app.services.collect.targets import headers_of
from app.services.reachability import Outcome
from app.services.server_headers import names_of_headers
from app.services.visibility import ALL_SERVERS

TAB, LABEL = "server", lazy_gettext("Servers")


def show() -> ResponseReturnValue:
    """All servers, or those that hold a text."""
    query = read_query(request.args, layout.COLUMNS)
    listed = layout.build_list(query, visible_server_ids(), is_admin=current_user.is_admin)
    values = {"columns": layout.COLUMNS, "query": query, "now": clock.now()}
    return render_template("settings/servers.html", tab=TAB, label=LABEL, listed=listed, **values)


@bp.get("/servers/<server_id>")
def show_server(server_id: str) -> ResponseReturnValue:
    """One server."""
    row = layout.find_row(server_id, visible_server_ids())
    return _show(row, layout.form_of(row.server, is_sent=False))


@bp.post("/servers/<server_id>")
@guarded(Guard.ADMIN)
def save_server(server_id: str) -> ResponseReturnValue:
    """Change a server."""
    row = layout.find_row(server_id, ALL_SERVERS)
    form = layout.form_of(row.server)
    told = form.attempt(server_id, actor(), clock.now())
    if told is None:
        return _show(row, form), 400
    flash(told, "success")
    return _back_to(server_id)


@bp.post("/servers/<server_id>/try")
def try_server(server_id: str) -> ResponseReturnValue:
    """Ask whether a Duplicati answers at a server's address: in place, or above the page where there is no script."""
    row = layout.find_row(server_id, visible_server_ids())
    outcome = _try(row)
    if "HX-Request" in request.headers:
        return render_template("settings/server_trial.html", outcome=outcome, at=clock.now())
    flash(outcome.message, "success" if outcome.is_success else "error")
    return _back_to(server_id)


@bp.get("/servers/<server_id>/password")
@guarded(Guard.ADMIN)
def server_password(server_id: str) -> ResponseReturnValue:
    """The form for the password of a server's Duplicati."""
    return _show_password(layout.find_row(server_id, ALL_SERVERS), PasswordForm(formdata=None))


@bp.post("/servers/<server_id>/password")
@guarded(Guard.ADMIN)
def save_server_password(server_id: str) -> ResponseReturnValue:
    """Store the password of a server's Duplicati."""
    form = PasswordForm()
    if not form.attempt(server_id, actor(), clock.now()):
        return _show_password(layout.find_row(server_id, ALL_SERVERS), form), 400
    flash(_("The password was stored."), "success")
    return _back_to(server_id)


@bp.get("/servers/<server_id>/password/remove")
@guarded(Guard.ADMIN)
def ask_to_remove_password(server_id: str) -> ResponseReturnValue:
    """Ask whether a stored password shall be removed."""
    return ask(layout.password_question(layout.find_row(server_id, ALL_SERVERS).server), tab=TAB, label=LABEL)


@bp.post("/servers/<server_id>/password/remove")
@guarded(Guard.ADMIN)
def remove_server_password(server_id: str) -> ResponseReturnValue:
    """Remove a stored password."""
    servers.change_password(server_id, "", actor=actor(), now=clock.now())
    flash(_("The password was removed."), "success")
    return _back_to(server_id)


@bp.get("/servers/<server_id>/headers")
@guarded(Guard.ADMIN)
def server_headers(server_id: str) -> ResponseReturnValue:
    """The form for the extra request headers of a server."""
    return _show_headers(layout.find_row(server_id, ALL_SERVERS), HeadersForm(formdata=None))


@bp.post("/servers/<server_id>/headers")
@guarded(Guard.ADMIN)
def save_server_headers(server_id: str) -> ResponseReturnValue:
    """Store the extra request headers of a server."""
    form = HeadersForm()
    if not form.attempt(server_id, actor(), clock.now()):
        return _show_headers(layout.find_row(server_id, ALL_SERVERS), form), 400
    flash(_("The headers were stored."), "success")
    return _back_to(server_id)


@bp.post("/servers/<server_id>/headers/remove")
@guarded(Guard.ADMIN)
def remove_server_headers(server_id: str) -> ResponseReturnValue:
    """Remove the extra request headers of a server."""
    servers.change_headers(server_id, {}, actor=actor(), now=clock.now())
    flash(_("The headers were removed."), "success")
    return _back_to(server_id)


@bp.get("/servers/<server_id>/delete")
@guarded(Guard.ADMIN)
def ask_to_delete_server(server_id: str) -> ResponseReturnValue:
    """Ask whether a server shall be deleted."""
    server = servers.find_by_id(server_id, ALL_SERVERS)
    return ask(layout.deletion_question(server, sum(job.run_count for job in server.jobs)), tab=TAB, label=LABEL)


@bp.post("/servers/<server_id>/delete")
@guarded(Guard.ADMIN)
def delete_server(server_id: str) -> ResponseReturnValue:
    """Delete a server with its jobs and runs."""
    servers.delete_server(server_id, actor=actor(), now=clock.now())
    flash(_("The server was deleted."), "success")
    return redirect(url_for("settings.index", tab=TAB), 303)


@bp.get("/servers/merge")
@guarded(Guard.ADMIN)
def merge_form() -> ResponseReturnValue:
    """Which of several servers of one name stays."""
    name = request.args.get("name", "")
    part = "server_merge" if "HX-Request" in request.headers else "server_merge_page"
    values = {"name": name, "doubles": layout.find_doubles(name), "now": clock.now()}
    return render_template(f"settings/{part}.html", tab=TAB, label=LABEL, **values)


@bp.post("/servers/merge")
@guarded(Guard.ADMIN)
def merge_servers() -> ResponseReturnValue:
    """Bring several servers of one name under one."""
    target_id, name = request.form.get("target", ""), request.form.get("name", "")
    others = [server.id for server in layout.find_doubles(name) if server.id != target_id]
    merging.merge_servers(others, target_id, actor=actor(), now=clock.now())
    flash(_("The servers called %(name)s are one now.", name=name), "success")
    return redirect(url_for("settings.index", tab=TAB), 303)


def _try(row: layout.Row) -> Outcome:
    if not row.server.url:
        return Outcome(False, _("Enter an address first."))
    try:
        server = row.server
        headers = headers_of(server)
        return reachability.try_connection(
            server.url, verifies_certificate=server.verifies_certificate, headers=headers
        )
    except AppError as refusal:
        return Outcome(False, refusal.message)


def _show(row: layout.Row, form: ServerForm) -> str:
    values = {"row": row, "server": row.server, "SCHEDULED": SCHEDULED, "now": clock.now()}
    values["header_names"] = names_of_headers(row.server)
    return render_template("settings/server.html", tab=TAB, label=LABEL, form=form, **values)


def _show_password(row: layout.Row, form: PasswordForm) -> str:
    return _show_form("settings/server_password.html", row, form)


def _back_to(server_id: str) -> ResponseReturnValue:
    return redirect(url_for("settings.show_server", server_id=server_id), 303)


def _show_headers(row: layout.Row, form: HeadersForm) -> str:
    return _show_form("settings/server_headers.html", row, form)


def _show_form(part: str, row: layout.Row, form: SettingsForm) -> str:
    """One form of a server: in a dialog, or on a page of its own where there is no script."""
    template = part if "HX-Request" in request.headers else "settings/server_form_page.html"
    return render_template(template, tab=TAB, label=LABEL, server=row.server, form=form, part=part)
