"""Views of the tab of uploads, which is for administrators: how reports are taken, and those that were refused."""

from dataclasses import dataclass
from datetime import datetime

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from wtforms import BooleanField, StringField, URLField
from wtforms.widgets import NumberInput

from app import runtime
from app.audit.log import Actor
from app.core.settings import store as settings_store
from app.core.settings.declarations import LEAST_MIB, LONGEST_URL, MOST_MIB
from app.plugin import AppError, Guard, guarded
from app.reports import intake
from app.reports.intake import MIB
from app.web.forms import Confirmation, SettingsForm, ask_confirmation
from app.web.pages import pages_bp, settings_bp
from app.web.request import actor

# What to set in Duplicati so that reports come here, ready to be copied.

# Two thirds of a log are events of the backend, two for each file that is moved. Without them the whole log, with its
# warnings, errors and versions, is a few kilobytes, and no limit of lines cuts the list of versions off its end.
LOG_OPTIONS = (
    "--send-http-log-level=Information",
    "--send-http-log-filter=-*BackendEvent*",
    "--send-http-max-log-lines=0",
)


@dataclass(frozen=True, slots=True)
class OptionSet:
    """Options for a range of Duplicati versions, as text for its box "Default options"."""

    name: str
    label: str
    options: tuple[str, ...]


def option_sets() -> list[OptionSet]:
    """The options for newer and for older versions of Duplicati, with our address in them."""
    address = upload_address()
    newer = (
        f"--send-http-json-urls={address}",
        *LOG_OPTIONS,
    )
    older = (
        f"--send-http-url={address}",
        "--send-http-result-output-format=Json",
        *LOG_OPTIONS,
    )
    return [
        OptionSet("newer", _("Duplicati 2.0.9.106 and later, 2.1, 2.2 …"), newer),
        OptionSet("older", _("Older versions"), older),
    ]


def upload_address() -> str:
    """Where reports are to be sent."""
    return f"{own_address()}/api/upload"


def own_address() -> str:
    """Where this installation is found: the public address where one is set, else the one in use now."""
    settings = runtime.settings()
    public_url = settings_store.get("public_url") or settings.public_url
    return public_url.rstrip("/") if public_url else request.host_url.rstrip("/") + settings.base_path


TAB = "uploads"


class ReceptionForm(SettingsForm):
    """How uploads are taken."""

    public_url = URLField(
        lazy_gettext("Public URL"),
        description=lazy_gettext("Used in notifications and setup instructions."),
        render_kw={"maxlength": LONGEST_URL, "placeholder": "https://backups.example.org", "autocomplete": "off"},
    )
    max_upload_mib = StringField(
        lazy_gettext("Maximum report size, in MiB"), widget=NumberInput(), render_kw={"min": LEAST_MIB, "max": MOST_MIB}
    )
    keeps_other_operations = BooleanField(
        lazy_gettext("Accept other operations"),
        description=lazy_gettext(
            "Store restores, tests and compactions as separate jobs. Otherwise they are rejected."
        ),
    )

    def attempt(self, actor: Actor, now: datetime) -> bool:
        """Store the settings; False when the form tells why not."""
        text = (self.max_upload_mib.data or "").strip()
        is_number = text.isascii() and text.isdecimal() and len(text) < 6
        if text and not (is_number and LEAST_MIB <= int(text) <= MOST_MIB):
            bounds = {"least": LEAST_MIB, "most": MOST_MIB}
            self.refuse("max_upload_mib", _("Enter a whole number from %(least)s to %(most)s.", **bounds))
            return False
        wanted = {
            "public_url": self.public_url.data or "",
            "max_upload_mib": int(text) if text else None,
            "keeps_other_operations": bool(self.keeps_other_operations.data),
        }
        try:
            intake.change_settings(wanted, actor=actor, now=now)
        except AppError:
            self.refuse(
                "public_url", _("Enter a URL that starts with http:// or https://, without a username, ? or #.")
            )
            return False
        return True


def show() -> ResponseReturnValue:
    """The settings, and what was refused."""
    return _show(_form(is_sent=False))


@settings_bp.post("/uploads")
@guarded(Guard.ADMIN)
def save_reception() -> ResponseReturnValue:
    """Store how uploads are taken."""
    form = _form(is_sent=True)
    if not form.attempt(actor(), runtime.now()):
        return _show(form), 400
    flash(_("Saved."), "success")
    return redirect(url_for("settings.index", tab=TAB), 303)


@settings_bp.get("/uploads/<int:report_id>")
@guarded(Guard.ADMIN)
def show_rejected(report_id: int) -> ResponseReturnValue:
    """A refused upload, with what was sent."""
    report = intake.find_rejected(report_id)
    body = intake.body_of(report).decode("utf-8", "replace")
    return render_template("reports/upload.html", tab=TAB, report=report, body=body, now=runtime.now())


@settings_bp.post("/uploads/<int:report_id>/replay")
@guarded(Guard.ADMIN)
def replay_rejected(report_id: int) -> ResponseReturnValue:
    """Take a refused upload in by the rules of today, or say why that cannot be."""
    try:
        received = intake.replay_rejected(report_id, actor=actor(), now=runtime.now())
    except AppError as refusal:
        if refusal.status == 404:
            raise
        known = _("This run is already stored.") if refusal.status == 409 else refusal.message
        flash(_("Not accepted. %(reason)s", reason=known), "error")
    else:
        if received.run_id is None:
            flash(_("The report was accepted. It contains no new run."), "success")
        else:
            flash(_("The report was accepted."), "success")
    return redirect(url_for("settings.index", tab=TAB, _anchor="refused"), 303)


@settings_bp.get("/uploads/<int:report_id>/delete")
@guarded(Guard.ADMIN)
def confirm_rejected_deletion(report_id: int) -> ResponseReturnValue:
    """Ask whether a refused upload shall be forgotten."""
    intake.find_rejected(report_id)
    question = Confirmation(
        title=_("Delete this report?"),
        sentences=[_("The rejected report will be permanently deleted and cannot be accepted later.")],
        button=_("Delete report"),
        action=url_for("settings.delete_rejected", report_id=report_id),
        back=url_for("settings.show_rejected", report_id=report_id),
    )
    return ask_confirmation(question, tab=TAB, label=_("Incoming reports"))


@settings_bp.post("/uploads/<int:report_id>/delete")
@guarded(Guard.ADMIN)
def delete_rejected(report_id: int) -> ResponseReturnValue:
    """Forget a refused upload."""
    intake.delete_rejected(report_id, actor=actor(), now=runtime.now())
    flash(_("The report was deleted."), "success")
    return redirect(url_for("settings.index", tab=TAB, _anchor="refused"), 303)


def _form(*, is_sent: bool) -> ReceptionForm:
    stored = intake.describe_settings()
    source = {} if is_sent else {"formdata": None}
    form = ReceptionForm(
        **source,
        public_url=stored.public_url,
        max_upload_mib="" if stored.max_upload_mib is None else str(stored.max_upload_mib),
        keeps_other_operations=stored.keeps_other_operations,
    )
    most = runtime.settings().max_upload_bytes // MIB
    form.max_upload_mib.description = _("Default: %(most)s MiB (UPLOAD_MAX_MIB)", most=most)
    return form


def _show(form: ReceptionForm) -> str:
    values = {"reports": intake.list_rejected(), "most_kept": intake.REPORTS_KEPT, "now": runtime.now()}
    return render_template("reports/uploads.html", tab=TAB, form=form, address=upload_address(), **values)


@pages_bp.get("/connect")
def first_steps() -> ResponseReturnValue:
    """How to make a Duplicati report here."""
    values = {"option_sets": option_sets(), "upload_address": upload_address()}
    return render_template("reports/first_steps.html", **values)
