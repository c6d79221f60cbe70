"""What the page of one server shows: its figures, its jobs, its days, its history page by page, and its charts."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from flask_babel import LazyString, lazy_gettext
from flask_babel import gettext as _

from app import __version__
from app.contracts.errors import NotFound
from app.pages.formats import MISSING, count_text, duration_text, size_text
from app.pages.metrics import ChartQuery, Metrics, build_metrics
from app.pages.metrics import read_query as read_chart_query
from app.services import calendars, charts, history, run_history
from app.services.calendars import DayState
from app.services.history import JobStatus, ServerStatus
from app.services.preferences import Preferences

PAGE_SIZES = (5, 10, 15, 20, 25, 30, 40, 50)
CALENDAR_DAYS = 365


@dataclass(frozen=True, slots=True)
class RunColumn:
    """A column of the history, by the name that `run_history` orders by."""

    name: str
    label: LazyString
    is_number: bool = False


COLUMNS = (
    RunColumn("date", lazy_gettext("Date")),
    RunColumn("job", lazy_gettext("Backup job")),
    RunColumn("status", lazy_gettext("Status")),
    RunColumn("warnings", lazy_gettext("Warnings"), True),
    RunColumn("errors", lazy_gettext("Errors"), True),
    RunColumn("versions", lazy_gettext("Versions"), True),
    RunColumn("files", lazy_gettext("Files"), True),
    RunColumn("size", lazy_gettext("File size"), True),
    RunColumn("uploaded", lazy_gettext("Uploaded"), True),
    RunColumn("duration", lazy_gettext("Duration"), True),
    RunColumn("storage", lazy_gettext("Storage"), True),
)
SORTS = frozenset(f"{sign}{column.name}" for column in COLUMNS for sign in ("", "-"))


@dataclass(frozen=True, slots=True)
class DetailQuery:
    """What the viewer asked for: job (empty for all), page from 1, rows a page, column, and the charts."""

    charts: ChartQuery
    job: str = ""
    page: int = 1
    page_size: int = 15
    sort: str = "-date"
    usual_size: int = 15

    @property
    def sort_name(self) -> str:
        """The sorted column's name."""
        return self.sort.removeprefix("-")

    def next_sort(self, column: RunColumn) -> str:
        """What a click on a column's head asks for."""
        return f"-{column.name}" if self.sort == column.name else column.name

    def aria_sort(self, column: RunColumn) -> str:
        """The column's state in the words of ARIA."""
        if column.name != self.sort_name:
            return "none"
        return "descending" if self.sort.startswith("-") else "ascending"

    def address(self, charts: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        """The arguments of the address that asks for this, with changes; what is as usual is left out."""
        values = {"backup": self.job, "page": self.page, "size": self.page_size, "sort": self.sort} | changes
        usual = {"backup": "", "page": 1, "size": self.usual_size, "sort": "-date"}
        kept = {name: value for name, value in values.items() if value != usual[name]}
        return kept | self.charts.address(**(charts or {}))

    def chart_arguments(self, **changes: Any) -> dict[str, Any]:
        """The arguments of the address with other charts."""
        return self.address(charts=changes)


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure with its name."""

    label: str
    value: str
    icon: str


@dataclass(frozen=True, slots=True)
class Detail:
    """The page of one server at one moment; `rows` are runs with the names of their jobs."""

    server: ServerStatus
    query: DetailQuery
    jobs: tuple[JobStatus, ...]
    tiles: tuple[Tile, ...]
    rows: Sequence[Any]
    page_count: int
    run_count: int
    metrics: Metrics
    days: Mapping[date, DayState]
    checked_at: datetime | None
    now: datetime
    jobs_without_runs: Sequence[Any] = ()

    @property
    def etag(self) -> str:
        """Changes when anything shown does, except for how long ago it was."""
        shown = (self.server, self.tiles, self.metrics, self.days, self.checked_at, self.jobs_without_runs)
        state = (__version__, self.query, *shown, [row[0].id for row in self.rows])
        return hashlib.sha256(repr(state).encode()).hexdigest()[:32]

    @property
    def job(self) -> JobStatus | None:
        """The job that was chosen; None for all."""
        return self.jobs[0] if self.query.job else None

    @property
    def overdue_jobs(self) -> tuple[JobStatus, ...]:
        """Those of the shown jobs that are overdue."""
        return tuple(job for job in self.jobs if job.is_overdue)

    @property
    def calendar(self) -> tuple[date, date]:
        """The first and the last day of the calendar."""
        return _calendar(self.now)


def read_query(arguments: Mapping[str, str], preferences: Preferences, today: date) -> DetailQuery:
    """Read the query of an address; what cannot be understood is as the person likes it."""
    size = _number(arguments.get("size"), 0)
    sort = arguments.get("sort", "")
    return DetailQuery(
        charts=read_chart_query(arguments, preferences, today),
        job=arguments.get("backup", ""),
        page=max(1, _number(arguments.get("page"), 1)),
        page_size=size if size in PAGE_SIZES else preferences.table_page_size,
        sort=sort if sort in SORTS else "-date",
        usual_size=preferences.table_page_size,
    )


def build_detail(server_id: str, query: DetailQuery, now: datetime, visible: frozenset[str] | None) -> Detail:
    """Lay out the page of a server. Raises NotFound for an unknown server or job."""
    server = history.find_server(server_id, now, visible)
    jobs = tuple(job for job in server.jobs if query.job in ("", job.name))
    if query.job and not jobs:
        raise NotFound("Backup job not found")
    run_count = sum(job.run_count for job in jobs)
    page_count = max(1, -(-run_count // query.page_size))
    query = replace(query, page=min(query.page, page_count))
    chosen = query.job or None
    start_on, end_on = _calendar(now)
    return Detail(
        server=server,
        query=query,
        jobs=jobs,
        tiles=tuple(_tiles(server_id, jobs, chosen, run_count)),
        rows=run_history.list_page(
            {job.job_id: job.name for job in jobs},
            order=query.sort_name,
            is_descending=query.sort.startswith("-"),
            offset=(query.page - 1) * query.page_size,
            limit=query.page_size,
        ),
        page_count=page_count,
        run_count=run_count,
        metrics=build_metrics(query.charts, now, server_id=server_id, job_name=chosen, visible=visible),
        days=calendars.day_states(start_on, end_on, server_id=server_id, job_name=chosen, visible_server_ids=visible),
        checked_at=history.overview(now, visible).checked_at,
        now=now,
        jobs_without_runs=() if chosen else history.jobs_without_runs(server_id),
    )


def find_job(server_id: str, name: str, now: datetime, visible: frozenset[str] | None) -> dict[str, Any]:
    """What the card of one job shows. Raises NotFound for an unknown server or job."""
    server = history.find_server(server_id, now, visible)
    job = next((job for job in server.jobs if job.name == name), None)
    if job is None:
        raise NotFound("Backup job not found")
    return {"server": server, "job": job, "checked_at": history.overview(now, visible).checked_at, "now": now}


def _tiles(server_id: str, jobs: tuple[JobStatus, ...], job_name: str | None, run_count: int) -> list[Tile]:
    average_s = charts.total_duration_s(server_id, job_name) / run_count if run_count else 0
    tiles = [
        Tile(_("Backup runs"), count_text(run_count), "archive"),
        Tile(_("Available versions"), _total(jobs, "version_count", count_text), "history"),
        Tile(_("Avg. duration"), duration_text(average_s), "clock"),
        Tile(_("Last backup size"), _total(jobs, "examined_bytes", size_text, "files"), "files"),
        Tile(_("Storage used"), _total(jobs, "storage_bytes", size_text, "storage"), "database"),
        Tile(_("Total uploaded"), _total(jobs, "total_uploaded_bytes", size_text, "uploaded"), "cloud-upload"),
    ]
    return tiles if job_name else [Tile(_("Backup jobs"), count_text(len(jobs)), "stack-2"), *tiles]


def _total(jobs: tuple[JobStatus, ...], name: str, text: Callable[[int], str], figure: str = "") -> str:
    """The sum of what the jobs tell of a figure."""
    told = [getattr(job, name) for job in jobs if job.tells(figure or name)]
    return text(sum(told)) if told or not jobs else MISSING


def _calendar(now: datetime) -> tuple[date, date]:
    return now.date() - timedelta(days=CALENDAR_DAYS - 1), now.date()


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 9 else default
