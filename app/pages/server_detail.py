"""What the page of one server shows: its figures, its history page by page, and its charts."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app import __version__
from app.contracts.errors import NotFound
from app.pages.dashboard import STATUS_ORDER
from app.pages.formats import count_text, duration_text, size_text
from app.pages.metrics import DEFAULT_RANGE, Metrics, build_metrics, read_range
from app.services import charts, history
from app.services.history import JobStatus, ServerStatus

PAGE_SIZES = (5, 10, 15, 20, 25, 30, 40, 50)
DEFAULT_PAGE_SIZE = 15


@dataclass(frozen=True, slots=True)
class RunColumn:
    """A column of the history; `key` reads a row of (Run, job name)."""

    name: str
    label: str
    key: Callable[[Any], Any]
    is_number: bool = False


COLUMNS = (
    RunColumn("date", "Date", lambda row: row[0].began_at),
    RunColumn("job", "Backup job", lambda row: row[1].casefold()),
    RunColumn("status", "Status", lambda row: STATUS_ORDER.get(row[0].status, 2)),
    RunColumn("warnings", "Warnings", lambda row: row[0].warning_count, True),
    RunColumn("errors", "Errors", lambda row: row[0].error_count, True),
    RunColumn("versions", "Versions", lambda row: row[0].version_count, True),
    RunColumn("files", "Files", lambda row: row[0].examined_files, True),
    RunColumn("size", "File size", lambda row: row[0].examined_bytes, True),
    RunColumn("uploaded", "Uploaded", lambda row: row[0].uploaded_bytes, True),
    RunColumn("duration", "Duration", lambda row: row[0].duration_s, True),
    RunColumn("storage", "Storage", lambda row: row[0].storage_bytes, True),
)


@dataclass(frozen=True, slots=True)
class DetailQuery:
    """What the viewer asked for: job (empty for all), page from 1, rows a page, column, range of the charts."""

    job: str = ""
    page: int = 1
    page_size: int = DEFAULT_PAGE_SIZE
    sort: str = "-date"
    range: str = DEFAULT_RANGE

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

    def address(self, **changes: Any) -> dict[str, Any]:
        """The arguments of the address that asks for this, with changes; what is as by default is left out."""
        values = {"backup": self.job, "page": self.page, "size": self.page_size, "sort": self.sort, "range": self.range}
        values |= changes
        defaults = {"backup": "", "page": 1, "size": DEFAULT_PAGE_SIZE, "sort": "-date", "range": DEFAULT_RANGE}
        return {name: value for name, value in values.items() if value != defaults[name]}


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure with its name."""

    label: str
    value: str
    icon: str


@dataclass(frozen=True, slots=True)
class Detail:
    """The page of one server at one moment."""

    server: ServerStatus
    query: DetailQuery
    jobs: tuple[JobStatus, ...]
    tiles: tuple[Tile, ...]
    rows: Sequence[Any]
    page_count: int
    run_count: int
    metrics: Metrics
    checked_at: datetime | None
    now: datetime

    @property
    def etag(self) -> str:
        """Changes when anything shown does, except for how long ago it was."""
        state = (__version__, self.query, self.server, self.metrics, self.checked_at, [row[0].id for row in self.rows])
        return hashlib.sha256(repr(state).encode()).hexdigest()[:32]

    @property
    def overdue_jobs(self) -> tuple[JobStatus, ...]:
        """Those of the shown jobs that are overdue."""
        return tuple(job for job in self.jobs if job.is_overdue)

    @property
    def job_names(self) -> tuple[str, ...]:
        """The server's jobs, for the choice."""
        return tuple(job.name for job in self.server.jobs)


def read_query(arguments: Mapping[str, str]) -> DetailQuery:
    """Read the query of an address; what cannot be understood is as by default."""
    sort = arguments.get("sort", "-date")
    size = _number(arguments.get("size"), DEFAULT_PAGE_SIZE)
    return DetailQuery(
        job=arguments.get("backup", ""),
        page=max(1, _number(arguments.get("page"), 1)),
        page_size=size if size in PAGE_SIZES else DEFAULT_PAGE_SIZE,
        sort=sort if sort.removeprefix("-") in {column.name for column in COLUMNS} else "-date",
        range=read_range(arguments),
    )


def build_detail(server_id: str, query: DetailQuery, now: datetime, visible: frozenset[str] | None) -> Detail:
    """Lay out the page of a server. Raises NotFound for an unknown server or job."""
    server = history.find_server(server_id, now, visible)
    jobs = tuple(job for job in server.jobs if query.job in ("", job.name))
    if query.job and not jobs:
        raise NotFound("Backup job not found")
    run_count = sum(job.run_count for job in jobs)
    shown_count = min(run_count, history.RUNS_SHOWN)
    page_count = max(1, -(-shown_count // query.page_size))
    page = min(query.page, page_count)
    return Detail(
        server=server,
        query=query if page == query.page else DetailQuery(query.job, page, query.page_size, query.sort, query.range),
        jobs=jobs,
        tiles=tuple(_tiles(server_id, jobs, query, run_count)),
        rows=_page_of_runs(server_id, query, page),
        page_count=page_count,
        run_count=run_count,
        metrics=build_metrics(query.range, now, server_id=server_id, job_name=query.job or None),
        checked_at=history.overview(now, visible).checked_at,
        now=now,
    )


def find_job(server_id: str, name: str, now: datetime, visible: frozenset[str] | None) -> dict[str, Any]:
    """What the card of one job shows. Raises NotFound for an unknown server or job."""
    server = history.find_server(server_id, now, visible)
    job = next((job for job in server.jobs if job.name == name), None)
    if job is None:
        raise NotFound("Backup job not found")
    return {"server": server, "job": job, "checked_at": history.overview(now, visible).checked_at, "now": now}


def _tiles(server_id: str, jobs: tuple[JobStatus, ...], query: DetailQuery, run_count: int) -> list[Tile]:
    points = charts.daily_points(server_id, query.job or None)
    average_s = sum(point.duration_s for point in points) / run_count if run_count else 0
    tiles = [
        Tile("Backup runs", count_text(run_count), "archive"),
        Tile("Available versions", count_text(sum(job.version_count for job in jobs)), "history"),
        Tile("Avg. duration", duration_text(average_s), "clock"),
        Tile("Last backup size", size_text(sum(job.examined_bytes for job in jobs)), "files"),
        Tile("Storage used", size_text(sum(job.storage_bytes for job in jobs)), "database"),
        Tile("Total uploaded", size_text(sum(job.total_uploaded_bytes for job in jobs)), "cloud-upload"),
    ]
    return tiles if query.job else [Tile("Backup jobs", count_text(len(jobs)), "stack-2"), *tiles]


def _page_of_runs(server_id: str, query: DetailQuery, page: int) -> Sequence[Any]:
    first = (page - 1) * query.page_size
    if query.sort == "-date":
        rows: Sequence[Any] = history.list_runs(server_id, query.job or None, limit=page * query.page_size)
    else:
        column = next(column for column in COLUMNS if column.name == query.sort_name)
        found = history.list_runs(server_id, query.job or None)
        rows = sorted(found, key=column.key, reverse=query.sort.startswith("-"))
    return rows[first : first + query.page_size]


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 9 else default
