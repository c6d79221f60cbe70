"""Measures the gain of each optimization in docs/performance.md.

    .venv/bin/python bench/tricks.py

Times are milliseconds of processor time within one process, medians; compare the ratios.
"""

import gzip
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any
from unittest.mock import patch

import orjson

from app.backups import models as backups_models

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from flask import Flask
from sqlalchemy import BigInteger, func, select, text, type_coerce

from app import runtime
from app.backups import overview
from app.backups.dashboard_api import dump_dashboard
from app.backups.models import Job, JobDay, Run
from app.backups.run_logs import pack_log
from app.charts import series
from app.config import Settings
from app.core.db import orm
from app.core.db.orm import db
from app.demo import fill_demo, fleet
from app.factory import create_app
from app.openapi.document import build_document
from app.reports import ingest
from app.reports.outcomes import unpack_runs
from bench.reports import make_reports
from bench.servers import PASSWORD

ROUNDS = 15
UPLOADS = 150
RUNS, JOBS, DAYS = Run.__table__, Job.__table__, JobDay.__table__


def main() -> None:
    """Print a line for each optimization: with it, without it, and the ratio."""
    folder = Path(tempfile.mkdtemp(prefix="duplistatus-tricks-"))
    try:
        now = datetime.now(UTC)
        plans = fleet(20, 60, timedelta(days=1))
        app = create_app(Settings(data_dir=folder, run_jobs=False, log_level="ERROR", admin_password=PASSWORD))
        with app.app_context():
            fill_demo(now - timedelta(days=100), now, servers=plans, pack=lambda _run, _rng: b"")
        print(f"{'trick':<52}{'with ms':>10}{'without':>10}{'ratio':>8}")
        for name, used, plain in reads(app):
            show(name, timed(used), timed(plain))
        bodies = make_reports(list(plans), 100_000)
        uploads(app, bodies)
        usual = uploads(app, bodies)
        for name, plain in plain_uploads():
            with plain:
                without = uploads(app, bodies)
            show(name, median((usual, uploads(app, bodies), uploads(app, bodies))), without)
    finally:
        shutil.rmtree(folder)


def show(name: str, used_ms: float, plain_ms: float) -> None:
    """Print one line."""
    ratio = f"{plain_ms / used_ms:.2f}" if used_ms > 0.001 else "-"
    print(f"{name:<52}{used_ms:>10.3f}{plain_ms:>10.3f}{ratio:>8}")


def timed(work: Callable[[], Any]) -> float:
    """Return milliseconds of processor time, the median of some calls after the first."""
    work()
    took = []
    for _ in range(ROUNDS):
        begin = process_time()
        work()
        took.append((process_time() - begin) * 1000)
    return median(took)


def reads(app: Flask) -> Iterator[tuple[str, Callable[[], Any], Callable[[], Any]]]:
    """Yield name and both forms of the queries behind responses."""
    client = app.test_client()
    token = {"X-CSRF-Token": client.get("/api/csrf").json["token"]}
    client.post("/api/auth/login", json={"username": "admin", "password": PASSWORD}, headers=token)

    def without_cache(path: str) -> None:
        with patch.object(orm.ExactCache, "_find", lambda *_arguments: None):
            client.get(path)

    for path in ("/api/summary", "/api/dashboard", "/"):
        yield f"answers kept: {path}", lambda path=path: client.get(path), lambda path=path: without_cache(path)
    with app.app_context():
        now = runtime.now()
        since = now - timedelta(days=90)
        first_day = int(since.timestamp()) // 86_400
        yield "recent runs in the job: 31 of each job", packed_runs, windowed_runs
        yield (
            "job_days: sums of 90 days",
            lambda: query(
                select(DAYS.c.day, func.sum(DAYS.c.uploaded_bytes)).where(DAYS.c.day >= first_day).group_by(DAYS.c.day)
            ),
            lambda: query(
                select(func.sum(RUNS.c.uploaded_bytes))
                .where(RUNS.c.began_at >= since)
                .group_by(type_coerce(RUNS.c.began_at, BigInteger) / 86_400_000)
            ),
        )
        yield (
            "figures in the job: newest run and counts",
            lambda: query(select(JOBS.c.id, JOBS.c.run_count, JOBS.c.last_began_at, JOBS.c.last_status)),
            lambda: query(
                select(RUNS.c.job_id, func.count(), func.max(RUNS.c.began_at), RUNS.c.status).group_by(RUNS.c.job_id)
            ),
        )
        points = series.run_points(limit=series.RUN_POINTS, visible_server_ids=None)
        dashboard = dump_dashboard(overview.overview(now, None), points, runtime.settings().zone)
        yield "orjson: a dashboard", lambda: orjson.dumps(dashboard), lambda: json.dumps(dashboard)
        yield "OpenAPI document built once", lambda: app, lambda: build_document(app)
    style = max(Path(str(app.static_folder)).rglob("*.css"), key=lambda path: path.stat().st_size).read_bytes()
    yield "static files kept compressed: largest style", lambda: style, lambda: gzip.compress(style, 9)


def query(statement: Any) -> list[Any]:
    """Return all rows of a statement."""
    return db.session.execute(statement).all()


def packed_runs() -> list[Any]:
    """Return the newest runs of each job, from its row."""
    return [unpack_runs(packed) for (packed,) in query(select(JOBS.c.recent_runs))]


def windowed_runs() -> list[Any]:
    """Return the same from the runs."""
    number = func.row_number().over(partition_by=RUNS.c.job_id, order_by=RUNS.c.began_at.desc()).label("number")
    columns = [
        RUNS.c[name]
        for name in ("job_id", "began_at", "status", "duration_s", "examined_files", "examined_bytes", "uploaded_bytes")
    ]
    numbered = select(*columns, number).subquery()
    return query(select(numbered).where(numbered.c.number <= 31))


def uploads(app: Flask, bodies: Iterator[bytes]) -> float:
    """Return milliseconds of processor time of one report of 20 KB, the mean of many."""
    client = app.test_client()
    prepared = [with_versions(next(bodies)) for _ in range(UPLOADS)]
    begin = process_time()
    for body in prepared:
        assert client.post("/api/upload", data=body, content_type="application/json").status_code == 200
    return (process_time() - begin) * 1000 / UPLOADS


def with_versions(body: bytes) -> bytes:
    """Add a list of thirty versions to the log of a report."""
    report = json.loads(body)
    newest = datetime.fromisoformat(report["Data"]["BeginTime"]).replace(second=0, microsecond=0)
    dates = ", ".join(f"{newest - timedelta(days=day, minutes=3 * day):%m/%d/%Y %-I:%M:%S %p}" for day in range(1, 31))
    lines = report["LogLines"]
    index = next(index for index, line in enumerate(lines) if "Backups to consider: " in line)
    lines[index] = f"{lines[index].partition('consider: ')[0]}consider: {dates}"
    return json.dumps(report).encode()


def plain_uploads() -> Iterator[tuple[str, Any]]:
    """Yield name, and a context in which uploads do without the optimization."""
    yield "upload: logs packed quickly first", patch.object(ingest, "pack_log_quickly", lambda *log: pack_log(*log, ()))
    yield (
        "upload: rows in place of mapped objects",
        patch.object(ingest, "_server_and_job", mapped(ingest._server_and_job)),
    )
    yield "upload: offsets and versions of the list before kept", patch.object(ingest, "_lists", NullCache())
    yield "upload: settings read by the watching connection", patch.object(orm.ExactCache, "rows", pooled_rows)


class NullCache(dict):
    """A cache that stores nothing."""

    def __setitem__(self, _key: object, _value: object) -> None:
        """Drop the value."""


def pooled_rows(_cache: object, statement: str) -> tuple[tuple[Any, ...], ...]:
    """Return rows as `ExactCache.rows`, over a connection of the pool."""
    with db.engine.connect() as connection:
        return tuple(tuple(row) for row in connection.execute(text(statement)))


def mapped(find: Callable[..., Any]) -> Callable[..., Any]:
    """Return `_server_and_job` with both also read as mapped objects."""

    def found(*arguments: Any) -> Any:
        server, job = find(*arguments)
        db.session.get_one(backups_models.Server, server.id)
        db.session.get_one(Job, job.id)
        return server, job

    return found


if __name__ == "__main__":
    main()
