"""Settings tab for uploads and rejected reports, and the page of first steps."""

from dataclasses import dataclass
from datetime import datetime

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from wtforms import URLField

from app import runtime
from app.audit.log import Actor
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.plugin import Access, guarded
from app.reports import ingest, rejected
from app.reports import settings as upload_settings
from app.reports.ingest import MIB
from app.reports.settings import LEAST_MIB, LONGEST_URL, MOST_MIB, OTHER_OPERATIONS, PUBLIC_URL, UPLOAD_MAX_MIB
from app.web.errors import refusal_text
from app.web.forms import Confirmation, SettingsForm, ask_confirmation, form_field
from app.web.http import actor, pages_bp, settings_bp

# The Duplicati options that make it send reports to this installation

# Two thirds of a log are backend events, two for each transferred file. Without them the whole log, with its warnings,
# errors and versions, is a few kilobytes, and no line limit cuts off the list of versions.
LOG_OPTIONS = (
    "--send-http-log-level=Information",
    "--send-http-log-filter=-*BackendEvent*",
    "--send-http-max-log-lines=0",
)


@dataclass(frozen=True, slots=True)
class OptionSet:
    """Options for a range of Duplicati versions, as text for "Default options"."""

    name: str
    label: str
    options: tuple[str, ...]


def option_sets() -> list[OptionSet]:
    """Return the options for newer and older Duplicati versions, with this address."""
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
    """Return the URL for uploads."""
    return f"{own_address()}/api/upload"


def own_address() -> str:
    """Return the public URL if set, else the URL of the current request."""
    settings = runtime.settings()
    public_url = settings_store.get("public_url") or settings.public_url
    return public_url.rstrip("/") if public_url else request.host_url.rstrip("/") + settings.base_path


TAB = "uploads"


class UploadSettingsForm(SettingsForm):
    """Form of the upload settings."""

    public_url = URLField(
        lazy_gettext(PUBLIC_URL.label),
        description=lazy_gettext(PUBLIC_URL.help),
        render_kw={"maxlength": LONGEST_URL, "placeholder": "https://backups.example.org", "autocomplete": "off"},
    )
    max_upload_mib = form_field(UPLOAD_MAX_MIB)
    keeps_other_operations = form_field(OTHER_OPERATIONS)

    def attempt(self, actor: Actor, now: datetime) -> bool:
        """Store the settings; False if the form has errors."""
        text = (self.max_upload_mib.data or "").strip()
        is_number = text.isascii() and text.isdecimal() and len(text) < 6
        if text and not (is_number and LEAST_MIB <= int(text) <= MOST_MIB):
            bounds = {"least": LEAST_MIB, "most": MOST_MIB}
            self.add_error("max_upload_mib", _("Enter a whole number from %(least)s to %(most)s.", **bounds))
            return False
        wanted = {
            "public_url": self.public_url.data or "",
            "max_upload_mib": int(text) if text else None,
            "keeps_other_operations": bool(self.keeps_other_operations.data),
        }
        try:
            upload_settings.change_settings(wanted, actor=actor, now=now)
        except Refused as refusal:
            self.add_refusal(refusal)
            return False
        return True


def show() -> ResponseReturnValue:
    """Show the settings and the rejected reports."""
    return _show(_form(is_sent=False))


@settings_bp.post("/uploads")
@guarded(Access.ADMIN)
def save_reception() -> ResponseReturnValue:
    """Store the upload settings."""
    form = _form(is_sent=True)
    if not form.attempt(actor(), runtime.now()):
        return _show(form), 400
    flash(_("Saved."), "success")
    return redirect(url_for("settings.index", tab=TAB), 303)


@settings_bp.get("/uploads/<int:report_id>")
@guarded(Access.ADMIN)
def show_rejected(report_id: int) -> ResponseReturnValue:
    """Show a rejected report with its body."""
    report = rejected.find_rejected(report_id)
    body = rejected.body_of(report).decode("utf-8", "replace")
    return render_template("reports/upload.html", tab=TAB, report=report, body=body, now=runtime.now())


@settings_bp.post("/uploads/<int:report_id>/replay")
@guarded(Access.ADMIN)
def replay_rejected(report_id: int) -> ResponseReturnValue:
    """Retry a rejected report with the current rules."""
    try:
        received = ingest.replay_rejected(report_id, actor=actor(), now=runtime.now())
    except Refused as refusal:
        if refusal.status == 404:
            raise
        flash(_("Not accepted. %(reason)s", reason=refusal_text(refusal)), "error")
    else:
        if received.run_id is None:
            flash(_("The report was accepted. It contains no new run."), "success")
        else:
            flash(_("The report was accepted."), "success")
    return redirect(url_for("settings.index", tab=TAB, _anchor="refused"), 303)


@settings_bp.get("/uploads/<int:report_id>/delete")
@guarded(Access.ADMIN)
def confirm_rejected_deletion(report_id: int) -> ResponseReturnValue:
    """Ask for confirmation before a rejected report is deleted."""
    rejected.find_rejected(report_id)
    question = Confirmation(
        title=_("Delete this report?"),
        sentences=[_("The rejected report will be permanently deleted and cannot be accepted later.")],
        button=_("Delete report"),
        action=url_for("settings.delete_rejected", report_id=report_id),
        back=url_for("settings.show_rejected", report_id=report_id),
    )
    return ask_confirmation(question, tab=TAB, label=_("Incoming reports"))


@settings_bp.post("/uploads/<int:report_id>/delete")
@guarded(Access.ADMIN)
def delete_rejected(report_id: int) -> ResponseReturnValue:
    """Delete a rejected report."""
    rejected.delete_rejected(report_id, actor=actor(), now=runtime.now())
    flash(_("The report was deleted."), "success")
    return redirect(url_for("settings.index", tab=TAB, _anchor="refused"), 303)


def _form(*, is_sent: bool) -> UploadSettingsForm:
    stored = upload_settings.describe_settings()
    source = {} if is_sent else {"formdata": None}
    form = UploadSettingsForm(
        **source,
        public_url=stored.public_url,
        max_upload_mib="" if stored.max_upload_mib is None else str(stored.max_upload_mib),
        keeps_other_operations=stored.keeps_other_operations,
    )
    most = runtime.settings().max_upload_bytes // MIB
    form.max_upload_mib.description = _("Default: %(most)s MiB (UPLOAD_MAX_MIB)", most=most)
    return form


def _show(form: UploadSettingsForm) -> str:
    values = {"reports": rejected.list_rejected(), "most_kept": rejected.REPORTS_KEPT, "now": runtime.now()}
    return render_template("reports/uploads.html", tab=TAB, form=form, address=upload_address(), **values)


@pages_bp.get("/connect")
def first_steps() -> ResponseReturnValue:
    """Show how to configure Duplicati to report here."""
    values = {"option_sets": option_sets(), "upload_address": upload_address()}
    return render_template("reports/first_steps.html", **values)
