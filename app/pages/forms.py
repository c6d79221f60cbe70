"""Forms of the pages. A form's `attempt` calls the service and keeps a refusal for the page to show."""

from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from flask_login import current_user
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired

from app.api.client import actor, visitor
from app.contracts import AppError
from app.pages.forms_base import PageForm
from app.pages.refusals import sentence_of, sentences_of
from app.services import clock, sessions, users
from app.services.login import SignedIn, login


class PasswordCheckForm(PageForm):
    """A form with a password that is checked; `refusal` is what the service has said against it."""

    refusal: AppError | None = None

    def answer_with(self, page: str, usual_status: int) -> ResponseReturnValue:
        """The page of the form: with the status of the refusal where waiting helps, else with the usual one."""
        if self.refusal is not None and self.refusal.status in (403, 429, 503):
            return page, self.refusal.status, dict(self.refusal.headers)
        return page, usual_status


class LoginForm(PasswordCheckForm):
    """Name and password."""

    username = StringField(lazy_gettext("Username"), [InputRequired()])
    password = PasswordField(lazy_gettext("Password"), [InputRequired()])

    problem = ""

    def attempt(self) -> SignedIn | None:
        """Sign in, or say in `problem` why not."""
        if not self.validate():
            self.problem = _("Enter your username and your password.")
            return None
        try:
            return login(self.username.data, self.password.data, actor=visitor(), now=clock.now())
        except AppError as refusal:
            self.refusal, self.problem = refusal, sentence_of(refusal)
            return None


class PasswordForm(PasswordCheckForm):
    """A new password, twice; the current one unless the change is forced."""

    current = PasswordField(lazy_gettext("Current password"))
    new = PasswordField(lazy_gettext("New password"), [InputRequired()])
    confirm = PasswordField(lazy_gettext("New password again"), [InputRequired()])

    problems: tuple[str, ...] = ()

    def attempt(self) -> bool:
        """Change the password, or say in `problems` what is wrong with it."""
        if not self.validate() or self.new.data != self.confirm.data:
            self.problems = (_("Both entries of the new password have to be the same."),)
            return False
        try:
            users.change_password(
                current_user.id,
                self.current.data,
                self.new.data,
                actor=actor(),
                now=clock.now(),
                kept_session=sessions.current().id_hash,
            )
        except AppError as refusal:
            self.refusal, self.problems = refusal, sentences_of(refusal)
            return False
        return True
