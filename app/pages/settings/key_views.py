"""Views of the tab of API keys, which is for administrators."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from app.api.client import actor
from app.contracts import AppError, Guard, guarded
from app.pages.settings.blueprint import bp
from app.pages.settings.key_forms import SCOPES, KeyForm
from app.pages.settings.questions import Question, ask
from app.services import clock, keys
from app.services.deployment import settings
from app.services.keys import NewKey

TAB = "keys"


def show() -> ResponseReturnValue:
    """All keys, and the form for another."""
    return _show(KeyForm(formdata=None))


@bp.post("/keys")
@guarded(Guard.ADMIN)
def create_key() -> ResponseReturnValue:
    """Make a key. Its secret is shown in this answer and never again."""
    form = KeyForm()
    made = form.attempt(actor(), settings().zone, clock.now())
    if made is None:
        return _show(form), 400
    return _show(KeyForm(formdata=None), made)


@bp.post("/keys/<int:key_id>/switch")
@guarded(Guard.ADMIN)
def switch_key(key_id: int) -> ResponseReturnValue:
    """Switch a key on or off; one that has expired stays off."""
    is_enabled = request.form.get("is_enabled") == "1"
    try:
        keys.set_enabled(key_id, is_enabled, now=clock.now(), actor=actor())
    except AppError as refusal:
        if refusal.status == 404:
            raise
        flash(_("This key has expired. Make a new one."), "error")
    return redirect(url_for("settings.index", tab=TAB), 303)


@bp.get("/keys/<int:key_id>/delete")
@guarded(Guard.ADMIN)
def confirm_key_deletion(key_id: int) -> ResponseReturnValue:
    """Ask whether a key shall be deleted."""
    key = keys.find_key(key_id)
    question = Question(
        title=_("Delete the key %(name)s?", name=key.name),
        sentences=[_("Whatever uses it is refused at once where keys are needed. This cannot be undone.")],
        button=_("Delete %(name)s", name=key.name),
        action=url_for("settings.delete_key", key_id=key_id),
        back=url_for("settings.index", tab=TAB),
    )
    return ask(question, tab=TAB, label=_("API keys"))


@bp.post("/keys/<int:key_id>/delete")
@guarded(Guard.ADMIN)
def delete_key(key_id: int) -> ResponseReturnValue:
    """Delete a key."""
    key = keys.find_key(key_id)
    keys.delete_key(key_id, now=clock.now(), actor=actor())
    flash(_("%(name)s was deleted.", name=key.name), "success")
    return redirect(url_for("settings.index", tab=TAB), 303)


@bp.post("/keys/requirement")
@guarded(Guard.ADMIN)
def require_keys() -> ResponseReturnValue:
    """Choose whether programs need a key to upload and to read."""
    is_required = request.form.get("is_required") == "1"
    keys.require(is_required, now=clock.now(), actor=actor())
    flash(_("Programs need a key now.") if is_required else _("Programs need no key now."), "success")
    return redirect(url_for("settings.index", tab=TAB), 303)


def _show(form: KeyForm, made: NewKey | None = None) -> str:
    values = {"keys": keys.list_keys(), "is_required": keys.are_required(), "scopes": SCOPES, "now": clock.now()}
    return render_template("settings/keys.html", tab=TAB, form=form, made=made, **values)
