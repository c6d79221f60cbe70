"""Message templates: text with placeholders in braces, filled with what a run or an overdue job has to tell."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

_SHARED = frozenset(
    {
        "server_id",
        "server_name",
        "server_alias",
        "server_note",
        "server_url",
        "backup_name",
        "duplistatus_link",
        "details_link",
    }
)
RUN_PLACEHOLDERS = _SHARED | {
    "reason",
    "backup_date",
    "status",
    "messages_count",
    "warnings_count",
    "errors_count",
    "duration",
    "file_count",
    "file_size",
    "uploaded_size",
    "storage_size",
    "available_versions",
    "log_text",
}
OVERDUE_PLACEHOLDERS = _SHARED | {
    "last_backup_date",
    "last_elapsed",
    "expected_date",
    "expected_elapsed",
    "backup_interval",
    "overdue_tolerance",
    "backup_interval_value",
    "backup_interval_type",
}
# A run after which a job is fine again, and what was wrong before it.
RECOVERED_PLACEHOLDERS = RUN_PLACEHOLDERS | {"previous_status", "trouble_since", "trouble_elapsed", "missed_runs"}
_TOTALS = frozenset(
    {
        "verdict",
        "attention",
        "server_count",
        "job_count",
        "run_count",
        "fine_count",
        "warning_count",
        "failed_count",
        "uploaded_size",
        "storage_size",
        "duplistatus_link",
    }
)
# Those of version 1.5 of the reference, beside ours: people bring their templates along.
SUMMARY_PLACEHOLDERS = _TOTALS | {
    "summary_date",
    "overdue_count",
    "jobs",
    "generated_at",
    "time_zone",
    "success_count",
    "error_count",
    "fatal_count",
    "unknown_count",
    "no_report_count",
    "problem_table",
    "all_jobs_table",
    "duplistatus_url",
    "latest_uploaded_size",
    "latest_source_size",
    "latest_storage_size",
    "latest_file_count",
    "total_warnings",
    "total_errors",
}
DIGEST_PLACEHOLDERS = _TOTALS | {
    "period_start",
    "period_end",
    "success_rate",
    "missed_count",
    "storage_growth",
    "storage_line",
    "growth",
}
PLACEHOLDERS: Mapping[str, frozenset[str]] = {
    "success": RUN_PLACEHOLDERS,
    "warning": RUN_PLACEHOLDERS,
    "overdueBackup": OVERDUE_PLACEHOLDERS,
    "recovered": RECOVERED_PLACEHOLDERS,
    "dailySummary": SUMMARY_PLACEHOLDERS,
    "digest": DIGEST_PLACEHOLDERS,
}
# What ntfy calls them, from the loudest to the quietest.
PRIORITIES = ("max", "high", "default", "low", "min")

# A doubled pair of braces is looked for first: it stands for itself, with one pair taken off.
_PLACEHOLDER = re.compile(r"\{(\{\w+\})\}|\{(\w+)\}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Template:
    """One message with gaps. Title and message hold placeholders, the message Markdown; tags are a comma list."""

    title: str
    message: str
    priority: str = "default"
    tags: str = ""

    @property
    def tag_list(self) -> tuple[str, ...]:
        """The tags one by one, without blanks around them."""
        return tuple(tag.strip() for tag in self.tags.split(",") if tag.strip())

    def translated(self, gettext: Callable[[str], str]) -> "Template":
        """Return the template with title and message in another language."""
        return replace(self, title=gettext(self.title), message=gettext(self.message))


def render(text: str, values: Mapping[str, str], change: Callable[[str], str] = str) -> str:
    """Fill the placeholders; `change` is applied to each value first. Unknown names and empty values leave nothing."""

    def fill(match: re.Match[str]) -> str:
        literal, name = match.groups()
        return literal or change(values.get(name, ""))

    return _PLACEHOLDER.sub(fill, text)


def render_message(text: str, values: Mapping[str, str], change: Callable[[str], str] = str) -> str:
    """Fill a message as `render` does, without the lines whose placeholders are all empty.

    A heading in a line of its own, ending in a colon, goes with the placeholder below it. Where lines were left out,
    two blank lines become one, and none is left at the beginning or the end. In the row of a table each value is one
    line.
    """
    kept: list[str] = []
    is_cut = False
    before = ""
    for line in text.split("\n"):
        if _is_empty(line, values):
            is_cut = True
            if _is_heading(before) and not _PLACEHOLDER.sub("", line).strip():
                kept.pop()
        elif line.strip():
            kept.append(render(line, values, _in_one_line(change) if line.lstrip().startswith("|") else change))
            is_cut = False
        elif not is_cut or (kept and kept[-1].strip()):
            kept.append(line)
        before = line
    while is_cut and kept and not kept[-1].strip():
        kept.pop()
    return "\n".join(kept)


def render_known(text: str, values: Mapping[str, str]) -> str:
    """Fill only the placeholders that have a value, and leave all others as they were typed."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[2] or "", match[0]), text)


def unknown_placeholders(text: str, kind: str) -> tuple[str, ...]:
    """The placeholders of a text that its kind of template does not know, each once, in their order."""
    names = (match[2] for match in _PLACEHOLDER.finditer(text) if match[2])
    return tuple(dict.fromkeys(name for name in names if name not in PLACEHOLDERS[kind]))


def _is_empty(line: str, values: Mapping[str, str]) -> bool:
    """Whether a line has placeholders, and none of them a value."""
    names = [match[2] for match in _PLACEHOLDER.finditer(line) if match[2]]
    return bool(names) and not any(values.get(name) for name in names)


def _in_one_line(change: Callable[[str], str]) -> Callable[[str], str]:
    return lambda value: change(" ".join(value.split()))


def _is_heading(line: str) -> bool:
    return not _PLACEHOLDER.search(line) and line.rstrip(" *_").endswith((":", "\N{FULLWIDTH COLON}"))
