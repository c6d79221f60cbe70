"""Views of the tab about this program, and of the one question that it may ask the internet."""

from datetime import datetime

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext, ngettext
from marshmallow import ValidationError
from wtforms import BooleanField, SelectField, URLField
from wtforms.fields.choices import SelectChoice

from app.api.client import actor
from app.contracts import AppError, Guard, guarded, validate_http_url
from app.pages.settings import about as layout
from app.pages.settings.blueprint import bp
from app.pages.settings.forms import SettingsForm
from app.services import clock, duplicati_versions
from app.services.audit import Actor
from app.services.declarations import VERSION_HOURS

TAB = "about"


class VersionCheckForm(SettingsForm):
    """Whether, how often and where the newest versions of Duplicati are looked up."""

    is_enabled = BooleanField(
        lazy_gettext("Look for newer versions of Duplicati"),
        description=lazy_gettext("Asks Duplicati's own server. Nothing about your machines is sent."),
    )
    every_hours = SelectField(lazy_gettext("How often"), validate_choice=False)
    url = URLField(
        lazy_gettext("Another address"),
        description=lazy_gettext("Left empty, Duplicati's own. For those who keep a copy of it."),
        render_kw={"maxlength": 500, "autocomplete": "off"},
    )

    def offer(self) -> None:
        """Fill in how often it can be."""
        texts = [ngettext("every %(num)s hour", "every %(num)s hours", hours) for hours in VERSION_HOURS]
        pairs = zip(VERSION_HOURS, texts, strict=True)
        self.every_hours.choices = [SelectChoice(str(hours), text) for hours, text in pairs]

    def attempt(self, actor: Actor, now: datetime) -> bool:
        """Store the settings; False when the form tells why not."""
        url = (self.url.data or "").strip()
        try:
            if url:
                validate_http_url(url)
        except ValidationError:
            self.refuse("url", _("An address that begins with http:// or https://."))
            return False
        hours = self.every_hours.data
        changes: dict[str, object] = {"is_enabled": bool(self.is_enabled.data), "url": url}
        if hours in map(str, VERSION_HOURS):
            changes["every_hours"] = int(hours)
        duplicati_versions.configure(changes, actor=actor, now=now)
        return True


def show() -> ResponseReturnValue:
    """Versions, plugins and licences."""
    return _show(_form(is_sent=False))


@bp.post("/about/version-check")
@guarded(Guard.ADMIN)
def save_version_check() -> ResponseReturnValue:
    """Choose whether newest versions are looked up, and look at once where they are."""
    form = _form(is_sent=True)
    if not form.attempt(actor(), clock.now()):
        return _show(form), 400
    try:
        error = duplicati_versions.check_now(clock.now()).error if form.is_enabled.data else ""
    except AppError as refusal:
        error = refusal.message
    flash(_("Saved. No answer: %(reason)s", reason=error) if error else _("Saved."), "error" if error else "success")
    return redirect(url_for("settings.index", tab=TAB, _anchor="versions"), 303)


def _form(*, is_sent: bool) -> VersionCheckForm:
    source, check = {} if is_sent else {"formdata": None}, duplicati_versions.read()
    form = VersionCheckForm(**source, is_enabled=check.is_enabled, every_hours=str(check.every_hours), url=check.url)
    form.offer()
    return form


def _show(form: VersionCheckForm) -> str:
    values = {"check": duplicati_versions.read(), "now": clock.now()}
    return render_template("settings/about.html", tab=TAB, about=layout.build(), form=form, **values)
