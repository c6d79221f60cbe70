"""Fills an empty database with invented servers, to try the product and to measure it."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any

from sqlalchemy import Connection, func, select

from app.contracts.errors import Conflict
from app.domain.demo_logs import invent_log
from app.domain.demo_plans import JobPlan, ServerPlan, household, invent_runs
from app.domain.logs import pack_log
from app.models import Job, Run, RunLog, Server
from app.services import configuration, figures, planning
from app.services.transaction import writing

RUNS, LOGS = Run.__table__, RunLog.__table__
ROWS_A_STATEMENT = 1000
Packer = Callable[[dict[str, Any], Random], bytes]


@dataclass(frozen=True, slots=True)
class Filled:
    """How much was made."""

    server_count: int
    job_count: int
    run_count: int


def fill_demo(
    start_at: datetime,
    now: datetime,
    *,
    servers: Sequence[ServerPlan] | None = None,
    pack: Packer | None = None,
) -> Filled:
    """Invent servers, jobs and their runs from `start_at` to `now`. Raises Conflict when there is data already.

    Without `servers` a household of 12 machines and 30 jobs; `pack` may make the packed logs in a cheaper way.
    """
    plans = household() if servers is None else servers
    rng = Random(20)  # noqa: S311 (invented data, the same at every call)
    run_count = 0
    with writing() as session:
        if session.scalar(select(func.count()).select_from(Server)):
            raise Conflict("This database holds data already; a demo needs an empty one (see DATA_DIR)")
        configuration.save("demo_data", True, now=now)
        for plan in plans:
            server = Server(id=plan.id, name=plan.name, alias=plan.alias, note=plan.note, created_at=start_at)
            session.add(server)
            for job_plan in plan.jobs:
                job = Job(server=server, name=job_plan.name, created_at=start_at)
                job.expected_interval = job_plan.interval_text
                planning.choose_interval(job)
                session.add(job)
                session.flush()
                run_count += _fill_job(session.connection(), job, job_plan, start_at, now, rng, pack or _pack)
                figures.recompute(session, job)
                planning.relearn(job, server)
                planning.replan(job)
    return Filled(len(plans), sum(len(plan.jobs) for plan in plans), run_count)


def _fill_job(
    connection: Connection, job: Job, plan: JobPlan, start_at: datetime, now: datetime, rng: Random, pack: Packer
) -> int:
    row_id = connection.scalar(select(func.coalesce(func.max(RUNS.c.row_id), 0))) or 0
    runs: list[dict[str, Any]] = []
    logs: list[dict[str, Any]] = []
    count = 0
    for run in invent_runs(plan, start_at, now, rng):
        count += 1
        if count == 1:
            job.schedule_anchor_at = run["began_at"]
        packed = pack(run, rng)
        values = run | {
            "row_id": row_id + count,
            "id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            "job_id": job.id,
        }
        runs.append(values)
        logs.append({"run_row_id": row_id + count, "packed": packed})
        if len(runs) == ROWS_A_STATEMENT:
            _insert(connection, runs, logs)
    _insert(connection, runs, logs)
    return count


def _insert(connection: Connection, runs: list[dict[str, Any]], logs: list[dict[str, Any]]) -> None:
    if runs:
        connection.execute(RUNS.insert(), runs)
        connection.execute(LOGS.insert(), logs)
        runs.clear()
        logs.clear()


def _pack(run: dict[str, Any], rng: Random) -> bytes:
    return pack_log(*invent_log(run, rng), ())
