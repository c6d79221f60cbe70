"""Stored message templates: save, reset, check their placeholders."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from app.audit.log import Actor, record_setting
from app.core.db.orm import writing
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.notifications import messages
from app.notifications.default_templates import default_templates
from app.notifications.templates import PLACEHOLDERS, Template, unknown_placeholders

KINDS = tuple(PLACEHOLDERS)
FIELDS = ("title", "message", "priority", "tags")


def read_templates() -> dict[str, Template]:
    """Return the current templates, by kind."""
    stored = messages.stored_templates()
    return {kind: messages.template(kind, stored) for kind in KINDS}


def save_templates(
    templates: Mapping[str, Mapping[str, str]], language: str | None, *, actor: Actor, now: datetime
) -> None:
    """Save some templates, each as a whole, and the language if given.

    Others are kept.

    Raises Refused, naming template and field, for a placeholder that this kind of message does not have.
    """
    for kind, fields in templates.items():
        check_placeholders(kind, fields)
    with writing():
        stored = dict(messages.stored_templates())
        before = read_templates()
        language_before = messages.language(stored)
        stored |= {kind: dict(fields) for kind, fields in templates.items()}
        if language is not None:
            stored["language"] = language
        settings_store.save("notification_templates", stored, now=now)
        changes = _changes(before, read_templates())
        is_language_changed = language is not None and language != language_before
        if is_language_changed:
            changes["language"] = {"old": language_before, "new": language}
        details = {"templatesUpdated": list(templates), "languageChanged": is_language_changed, "changes": changes}
        record_setting("notification_template_updated", "notification_templates", details, actor=actor, now=now)


def reset_templates(kinds: Collection[str], *, actor: Actor, now: datetime) -> None:
    """Restore the built-in texts of some kinds; they follow the language again."""
    with writing():
        before = read_templates()
        stored = {name: value for name, value in messages.stored_templates().items() if name not in kinds}
        settings_store.save("notification_templates", stored or None, now=now)
        changes = _changes(before, read_templates())
        details = {"templatesUpdated": list(kinds), "languageChanged": False, "reset": True, "changes": changes}
        record_setting("notification_template_updated", "notification_templates", details, actor=actor, now=now)


def check_placeholders(kind: str, fields: Mapping[str, str]) -> None:
    """Reject placeholders that a kind of message does not have.

    Raises Refused with `fields`.
    """
    wrong = {}
    for name in ("title", "message"):
        if unknown := unknown_placeholders(fields.get(name, ""), kind):
            wrong[name] = f"unknown placeholder {', '.join(f'{{{placeholder}}}' for placeholder in unknown)}"
    if wrong:
        name, problem = next(iter(wrong.items()))
        raise Refused(
            "placeholder_unknown", name, body={"fields": wrong}, path=f"templates.{kind}.{name}", reason=problem
        )


def is_customized(kind: str) -> bool:
    """Whether a template was customized."""
    stored = messages.stored_templates()
    return messages.template(kind, stored) != default_templates(messages.language(stored))[kind]


def _changes(before: Mapping[str, Template], after: Mapping[str, Template]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for kind in KINDS:
        for name in FIELDS:
            old, new = getattr(before[kind], name), getattr(after[kind], name)
            if old != new:
                changes.setdefault(kind, {})[name] = {"old": old, "new": new}
    return changes
