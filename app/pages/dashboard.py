"""What the dashboard shows: a verdict, what needs a person, and all jobs, filtered and sorted as asked."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app import __version__
from app.domain.statuses import ERROR, FATAL, NONE, SUCCESS, UNKNOWN, WARNING, is_failure
from app.services.history import JobStatus, Overview, ServerStatus

LONG_AGO = datetime.min.replace(tzinfo=UTC)
STATUS_ORDER = {status: place for place, status in enumerate((FATAL, ERROR, UNKNOWN, WARNING, SUCCESS, NONE))}
VIEWS = ("cards", "table")

NEXT_STEPS = {
    "overdue": "Check that the machine is on, that Duplicati runs there, and that it still reports here.",
    FATAL: "Read the error, then run the backup again in Duplicati.",
    ERROR: "Read the errors of the run, then run the backup again in Duplicati.",
    WARNING: "Read the warnings; often a file was in use or could not be read.",
    UNKNOWN: "Look at the run; Duplicati did not say how it ended.",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column that the table can be sorted by; `key` gives None for jobs that have nothing there."""

    name: str
    label: str
    key: Callable[[JobStatus], Any]
    starts_descending: bool = False
    is_number: bool = False


COLUMNS = (
    Column("server", "Server", lambda job: job.server_display_name.casefold()),
    Column("job", "Backup job", lambda job: job.name.casefold()),
    Column("status", "Status", lambda job: STATUS_ORDER.get(job.last_status, 2)),
    Column("last", "Last backup", lambda job: job.last_began_at, starts_descending=True),
    Column("next", "Next run", lambda job: job.next_expected_at if job.is_overdue_check_enabled else None),
    Column("versions", "Versions", lambda job: job.version_count, is_number=True),
    Column("runs", "Runs", lambda job: job.run_count, is_number=True),
    Column("duration", "Duration", lambda job: job.last_duration_s, is_number=True),
    Column("warnings", "Warnings", lambda job: job.warning_count, is_number=True),
    Column("errors", "Errors", lambda job: job.error_count, is_number=True),
)
CARD_ORDERS: dict[str, tuple[str, Callable[[ServerStatus], Any]]] = {
    "name": ("Name", lambda server: server.display_name.casefold()),
    "status": ("Worst first", lambda server: (STATUS_ORDER[server.status], server.display_name.casefold())),
    "newest": ("Newest run first", lambda server: -_newest(server).timestamp() if server.last_job else float("inf")),
}


@dataclass(frozen=True, slots=True)
class BoardQuery:
    """What the viewer asked for: filter text, view, column with `-` for descending, order of the cards."""

    text: str = ""
    view: str = "cards"
    sort: str = ""
    order: str = "name"

    @property
    def sorted_column(self) -> Column | None:
        """The column that the table is sorted by, if any."""
        return next((column for column in COLUMNS if column.name == self.sort.removeprefix("-")), None)

    @property
    def is_descending(self) -> bool:
        """Whether the sorted column stands the largest first."""
        return self.sort.startswith("-")

    def next_sort(self, column: Column) -> str:
        """What a click on a column's head asks for: the column's own direction first, then the other one."""
        if column is self.sorted_column:
            return column.name if self.is_descending else f"-{column.name}"
        return f"-{column.name}" if column.starts_descending else column.name

    def aria_sort(self, column: Column) -> str:
        """The column's state in the words of ARIA."""
        if column is not self.sorted_column:
            return "none"
        return "descending" if self.is_descending else "ascending"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of everything in one word for the picture (fine, attention, trouble, empty) and one sentence."""

    level: str
    sentence: str
    fine_count: int


@dataclass(frozen=True, slots=True)
class Concern:
    """A job that needs a person: `kind` is overdue or a status; `since_at` is when that began, where it is known."""

    job: JobStatus
    kind: str
    reason: str
    since_at: datetime | None
    next_step: str


@dataclass(frozen=True, slots=True)
class Board:
    """The dashboard of one viewer at one moment."""

    overview: Overview
    query: BoardQuery
    verdict: Verdict
    concerns: tuple[Concern, ...]
    servers: tuple[ServerStatus, ...]
    jobs: tuple[JobStatus, ...]
    next_expected_at: datetime | None
    etag: str

    @property
    def found_count(self) -> int:
        """How many cards or rows the filter leaves."""
        return len(self.jobs if self.query.view == "table" else self.servers)


def read_query(arguments: Mapping[str, str], preferences: Mapping[str, Any]) -> BoardQuery:
    """Read the query of an address; what it does not say, the viewer's preferences do, then the defaults."""
    view = arguments.get("view") or preferences.get("dashboard_view")
    order = arguments.get("order") or preferences.get("dashboard_order")
    sort = arguments.get("sort", "")
    known = {column.name for column in COLUMNS}
    return BoardQuery(
        text=arguments.get("q", "").strip()[:200],
        view=view if view in VIEWS else VIEWS[0],
        sort=sort if sort.removeprefix("-") in known else "",
        order=order if order in CARD_ORDERS else "name",
    )


def build_board(overview: Overview, query: BoardQuery) -> Board:
    """Lay out the dashboard: what is there, judged, filtered and sorted."""
    servers = [server for server in overview.servers if server_matches(server, query.text)]
    is_table = query.view == "table"
    state = repr((__version__, query, overview.servers, overview.checked_at)).encode()
    return Board(
        overview=overview,
        query=query,
        verdict=judge(overview),
        concerns=tuple(find_concerns(overview)),
        servers=tuple(sorted(servers, key=CARD_ORDERS[query.order][1])),
        jobs=tuple(sort_jobs(matching_jobs(overview, query.text), query)) if is_table else (),
        next_expected_at=min(
            (job.next_expected_at for job in overview.jobs if _is_awaited(job) and job.next_expected_at), default=None
        ),
        etag=hashlib.sha256(state).hexdigest()[:32],
    )


def judge(overview: Overview) -> Verdict:
    """Say in one sentence how things stand."""
    jobs = overview.jobs
    overdue = sum(job.is_overdue for job in jobs)
    failed = sum(is_failure(job.last_status) for job in jobs)
    warned = sum(job.last_status == WARNING for job in jobs)
    unclear = sum(job.last_status in (UNKNOWN, NONE) for job in jobs)
    fine = sum(job.last_status == SUCCESS and not job.is_overdue for job in jobs)
    if not jobs:
        return Verdict("empty", "Waiting for the first backup report", 0)
    if fine == len(jobs):
        return Verdict("fine", "The one job is fine" if fine == 1 else f"All {fine} jobs are fine", fine)
    counted = ((overdue, "overdue"), (failed, "failed"), (warned, "with warnings"), (unclear, "unclear"))
    sentence = ", ".join(f"{count} {word}" for count, word in counted if count)
    return Verdict("trouble" if overdue or failed else "attention", sentence, fine)


def find_concerns(overview: Overview) -> list[Concern]:
    """Jobs that need a person, the most urgent first; a job that is overdue and failed is listed once."""
    found = [concern for job in overview.jobs if (concern := _concern(job))]
    urgency = {FATAL: 0, ERROR: 1, "overdue": 2, WARNING: 3, UNKNOWN: 4}
    return sorted(found, key=lambda concern: (urgency[concern.kind], concern.since_at or LONG_AGO))


def server_matches(server: ServerStatus, text: str) -> bool:
    """Whether a filter text occurs in anything that names the server or one of its jobs."""
    return _server_fields_match(server, text) or any(text.casefold() in job.name.casefold() for job in server.jobs)


def matching_jobs(overview: Overview, text: str) -> list[JobStatus]:
    """Jobs whose own name or whose server matches the filter."""
    return [
        job
        for server in overview.servers
        for job in server.jobs
        if text.casefold() in job.name.casefold() or _server_fields_match(server, text)
    ]


def sort_jobs(jobs: list[JobStatus], query: BoardQuery) -> list[JobStatus]:
    """Jobs in the order asked for; those that have nothing in the column come last both ways."""
    column = query.sorted_column
    ordered = sorted(jobs, key=lambda job: (job.server_display_name.casefold(), job.name.casefold()))
    if column is None:
        return ordered
    known = [job for job in ordered if column.key(job) is not None]
    unknown = [job for job in ordered if column.key(job) is None]
    return sorted(known, key=column.key, reverse=query.is_descending) + unknown


def _concern(job: JobStatus) -> Concern | None:
    if is_failure(job.last_status):
        overdue = ", and the next run is overdue" if job.is_overdue else ""
        reason = f"The last run failed with {_counted(job.error_count, 'error')}{overdue}"
        return Concern(job, job.last_status, reason, job.last_began_at, NEXT_STEPS[job.last_status])
    if job.is_overdue:
        return Concern(
            job, "overdue", "No report has come for the planned run", job.next_expected_at, NEXT_STEPS["overdue"]
        )
    if job.last_status == WARNING:
        reason = f"The last run ended with {_counted(job.warning_count, 'warning')}"
        return Concern(job, WARNING, reason, job.last_began_at, NEXT_STEPS[WARNING])
    if job.last_status in (UNKNOWN, NONE):
        return Concern(job, UNKNOWN, "The last run ended without a result", job.last_began_at, NEXT_STEPS[UNKNOWN])
    return None


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _is_awaited(job: JobStatus) -> bool:
    return job.is_overdue_check_enabled and not job.is_overdue


def _newest(server: ServerStatus) -> datetime:
    job = server.last_job
    return job.last_began_at if job and job.last_began_at else LONG_AGO


def _server_fields_match(server: ServerStatus, text: str) -> bool:
    wanted = text.casefold()
    return any(wanted in field.casefold() for field in (server.name, server.alias, server.note, server.id, server.url))
