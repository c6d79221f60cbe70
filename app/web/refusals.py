"""The sentence of a refusal in the language of the page."""

from collections.abc import Iterable
from typing import Any

from flask_babel import gettext, ngettext

from app.core.errors import Refused


def refusal_text(refusal: Refused) -> str:
    """Return what a page says about a refusal: the text of its code with its parameters."""
    text = refusal.text.page or refusal.text.sentence
    params = {name: _shown(value) for name, value in refusal.params.items()}
    if isinstance(text, tuple):
        return ngettext(*text, **params)
    # Filled in always, as the English sentence is: a text without parameters may contain "%%".
    return gettext(text) % {"field": refusal.wire_field, **params}


def refusal_texts(refusal: Refused) -> tuple[str, ...]:
    """Return the sentence of each problem if a refusal lists several, such as the broken rules for a password."""
    problems = refusal.params.get("problems")
    return tuple(map(refusal_text, problems)) if problems else (refusal_text(refusal),)


def _shown(value: Any) -> Any:
    if isinstance(value, Refused):
        return refusal_text(value)
    if isinstance(value, Iterable) and not isinstance(value, str):
        return " ".join(str(_shown(item)) for item in value)
    return value
