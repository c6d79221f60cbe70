"""Message templates: text with placeholders in braces, filled with values of a run or job."""

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
# A run that ends an incident, and the incident.
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
# Names of version 1.5 of the original beside ours, for imported templates.
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
# Priority names of ntfy, from highest to lowest.
PRIORITIES = ("max", "high", "default", "low", "min")

# Doubled braces are matched first: they are an escape and lose one pair.
_PLACEHOLDER = re.compile(r"\{(\{\w+\})\}|\{(\w+)\}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Template:
    """A message template.

    Title and message with placeholders, the message in Markdown; tags are a comma list.
    """

    title: str
    message: str
    priority: str = "default"
    tags: str = ""

    @property
    def tag_list(self) -> tuple[str, ...]:
        """Return the tags without surrounding blanks."""
        return tuple(tag.strip() for tag in self.tags.split(",") if tag.strip())

    def translated(self, gettext: Callable[[str], str]) -> "Template":
        """Return the template with title and message in another language."""
        return replace(self, title=gettext(self.title), message=gettext(self.message))


def render(text: str, values: Mapping[str, str], change: Callable[[str], str] = str) -> str:
    """Fill the placeholders; `change` is applied to each value first.

    Unknown names and missing values become empty.
    """

    def fill(match: re.Match[str]) -> str:
        literal, name = match.groups()
        return literal or change(values.get(name, ""))

    return _PLACEHOLDER.sub(fill, text)


def render_message(text: str, values: Mapping[str, str], change: Callable[[str], str] = str) -> str:
    """Fill a message as `render` does, without the lines whose placeholders are all empty.

    A heading on a line of its own that ends with a colon is omitted with the placeholder below it. Where lines are
    omitted, two blank lines become one, and none is left at the beginning or the end. In a table row each value is one
    line.
    """
    result: list[str] = []
    is_cut = False
    before = ""
    for line in text.split("\n"):
        if _is_empty(line, values):
            is_cut = True
            if _is_heading(before) and not _PLACEHOLDER.sub("", line).strip():
                result.pop()
        elif line.strip():
            result.append(render(line, values, _in_one_line(change) if line.lstrip().startswith("|") else change))
            is_cut = False
        elif not is_cut or (result and result[-1].strip()):
            result.append(line)
        before = line
    while is_cut and result and not result[-1].strip():
        result.pop()
    return "\n".join(result)


def render_known(text: str, values: Mapping[str, str]) -> str:
    """Fill only the placeholders that have a value; all others stay as typed."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[2] or "", match[0]), text)


def unknown_placeholders(text: str, kind: str) -> tuple[str, ...]:
    """Return the placeholders that a kind of template does not know, unique and in order."""
    names = (match[2] for match in _PLACEHOLDER.finditer(text) if match[2])
    return tuple(dict.fromkeys(name for name in names if name not in PLACEHOLDERS[kind]))


def _is_empty(line: str, values: Mapping[str, str]) -> bool:
    """Whether a line has placeholders, all without a value."""
    names = [match[2] for match in _PLACEHOLDER.finditer(line) if match[2]]
    return bool(names) and not any(values.get(name) for name in names)


def _in_one_line(change: Callable[[str], str]) -> Callable[[str], str]:
    return lambda value: change(" ".join(value.split()))


def _is_heading(line: str) -> bool:
    return not _PLACEHOLDER.search(line) and line.rstrip(" *_").endswith((":", "\N{FULLWIDTH COLON}"))
