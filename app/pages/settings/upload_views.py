"""Views of the tab of uploads, which is for administrators: how reports are taken, and those that were refused."""

from datetime import datetime

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from wtforms import BooleanField, StringField, URLField
from wtforms.widgets import NumberInput

from app.api.client import actor
from app.contracts import AppError, Guard, guarded
from app.pages.first_steps import upload_address
from app.pages.settings.blueprint import bp
from app.pages.settings.forms import SettingsForm
from app.pages.settings.questions import Question, ask
from app.services import clock, deployment, reception, rejections
from app.services.audit import Actor
from app.services.declarations import LEAST_MIB, LONGEST_URL, MOST_MIB
from app.services.reception import MIB

TAB = "uploads"


class ReceptionForm(SettingsForm):
    """How uploads are taken."""

    public_url = URLField(
        lazy_gettext("Address of this installation"),
        description=lazy_gettext("As people and machines reach it. It stands in messages and in what is to be copied."),
        render_kw={"maxlength": LONGEST_URL, "placeholder": "https://backups.example.org", "autocomplete": "off"},
    )
    max_upload_mib = StringField(
        lazy_gettext("Largest upload, in MiB"), widget=NumberInput(), render_kw={"min": LEAST_MIB, "max": MOST_MIB}
    )
    keeps_other_operations = BooleanField(
        lazy_gettext("Keep reports of other operations"),
        description=lazy_gettext("Restores, tests, compactions: each as a job of its own. Otherwise refused."),
    )

    def attempt(self, actor: Actor, now: datetime) -> bool:
        """Store the settings; False when the form tells why not."""
        text = (self.max_upload_mib.data or "").strip()
        is_number = text.isascii() and text.isdecimal() and len(text) < 6
        if text and not (is_number and LEAST_MIB <= int(text) <= MOST_MIB):
            bounds = {"least": LEAST_MIB, "most": MOST_MIB}
            self.refuse("max_upload_mib", _("A whole number from %(least)s to %(most)s.", **bounds))
            return False
        wanted = {
            "public_url": self.public_url.data or "",
            "max_upload_mib": int(text) if text else None,
            "keeps_other_operations": bool(self.keeps_other_operations.data),
        }
        try:
            reception.change(wanted, actor=actor, now=now)
        except AppError:
            self.refuse("public_url", _("An address with http:// or https://, without a user's name, ? and #."))
            return False
        return True


def show() -> ResponseReturnValue:
    """The settings, and what was refused."""
    return _show(_form(is_sent=False))


@bp.post("/uploads")
@guarded(Guard.ADMIN)
def save_reception() -> ResponseReturnValue:
    """Store how uploads are taken."""
    form = _form(is_sent=True)
    if not form.attempt(actor(), clock.now()):
        return _show(form), 400
    flash(_("Saved."), "success")
    return redirect(url_for("settings.index", tab=TAB), 303)


@bp.get("/uploads/<int:report_id>")
@guarded(Guard.ADMIN)
def show_rejected(report_id: int) -> ResponseReturnValue:
    """A refused upload, with what was sent."""
    report = rejections.find_rejected(report_id)
    body = rejections.body_of(report).decode("utf-8", "replace")
    return render_template("settings/upload.html", tab=TAB, report=report, body=body, now=clock.now())


@bp.post("/uploads/<int:report_id>/replay")
@guarded(Guard.ADMIN)
def replay_rejected(report_id: int) -> ResponseReturnValue:
    """Take a refused upload in by the rules of today, or say why that cannot be."""
    try:
        received = reception.replay_rejected(report_id, actor=actor(), now=clock.now())
    except AppError as refusal:
        if refusal.status == 404:
            raise
        known = _("This run is here already.") if refusal.status == 409 else refusal.message
        flash(_("Not taken in. %(reason)s", reason=known), "error")
    else:
        if received.run_id is None:
            flash(_("The report was accepted. It holds no new run to store."), "success")
        else:
            flash(_("The report was taken in."), "success")
    return redirect(url_for("settings.index", tab=TAB, _anchor="refused"), 303)


@bp.get("/uploads/<int:report_id>/delete")
@guarded(Guard.ADMIN)
def confirm_rejected_deletion(report_id: int) -> ResponseReturnValue:
    """Ask whether a refused upload shall be forgotten."""
    rejections.find_rejected(report_id)
    question = Question(
        title=_("Delete this upload?"),
        sentences=[_("What was sent is gone for good and cannot be taken in any more.")],
        button=_("Delete the upload"),
        action=url_for("settings.delete_rejected", report_id=report_id),
        back=url_for("settings.show_rejected", report_id=report_id),
    )
    return ask(question, tab=TAB, label=_("Uploads"))


@bp.post("/uploads/<int:report_id>/delete")
@guarded(Guard.ADMIN)
def delete_rejected(report_id: int) -> ResponseReturnValue:
    """Forget a refused upload."""
    rejections.delete_rejected(report_id, actor=actor(), now=clock.now())
    flash(_("The upload was deleted."), "success")
    return redirect(url_for("settings.index", tab=TAB, _anchor="refused"), 303)


def _form(*, is_sent: bool) -> ReceptionForm:
    stored = reception.describe()
    source = {} if is_sent else {"formdata": None}
    form = ReceptionForm(
        **source,
        public_url=stored.public_url,
        max_upload_mib="" if stored.max_upload_mib is None else str(stored.max_upload_mib),
        keeps_other_operations=stored.keeps_other_operations,
    )
    most = deployment.settings().max_upload_bytes // MIB
    form.max_upload_mib.description = _("Left empty: %(most)s, as the environment says.", most=most)
    return form


def _show(form: ReceptionForm) -> str:
    values = {"reports": rejections.list_rejected(), "most_kept": rejections.REPORTS_KEPT, "now": clock.now()}
    return render_template("settings/uploads.html", tab=TAB, form=form, address=upload_address(), **values)
