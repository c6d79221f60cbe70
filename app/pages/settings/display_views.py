"""Views of the tab of display settings, which everybody has for themselves."""

from flask import make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from app.pages import languages
from app.pages.settings import display as layout
from app.pages.settings.blueprint import bp
from app.services import clock, preferences

TAB = "display"


def show() -> ResponseReturnValue:
    """How this person likes to see things."""
    return _show(layout.form_of(current_user, is_sent=False))


@bp.post("/display")
def save_display() -> ResponseReturnValue:
    """Keep what was chosen. A script sends each choice at once, and has the page drawn anew where all of it changes."""
    form = layout.form_of(current_user, is_sent=True)
    is_script = "HX-Request" in request.headers
    if not form.check():
        return _show(form), 200 if is_script else 400
    chosen = form.chosen()
    is_all_new = layout.changes_the_whole_page(current_user, chosen)
    preferences.save(current_user.id, chosen, now=clock.now())
    if is_script and not is_all_new:
        return _show(form, told=_("Saved"))
    answer = make_response("", 204) if is_script else redirect(url_for("settings.index", tab=TAB), 303)
    answer.headers["HX-Refresh"] = "true"
    return languages.remember(answer, chosen.get("language"))


def _show(form: layout.DisplayForm, told: str = "") -> str:
    values = {"example": layout.example(), "locales": layout.locale_names(languages.chosen_language())}
    return render_template("settings/display.html", tab=TAB, form=form, told=told, **values)
