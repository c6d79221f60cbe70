"""Settings pages of the audit log, its retention, and the application's log files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext, ngettext
from werkzeug.datastructures import MultiDict

from app import runtime
from app.audit import application_logs, log
from app.audit.application_logs import BASE_NAME, LEVELS, LogView
from app.audit.filters import FilterQuery, limited_to
from app.audit.log import AuditEntry, AuditFilter, AuditFilterValues
from app.core.db.orm import LONGEST_SEARCH
from app.core.errors import Refused
from app.database import retention
from app.database.retention import AUDIT_RETENTION
from app.plugin import Access, guarded
from app.web.formats import count_text
from app.web.forms import Confirmation, GroupForm, ask_confirmation, form_field, with_settings
from app.web.http import actor, settings_bp

PAGE_SIZE = 50
NOTHING = "\N{EN DASH}"
FILTERS = ("startDate", "endDate", "username", "action", "category", "status", "search")
CATEGORIES = {
    "auth": lazy_gettext("Sign-in"),
    "user": lazy_gettext("Users"),
    "config": lazy_gettext("Settings"),
    "backup": lazy_gettext("Backups"),
    "server": lazy_gettext("Servers"),
    "system": lazy_gettext("System"),
}
# Value in the API -> label, color and icon.
STATUSES = {
    "success": (lazy_gettext("Success"), "ok", "circle-check"),
    "failure": (lazy_gettext("Failure"), "warn", "alert-triangle"),
    "error": (lazy_gettext("Error"), "bad", "circle-x"),
}


@dataclass(frozen=True, slots=True)
class AuditPage:
    """A page of the log. `filters` are those of the URL, by their names in the API."""

    entries: list[AuditEntry]
    total: int
    page: int
    filters: dict[str, str]
    words: AuditFilterValues

    @property
    def first(self) -> int:
        """The number of the first entry on this page."""
        return (self.page - 1) * PAGE_SIZE + 1

    @property
    def page_count(self) -> int:
        """The number of pages, at least one."""
        return max(1, -(-self.total // PAGE_SIZE))


@dataclass(frozen=True, slots=True)
class Detail:
    """A line of an entry's details; a change also has the previous value."""

    name: str
    value: str
    before: str | None = None


def build_audit_page(arguments: Mapping[str, str], own_user_id: str | None) -> AuditPage:
    """Return the page of the log for a URL, limited to what the account may see."""
    filters = {name: arguments[name].strip()[:LONGEST_SEARCH] for name in FILTERS if arguments.get(name, "").strip()}
    wanted: AuditFilter = replace(FilterQuery().load(filters), own_user_id=own_user_id)
    total = log.count_entries(wanted)
    text = arguments.get("page", "1")
    page = int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 1
    page = min(max(page, 1), max(1, -(-total // PAGE_SIZE)))
    entries = log.list_entries(wanted, limit=PAGE_SIZE, offset=(page - 1) * PAGE_SIZE)
    return AuditPage(entries, total, page, filters, log.read_filter_values(AuditFilter(own_user_id=own_user_id)))


def lay_out_details(details: Mapping[str, Any] | None) -> list[Detail]:
    """Return the details of an entry as lines.

    Nested values have their path as name, changes the value before.
    """
    return [line for name, value in (details or {}).items() for line in _lines(_words(name), value)]


def _lines(name: str, value: Any) -> list[Detail]:
    if isinstance(value, Mapping):
        for before, after in (("from", "to"), ("old", "new")):
            if set(value) == {before, after}:
                return [Detail(name, _text(value[after]), _text(value[before]))]
        return [line for key, part in value.items() for line in _lines(f"{name} / {_words(key)}", part)]
    if isinstance(value, list) and any(isinstance(part, Mapping | list) for part in value):
        return [line for number, part in enumerate(value, 1) for line in _lines(f"{name} {number}", part)]
    return [Detail(name, _text(value))]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or NOTHING
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_text(part)}" for key, part in value.items()) or NOTHING
    return NOTHING if value in (None, "") else str(value)


def _words(name: object) -> str:
    """Split `targetUsername` or `target_username` into words."""
    spaced = "".join(f" {char.lower()}" if char.isupper() else char for char in str(name)).replace("_", " ").strip()
    return spaced[:1].upper() + spaced[1:]


# Views of the audit log

AUDIT_TAB = "audit"


def show_audit() -> ResponseReturnValue:
    """List the entries that match the URL, newest first."""
    found = build_audit_page(request.args, limited_to())
    words = {"categories": CATEGORIES, "statuses": STATUSES, "now": runtime.now()}
    return render_template("audit/audit.html", tab=AUDIT_TAB, found=found, **words)


@settings_bp.get("/audit/<int:entry_id>")
def show_audit_entry(entry_id: int) -> ResponseReturnValue:
    """Show one entry in full, in a dialog or on a page."""
    entry = log.find_entry(entry_id, limited_to())
    part = "audit_entry" if "HX-Request" in request.headers else "audit_entry_page"
    words = {"categories": CATEGORIES, "statuses": STATUSES, "now": runtime.now()}
    details = lay_out_details(entry.details)
    return render_template(f"audit/{part}.html", tab=AUDIT_TAB, entry=entry, details=details, **words)


# Retention of the audit log, for administrators

RETENTION_TAB, LABEL = "audit-retention", lazy_gettext("Audit log retention")


@with_settings((AUDIT_RETENTION,))
class AuditRetentionForm(GroupForm):
    """Retention period of the audit log in days."""

    days = form_field(
        AUDIT_RETENTION,
        label=lazy_gettext("Days"),
        description=lazy_gettext(
            "From %(least)s to %(most)s.", least=AUDIT_RETENTION.minimum, most=AUDIT_RETENTION.maximum
        ),
        render_kw={"required": True, "inputmode": "numeric"},
    )


def show_retention() -> str:
    """Show the tab."""
    return _show(AuditRetentionForm(formdata=None, data={"days": str(retention.audit_retention_days())}))


@settings_bp.post("/audit-retention")
@guarded(Access.ADMIN)
def save_audit_retention() -> ResponseReturnValue:
    """Set the retention period, or only show what that would delete."""
    form = AuditRetentionForm()
    days = form.read_setting(AUDIT_RETENTION)
    if days is None:
        return _show(form), 400
    if request.form.get("then") == "show":
        return _show(form, shown=forecast_text(days))
    retention.save_audit_retention(days, actor=actor(), now=runtime.now())
    flash(_("Saved. Applies from the next nightly clean-up."), "success")
    return redirect(url_for("settings.index", tab=RETENTION_TAB), 303)


@settings_bp.get("/audit-retention/clean-up")
@guarded(Access.ADMIN)
def ask_to_shorten_audit_log() -> ResponseReturnValue:
    """Ask for confirmation before old entries are deleted now."""
    question = Confirmation(
        title=_("Delete old entries now?"),
        sentences=(forecast_text(retention.audit_retention_days()),),
        button=_("Delete"),
        action=url_for("settings.shorten_audit_log"),
        back=url_for("settings.index", tab=RETENTION_TAB),
    )
    return ask_confirmation(question, tab=RETENTION_TAB, label=LABEL)


@settings_bp.post("/audit-retention/clean-up")
@guarded(Access.ADMIN)
def shorten_audit_log() -> ResponseReturnValue:
    """Delete old entries."""
    count = retention.purge_audit_log(retention.audit_retention_days(), now=runtime.now(), actor=actor())
    flash(ngettext("%(num)s entry was deleted.", "%(num)s entries were deleted.", count), "success")
    return redirect(url_for("settings.index", tab=RETENTION_TAB), 303)


def forecast_text(days: int) -> str:
    """Return a sentence about what a deletion would delete."""
    count = retention.count_old_audit_entries(days, runtime.now())
    text: str = ngettext(
        "%(count)s entry is older than %(days)s days and will be deleted.",
        "%(count)s entries are older than %(days)s days and will be deleted.",
        count,
        count=count_text(count),
        days=days,
    )
    return text


def _show(form: AuditRetentionForm, *, shown: str = "") -> str:
    values = {
        "count": retention.count_audit_entries(),
        "oldest_at": retention.oldest_audit_entry_at(),
        "old_count": retention.count_old_audit_entries(retention.audit_retention_days(), runtime.now()),
    }
    return render_template(
        "audit/audit_retention.html", tab=RETENTION_TAB, label=LABEL, form=form, shown=shown, **values
    )


# Content of the tab of log files

LINE_COUNTS = (100, 500, 1000, 5000, 10_000)
USUAL_COUNT = 1000


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which lines of which file; no level means all levels."""

    name: str = BASE_NAME
    line_limit: int = USUAL_COUNT
    levels: tuple[str, ...] = ()
    search: str = ""

    @property
    def values(self) -> dict[str, object]:
        """The arguments of a URL for the same query; defaults are left out."""
        values = {"file": self.name, "lines": self.line_limit, "level": list(self.levels), "q": self.search}
        usual = {"file": BASE_NAME, "lines": USUAL_COUNT, "level": [], "q": ""}
        return {name: value for name, value in values.items() if value != usual[name]}

    @property
    def export_values(self) -> dict[str, str]:
        """The same by the names of the API."""
        return {"file": self.name, "logLevels": ",".join(self.levels), "search": self.search}

    @property
    def can_grow(self) -> bool:
        """Whether the file is the one that is written to."""
        return self.name == BASE_NAME


@dataclass(frozen=True, slots=True)
class LogPage:
    """The matching lines of a file, which may be missing, and the list of files."""

    query: LogQuery
    view: LogView | None
    state: str
    files: Sequence[str]


def read_query(arguments: MultiDict[str, str]) -> LogQuery:
    """Read the query of a URL; invalid values are replaced by defaults."""
    name = arguments.get("file", BASE_NAME)
    try:
        application_logs.check_name(name)
    except Refused:
        name = BASE_NAME
    text = arguments.get("lines", "")
    count = int(text) if text in map(str, LINE_COUNTS) else USUAL_COUNT
    levels = tuple(level for level in LEVELS if level in arguments.getlist("level"))
    return LogQuery(name, count, () if levels == LEVELS else levels, arguments.get("q", "").strip()[:200])


def build_logs_page(query: LogQuery) -> LogPage:
    """Return the matching lines."""
    state = application_logs.state_of(query.name)
    view = application_logs.view(query.name, query.line_limit, query.levels, query.search)
    return LogPage(query, view, state, application_logs.list_files())


# Views of the log files, for administrators

LOGS_TAB = "application-logs"


def show_logs() -> ResponseReturnValue:
    """Show the last lines of a log file."""
    found = build_logs_page(read_query(request.args))
    values = {"line_counts": LINE_COUNTS, "levels": application_logs.LEVELS, "now": runtime.now()}
    return render_template("audit/logs.html", tab=LOGS_TAB, found=found, **values)


@settings_bp.get("/logs/lines")
@guarded(Access.ADMIN)
def log_lines() -> ResponseReturnValue:
    """Return only the lines, for a page that follows the file.

    Nothing if the file has not changed.
    """
    query = read_query(request.args)
    if request.args.get("state") == application_logs.state_of(query.name):
        return "", 204
    return render_template("audit/logs_lines.html", found=build_logs_page(query), now=runtime.now())
