"""What administrators are shown while the key file does not open stored secrets."""

from flask_babel import lazy_gettext
from flask_login import current_user

from app.services import secrets
from app.services.database_faults import DATABASE_ERRORS
from app.services.secrets import MISSING, OTHER, UNUSABLE, KeyTrouble

SENTENCES = {
    MISSING: lazy_gettext("The key file .duplistatus.key is missing, so stored passwords cannot be read."),
    UNUSABLE: lazy_gettext("The key file .duplistatus.key cannot be used, so stored passwords cannot be read."),
    OTHER: lazy_gettext("The key file .duplistatus.key is not the original one, so stored passwords cannot be read."),
}


def shown_trouble() -> KeyTrouble | None:
    """The trouble, for administrators alone; None as well where the database cannot tell."""
    try:
        return secrets.find_trouble() if getattr(current_user, "is_admin", False) else None
    except DATABASE_ERRORS:
        return None


def sentence(trouble: KeyTrouble) -> str:
    """What is wrong, in the reader's language."""
    return str(SENTENCES[trouble.state])
