"""Pages to sign in and to change the password."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from flask_login import current_user, login_user
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired

from app import runtime
from app.accounts import passwords, preferences, sessions, users
from app.accounts.sign_in import SignedIn, sign_in_user
from app.config import DEFAULT_PASSWORD
from app.core.errors import Refused
from app.plugin import Access, guarded
from app.web import http, i18n
from app.web.errors import refusal_text, refusal_texts
from app.web.forms import PageForm
from app.web.http import actor, end_session, pages_bp, visitor

# Forms. `attempt` calls the service and keeps an error for the page to show


class PasswordCheckForm(PageForm):
    """A form that checks a password; `refusal` is the error of the service."""

    refusal: Refused | None = None

    def respond(self, page: str, usual_status: int) -> ResponseReturnValue:
        """Render the page of the form.

        It has the status of the error if waiting helps, else the usual one.
        """
        if self.refusal is not None and self.refusal.status in (403, 429, 503):
            return page, self.refusal.status, dict(self.refusal.headers)
        return page, usual_status


class LoginForm(PasswordCheckForm):
    """Username and password."""

    username = StringField(lazy_gettext("Username"), [InputRequired()])
    password = PasswordField(lazy_gettext("Password"), [InputRequired()])

    problem = ""

    def attempt(self) -> SignedIn | None:
        """Sign in, or set `problem` to the reason why not."""
        if not self.validate():
            self.problem = _("Enter your username and your password.")
            return None
        try:
            return sign_in_user(self.username.data, self.password.data, actor=visitor(), now=runtime.now())
        except Refused as refusal:
            self.refusal, self.problem = refusal, refusal_text(refusal)
            return None


class PasswordForm(PasswordCheckForm):
    """A new password, twice; also the current one unless the change is forced."""

    current = PasswordField(lazy_gettext("Current password"))
    new = PasswordField(lazy_gettext("New password"), [InputRequired()])
    confirm = PasswordField(lazy_gettext("Confirm new password"), [InputRequired()])

    problems: tuple[str, ...] = ()

    def attempt(self) -> bool:
        """Change the password, or set `problems`."""
        if not self.validate() or self.new.data != self.confirm.data:
            self.problems = (_("The passwords do not match."),)
            return False
        try:
            users.change_password(
                current_user.id,
                self.current.data,
                self.new.data,
                actor=actor(),
                now=runtime.now(),
                kept_session=sessions.current().id_hash,
            )
        except Refused as refusal:
            self.refusal, self.problems = refusal, refusal_texts(refusal)
            return False
        return True


# Views

_OLD_PREFIXES = ", ".join(f'"{prefix}"' for prefix in i18n.PREFIXES)


@pages_bp.post("/preferences")
def save_preferences() -> ResponseReturnValue:
    """Store display preferences and return to the previous page."""
    preferences.save(current_user.id, request.form, now=runtime.now())
    return redirect(http.local_address(request.form.get("back")), 303)


@pages_bp.get("/login")
@guarded(Access.PUBLIC)
def login() -> ResponseReturnValue:
    """Show the form to sign in; redirect a user who is signed in already."""
    if current_user.is_authenticated:
        return redirect(http.local_address(request.args.get("redirect")), 303)
    return _show_login(LoginForm(formdata=None))


@pages_bp.post("/login")
@guarded(Access.SESSION)
def sign_in() -> ResponseReturnValue:
    """Check username and password."""
    form = LoginForm()
    result = form.attempt()
    if result is None:
        return form.respond(_show_login(form), 401)
    login_user(result.user)
    if result.is_key_changed:
        flash(
            _("The key file has changed, so stored passwords cannot be read. Only an administrator can fix this."),
            "error",
        )
    return redirect(http.local_address(request.args.get("redirect")), 303)


@pages_bp.post("/logout")
@guarded(Access.SESSION)
def logout() -> ResponseReturnValue:
    """End the session."""
    end_session()
    return redirect(url_for("pages.login"), 303)


@pages_bp.get("/change-password")
@guarded(Access.USER, before_password_change=True)
def change_password() -> ResponseReturnValue:
    """Show the form for a new password."""
    return _show_password_form(PasswordForm(formdata=None))


@pages_bp.post("/change-password")
@guarded(Access.USER, before_password_change=True)
def save_password() -> ResponseReturnValue:
    """Change the password and continue to the dashboard."""
    form = PasswordForm()
    if not form.attempt():
        return form.respond(_show_password_form(form), 400)
    flash(_("Your password has been changed."), "success")
    return redirect(url_for("pages.dashboard"), 303)


@pages_bp.post("/language")
@guarded(Access.SESSION, before_password_change=True)
def choose_language() -> ResponseReturnValue:
    """Set the language: of this device, and of the account if signed in."""
    code = i18n.known_language(request.form.get("language"))
    if code and current_user.is_authenticated:
        preferences.save(current_user.id, {"language": code}, now=runtime.now())
    back = request.form.get("back", "")
    return i18n.remember(redirect(back if http.is_local(back) else url_for("pages.dashboard"), 303), code)


@pages_bp.get(f"/<any({_OLD_PREFIXES}):locale>/", strict_slashes=False)
@pages_bp.get(f"/<any({_OLD_PREFIXES}):locale>/<path:rest>")
@guarded(Access.PUBLIC)
def old_bookmark(locale: str, rest: str = "") -> ResponseReturnValue:
    """Redirect a path with a language prefix to the one without.

    The language is remembered.
    """
    return i18n.remember(redirect(http.without_locale(rest), 308), locale)


def _show_login(form: LoginForm) -> str:
    values = {"shows_default_account": users.must_admin_change_password(), "default_password": DEFAULT_PASSWORD}
    return render_template("accounts/login.html", form=form, problem=form.problem, **values)


def _show_password_form(form: PasswordForm) -> str:
    values = {"policy": passwords.policy(), "is_forced": current_user.must_change_password}
    return render_template("accounts/change_password.html", form=form, problems=form.problems, **values)
