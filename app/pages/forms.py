"""Forms of the pages. A form's `attempt` calls the service and keeps a refusal for the page to show."""

from flask_login import current_user
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired

from app.api.client import actor, visitor
from app.contracts import AppError
from app.pages.forms_base import PageForm
from app.services import clock, sessions, users
from app.services.login import SignedIn, login


class LoginForm(PageForm):
    """Name and password."""

    username = StringField("Username", [InputRequired("Enter your username")])
    password = PasswordField("Password", [InputRequired("Enter your password")])

    problem = ""

    def attempt(self) -> SignedIn | None:
        """Sign in, or say in `problem` why not."""
        if not self.validate():
            self.problem = "Enter your username and your password."
            return None
        try:
            return login(self.username.data, self.password.data, actor=visitor(), now=clock.now())
        except AppError as refusal:
            self.problem = refusal.message
            return None


class PasswordForm(PageForm):
    """A new password, twice; the current one unless the change is forced."""

    current = PasswordField("Current password")
    new = PasswordField("New password", [InputRequired()])
    confirm = PasswordField("New password again", [InputRequired()])

    problems: tuple[str, ...] = ()

    def attempt(self) -> bool:
        """Change the password, or say in `problems` what is wrong with it."""
        if not self.validate() or self.new.data != self.confirm.data:
            self.problems = ("Both entries of the new password have to be the same.",)
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
            self.problems = tuple(refusal.extra.get("validationErrors") or (refusal.message,))
            return False
        return True
