"""The pages. Each view loads through a service, lays out through a module of its own name, and renders."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user, login_user

from app.api.auth.views import end_session
from app.contracts import Guard, guarded
from app.pages import addresses, languages
from app.pages import first_steps as steps
from app.pages.forms import LoginForm, PasswordForm
from app.services import clock, passwords, preferences, users
from app.settings import DEFAULT_PASSWORD

bp = Blueprint("pages", __name__, template_folder="templates")

_OLD_PREFIXES = ", ".join(f'"{prefix}"' for prefix in languages.PREFIXES)


@bp.get("/connect")
def first_steps() -> ResponseReturnValue:
    """How to make a Duplicati report here."""
    values = {"option_sets": steps.option_sets(), "upload_address": steps.upload_address()}
    return render_template("first_steps.html", **values)


@bp.post("/preferences")
def save_preferences() -> ResponseReturnValue:
    """Keep how this person likes to see things, and go back to where they were."""
    preferences.save(current_user.id, request.form, now=clock.now())
    return redirect(addresses.local_address(request.form.get("back")), 303)


@bp.get("/login")
@guarded(Guard.OPEN)
def login() -> ResponseReturnValue:
    """The form to sign in; whoever is signed in already goes on."""
    if current_user.is_authenticated:
        return redirect(addresses.local_address(request.args.get("redirect")), 303)
    return _show_login(LoginForm(formdata=None))


@bp.post("/login")
@guarded(Guard.SESSION)
def sign_in() -> ResponseReturnValue:
    """Check name and password."""
    form = LoginForm()
    result = form.attempt()
    if result is None:
        return form.answer_with(_show_login(form), 401)
    login_user(result.user)
    if result.is_key_changed:
        flash(
            _("The key file has changed, so stored passwords cannot be read. Only an administrator can fix this."),
            "error",
        )
    return redirect(addresses.local_address(request.args.get("redirect")), 303)


@bp.post("/logout")
@guarded(Guard.SESSION)
def logout() -> ResponseReturnValue:
    """End the session."""
    end_session()
    return redirect(url_for("pages.login"), 303)


@bp.get("/change-password")
@guarded(Guard.LOGIN, before_password_change=True)
def change_password() -> ResponseReturnValue:
    """The form for a new password."""
    return _show_password_form(PasswordForm(formdata=None))


@bp.post("/change-password")
@guarded(Guard.LOGIN, before_password_change=True)
def save_password() -> ResponseReturnValue:
    """Change the password and go on to the dashboard."""
    form = PasswordForm()
    if not form.attempt():
        return form.answer_with(_show_password_form(form), 400)
    flash(_("Your password has been changed."), "success")
    return redirect(url_for("pages.dashboard"), 303)


@bp.post("/language")
@guarded(Guard.SESSION, before_password_change=True)
def choose_language() -> ResponseReturnValue:
    """Speak another language from now on: on this device, and for the account on all of them."""
    code = languages.known_language(request.form.get("language"))
    if code and current_user.is_authenticated:
        preferences.save(current_user.id, {"language": code}, now=clock.now())
    back = request.form.get("back", "")
    return languages.remember(redirect(back if addresses.is_local(back) else url_for("pages.dashboard"), 303), code)


@bp.get(f"/<any({_OLD_PREFIXES}):locale>/", strict_slashes=False)
@bp.get(f"/<any({_OLD_PREFIXES}):locale>/<path:rest>")
@guarded(Guard.OPEN)
def old_bookmark(locale: str, rest: str = "") -> ResponseReturnValue:
    """Send an address with a language in front to the one without, and remember the language."""
    return languages.remember(redirect(addresses.without_locale(rest), 308), locale)


def _show_login(form: LoginForm) -> str:
    values = {"shows_default_account": users.must_admin_change_password(), "default_password": DEFAULT_PASSWORD}
    return render_template("account/login.html", form=form, problem=form.problem, **values)


def _show_password_form(form: PasswordForm) -> str:
    values = {"policy": passwords.policy(), "is_forced": current_user.must_change_password}
    return render_template("account/change_password.html", form=form, problems=form.problems, **values)
