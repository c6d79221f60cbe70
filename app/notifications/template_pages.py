"""Page of templates: one kind of message at a time, with a preview of a real run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from flask_login import current_user

from app import runtime
from app.accounts import preferences
from app.backups.overview import JobStatus
from app.core.errors import Refused
from app.core.languages import LANGUAGES, PAGE_LANGUAGES
from app.notifications import messages, template_examples, template_settings
from app.notifications.template_examples import FilledTemplate
from app.notifications.templates import PLACEHOLDERS, PRIORITIES, Template
from app.notifications.test_messages import count_test
from app.plugin import Access, guarded
from app.web.errors import refusal_text
from app.web.forms import Confirmation, ask_confirmation
from app.web.http import actor, settings_bp, visible_server_ids
from app.web.plugin_texts import failure_text

KIND_WORDS: Mapping[str, LazyString] = {
    "success": lazy("Success"),
    "warning": lazy("Warning or error"),
    "overdueBackup": lazy("Overdue"),
    "recovered": lazy("Recovered"),
    "dailySummary": lazy("Daily summary"),
    "digest": lazy("Digest"),
}
PRIORITY_WORDS: Mapping[str, LazyString] = {
    "max": lazy("Max or urgent"),
    "high": lazy("High"),
    "default": lazy("Default"),
    "low": lazy("Low"),
    "min": lazy("Min"),
}
# Old names, which are still filled but no longer offered.
OLD_NAMES = frozenset({"backup_interval_value", "backup_interval_type"})
# Maximum length accepted from a form: texts of users are far shorter.
LONGEST = 20_000


@dataclass(frozen=True, slots=True)
class Page:
    """A template in the form, and filled with example values; `problems` by field."""

    kind: str
    template: Template
    is_customized: bool
    filled: FilledTemplate
    values: Mapping[str, str]
    job: JobStatus | None
    jobs: tuple[JobStatus, ...]
    language: str
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def placeholders(self) -> list[str]:
        """Return the placeholders to insert, by name."""
        return sorted(PLACEHOLDERS[self.kind] - OLD_NAMES)

    @property
    def priorities(self) -> list[str]:
        """Return the priorities to choose from; a custom one is kept."""
        own = self.template.priority
        return [*PRIORITIES, *([own] if own and own not in PRIORITIES else [])]


def kind_or_first(name: str | None) -> str:
    """Return the kind in the URL, or the first."""
    return name if name and name in KIND_WORDS else next(iter(KIND_WORDS))


def build_page(
    kind: str,
    now: datetime,
    visible: frozenset[str] | None,
    *,
    job_id: str = "",
    entered: Template | None = None,
    problems: Mapping[str, str] | None = None,
) -> Page:
    """Return the page of a kind, with the stored or entered template."""
    template = entered or template_settings.read_templates()[kind]
    wanted = int(job_id) if job_id.isascii() and job_id.isdigit() and len(job_id) < 19 else None
    values, job = template_examples.example_values(kind, wanted, now, visible)
    return Page(
        kind=kind,
        template=template,
        is_customized=template_settings.is_customized(kind),
        filled=template_examples.fill(kind, template, values),
        values=values,
        job=job,
        jobs=tuple(template_examples.example_jobs(kind, now, visible)),
        language=messages.language(),
        problems=problems or {},
    )


def read_template(form: Mapping[str, str]) -> Template:
    """Return the entered template with normalized line ends."""
    texts = {name: form.get(name, "")[:LONGEST] for name in template_settings.FIELDS}
    texts["message"] = texts["message"].replace("\r\n", "\n")
    texts["title"] = " ".join(texts["title"].split())
    return Template(**texts)


def fields_of(template: Template) -> dict[str, str]:
    """Return a template in the stored format."""
    return {name: getattr(template, name) for name in template_settings.FIELDS}


def language_choices() -> dict[str, str]:
    """Return the languages to choose from, each in its own name.

    An old code in use is kept.
    """
    codes = dict.fromkeys((*PAGE_LANGUAGES, messages.language()))
    return {code: LANGUAGES[code].name for code in codes}


def is_language(code: str | None) -> bool:
    """Whether templates support this language."""
    return code in LANGUAGES


# Views

TAB = "templates"


def show() -> ResponseReturnValue:
    """Show a template: the requested one, or the one viewed last."""
    kind = kind_or_first(request.args.get("kind") or preferences.of(current_user).template_tab)
    preferences.remember(current_user, template_tab=kind)
    return _show(build_page(kind, runtime.now(), visible_server_ids(), job_id=request.args.get("job", "")))


@settings_bp.post("/templates/language")
@guarded(Access.ADMIN)
def save_template_language() -> ResponseReturnValue:
    """Save the language of messages, their dates and numbers."""
    if is_language(request.form.get("language")):
        template_settings.save_templates({}, request.form["language"], actor=actor(), now=runtime.now())
        flash(_("Saved. Default texts now use this language."), "success")
    return _back(request.form.get("kind"))


@settings_bp.post("/templates/<kind>")
@guarded(Access.ADMIN)
def save_template(kind: str) -> ResponseReturnValue:
    """Save a template, or show the errors at its fields."""
    kind, template = kind_or_first(kind), read_template(request.form)
    try:
        template_settings.save_templates({kind: fields_of(template)}, None, actor=actor(), now=runtime.now())
    except Refused as refusal:
        return _show(_entered(kind, refusal.extra.get("fields"))), 400
    flash(_("Saved."), "success")
    return _back(kind)


@settings_bp.post("/templates/<kind>/preview")
def preview_template(kind: str) -> ResponseReturnValue:
    """Show the entered template filled with a real run.

    In place, or as a page without JavaScript.
    """
    page = _entered(kind_or_first(kind), None)
    return render_template("notifications/template_preview.html", page=page) if _is_part() else _show(page)


@settings_bp.post("/templates/<kind>/test")
@guarded(Access.USER, needs_all_servers=True)
def send_template_test(kind: str) -> ResponseReturnValue:
    """Send the entered template, filled as in the preview, through every channel."""
    count_test(current_user, runtime.now())
    page = _entered(kind_or_first(kind), None)
    try:
        taken, failed = template_examples.send_test(
            page.kind, page.template, page.values, actor=actor(), now=runtime.now()
        )
        failures = [f"{each.label}: {failure_text(each.kind, each.reason)}" for each in failed]
    except Refused as refusal:
        taken, failures = [], [refusal_text(refusal)]
    values = {"taken": taken, "failures": failures, "at": runtime.now()}
    if _is_part():
        return render_template("notifications/template_test.html", **values)
    return _show(page, **values)


@settings_bp.get("/templates/<kind>/reset")
@guarded(Access.ADMIN)
def confirm_template_reset(kind: str) -> ResponseReturnValue:
    """Ask for confirmation before restoring the default text of one or all templates."""
    is_all = kind == "all"
    question = Confirmation(
        title=_("Restore default texts?") if is_all else _("Restore default text?"),
        sentences=[_("Your changes will be lost. The default texts follow the notification language.")],
        button=_("Reset"),
        action=url_for("settings.reset_template", kind=kind),
        back=url_for("settings.index", tab=TAB, kind=None if is_all else kind),
    )
    return ask_confirmation(question, tab=TAB, label=_("Templates"))


@settings_bp.post("/templates/<kind>/reset")
@guarded(Access.ADMIN)
def reset_template(kind: str) -> ResponseReturnValue:
    """Restore the default text of one or all templates."""
    kinds = tuple(KIND_WORDS) if kind == "all" else (kind_or_first(kind),)
    template_settings.reset_templates(kinds, actor=actor(), now=runtime.now())
    flash(_("Default text restored.") if len(kinds) == 1 else _("Default texts restored."), "success")
    return _back(None if kind == "all" else kind)


def _entered(kind: str, problems: dict[str, str] | None) -> Page:
    return build_page(
        kind,
        runtime.now(),
        visible_server_ids(),
        job_id=request.form.get("job", ""),
        # Users who may only view send no fields and see the stored template.
        entered=read_template(request.form) if "message" in request.form else None,
        problems=problems,
    )


def _show(page: Page, **more: object) -> str:
    words = {"kinds": KIND_WORDS, "priorities": PRIORITY_WORDS}
    values = {**words, "message_languages": language_choices()}
    return render_template("notifications/templates.html", tab=TAB, page=page, **values, **more)


def _is_part() -> bool:
    return "HX-Request" in request.headers


def _back(kind: str | None) -> ResponseReturnValue:
    return redirect(url_for("settings.index", tab=TAB, kind=kind), 303)
