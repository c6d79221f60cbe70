"""Pages for collecting: form, progress, results, and starting a job."""

from datetime import datetime
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext, ngettext
from wtforms import BooleanField, IntegerField, PasswordField, SelectField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice

from app import runtime
from app.backups.models import Server
from app.backups.server_settings import header_words
from app.backups.servers import BadHeader, read_lines
from app.collector import batches, collecting
from app.collector.addresses import HTTP, HTTPS, STANDARD_PORT, split_hosts
from app.collector.batches import Batch
from app.collector.collecting import Caller
from app.collector.request import caller, find_batch
from app.collector.targets import Order, find_addressed, find_collectable, stored_address
from app.core.errors import Refused
from app.plugin import Access, guarded
from app.web import http
from app.web.errors import refusal_text
from app.web.forms import SettingsForm
from app.web.http import actor, pages_bp, visible_server_ids

UNCHECKED = "unchecked"


class CollectForm(SettingsForm):
    """Form of a collection: servers and options."""

    server_id = SelectField(lazy_gettext("Server"), default="", validate_choice=False)
    hosts = StringField(
        lazy_gettext("Host name or address"),
        description=lazy_gettext("Comma-separated. All of them use the same port and password."),
        render_kw={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false", "maxlength": 4000},
    )
    port = IntegerField(lazy_gettext("Port"), default=STANDARD_PORT, render_kw={"min": 1, "max": 65535})
    connection = SelectField(
        lazy_gettext("Connection"),
        choices=[
            SelectChoice(HTTPS, lazy_gettext("Encrypted (https)")),
            SelectChoice(UNCHECKED, lazy_gettext("Encrypted, certificate not verified (self-signed)")),
            SelectChoice(HTTP, lazy_gettext("Not encrypted (http): the password can be read in transit")),
        ],
        default=HTTPS,
    )
    password = PasswordField(
        lazy_gettext("Duplicati password"), render_kw={"autocomplete": "new-password", "maxlength": 1000}
    )
    has_no_password = BooleanField(lazy_gettext("This Duplicati 2.0 has no password"))
    headers = TextAreaField(
        lazy_gettext("Request headers"),
        description=lazy_gettext(
            "For a proxy in front of Duplicati that requires authentication. One per line, as Name: value."
        ),
        render_kw={"rows": 3, "autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"},
    )
    keeps_document = BooleanField(lazy_gettext("Also download as JSON"))

    def offer_servers(self, servers: list[Server]) -> None:
        """Fill the choices with the servers that have a URL."""
        known = sorted(servers, key=lambda server: server.display_name.casefold())
        self.server_id.choices = [
            SelectChoice("", _("Other (enter address)")),
            *(SelectChoice(server.id, _choice_text(server)) for server in known),
        ]

    def attempt(self, caller: Caller, now: datetime) -> Batch | None:
        """Start a collection; None if the form has errors."""
        orders = self._orders(caller)
        if self.wrong_fields:
            return None
        try:
            return batches.batches_of_application().start(orders, caller=caller, now=now)
        except Refused as refusal:
            self.add_refusal(refusal)
            return None

    def _orders(self, caller: Caller) -> list[Order]:
        more: dict[str, Any] = {"password": self.password.data or "", "keeps_document": bool(self.keeps_document.data)}
        more["has_no_password"] = bool(self.has_no_password.data and not self.password.data)
        try:
            more["headers"] = read_lines(self.headers.data or "")
        except BadHeader as refusal:
            self.add_error("headers", header_words(refusal))
        if self.server_id.data:
            return [self._order_for_known(caller, more)]
        hosts, wrong = split_hosts(self.hosts.data or "")
        if wrong:
            self.add_error("hosts", _("Invalid host names: %(names)s", names=", ".join(wrong)))
        elif not hosts:
            self.add_error("hosts", _("Enter a host name or an address."))
        if not self.password.data and not more["has_no_password"]:
            self.add_error("password", _("Enter the password."))
        if self.port.data is None or not 1 <= self.port.data <= 65535:
            self.add_error("port", _("Enter a port from 1 to 65535."))
        more["port"] = self.port.data
        more["scheme"] = HTTP if self.connection.data == HTTP else HTTPS
        more["verifies_certificate"] = self.connection.data != UNCHECKED
        return [Order(hostname=host, **more) for host in hosts]

    def _order_for_known(self, caller: Caller, more: dict[str, Any]) -> Order:
        """Return the order for a listed server.

        An entered password is used for the stored URL. Headers are used and stored only with such a password.
        """
        known = {server.id: server for server in find_addressed(caller.visible_server_ids)}
        server = known.get(self.server_id.data)
        if server is None:
            self.add_error("server_id", _("This server no longer exists or has no URL. Select another one."))
            return Order()
        is_given = bool(self.password.data or more["has_no_password"])
        if not is_given and not server.has_password:
            self.add_error("password", _("No password is stored for this server. Enter the password."))
        elif not is_given and more.get("headers"):
            self.add_error("headers", _("Enter the password."))
        hostname = str(stored_address(server)) if is_given else ""
        return Order(server_id=server.id, hostname=hostname, **more)


def failure_words(error_code: str, error: str) -> str:
    """Return a failure in the user's language.

    Unknown failures keep their English text.
    """
    words = {
        "FORBIDDEN_ADDRESS": _("Connections to this type of address are not allowed."),
        "UNKNOWN_HOST": _("The host name cannot be resolved. Check the spelling."),
        "UNREACHABLE": _("The host cannot be reached. Check the address and the network."),
        "REFUSED": _("Connection refused. Check the port."),
        "TIMEOUT": _("The server did not answer in time."),
        "CERTIFICATE": _(
            "The certificate is not trusted. If it is self-signed, disable certificate verification for this server."
        ),
        "NO_TLS": _("No encrypted connection could be established. The server may support http only."),
        "BROKEN_OFF": _("The connection was interrupted."),
        "REDIRECT": _("The server redirects the sign-in to another URL. Enter that URL instead."),
        "NOT_DUPLICATI": _("This address is not a Duplicati server."),
        "LOGIN": _("The password is wrong."),
        "NO_TOKEN": _("Unexpected reply. Is this a Duplicati server?"),
        "TOO_LARGE": _("The response is too large."),
        "HOST_NAME": _(
            "This Duplicati rejects the host name. Allow it with "
            "--webservice-allowed-hostnames (DUPLICATI__WEBSERVICE_ALLOWED_HOSTNAMES), or "
            "use its IP address."
        ),
        "NO_JOB": _("The server no longer has a backup job with this name."),
        "MASTER_KEY": _("The stored password cannot be read because the key file has changed. Enter it again."),
    }
    return words.get(error_code, error)


def progress_words(batch: Batch) -> str:
    """Return the progress of a collection as a heading."""
    count = len(batch.items)
    if not batch.is_done:
        return ngettext("Collecting from %(num)s server", "Collecting from %(num)s servers", count)
    failed = batch.count(batches.State.FAILED)
    if not failed:
        return ngettext("Collected from %(num)s server", "Collected from all %(num)s servers", count)
    return _("Collection failed for %(failed)s of %(count)s servers", failed=failed, count=count)


def _choice_text(server: Server) -> str:
    name = f"{server.alias} ({server.name})" if server.alias else server.name
    return name if server.has_password else _("%(name)s, no password stored", name=name)


# Views. All users may collect; see `Caller`


@pages_bp.get("/collect")
def collect_form() -> ResponseReturnValue:
    """Show the form, in a dialog or on a page."""
    form = CollectForm(formdata=None, server_id=request.args.get("server", ""))
    return _show_form(form)


@pages_bp.post("/collect")
def start_collecting() -> ResponseReturnValue:
    """Start a collection, and redirect to its progress."""
    form = CollectForm()
    batch = form.attempt(caller(), runtime.now())
    return redirect(url_for("pages.collection", batch_id=batch.id), 303) if batch else (_show_form(form), 400)


@pages_bp.post("/collect/known")
def collect_known() -> ResponseReturnValue:
    """Collect from the given servers, or all, with their stored data."""
    asking = caller()
    named = [Order(server_id=server_id) for server_id in dict.fromkeys(request.form.getlist("server"))]
    orders = named or batches.orders_for_all(asking.visible_server_ids)
    try:
        batch = batches.batches_of_application().start(orders, caller=asking, now=runtime.now())
    except Refused as refusal:
        flash(refusal_text(refusal), "error")
        return redirect(http.local_address(request.form.get("back")), 303)
    return redirect(url_for("pages.collection", batch_id=batch.id), 303)


@pages_bp.get("/collect/<batch_id>")
def collection(batch_id: str) -> ResponseReturnValue:
    """Show the progress of a collection; only the changing part on request."""
    batch = find_batch(batch_id)
    values = {"batch": batch, "title": progress_words(batch), "failure_words": failure_words}
    part = "progress" if "HX-Request" in request.headers else "page"
    return render_template(f"collector/{part}.html", **values)


@pages_bp.post("/detail/<server_id>/run")
@guarded(Access.ADMIN)
def run_job(server_id: str) -> ResponseReturnValue:
    """Start a job on its Duplicati, and return to the previous page."""
    try:
        started = collecting.start_job(server_id, request.form.get("backup", ""), actor=actor(), now=runtime.now())
    except Refused as refusal:
        flash(failure_words(str(refusal.extra.get("errorCode", "")), refusal_text(refusal)), "error")
    else:
        flash(_("Run of %(job)s requested. Its report will appear here.", job=started.job_name), "success")
    return redirect(http.local_address(request.form.get("back")), 303)


def _show_form(form: CollectForm) -> str:
    visible = visible_server_ids()
    form.offer_servers(find_addressed(visible))
    part = "form" if "HX-Request" in request.headers else "form_page"
    return render_template(f"collector/{part}.html", form=form, collectable_count=len(find_collectable(visible)))
