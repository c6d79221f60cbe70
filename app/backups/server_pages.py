"""The page of one server: figures, jobs, calendar, history and charts."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from flask import Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString, lazy_gettext
from flask_babel import gettext as _
from flask_login import current_user

from app import __version__, runtime
from app.accounts import preferences
from app.accounts.preferences import Preferences
from app.backups import overview, run_lists, run_pages, servers
from app.backups.overview import JobStatus, ServerStatus
from app.backups.run_lists import DayState
from app.backups.servers import ALIAS_LENGTH
from app.backups.words import anomaly_figures, span_words
from app.charts import pages as charts_pages
from app.charts import series
from app.charts.pages import ChartQuery, Metrics, build_metrics
from app.charts.pages import read_query as read_chart_query
from app.core.errors import Refused
from app.plugin import Access, guarded
from app.web.formats import MISSING, count_text, duration_text, size_text
from app.web.http import actor, pages_bp, render_page_or_board, visible_server_ids

PAGE_SIZES = (5, 10, 15, 20, 25, 30, 40, 50)
CALENDAR_DAYS = 365


@dataclass(frozen=True, slots=True)
class RunColumn:
    """A column of the history; `name` is a sort order of `list_page`."""

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
    """The query of the page: job ("": all), page from 1, page size, sorting, charts."""

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
        """Return the sorting after a click on a column."""
        return f"-{column.name}" if self.sort == column.name else column.name

    def aria_sort(self, column: RunColumn) -> str:
        """Return the column's state as `aria-sort`."""
        if column.name != self.sort_name:
            return "none"
        return "descending" if self.sort.startswith("-") else "ascending"

    def address(self, charts: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        """Return the URL arguments of this query with changes, without defaults."""
        values = {"backup": self.job, "page": self.page, "size": self.page_size, "sort": self.sort} | changes
        usual = {"backup": "", "page": 1, "size": self.usual_size, "sort": "-date"}
        kept = {name: value for name, value in values.items() if value != usual[name]}
        return kept | self.charts.address(**(charts or {}))

    def chart_arguments(self, **changes: Any) -> dict[str, Any]:
        """Return the URL arguments with other charts."""
        return self.address(charts=changes)


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure with its label."""

    label: str
    value: str
    icon: str


@dataclass(frozen=True, slots=True)
class ServerPage:
    """The page of one server; `rows` are runs with the names of their jobs."""

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
        """An ETag of everything shown except relative times."""
        shown = (self.server, self.tiles, self.metrics, self.days, self.checked_at, self.jobs_without_runs)
        state = (__version__, self.query, *shown, [row[0].id for row in self.rows])
        return hashlib.sha256(repr(state).encode()).hexdigest()[:32]

    @property
    def job(self) -> JobStatus | None:
        """The selected job; None for all."""
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
    """Read the query of a URL; invalid values become the user's preferences."""
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


def build_page(server_id: str, query: DetailQuery, now: datetime, visible: frozenset[str] | None) -> ServerPage:
    """Build the page of a server. Raise Refused (404) for an unknown server or job."""
    server = overview.find_server(server_id, now, visible)
    jobs = tuple(job for job in server.jobs if query.job in ("", job.name))
    if query.job and not jobs:
        raise Refused("job_not_found")
    run_count = sum(job.run_count for job in jobs)
    page_count = max(1, -(-run_count // query.page_size))
    query = replace(query, page=min(query.page, page_count))
    chosen = query.job or None
    start_on, end_on = _calendar(now)
    return ServerPage(
        server=server,
        query=query,
        jobs=jobs,
        tiles=tuple(_tiles(server_id, jobs, chosen, run_count)),
        rows=run_lists.list_page(
            {job.job_id: job.name for job in jobs},
            order=query.sort_name,
            is_descending=query.sort.startswith("-"),
            offset=(query.page - 1) * query.page_size,
            limit=query.page_size,
        ),
        page_count=page_count,
        run_count=run_count,
        metrics=build_metrics(query.charts, now, server_id=server_id, job_name=chosen, visible=visible),
        days=run_lists.day_states(start_on, end_on, server_id=server_id, job_name=chosen, visible_server_ids=visible),
        checked_at=overview.overview(now, visible).checked_at,
        now=now,
        jobs_without_runs=() if chosen else overview.jobs_without_runs(server_id),
    )


def find_job(server_id: str, name: str, now: datetime, visible: frozenset[str] | None) -> dict[str, Any]:
    """Return the template variables for the card of one job. Raise Refused (404)."""
    server = overview.find_server(server_id, now, visible)
    job = next((job for job in server.jobs if job.name == name), None)
    if job is None:
        raise Refused("job_not_found")
    return {"server": server, "job": job, "checked_at": overview.overview(now, visible).checked_at, "now": now}


def _tiles(server_id: str, jobs: tuple[JobStatus, ...], job_name: str | None, run_count: int) -> list[Tile]:
    average_s = series.total_duration_s(server_id, job_name) / run_count if run_count else 0
    tiles = [
        Tile(_("Backup runs"), count_text(run_count), "archive"),
        Tile(_("Available versions"), _total(jobs, "version_count", count_text), "history"),
        Tile(_("Average duration"), duration_text(average_s), "clock"),
        Tile(_("Last backup size"), _total(jobs, "examined_bytes", size_text, "files"), "files"),
        Tile(_("Storage used"), _total(jobs, "storage_bytes", size_text, "storage"), "database"),
        Tile(_("Total uploaded"), _total(jobs, "total_uploaded_bytes", size_text, "uploaded"), "cloud-upload"),
    ]
    return tiles if job_name else [Tile(_("Backup jobs"), count_text(len(jobs)), "stack-2"), *tiles]


def _total(jobs: tuple[JobStatus, ...], name: str, text: Callable[[int], str], figure: str = "") -> str:
    """Return the sum of the jobs' known values of a figure."""
    known = [getattr(job, name) for job in jobs if job.has_figure(figure or name)]
    return text(sum(known)) if known or not jobs else MISSING


def _calendar(now: datetime) -> tuple[date, date]:
    return now.date() - timedelta(days=CALENDAR_DAYS - 1), now.date()


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 9 else default


# Views of a server, a run, and the charts

WORDS = {"anomaly_figures": anomaly_figures, "span_words": span_words}


@pages_bp.get("/detail/<server_id>")
def server(server_id: str) -> ResponseReturnValue:
    """Show one server, or one of its jobs: figures, history, charts."""
    now = runtime.now()
    query = read_query(request.args, preferences.of(current_user), now.date())
    detail = build_page(server_id, query, now, visible_server_ids())
    values = {"columns": COLUMNS, "page_sizes": PAGE_SIZES, **WORDS}
    return render_page_or_board(
        "backups/server", detail.etag, detail=detail, range_labels=charts_pages.RANGE_LABELS, **values
    )


@pages_bp.get("/detail/<server_id>/names")
@guarded(Access.ADMIN)
def names_form(server_id: str) -> ResponseReturnValue:
    """Ask for alias and note of a server."""
    return _show_names(server_id)


@pages_bp.post("/detail/<server_id>/names")
@guarded(Access.ADMIN)
def save_names(server_id: str) -> ResponseReturnValue:
    """Store alias and note of a server; its URL is unchanged."""
    form, now = request.form, runtime.now()
    alias, note = form.get("alias", "").strip(), form.get("note", "").strip()
    if len(alias) > ALIAS_LENGTH:
        return _show_names(server_id, problem=_("The alias is too long.")), 400
    url = servers.find_by_id(server_id, visible_server_ids()).url
    servers.change_server(server_id, servers.ServerChange(url, alias, note), actor=actor(), now=now)
    flash(_("Saved."), "success")
    return redirect(url_for("pages.server", server_id=server_id), 303)


@pages_bp.get("/detail/<server_id>/job")
def job_card(server_id: str) -> ResponseReturnValue:
    """Show the card of one job in a dialog."""
    values = find_job(server_id, request.args.get("backup", ""), runtime.now(), visible_server_ids())
    return render_template("backups/server/job_card.html", **values)


@pages_bp.get("/detail/<server_id>/backup/<run_id>")
def run(server_id: str, run_id: str) -> ResponseReturnValue:
    """Show one run: its figures compared with the previous run, and its log."""
    now = runtime.now()
    server = overview.find_server(server_id, now, visible_server_ids())
    detail, query = overview.find_run(run_id, server_id), run_pages.read_query(request.args)
    values = run_pages.lay_out(detail, server, query, now)
    return render_template("backups/run/page.html", log_lines=run_pages.log_lines, **values, **WORDS)


@pages_bp.get("/detail/<server_id>/backup/<run_id>/log.txt")
def run_log(server_id: str, run_id: str) -> ResponseReturnValue:
    """Return the log of a run as plain text for download."""
    overview.find_server(server_id, runtime.now(), visible_server_ids())
    detail = overview.find_run(run_id, server_id)
    answer = Response(run_pages.log_text(detail), mimetype="text/plain")
    answer.headers["Content-Disposition"] = f'attachment; filename="{run_pages.log_name(detail)}"'
    return answer


@pages_bp.get("/detail/<server_id>/backup/<run_id>/versions")
def versions(server_id: str, run_id: str) -> ResponseReturnValue:
    """Show the versions after a run in a dialog."""
    overview.find_server(server_id, runtime.now(), visible_server_ids())
    detail = overview.find_run(run_id, server_id)
    found = run_pages.versions_of(detail)
    return render_template("backups/run/versions.html", detail=detail, versions=found, now=runtime.now())


@pages_bp.get("/charts")
def charts() -> ResponseReturnValue:
    """Show the charts of all servers."""
    now = runtime.now()
    query = charts_pages.read_query(request.args, preferences.of(current_user), now.date())
    built = charts_pages.build_metrics(query, now, visible=visible_server_ids())
    return render_page_or_board("charts", built.etag, metrics=built, range_labels=charts_pages.RANGE_LABELS)


@pages_bp.get("/charts.csv")
def charts_table() -> ResponseReturnValue:
    """Return the values of charts as a table for other programs."""
    now, visible = runtime.now(), visible_server_ids()
    server_id, job_name = request.args.get("server") or None, request.args.get("backup") or None
    if server_id is not None:
        overview.find_server(server_id, now, visible)
    query = charts_pages.read_query(request.args, preferences.of(current_user), now.date())
    built = charts_pages.build_metrics(
        query, now, server_id=server_id, job_name=job_name if server_id else None, visible=visible
    )
    answer = Response(charts_pages.as_csv(built, request.args.get("chart")), mimetype="text/csv")
    answer.headers["Content-Disposition"] = f'attachment; filename="{charts_pages.file_name(built)}"'
    return answer


def _show_names(server_id: str, problem: str = "") -> str:
    values = {"server": overview.find_server(server_id, runtime.now(), visible_server_ids()), "problem": problem}
    part = "names" if "HX-Request" in request.headers else "names_page"
    return render_template(f"backups/server/{part}.html", **values)
