"""The dashboard: overall status, issues and all jobs, filtered and sorted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

from flask import request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from flask_login import current_user

from app import __version__, runtime
from app.accounts import preferences
from app.accounts.preferences import Preferences
from app.backups import graphics, overview, run_lists
from app.backups.health_summary import LONG_AGO, HealthSummary, Issue, find_issues, is_fine, summarize
from app.backups.overview import JobStatus, Overview, ServerStatus
from app.backups.run_lists import DayState
from app.charts import pages as charts_pages
from app.charts import series as charts_series
from app.charts.pages import RANGES, VALUE_TEXTS, label_of
from app.core.db.orm import cache
from app.legacy_import import importing
from app.reports import pages as reports_pages
from app.reports.outcomes import ERROR, FATAL, NONE, SUCCESS, UNKNOWN, WARNING, is_failure
from app.web.formats import exact_text
from app.web.http import is_refresh, pages_bp, render_page_or_board, visible_server_ids
from app.web.i18n import chosen_language, format_tag

STATUS_ORDER = {status: index for index, status in enumerate((FATAL, ERROR, UNKNOWN, WARNING, SUCCESS, NONE))}
EVENT_ORDER = {"off": 0, "all": 1, "warnings": 2, "errors": 3}
VIEWS = {
    "cards": (lazy_gettext("Cards"), "layout-grid"),
    "table": (lazy_gettext("Table"), "table"),
    "compact": (lazy_gettext("Compact"), "list-details"),
}
PANELS = ("status", "charts", "none")
LONGEST_FILTER = 200
MOST_HASH = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Column:
    """A column that the table can be sorted by.

    `key` returns None for missing values.
    """

    name: str
    label: Any
    key: Callable[[JobStatus], Any]
    starts_descending: bool = False
    is_number: bool = False


COLUMNS = (
    Column("server", lazy_gettext("Server"), lambda job: job.server_display_name.casefold()),
    Column("job", lazy_gettext("Backup job"), lambda job: job.name.casefold()),
    Column("status", lazy_gettext("Status"), lambda job: STATUS_ORDER.get(job.last_status, 2)),
    Column("last", lazy_gettext("Last run"), lambda job: job.last_began_at, starts_descending=True),
    Column(
        "next", lazy_gettext("Next run"), lambda job: job.next_expected_at if job.is_overdue_check_enabled else None
    ),
    Column("versions", lazy_gettext("Versions"), lambda job: job.version_count, is_number=True),
    Column("runs", lazy_gettext("Runs"), lambda job: job.run_count, is_number=True),
    Column("size", lazy_gettext("Size"), lambda job: job.examined_bytes, is_number=True),
    Column("duration", lazy_gettext("Duration"), lambda job: job.last_duration_s, is_number=True),
    Column("warnings", lazy_gettext("Warnings"), lambda job: job.warning_count, is_number=True),
    Column("errors", lazy_gettext("Errors"), lambda job: job.error_count, is_number=True),
    Column("messages", lazy_gettext("Messages"), lambda job: EVENT_ORDER.get(job.notification_event, 0)),
)
ORDERS: dict[str, tuple[Any, Callable[[ServerStatus], Any]]] = {
    "name": (lazy_gettext("Name"), lambda server: server.display_name.casefold()),
    "status": (
        lazy_gettext("Worst first"),
        lambda server: (STATUS_ORDER[server.status], server.display_name.casefold()),
    ),
    "newest": (
        lazy_gettext("Newest run first"),
        lambda server: -_newest(server).timestamp() if server.last_job else float("inf"),
    ),
}
STATUS_FILTERS: dict[str, tuple[Any, Callable[[JobStatus], bool]]] = {
    "trouble": (lazy_gettext("Problems"), lambda job: not is_fine(job) and not job.is_muted),
    "overdue": (lazy_gettext("Overdue"), lambda job: job.is_overdue),
    "failed": (lazy_gettext("Failed"), lambda job: is_failure(job.last_status)),
    "warning": (lazy_gettext("Warnings"), lambda job: job.last_status == WARNING),
    "fine": (lazy_gettext("OK"), is_fine),
    "unusual": (lazy_gettext("Unusual"), lambda job: bool(job.anomalies)),
    "muted": (lazy_gettext("Muted"), lambda job: job.is_muted),
}


@dataclass(frozen=True, slots=True)
class DashboardQuery:
    """The query of the dashboard: filters, view, sorting, side panel.

    `sort` is a column's name, with `-` for descending.
    """

    text: str = ""
    view: str = "cards"
    sort: str = ""
    order: str = "name"
    status: str = ""
    tag: str = ""
    panel: str = "status"

    @property
    def sorted_column(self) -> Column | None:
        """The column by which the table is sorted, if any."""
        return next((column for column in COLUMNS if column.name == self.sort.removeprefix("-")), None)

    @property
    def is_descending(self) -> bool:
        """Whether the sorted column is descending."""
        return self.sort.startswith("-")

    @property
    def is_filtering(self) -> bool:
        """Whether any filter is set."""
        return bool(self.text or self.status or self.tag)

    def address(self, **changes: str) -> dict[str, str]:
        """Return the URL arguments of this query with changes.

        Remembered arguments are included even if empty: an absent argument means its last value.
        """
        asked = {"view": self.view, "order": self.order, "sort": self.sort, "status": self.status, "tag": self.tag}
        asked |= {"panel": self.panel, "q": self.text} | changes
        return {name: value for name, value in asked.items() if value or name != "q"}

    def next_sort(self, column: Column) -> str:
        """Return the sorting after a click on a column: default direction, then reversed."""
        if column is self.sorted_column:
            return column.name if self.is_descending else f"-{column.name}"
        return f"-{column.name}" if column.starts_descending else column.name

    def aria_sort(self, column: Column) -> str:
        """Return the column's state as `aria-sort`."""
        if column is not self.sorted_column:
            return "none"
        return "descending" if self.is_descending else "ascending"


@dataclass(frozen=True, slots=True)
class Card:
    """A server with those of its jobs that pass the filters."""

    server: ServerStatus
    jobs: tuple[JobStatus, ...]


@dataclass(frozen=True)
class DashboardPage:
    """The dashboard page of one user. `cards` hold what passes the filters."""

    overview: Overview
    query: DashboardQuery
    cards: tuple[Card, ...]
    etag: str

    @cached_property
    def health(self) -> HealthSummary:
        """The overall status, regardless of filters."""
        return summarize(self.overview)

    @cached_property
    def issues(self) -> list[Issue]:
        """The jobs that need attention."""
        return [one for one in self._all_issues if not one.is_minor and not one.job.is_muted]

    @cached_property
    def hints(self) -> list[Issue]:
        """The jobs that are only worth checking."""
        return [one for one in self._all_issues if one.is_minor and not one.job.is_muted]

    @cached_property
    def muted(self) -> list[Issue]:
        """The muted jobs with issues."""
        return [one for one in self._all_issues if one.job.is_muted]

    @cached_property
    def _all_issues(self) -> list[Issue]:
        return find_issues(self.overview.jobs, self.overview.now)

    @cached_property
    def jobs(self) -> list[JobStatus]:
        """The jobs that pass the filters, in the order of the table."""
        return sort_jobs([job for card in self.cards for job in card.jobs], self.query)

    @cached_property
    def tags(self) -> list[str]:
        """All tags, in alphabetical order."""
        overview = self.overview
        found = {tag for server in overview.servers for tag in server.tags}
        return sorted(found.union(*(job.tags for job in overview.jobs)), key=str.casefold)

    @cached_property
    def next_expected_at(self) -> datetime | None:
        """The earliest next expected run."""
        awaited = [job for job in self.overview.jobs if job.is_overdue_check_enabled and not job.is_overdue]
        return min((job.next_expected_at for job in awaited if job.next_expected_at), default=None)

    @property
    def found_count(self) -> int:
        """The number of cards or rows that pass the filters."""
        return len(self.cards) if self.query.view == "cards" else len(self.jobs)

    def count(self, status: str) -> int:
        """Return the number of jobs with a status, regardless of filters."""
        return sum(map(STATUS_FILTERS[status][1], self.overview.jobs))

    def percent(self, count: int) -> int:
        """Return a number of jobs as a percentage of all."""
        return round(count / len(self.overview.jobs) * 100) if self.overview.jobs else 0


def read_query(arguments: Mapping[str, str], preferences: Preferences) -> DashboardQuery:
    """Read the query of a URL; absent arguments have the user's last values."""
    columns = {column.name for column in COLUMNS}
    view = arguments.get("view", preferences.dashboard_view)
    order = arguments.get("order", preferences.dashboard_order)
    sort = arguments.get("sort", preferences.dashboard_sort)
    status = arguments.get("status", preferences.dashboard_status)
    panel = arguments.get("panel", preferences.dashboard_panel)
    return DashboardQuery(
        text=arguments.get("q", "").strip()[:LONGEST_FILTER],
        view=view if view in VIEWS else "cards",
        sort=sort if sort.removeprefix("-") in columns else "",
        order=order if order in ORDERS else "name",
        status=status if status in STATUS_FILTERS else "",
        tag=arguments.get("tag", preferences.dashboard_tag).strip()[:LONGEST_FILTER],
        panel=panel if panel in PANELS else "status",
    )


def build_page(overview: Overview, query: DashboardQuery) -> DashboardPage:
    """Build the dashboard page: filter and sort the overview."""
    speech = (chosen_language(), format_tag())
    state = (__version__, query, overview.servers, overview.checked_at, overview.now.date(), speech)
    cards = [card for server in overview.servers if (card := find_card(server, query))]
    return DashboardPage(
        overview=overview,
        query=query,
        cards=tuple(sorted(cards, key=lambda card: ORDERS[query.order][1](card.server))),
        # An ETag that is valid for this process: serialising everything would take longer than building it.
        etag=f"{hash(state) & MOST_HASH:x}",
    )


def find_card(server: ServerStatus, query: DashboardQuery) -> Card | None:
    """Return a server with the jobs that pass the filters; None if none does.

    In the card view, a text that matches one job keeps the whole server; in lists, only that job.
    """
    text = query.text.casefold()
    names_server = _is_in_server(text, server)
    jobs = [job for job in server.jobs if _is_in(text, job.name, *job.tags)]
    if not names_server and not jobs:
        return None
    if names_server or query.view == "cards":
        jobs = list(server.jobs)
    if query.tag and query.tag not in server.tags:
        jobs = [job for job in jobs if query.tag in job.tags]
    if query.status:
        jobs = list(filter(STATUS_FILTERS[query.status][1], jobs))
    if not jobs and (query.status or (query.tag and query.tag not in server.tags)):
        return None
    return Card(server, tuple(jobs))


def sort_jobs(jobs: list[JobStatus], query: DashboardQuery) -> list[JobStatus]:
    """Return jobs in the requested order; missing values are last in both directions.

    The compact list has no column headings, and follows the order of the cards.
    """
    column = query.sorted_column
    if query.view == "compact":
        return jobs
    ordered = sorted(jobs, key=lambda job: (job.server_display_name.casefold(), job.name.casefold()))
    if column is None:
        return ordered
    known = [job for job in ordered if column.key(job) is not None]
    unknown = [job for job in ordered if column.key(job) is None]
    return sorted(known, key=column.key, reverse=query.is_descending) + unknown


def requested_preferences(arguments: Mapping[str, str], query: DashboardQuery) -> dict[str, str]:
    """Return the remembered arguments that the URL has."""
    values = {"view": query.view, "order": query.order, "sort": query.sort, "status": query.status, "tag": query.tag}
    values["panel"] = query.panel
    return {f"dashboard_{name}": value for name, value in values.items() if name in arguments}


def _newest(server: ServerStatus) -> datetime:
    job = server.last_job
    return job.last_began_at if job and job.last_began_at else LONG_AGO


def _is_in(text: str, *fields: str) -> bool:
    return any(text in field.casefold() for field in fields)


def _is_in_server(text: str, server: ServerStatus) -> bool:
    return _is_in(text, server.name, server.alias, server.note, server.id, server.url, *server.tags)


# The side panel: status of the last weeks, or three small charts

WEEKS_SHOWN = 17
CHARTS_SHOWN = ("duration", "fileSize", "storageSize")
RANGES_SHOWN = ("1W", "2W", "1M", "3M")
DESTINATIONS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class SmallChart:
    """One series over a range of days.

    `texts` are its lowest, highest and last value.
    """

    name: str
    label: str
    values: tuple[float | None, ...]
    low_text: str
    high_text: str
    last_text: str


@dataclass(frozen=True, slots=True)
class SidePanel:
    """The side panel: calendar days and the fullest destinations, or the charts."""

    start_on: date
    end_on: date
    days: Mapping[date, DayState]
    destinations: Sequence[JobStatus]
    charts: Sequence[SmallChart]


def build_panel(kind: str, overview: Overview, range_name: str, visible: frozenset[str] | None) -> SidePanel:
    """Return the panel of a kind; the data of the other kind is not queried."""
    end_on = overview.now.date()
    if kind == "charts":
        start_on = end_on - timedelta(days=RANGES[range_name] - 1)
        return SidePanel(start_on, end_on, {}, (), _charts(start_on, end_on, visible))
    start_on = end_on - timedelta(days=WEEKS_SHOWN * 7 - 1)
    days = cache().get(
        ("calendar", visible, end_on),
        lambda: run_lists.day_states(start_on, end_on, visible_server_ids=visible),
    )
    return SidePanel(start_on, end_on, days, find_fullest(overview), ())


def find_fullest(overview: Overview) -> list[JobStatus]:
    """Return the jobs whose destinations are full first, as far as forecast."""
    filling = [job for job in overview.jobs if job.full_at is not None]
    return sorted(filling, key=lambda job: job.full_at or LONG_AGO)[:DESTINATIONS_SHOWN]


def known_range(wanted: str | None, preferred: str) -> str:
    """Return the range of the URL, else the preferred one.

    A month if not offered here.
    """
    return next((name for name in (wanted, preferred) if name in RANGES_SHOWN), "1M")


def _charts(start_on: date, end_on: date, visible: frozenset[str] | None) -> list[SmallChart]:
    providers = runtime.registry().chart_providers
    names = [name for name in CHARTS_SHOWN if name in providers]
    series = cache().get(
        ("small charts", visible, start_on, end_on),
        lambda: charts_series.daily_series(names, start_on=start_on, end_on=end_on, visible_server_ids=visible),
    )
    shown = []
    for name in names:
        values = tuple(series.values[name])
        known = [value for value in values if value is not None]
        if known:
            write = VALUE_TEXTS[providers[name].unit]
            texts = write(min(known)), write(max(known)), write(known[-1])
            shown.append(SmallChart(name, label_of(name), values, *texts))
    return shown


# Views of the dashboard

# For each status: word, icon and tone.
EVENT_WORDS = {
    "off": (lazy_gettext("Notifications off"), "bell-off", "none"),
    "all": (lazy_gettext("Notifies on every run"), "bell", "ok"),
    "warnings": (lazy_gettext("Notifies on warnings and errors"), "bell", "warn"),
    "errors": (lazy_gettext("Notifies on errors only"), "bell", "bad"),
}


@pages_bp.get("/")
def dashboard() -> ResponseReturnValue:
    """Show the dashboard; the first steps until a report was received."""
    preferred, visible = preferences.of(current_user), visible_server_ids()
    query = read_query(request.args, preferred)
    if not is_refresh():
        preferences.remember(current_user, **requested_preferences(request.args, query))
    range_name = known_range(request.args.get("range"), preferred.chart_range)
    page = build_page(overview.overview(runtime.now(), visible), query)
    values = {
        "page": page,
        "old_installation": importing.offered_installation() if current_user.is_admin else None,
        "query": query,
        "now": page.overview.now,
        "servers": {server.id: server for server in page.overview.servers},
        "columns": COLUMNS,
        "orders": ORDERS,
        "views": VIEWS,
        "status_filters": STATUS_FILTERS,
        # Once per page, not once per job.
        "labels": {column.name: str(column.label) for column in COLUMNS} | {"beats": _("Last runs")},
        "event_words": {event: (str(words), *look) for event, (words, *look) in EVENT_WORDS.items()},
        "about_words": _("Details of {job} on {server}"),
        "option_sets": reports_pages.option_sets(),
        "range_name": range_name,
        "range_labels": charts_pages.RANGE_LABELS,
        "panel_ranges": RANGES_SHOWN,
        "weeks_shown": WEEKS_SHOWN,
        "first_weekday": preferred.first_weekday(format_tag()),
        "area": graphics.area,
        "exact_text": exact_text,
    }

    def fill() -> dict[str, object]:
        return {"panel": build_panel(query.panel, page.overview, range_name, visible)}

    return render_page_or_board("backups/dashboard", f"{page.etag}{range_name}", fill, **values)
