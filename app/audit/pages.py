"""What the tab of the audit log shows: the entries that an address asks for, page by page, and one entry in full."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext, ngettext
from werkzeug.datastructures import MultiDict
from wtforms import IntegerField
from wtforms.widgets import NumberInput

from app import runtime
from app.audit import application_logs, log
from app.audit.application_logs import BASE_NAME, LEVELS, LogView
from app.audit.filters import FilterQuery, limited_to
from app.audit.log import AuditEntry, AuditFilter, AuditWords
from app.core.db.transaction import LONGEST_SEARCH
from app.core.settings.declarations import AUDIT_DAYS
from app.database import retention
from app.plugin import AppError, Guard, guarded
from app.web.formats import count_text
from app.web.forms import Confirmation, SettingsForm, ask_confirmation
from app.web.pages import settings_bp
from app.web.request import actor

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
# Word on the wire -> word, tone and icon.
STATUSES = {
    "success": (lazy_gettext("Success"), "ok", "circle-check"),
    "failure": (lazy_gettext("Failure"), "warn", "alert-triangle"),
    "error": (lazy_gettext("Error"), "bad", "circle-x"),
}


@dataclass(frozen=True, slots=True)
class AuditPage:
    """A part of the log. `filters` is what the address asks for, by the words of the API."""

    entries: list[AuditEntry]
    total: int
    page: int
    filters: dict[str, str]
    words: AuditWords

    @property
    def first(self) -> int:
        """The number of the first entry on this page."""
        return (self.page - 1) * PAGE_SIZE + 1

    @property
    def page_count(self) -> int:
        """How many pages there are, one at least."""
        return max(1, -(-self.total // PAGE_SIZE))


@dataclass(frozen=True, slots=True)
class Detail:
    """A line of an entry's details; a change has a value before as well."""

    name: str
    value: str
    before: str | None = None


def build_audit_page(arguments: Mapping[str, str], own_user_id: str | None) -> AuditPage:
    """The part of the log that an address asks for, within what the account may see."""
    filters = {name: arguments[name].strip()[:LONGEST_SEARCH] for name in FILTERS if arguments.get(name, "").strip()}
    wanted: AuditFilter = replace(FilterQuery().load(filters), own_user_id=own_user_id)
    total = log.count_entries(wanted)
    text = arguments.get("page", "1")
    page = int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 1
    page = min(max(page, 1), max(1, -(-total // PAGE_SIZE)))
    entries = log.list_entries(wanted, limit=PAGE_SIZE, offset=(page - 1) * PAGE_SIZE)
    return AuditPage(entries, total, page, filters, log.read_words(AuditFilter(own_user_id=own_user_id)))


def lay_out_details(details: Mapping[str, Any] | None) -> list[Detail]:
    """The details of an entry as lines: what lies deeper has its path in its name, what changed its value before."""
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
    """`targetUsername` and `target_username` as words."""
    spaced = "".join(f" {sign.lower()}" if sign.isupper() else sign for sign in str(name)).replace("_", " ").strip()
    return spaced[:1].upper() + spaced[1:]


# Views of the tab of the audit log.

AUDIT_TAB = "audit"


def show_audit() -> ResponseReturnValue:
    """The entries that the address asks for, newest first."""
    found = build_audit_page(request.args, limited_to())
    words = {"categories": CATEGORIES, "statuses": STATUSES, "now": runtime.now()}
    return render_template("audit/audit.html", tab=AUDIT_TAB, found=found, **words)


@settings_bp.get("/audit/<int:entry_id>")
def show_audit_entry(entry_id: int) -> ResponseReturnValue:
    """All that is known of one entry, in a dialog or on a page."""
    entry = log.find_entry(entry_id, limited_to())
    part = "audit_entry" if "HX-Request" in request.headers else "audit_entry_page"
    words = {"categories": CATEGORIES, "statuses": STATUSES, "now": runtime.now()}
    details = lay_out_details(entry.details)
    return render_template(f"audit/{part}.html", tab=AUDIT_TAB, entry=entry, details=details, **words)


# The tab of how long the audit log is kept, which is for administrators.

RETENTION_TAB, LABEL = "audit-retention", lazy_gettext("Audit log retention")


class AuditRetentionForm(SettingsForm):
    """How many days the audit log reaches back."""

    days = IntegerField(
        lazy_gettext("Days"),
        description=lazy_gettext("From %(least)s to %(most)s.", least=AUDIT_DAYS[0], most=AUDIT_DAYS[1]),
        widget=NumberInput(),
        render_kw={"required": True, "min": AUDIT_DAYS[0], "max": AUDIT_DAYS[1], "inputmode": "numeric"},
    )

    def chosen_days(self) -> int | None:
        """What was entered; None when the form tells what is wrong with it."""
        days = self.days.data if self.validate() else None
        if days is not None and AUDIT_DAYS[0] <= days <= AUDIT_DAYS[1]:
            return int(days)
        least, most = AUDIT_DAYS
        self.days.errors = (_("Enter a whole number from %(least)s to %(most)s.", least=least, most=most),)
        return None


def show_retention() -> str:
    """The tab."""
    return _show(AuditRetentionForm(formdata=None, data={"days": retention.audit_retention_days()}))


@settings_bp.post("/audit-retention")
@guarded(Guard.ADMIN)
def save_audit_retention() -> ResponseReturnValue:
    """Choose how many days the audit log reaches back, or only show what that would delete."""
    form = AuditRetentionForm()
    days = form.chosen_days()
    if days is None:
        return _show(form), 400
    if request.form.get("then") == "show":
        return _show(form, shown=forecast_text(days))
    retention.save_audit_retention(days, actor=actor(), now=runtime.now())
    flash(_("Saved. Applies from the next nightly clean-up."), "success")
    return redirect(url_for("settings.index", tab=RETENTION_TAB), 303)


@settings_bp.get("/audit-retention/clean-up")
@guarded(Guard.ADMIN)
def ask_to_shorten_audit_log() -> ResponseReturnValue:
    """Ask whether the old entries shall go now."""
    question = Confirmation(
        title=_("Delete old entries now?"),
        sentences=(forecast_text(retention.audit_retention_days()),),
        button=_("Delete"),
        action=url_for("settings.shorten_audit_log"),
        back=url_for("settings.index", tab=RETENTION_TAB),
    )
    return ask_confirmation(question, tab=RETENTION_TAB, label=LABEL)


@settings_bp.post("/audit-retention/clean-up")
@guarded(Guard.ADMIN)
def shorten_audit_log() -> ResponseReturnValue:
    """Delete the old entries."""
    count = retention.purge_audit_log(retention.audit_retention_days(), now=runtime.now(), actor=actor())
    flash(ngettext("%(num)s entry was deleted.", "%(num)s entries were deleted.", count), "success")
    return redirect(url_for("settings.index", tab=RETENTION_TAB), 303)


def forecast_text(days: int) -> str:
    """What a clean-up would delete, in one sentence."""
    count = retention.count_old_audit_entries(days, runtime.now())
    told: str = ngettext(
        "%(count)s entry is older than %(days)s days and will be deleted.",
        "%(count)s entries are older than %(days)s days and will be deleted.",
        count,
        count=count_text(count),
        days=days,
    )
    return told


def _show(form: AuditRetentionForm, *, shown: str = "") -> str:
    values = {
        "count": retention.count_audit_entries(),
        "oldest_at": retention.oldest_audit_entry_at(),
        "old_count": retention.count_old_audit_entries(retention.audit_retention_days(), runtime.now()),
    }
    return render_template(
        "audit/audit_retention.html", tab=RETENTION_TAB, label=LABEL, form=form, shown=shown, **values
    )


# What the tab of the program's own logs shows: the lines of a file that an address asks for.

LINE_COUNTS = (100, 500, 1000, 5000, 10_000)
USUAL_COUNT = 1000


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which lines of which file; no level means every level."""

    name: str = BASE_NAME
    line_limit: int = USUAL_COUNT
    levels: tuple[str, ...] = ()
    search: str = ""

    @property
    def values(self) -> dict[str, object]:
        """The arguments of an address that asks for the same; what is as usual is left out."""
        told = {"file": self.name, "lines": self.line_limit, "level": list(self.levels), "q": self.search}
        usual = {"file": BASE_NAME, "lines": USUAL_COUNT, "level": [], "q": ""}
        return {name: value for name, value in told.items() if value != usual[name]}

    @property
    def export_values(self) -> dict[str, str]:
        """The same in the words of the API."""
        return {"file": self.name, "logLevels": ",".join(self.levels), "search": self.search}

    @property
    def can_grow(self) -> bool:
        """Whether the file is the one that is written to."""
        return self.name == BASE_NAME


@dataclass(frozen=True, slots=True)
class LogPage:
    """The lines that were asked for, of a file that may not be there, and which files there are."""

    query: LogQuery
    view: LogView | None
    state: str
    files: Sequence[str]


def read_query(arguments: MultiDict[str, str]) -> LogQuery:
    """Read the query of an address; what is not known is as usual."""
    name = arguments.get("file", BASE_NAME)
    try:
        application_logs.check_name(name)
    except AppError:
        name = BASE_NAME
    text = arguments.get("lines", "")
    count = int(text) if text in map(str, LINE_COUNTS) else USUAL_COUNT
    levels = tuple(level for level in LEVELS if level in arguments.getlist("level"))
    return LogQuery(name, count, () if levels == LEVELS else levels, arguments.get("q", "").strip()[:200])


def build_logs_page(query: LogQuery) -> LogPage:
    """The lines that were asked for."""
    state = application_logs.state_of(query.name)
    view = application_logs.view(query.name, query.line_limit, query.levels, query.search)
    return LogPage(query, view, state, application_logs.list_files())


# Views of the tab of the program's own logs, which is for administrators.

LOGS_TAB = "application-logs"


def show_logs() -> ResponseReturnValue:
    """The last lines of a log file."""
    found = build_logs_page(read_query(request.args))
    values = {"line_counts": LINE_COUNTS, "levels": application_logs.LEVELS, "now": runtime.now()}
    return render_template("audit/logs.html", tab=LOGS_TAB, found=found, **values)


@settings_bp.get("/logs/lines")
@guarded(Guard.ADMIN)
def log_lines() -> ResponseReturnValue:
    """The lines alone, for a page that follows the file; nothing while it is as the page has it."""
    query = read_query(request.args)
    if request.args.get("state") == application_logs.state_of(query.name):
        return "", 204
    return render_template("audit/logs_lines.html", found=build_logs_page(query), now=runtime.now())
