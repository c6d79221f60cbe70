"""Measures the cost of each page on the server, and prints a table.

Columns are processor time, SQL statements and size.

    .venv/bin/python bench/pages.py                        12 servers, 30 jobs, 2 years
    .venv/bin/python bench/pages.py --servers 50 --jobs 500
    .venv/bin/python bench/pages.py --only charts          pages whose URL contains this text

Cold is the first request after a commit, so that no cached value is valid; warm is every further one. Statements are
those of a cold request. Processor time is measured, since it does not depend on other load of the machine.
"""

import argparse
import gc
import gzip
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from statements import sent_statements

from app.backups.models import Job
from app.config import Settings
from app.core.db.orm import writing
from app.core.settings import store as settings_store
from app.demo import fleet, household
from app.factory import create_app
from app.navigation.settings import TABS
from bench.run import build
from bench.servers import PASSWORD

DAY = timedelta(days=1)
DAYS = 730


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of a page: milliseconds of processor time, statements, and bytes of HTML."""

    cold_ms: float
    warm_ms: float
    warm_p95_ms: float
    statements: int
    size_bytes: int


def main() -> None:
    """Create the data or use existing data, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--servers", type=int, default=12)
    parser.add_argument("--jobs", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", default="", help="measure pages whose address holds this text")
    parser.add_argument("--keep", type=Path, help="keep the data here, and use it again when it is there")
    options = parser.parse_args()
    plans = household() if (options.servers, options.jobs) == (12, 30) else fleet(options.servers, options.jobs, DAY)
    folder = options.keep or Path(tempfile.mkdtemp(prefix="duplistatus-bench-"))
    try:
        if not (folder / "duplistatus.db").exists():
            build(folder, plans, DAYS, DAY)
        measure_all(folder, options.rounds, options.only)
    finally:
        if options.keep is None:
            shutil.rmtree(folder)


def measure_all(folder: Path, rounds: int, only: str) -> None:
    """Request every page as administrator."""
    app = create_app(Settings(data_dir=folder, run_jobs=False, log_level="ERROR"))
    client = app.test_client()
    token = {"X-CSRF-Token": client.get("/api/csrf").json["token"]}
    answer = client.post("/api/auth/login", json={"username": "admin", "password": PASSWORD}, headers=token)
    assert answer.status_code == 200, answer.text
    print(f"{'page':<52}{'cold ms':>9}{'warm ms':>9}{'p95 ms':>9}{'SQL':>5}{'HTML KB':>9}")
    for address in addresses(app, client):
        if only in address:
            cost = measure(app, client, address, rounds)
            print(
                f"{address[:51]:<52}{cost.cold_ms:>9.1f}{cost.warm_ms:>9.1f}{cost.warm_p95_ms:>9.1f}"
                f"{cost.statements:>5}{cost.size_bytes / 1000:>9.1f}"
            )
    print(f"\nscripts and styles of the dashboard, compressed: {assets_bytes(client) / 1000:.1f} KB")


def addresses(app: Flask, client: FlaskClient) -> list[str]:
    """Return every page with its expensive variants, and every tab of the settings."""
    with app.app_context(), writing() as session:
        busiest = session.scalars(select(Job).order_by(Job.run_count.desc()).limit(1)).one()
        server, job, run = busiest.server_id, busiest.name, busiest.last_run_id
    detail = f"/detail/{server}"
    ranged = [f"range={name}{split}" for name in ("1M", "1Y", "2Y") for split in ("", "&by=server", "&by=job")]
    return [
        *(f"/?view={view}&panel={panel}" for view in ("cards", "table", "compact") for panel in ("status", "charts")),
        detail,
        *(f"{detail}?{asked}" for asked in ranged if "by=server" not in asked),
        f"{detail}?backup={job}&range=2Y",
        f"{detail}?sort=-size&size=50",
        f"{detail}/job?backup={job}",
        f"{detail}/backup/{run}",
        f"{detail}/backup/{run}/versions",
        *(f"/charts?{asked}" for asked in ranged),
        "/charts.csv?range=2Y&by=job",
        "/collect",
        "/connect",
        "/palette",
        "/api/docs",
        *(f"/settings/?tab={tab.name}" for tab in TABS),
        f"/settings/servers/{server}",
        "/settings/channels/new/email",
        "/settings/users/new",
        "/settings/import",
    ]


def measure(app: Flask, client: FlaskClient, address: str, rounds: int) -> Cost:
    """Return the median of three cold requests, and the warm ones."""
    client.get(address)  # templates are compiled, modules imported
    cold_ms, statements = [], 0
    for _ in range(3):
        with app.app_context(), writing():
            settings_store.put("demo_data", True, now=datetime.now(UTC))
        with sent_statements() as seen:
            cold_ms.append(timed(client, address)[0])
        statements = len(seen)
    warm = [timed(client, address) for _ in range(rounds)]
    warm_ms = [took for took, _size in warm]
    p95_ms = quantiles(warm_ms, n=20)[-1]
    return Cost(median(cold_ms), median(warm_ms), p95_ms, statements, warm[-1][1])


def timed(client: FlaskClient, address: str) -> tuple[float, int]:
    """Return the milliseconds of processor time and the bytes of a response."""
    gc.collect()
    begin = time.process_time()
    answer = client.get(address)
    took_ms = (time.process_time() - begin) * 1000
    assert answer.status_code == 200, (address, answer.status_code)
    return took_ms, len(answer.data)


def assets_bytes(client: FlaskClient) -> int:
    """Return the transferred size of all scripts and styles of the dashboard."""
    names = set(re.findall(r'(?:src|href)="(/static/[^"]+\.(?:js|css)[^"]*)"', client.get("/").text))
    return sum(len(gzip.compress(client.get(name).data, 9)) for name in names)


if __name__ == "__main__":
    main()
