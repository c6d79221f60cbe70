"""What the tab of templates shows: one kind of message at a time, with what it would say of a real run."""

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
from app.core.languages import LANGUAGES, PAGE_LANGUAGES
from app.notifications import messages, template_examples
from app.notifications import settings as notifications_settings
from app.notifications.template_examples import Filled
from app.notifications.templates import PLACEHOLDERS, PRIORITIES, Template
from app.notifications.test_messages import count_test
from app.plugin import AppError, Guard, guarded
from app.web.forms import Confirmation, ask_confirmation
from app.web.pages import settings_bp
from app.web.plugin_texts import failure_text
from app.web.request import actor, visible_server_ids

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
# Names of earlier versions, which are still filled but not offered any more.
OLD_NAMES = frozenset({"backup_interval_value", "backup_interval_type"})
# The longest that is taken from a form: a person's text is far below.
LONGEST = 20_000


@dataclass(frozen=True, slots=True)
class Page:
    """One template in the form, and filled with the values of an example; `problems` by field."""

    kind: str
    template: Template
    is_own: bool
    filled: Filled
    values: Mapping[str, str]
    job: JobStatus | None
    jobs: tuple[JobStatus, ...]
    language: str
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def placeholders(self) -> list[str]:
        """What can be put in, by name."""
        return sorted(PLACEHOLDERS[self.kind] - OLD_NAMES)

    @property
    def priorities(self) -> list[str]:
        """What can be chosen; a word of somebody's own stays."""
        own = self.template.priority
        return [*PRIORITIES, *([own] if own and own not in PRIORITIES else [])]


def known_kind(name: str | None) -> str:
    """The kind of an address, or the first."""
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
    """The page of a kind: what is stored, or what was entered."""
    template = entered or notifications_settings.read_templates()[kind]
    wanted = int(job_id) if job_id.isascii() and job_id.isdigit() and len(job_id) < 19 else None
    values, job = template_examples.example_values(kind, wanted, now, visible)
    return Page(
        kind=kind,
        template=template,
        is_own=notifications_settings.is_own(kind),
        filled=template_examples.fill(kind, template, values),
        values=values,
        job=job,
        jobs=tuple(template_examples.jobs_to_show(kind, now, visible)),
        language=messages.language(),
        problems=problems or {},
    )


def read_template(form: Mapping[str, str]) -> Template:
    """What was entered; ends of lines are ours."""
    texts = {name: form.get(name, "")[:LONGEST] for name in notifications_settings.FIELDS}
    texts["message"] = texts["message"].replace("\r\n", "\n")
    texts["title"] = " ".join(texts["title"].split())
    return Template(**texts)


def fields_of(template: Template) -> dict[str, str]:
    """A template as it is kept."""
    return {name: getattr(template, name) for name in notifications_settings.FIELDS}


def language_choices() -> dict[str, str]:
    """The languages to choose from, each in its own name; an old code that is in use stays."""
    codes = dict.fromkeys((*PAGE_LANGUAGES, messages.language()))
    return {code: LANGUAGES[code].name for code in codes}


def is_language(code: str | None) -> bool:
    """Whether templates can speak it."""
    return code in LANGUAGES


# Views of the tab of templates.

TAB = "templates"


def show() -> ResponseReturnValue:
    """One template: the one that is asked for, or that was looked at last."""
    kind = known_kind(request.args.get("kind") or preferences.of(current_user).template_tab)
    preferences.remember(current_user, template_tab=kind)
    return _show(build_page(kind, runtime.now(), visible_server_ids(), job_id=request.args.get("job", "")))


@settings_bp.post("/templates/language")
@guarded(Guard.ADMIN)
def save_template_language() -> ResponseReturnValue:
    """Choose the language of messages, their dates and numbers."""
    if is_language(request.form.get("language")):
        notifications_settings.save_templates({}, request.form["language"], actor=actor(), now=runtime.now())
        flash(_("Saved. Default texts now use this language."), "success")
    return _back(request.form.get("kind"))


@settings_bp.post("/templates/<kind>")
@guarded(Guard.ADMIN)
def save_template(kind: str) -> ResponseReturnValue:
    """Store a template, or say at its fields why not."""
    kind, template = known_kind(kind), read_template(request.form)
    try:
        notifications_settings.save_templates({kind: fields_of(template)}, None, actor=actor(), now=runtime.now())
    except AppError as refusal:
        return _show(_entered(kind, refusal.extra.get("fields"))), 400
    flash(_("Saved."), "success")
    return _back(kind)


@settings_bp.post("/templates/<kind>/preview")
def preview_template(kind: str) -> ResponseReturnValue:
    """What was entered, filled with a real run: in place, or as the page where there is no script."""
    page = _entered(known_kind(kind), None)
    return render_template("notifications/template_preview.html", page=page) if _is_part() else _show(page)


@settings_bp.post("/templates/<kind>/test")
@guarded(Guard.LOGIN, needs_all_servers=True)
def try_template(kind: str) -> ResponseReturnValue:
    """Send what was entered, filled as in the preview, through every channel."""
    count_test(current_user, runtime.now())
    page = _entered(known_kind(kind), None)
    try:
        taken, failed = template_examples.send_test(
            page.kind, page.template, page.values, actor=actor(), now=runtime.now()
        )
        failures = [f"{each.label}: {failure_text(each.kind, each.reason)}" for each in failed]
    except AppError as refusal:
        taken, failures = [], [refusal.message]
    values = {"taken": taken, "failures": failures, "at": runtime.now()}
    if _is_part():
        return render_template("notifications/template_trial.html", **values)
    return _show(page, **values)


@settings_bp.get("/templates/<kind>/reset")
@guarded(Guard.ADMIN)
def confirm_template_reset(kind: str) -> ResponseReturnValue:
    """Ask whether a template, or all of them, shall be ours again."""
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
@guarded(Guard.ADMIN)
def reset_template(kind: str) -> ResponseReturnValue:
    """Go back to the built-in text of a template, or of all."""
    kinds = tuple(KIND_WORDS) if kind == "all" else (known_kind(kind),)
    notifications_settings.reset_templates(kinds, actor=actor(), now=runtime.now())
    flash(_("Default text restored.") if len(kinds) == 1 else _("Default texts restored."), "success")
    return _back(None if kind == "all" else kind)


def _entered(kind: str, problems: dict[str, str] | None) -> Page:
    return build_page(
        kind,
        runtime.now(),
        visible_server_ids(),
        job_id=request.form.get("job", ""),
        # Who may only look sends no fields, and sees what is stored.
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
