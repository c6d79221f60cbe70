"""What the tab of templates shows: one kind of message at a time, with what it would say of a real run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from flask_babel import LazyString
from flask_babel import lazy_gettext as lazy

from app.domain.templates import PLACEHOLDERS, PRIORITIES, Template
from app.services import messages, notification_settings, template_examples
from app.services.history import JobStatus
from app.services.template_examples import Filled
from app.services.wording import LANGUAGES

KIND_WORDS: Mapping[str, LazyString] = {
    "success": lazy("Success"),
    "warning": lazy("Warning or error"),
    "overdueBackup": lazy("Overdue"),
    "recovered": lazy("Fine again"),
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
LANGUAGE_NAMES = {
    "en-GB": "English (UK)",
    "de": "Deutsch",
    "fr": "Français",
    "es": "Español",
    "pt-BR": "Português (Brasil)",
    "hi": "हिन्दी",
    "zh-Hans": "简体中文",
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
    template = entered or notification_settings.read_templates()[kind]
    wanted = int(job_id) if job_id.isascii() and job_id.isdigit() and len(job_id) < 19 else None
    values, job = template_examples.example_values(kind, wanted, now, visible)
    return Page(
        kind=kind,
        template=template,
        is_own=notification_settings.is_own(kind),
        filled=template_examples.fill(kind, template, values),
        values=values,
        job=job,
        jobs=tuple(template_examples.jobs_to_show(kind, now, visible)),
        language=messages.language(),
        problems=problems or {},
    )


def read_template(form: Mapping[str, str]) -> Template:
    """What was entered; ends of lines are ours."""
    texts = {name: form.get(name, "")[:LONGEST] for name in notification_settings.FIELDS}
    texts["message"] = texts["message"].replace("\r\n", "\n")
    texts["title"] = " ".join(texts["title"].split())
    return Template(**texts)


def fields_of(template: Template) -> dict[str, str]:
    """A template as it is kept."""
    return {name: getattr(template, name) for name in notification_settings.FIELDS}


def language_choices() -> dict[str, str]:
    """The languages to choose from, each in its own name; an old code that is in use stays."""
    current = messages.language()
    return LANGUAGE_NAMES | ({} if current in LANGUAGE_NAMES else {current: "Hindi (Roman)"})


def is_language(code: str | None) -> bool:
    """Whether templates can speak it."""
    return code in LANGUAGES
