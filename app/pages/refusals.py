"""What a page says when signing in or a new password was refused, in the reader's language.

Services tell why by the codes of the API; a refusal without a sentence here is shown in the service's own words.
"""

from flask_babel import gettext as _
from flask_babel import ngettext

from app.contracts import AppError
from app.services import passwords


def sentence_of(refusal: AppError) -> str:
    """The sentence that a person reads."""
    return sentences_of(refusal)[0]


def sentences_of(refusal: AppError) -> tuple[str, ...]:
    """The same, with a sentence for each rule that a password breaks."""
    violations = refusal.extra.get("validationErrors")
    return tuple(_rule(violation) for violation in violations) if violations else (_sentence(refusal),)


def _rule(violation: str) -> str:
    """The sentence for what the policy says, which programs know in English."""
    length = passwords.policy().min_length
    return {
        "Cannot use the default password. Please choose a different password": _(
            "This is the password of the first visit, which everybody can read. Choose another one."
        ),
        f"Password must be at least {length} characters long": ngettext(
            "The password needs at least %(num)d character.", "The password needs at least %(num)d characters.", length
        ),
        "Password must contain at least one uppercase letter (A-Z)": _(
            "The password needs an upper-case letter (A-Z)."
        ),
        "Password must contain at least one lowercase letter (a-z)": _("The password needs a lower-case letter (a-z)."),
        "Password must contain at least one number (0-9)": _("The password needs a digit (0-9)."),
    }.get(violation, violation)


def _sentence(refusal: AppError) -> str:
    code = str(refusal.extra.get("errorCode", ""))
    if code == "ACCOUNT_LOCKED":
        return ngettext(
            "The account is locked after too many wrong passwords; try again in %(num)d minute.",
            "The account is locked after too many wrong passwords; try again in %(num)d minutes.",
            refusal.extra["minutesRemaining"],
        )
    return {
        "TOO_MANY_ATTEMPTS": _("Too many wrong passwords. Wait a few minutes and try again."),
        "DATABASE_NOT_READY": _("The database is not ready; try again in a moment."),
        "REQUIRED_CREDENTIALS": _("Enter your username and your password."),
        "INVALID_CREDENTIALS": _("The username or the password is wrong."),
        "NEW_PASSWORD_REQUIRED": _("Enter a new password."),
        "USER_NOT_FOUND": _("This account is gone."),
        "CURRENT_PASSWORD_INCORRECT": _("The current password is wrong."),
        "NEW_PASSWORD_SAME_AS_CURRENT": _("The new password has to differ from the current one."),
    }.get(code, refusal.message)
