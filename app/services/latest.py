"""The newest run of each job of a server, with its texts: what widgets ask for."""

from typing import NamedTuple

from sqlalchemy import select

from app.contracts.errors import AppError
from app.domain.logs import RunLogTexts, read_log
from app.domain.reports import SCHEDULED
from app.extensions import db
from app.models import Job, Run, RunLog, Server


class LatestRun(NamedTuple):
    """A run with the name of its job and its texts."""

    run: Run
    job_name: str
    log: RunLogTexts


class UnknownServer(AppError):
    """Neither an id nor a name of a server."""

    status = 404

    def __init__(self, identifier: str) -> None:
        super().__init__("Server not found", message=f"No server has the id or the name {identifier!r}")


class AmbiguousName(AppError):
    """Several servers share the name; only an id can tell them apart."""

    status = 400

    def __init__(self, name: str, servers: list[Server]) -> None:
        ids = ", ".join(server.id for server in servers)
        super().__init__(
            f"Several servers are named {name!r}",
            message=f"Ask for one of them by its id: {ids}",
            duplicate_servers=[{"id": server.id, "name": server.name} for server in servers],
        )


def of_server(identifier: str) -> tuple[Server, list[LatestRun]]:
    """A server, found by id or else by exact name, and the newest run of each of its jobs, newest first.

    Raises UnknownServer and AmbiguousName.
    """
    server = db.session.get(Server, identifier) or _named(identifier)
    rows = db.session.execute(
        select(Run, Job.name, RunLog.packed)
        .join(Job, Job.last_run_id == Run.id)
        .outerjoin(RunLog, RunLog.run_row_id == Run.row_id)
        .where(Job.server_id == server.id, Job.operation.in_(SCHEDULED))
        .order_by(Run.began_at.desc(), Run.row_id.desc())
    )
    return server, [LatestRun(run, name, read_log(packed)) for run, name, packed in rows]


def _named(name: str) -> Server:
    servers = list(db.session.scalars(select(Server).where(Server.name == name).order_by(Server.created_at, Server.id)))
    if not servers:
        raise UnknownServer(name)
    if len(servers) > 1:
        raise AmbiguousName(name, servers)
    return servers[0]
