"""The root of all forms: their hidden field carries the token of the session, the one that the API checks too."""

from typing import Any

from flask import g
from flask_wtf import FlaskForm
from wtforms import ValidationError
from wtforms.csrf.core import CSRF, CSRFTokenField

from app.services import sessions


class SessionToken(CSRF):
    """Puts the session's CSRF token into a form and checks it there, unless the guard has done so."""

    def generate_csrf_token(self, csrf_token_field: CSRFTokenField) -> str:
        """The token of the session, which begins here where there is none."""
        return sessions.current().csrf_token()

    def validate_csrf_token(self, form: Any, field: CSRFTokenField) -> None:
        """Refuse a form without the session's token. Raises ValidationError."""
        if not g.get("csrf_valid", False) and not sessions.current().accepts_token(field.data):
            raise ValidationError("This page has been open for too long; please send it once more")


class PageForm(FlaskForm):
    """A form of our pages."""

    class Meta(FlaskForm.Meta):
        csrf_class = SessionToken
