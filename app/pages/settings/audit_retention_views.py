"""The tab of how long the audit log is kept, which is for administrators."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext, ngettext
from wtforms import IntegerField
from wtforms.widgets import NumberInput

from app.api.client import actor
from app.contracts import Guard, guarded
from app.pages.formats import count_text
from app.pages.settings.blueprint import bp
from app.pages.settings.forms import SettingsForm
from app.pages.settings.questions import Question, ask
from app.services import clock, retention
from app.services.declarations import AUDIT_DAYS

TAB, LABEL = "audit-retention", lazy_gettext("Audit log retention")


class AuditRetentionForm(SettingsForm):
    """How many days the audit log reaches back."""

    days = IntegerField(
        lazy_gettext("Days"),
        description=lazy_gettext("From %(least)s to %(most)s.", least=AUDIT_DAYS[0], most=AUDIT_DAYS[1]),
        widget=NumberInput(),
        render_kw={"required": True, "min": AUDIT_DAYS[0], "max": AUDIT_DAYS[1], "inputmode": "numeric"},
    )

    def chosen_days(self) -> int | None:
        """What was entered; None when the form tells what is wrong with it."""
        days = self.days.data if self.validate() else None
        if days is not None and AUDIT_DAYS[0] <= days <= AUDIT_DAYS[1]:
            return int(days)
        least, most = AUDIT_DAYS
        self.days.errors = (_("A whole number from %(least)s to %(most)s.", least=least, most=most),)
        return None


def show() -> str:
    """The tab."""
    return _show(AuditRetentionForm(formdata=None, data={"days": retention.audit_retention_days()}))


@bp.post("/audit-retention")
@guarded(Guard.ADMIN)
def save_audit_retention() -> ResponseReturnValue:
    """Choose how many days the audit log reaches back, or only show what that would delete."""
    form = AuditRetentionForm()
    days = form.chosen_days()
    if days is None:
        return _show(form), 400
    if request.form.get("then") == "show":
        return _show(form, shown=forecast_text(days))
    retention.save_audit_retention(days, actor=actor(), now=clock.now())
    flash(_("Saved. The clean-up of the coming night goes by it."), "success")
    return redirect(url_for("settings.index", tab=TAB), 303)


@bp.get("/audit-retention/clean-up")
@guarded(Guard.ADMIN)
def ask_to_shorten_audit_log() -> ResponseReturnValue:
    """Ask whether the old entries shall go now."""
    question = Question(
        title=_("Delete old entries now?"),
        sentences=(forecast_text(retention.audit_retention_days()),),
        button=_("Delete"),
        action=url_for("settings.shorten_audit_log"),
        back=url_for("settings.index", tab=TAB),
    )
    return ask(question, tab=TAB, label=LABEL)


@bp.post("/audit-retention/clean-up")
@guarded(Guard.ADMIN)
def shorten_audit_log() -> ResponseReturnValue:
    """Delete the old entries."""
    count = retention.purge_audit_log(retention.audit_retention_days(), now=clock.now(), actor=actor())
    flash(ngettext("%(num)s entry was deleted.", "%(num)s entries were deleted.", count), "success")
    return redirect(url_for("settings.index", tab=TAB), 303)


def forecast_text(days: int) -> str:
    """What a clean-up would delete, in one sentence."""
    count = retention.count_old_audit_entries(days, clock.now())
    told: str = ngettext(
        "%(count)s entry is older than %(days)s days and would be deleted.",
        "%(count)s entries are older than %(days)s days and would be deleted.",
        count,
        count=count_text(count),
        days=days,
    )
    return told


def _show(form: AuditRetentionForm, *, shown: str = "") -> str:
    values = {
        "count": retention.count_audit_entries(),
        "oldest_at": retention.oldest_audit_entry_at(),
        "old_count": retention.count_old_audit_entries(retention.audit_retention_days(), clock.now()),
    }
    return render_template("settings/audit_retention.html", tab=TAB, label=LABEL, form=form, shown=shown, **values)
