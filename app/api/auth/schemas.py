"""Wire form of sign-in and passwords."""

from typing import Any

from marshmallow import EXCLUDE, Schema, fields, post_load

from app.api.wire import Out
from app.domain.password_policy import PasswordPolicy
from app.models import User


class Credentials(Schema):
    """Name and password; both may be missing, which the sign-in itself answers."""

    class Meta:
        unknown = EXCLUDE

    username = fields.String(load_default="", allow_none=True)
    password = fields.String(load_default="", allow_none=True)

    @post_load
    def fill_in(self, values: dict[str, Any], **_options: Any) -> dict[str, str]:
        """Take null as missing."""
        return {name: value or "" for name, value in values.items()}


class PasswordChange(Schema):
    """The password until now and the new one."""

    class Meta:
        unknown = EXCLUDE

    current = fields.String(data_key="currentPassword", load_default=None, allow_none=True)
    new = fields.String(data_key="newPassword", load_default="", allow_none=True)

    @post_load
    def fill_in(self, values: dict[str, Any], **_options: Any) -> dict[str, Any]:
        """Take a new password of null as missing."""
        return {**values, "new": values["new"] or ""}


class UserOut(Out):
    """An account as it sees itself."""

    id = fields.String()
    username = fields.String()
    is_admin = fields.Boolean(data_key="isAdmin")
    must_change_password = fields.Boolean(data_key="mustChangePassword")


class SignedInOut(Out):
    """Who signed in, and whether stored secrets were dropped because the master key is another one."""

    success = fields.Boolean()
    user = fields.Nested(UserOut)
    is_key_changed = fields.Boolean(data_key="keyChanged")


class MeOut(Out):
    """Who is signed in; null for nobody."""

    authenticated = fields.Boolean()
    user = fields.Nested(UserOut, allow_none=True)


class PolicyOut(Out):
    """What a password has to be."""

    min_length = fields.Integer(data_key="minLength")
    requires_uppercase = fields.Boolean(data_key="requireUppercase")
    requires_lowercase = fields.Boolean(data_key="requireLowercase")
    requires_numbers = fields.Boolean(data_key="requireNumbers")
    requires_special_signs = fields.Boolean(data_key="requireSpecialChars")


_user_out = UserOut()


def dump_user(user: User) -> dict[str, Any]:
    """The account that is signed in."""
    return _user_out.dump(user)


def dump_policy(policy: PasswordPolicy) -> dict[str, Any]:
    """What a password has to be, for a form that says so beforehand."""
    return {
        "minLength": policy.min_length,
        "requireUppercase": policy.are_classes_enforced,
        "requireLowercase": policy.are_classes_enforced,
        "requireNumbers": policy.are_classes_enforced,
        "requireSpecialChars": False,
    }
