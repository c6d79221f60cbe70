"""Wire forms of servers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from operator import attrgetter
from typing import Any, Self

from marshmallow import fields

from app.api.runs import ChartPointOut, ListedRunOut, dump_listed_run, dump_run_point
from app.api.wire import NOT_AVAILABLE, IsoInstant, Out, iso
from app.contracts.errors import AppError
from app.domain.elapsed import elapsed_text
from app.domain.reported_values import read_instant
from app.models.types import AnyRow
from app.services import deployment
from app.services.history import RUNS_SHOWN, JobStatus, Overview, ServerStatus

MOST_RUNS = 1000


@dataclass(frozen=True, slots=True)
class RunsQuery:
    """How many runs to list, and before when."""

    limit: int = RUNS_SHOWN
    before: datetime | None = None

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Self:
        """Read `limit` (held within 1 and 1,000) and `before` (an ISO time). Raises AppError for other text."""
        limit, before = query.get("limit"), query.get("before")
        try:
            number = RUNS_SHOWN if limit is None else min(max(int(limit), 1), MOST_RUNS)
        except ValueError as error:
            raise AppError("limit: expected a whole number") from error
        try:
            instant = None if before is None else read_instant(before, deployment.settings().zone)
        except ValueError as error:
            raise AppError("before: expected a time in ISO 8601") from error
        return cls(number, instant)


class ServerNameOut(Out):
    """A server in the plain list."""

    id = fields.String()
    name = fields.String()
    alias = fields.String()
    note = fields.String()


class ServerOut(ServerNameOut):
    """A server by itself."""

    server_url = fields.String(attribute="url")


class FullServerOut(ServerOut):
    """A server before its runs."""

    has_password = fields.Boolean(data_key="hasPassword")


class OverdueJobOut(Out):
    """A job that is overdue."""

    server_name = fields.String(data_key="serverName")
    name = fields.String(data_key="backupName")
    last_began_at = IsoInstant(data_key="lastBackupDate")
    next_expected_at = IsoInstant(data_key="expectedBackupDate")
    overdue_alerted_at = IsoInstant(data_key="lastNotificationSent", missing=NOT_AVAILABLE)
    notification_event = fields.String(data_key="notificationEvent")


class ServerAndJobOut(FullServerOut):
    """A server with one of its jobs."""

    job_name = fields.String(data_key="backupName")


class ServerWithRunsOut(FullServerOut):
    """A server with its runs, newest first, and their chart points, oldest first."""

    runs = fields.List(fields.Nested(ListedRunOut), data_key="backups")
    points = fields.List(fields.Nested(ChartPointOut), data_key="chartData")


class OverdueJobForLongOut(OverdueJobOut):
    """A job that is overdue, and for how long."""

    elapsed = fields.String(data_key="expectedBackupElapsed")


class DetailOut(Out):
    """A server with what is overdue on it."""

    server = fields.Nested(ServerWithRunsOut)
    overdue_jobs = fields.List(fields.Nested(OverdueJobForLongOut), data_key="overdueBackups")
    checked_at = IsoInstant(data_key="lastOverdueCheck", missing=NOT_AVAILABLE)


RUNS_QUERY: dict[str, fields.Field[Any]] = {
    "limit": fields.Integer(metadata={"minimum": 1, "maximum": MOST_RUNS}),
    "before": fields.String(metadata={"description": "A time in ISO 8601; only runs before it are listed"}),
}

_name_out, _server_out, _full_out, _overdue_out = ServerNameOut(), ServerOut(), FullServerOut(), OverdueJobOut()


def dump_server_list(servers: Sequence[ServerStatus]) -> list[dict[str, Any]]:
    """All servers, by name."""
    return _name_out.dump(servers, many=True)


def dump_backup_list(overview: Overview) -> list[dict[str, Any]]:
    """One entry for each server and job, by server name and job name."""
    return [_full_out.dump(server) | {"backupName": job.name} for server, job in overview.named_jobs]


def dump_server(server: ServerStatus) -> dict[str, Any]:
    """One server."""
    return _server_out.dump(server)


def dump_full_server(
    server: ServerStatus,
    runs: Sequence[AnyRow],
    points: Sequence[AnyRow],
    zone: tzinfo,
) -> dict[str, Any]:
    """One server with its runs, newest first, and their chart points, oldest first."""
    return _full_out.dump(server) | {
        "backups": [dump_listed_run(run, name, server.id) for run, name in runs],
        "chartData": [dump_run_point(point, zone) for point in points],
    }


def dump_detail(server: ServerStatus, full: dict[str, Any], overview: Overview) -> dict[str, Any]:
    """A server with what is overdue on it."""
    return {
        "server": full,
        # wire: in the order in which the jobs came to be known
        "overdueBackups": [
            dump_overdue(job, overview.now) for job in sorted(server.jobs, key=attrgetter("job_id")) if job.is_overdue
        ],
        "lastOverdueCheck": NOT_AVAILABLE if overview.checked_at is None else iso(overview.checked_at),
    }


def dump_overdue(job: JobStatus, now: datetime) -> dict[str, Any]:
    """A job that is overdue, and for how long."""
    return _overdue_out.dump(job) | {"expectedBackupElapsed": elapsed_text(job.next_expected_at, now)}
