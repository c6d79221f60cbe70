"""How a person likes to see things; kept with the account, so that it follows to every device."""

from collections.abc import Mapping
from datetime import datetime

from app.contracts.errors import NotFound
from app.models import User
from app.services.transaction import writing

CHOICES: dict[str, tuple[str, ...]] = {
    "theme": ("light", "dark", "system"),
    "dashboard_view": ("cards", "table"),
    "dashboard_order": ("name", "status", "newest"),
}


def save(user_id: str, chosen: Mapping[str, str], *, now: datetime) -> None:
    """Keep those of `chosen` that are known preferences with a known value; the others stay as they are.

    Raises NotFound when the account is gone.
    """
    known = {name: chosen[name] for name, values in CHOICES.items() if chosen.get(name) in values}
    with writing() as session:
        user = session.get(User, user_id)
        if user is None:
            raise NotFound("User not found")
        user.preferences = {**user.preferences, **known}
        user.updated_at = now
