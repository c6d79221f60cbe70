"""Demo data: invented log lines, servers, jobs and runs; also used for benchmarks."""

import math
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import Connection, func, select

from app.backups import job_stats
from app.backups.models import Job, Run, RunLog, Server
from app.backups.run_logs import pack_log
from app.core.db.orm import writing
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.core.settings.declarations import Setting, declare
from app.schedules import next_run

DEMO_DATA = declare(Setting("demo_data", bool, default=False))


_MARK = "Duplicati.Library.Main"
_FOLDERS = ("/srv/share", "/home/anna", "/var/lib", "/mnt/pool/media", "/etc", "/opt/app/data")
_WARNINGS = (
    "Operation.Backup.FileEntry-PathProcessingFailed]: Failed to process path: {path}",
    "Operation.FilelistProcessor-MissingFile]: Missing file: duplicati-b{hash}.dblock.zip.aes",
    "Operation.Backup.MetadataGenerator.Metadata-MetadataProcessFailed]: Failed to read metadata of {path}",
)
_ERRORS = (
    "Operation.Backup.UploadSyntheticFilelist-SyntheticError]: The upload of {path} timed out",
    "Controller-FailedOperation]: The operation Backup failed: no space left at the destination",
    "Backends.BackendManager-PutError]: The remote server closed the connection while {path} was sent",
)


def invent_log(run: dict[str, Any], rng: Random, *, least_bytes: int = 0) -> tuple[list[str], list[str], list[str]]:
    """Return messages, warnings and errors of an invented run.

    Upload events are added up to `least_bytes`.
    """
    at: datetime = run["began_at"]
    messages = [_line(at, "Information", "Controller-StartingOperation]: The operation Backup has started")]
    messages.append(_event(at + timedelta(seconds=1), "List - Started:  ()"))
    messages.append(_event(at + timedelta(seconds=2), f"List - Completed:  ({rng.randrange(90, 4000)} bytes)"))
    written = sum(map(len, messages))
    index = 0
    while index < min(6, 1 + run["uploaded_bytes"] // (50 * 1024**2)) or written < least_bytes:
        name = f"duplicati-b{_hex(rng)}.dblock.zip.aes"
        moment = at + timedelta(seconds=3 + index * 4)
        pair = [
            _event(moment, f"Put - Started: {name} (49.{rng.randrange(10, 99)} MiB)"),
            _event(moment + timedelta(seconds=3), f"Put - Completed: {name} (49.{rng.randrange(10, 99)} MiB)"),
        ]
        messages += pair
        written += sum(map(len, pair))
        index += 1
    listed = ", ".join(
        f"{datetime.fromisoformat(version):%m/%d/%Y %-I:%M:%S %p}" for version in run["available_versions"]
    )
    end = run["ended_at"]
    messages.append(_line(end, "Information", "Operation.DeleteHandler:RetentionPolicy-StartCheck]: Start checking"))
    messages.append(
        _line(end, "Information", f"Operation.DeleteHandler:RetentionPolicy-BackupList]: Backups to consider: {listed}")
    )
    messages.append(_line(end, "Information", "Controller-CompletedOperation]: The operation Backup has completed"))
    warnings = [_problem_line(at, "Warning", _WARNINGS, rng) for _ in range(run["warning_count"])]
    errors = [_problem_line(at, "Error", _ERRORS, rng) for _ in range(run["error_count"])]
    return messages, warnings, errors


def _line(at: datetime, level: str, text: str) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} +00 - [{level}-{_MARK}.{text}"


def _event(at: datetime, text: str) -> str:
    return _line(at, "Information", f"BasicResults-BackendEvent]: Backend event: {text}")


def _problem_line(at: datetime, level: str, texts: tuple[str, ...], rng: Random) -> str:
    path = f"{rng.choice(_FOLDERS)}/{_hex(rng)[:8]}.dat"
    return _line(at + timedelta(seconds=20), level, rng.choice(texts).format(path=path, hash=_hex(rng)))


def _hex(rng: Random) -> str:
    return f"{rng.getrandbits(128):032x}"


# Invented servers and their runs: pure and repeatable, for `duplistatus demo` and the benchmarks

KIB, MIB, GIB = 1024, 1024**2, 1024**3
DAY = timedelta(days=1)
DUPLICATI_VERSIONS = ("2.1.0.5 (2.1.0.5_stable_2025-03-04)", "2.2.0.1 (2.2.0.1_stable_2025-11-09)")


@dataclass(frozen=True, slots=True)
class JobSpec:
    """An invented job: interval, size, variation, and its problem at the end."""

    name: str
    interval: timedelta
    start_hour: float
    size_bytes: int
    file_count: int
    yearly_growth: float
    daily_change: float
    problem_rate: float = 0.04
    keeps_versions: int = 30
    ends: str = "well"  # or "silent" (stopped reporting), "failing", "warning", "swollen" (a huge last upload)

    @property
    def interval_text(self) -> str:
        """Return the interval as it is stored in settings."""
        hours = int(self.interval.total_seconds() // 3600)
        if hours % (24 * 7) == 0:
            return f"{hours // (24 * 7)}W"
        return f"{hours // 24}D" if hours % 24 == 0 else f"{hours}h"


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """An invented server."""

    id: str
    name: str
    alias: str
    note: str
    jobs: tuple[JobSpec, ...]


def _job(name: str, start_hour: float, size_gib: float, file_count: int, **rest: Any) -> JobSpec:
    spec: dict[str, Any] = {"interval": DAY, "yearly_growth": 0.25, "daily_change": 0.004} | rest
    return JobSpec(name, start_hour=start_hour, size_bytes=int(size_gib * GIB), file_count=file_count, **spec)


WEEK, SIX_HOURS, HALF_DAY = 7 * DAY, timedelta(hours=6), timedelta(hours=12)

# name, alias, note, jobs: a household with a small firm
_HOUSEHOLD: tuple[tuple[str, str, str, tuple[JobSpec, ...]], ...] = (
    (
        "attic-nas",
        "Attic NAS",
        "Synology under the roof, two disks",
        (
            _job("Documents", 2.0, 84, 48_200),
            _job("Photos", 2.5, 910, 212_000, yearly_growth=0.4, daily_change=0.002),
            _job("Music", 3.0, 210, 31_400, interval=WEEK, yearly_growth=0.05, daily_change=0.0003),
            _job("Family videos", 3.5, 1430, 4_900, interval=WEEK, daily_change=0.001),
        ),
    ),
    (
        "office-dc01",
        "Office server",
        "File shares and accounts of the firm",
        (
            _job("Shares", 21.0, 640, 390_000),
            _job("Accounting", 21.5, 12, 8_400, daily_change=0.03, ends="warning"),
            _job("SQL dumps", 1.0, 38, 120, interval=SIX_HOURS, daily_change=0.12, keeps_versions=56),
        ),
    ),
    (
        "mail.example.lan",
        "Mail server",
        "",
        (
            _job("Mailboxes", 23.0, 156, 1_240_000, daily_change=0.006),
            _job("Configuration", 23.5, 0.2, 1_900, yearly_growth=0.1, daily_change=0.02),
        ),
    ),
    (
        "web-01",
        "Website",
        "Rented machine in the data centre",
        (
            _job("Sites", 4.0, 44, 310_000),
            _job("Databases", 0.5, 9, 64, interval=HALF_DAY, daily_change=0.2, keeps_versions=28),
            _job("Letsencrypt & nginx", 4.5, 0.05, 700, yearly_growth=0.02, daily_change=0.05),
        ),
    ),
    (
        "homeassistant",
        "Home Assistant",
        "Raspberry Pi in the hall cupboard",
        (_job("Snapshots", 5.0, 6, 340, daily_change=0.3, ends="swollen"), _job("Config", 5.2, 0.1, 2_300)),
    ),
    (
        "anna-laptop",
        "Anna's laptop",
        "Only when it is switched on",
        (
            _job("Home", 12.0, 190, 268_000, problem_rate=0.09, daily_change=0.01),
            _job("Thesis", 12.5, 3, 5_100, daily_change=0.02),
        ),
    ),
    (
        "ben-desktop",
        "Ben's PC",
        "",
        (
            _job("Home", 19.0, 320, 188_000),
            _job("Projects", 19.2, 47, 61_000, daily_change=0.012),
            _job("Saved games", 19.5, 22, 14_000, ends="silent"),
        ),
    ),
    (
        "reception-pc",
        "",
        "Front desk",
        (_job("Documents", 18.0, 8, 12_700), _job("Scans", 18.3, 61, 96_000, yearly_growth=0.6)),
    ),
    (
        "proxmox",
        "Proxmox",
        "Host of the virtual machines",
        (
            _job("VM exports", 22.0, 780, 46, interval=WEEK, daily_change=0.05),
            _job("Host config", 22.5, 0.3, 3_100),
            _job("Containers", 0.0, 120, 88_000),
        ),
    ),
    (
        "git.example.lan",
        "Git",
        "",
        (_job("Repositories", 2.2, 27, 164_000, daily_change=0.01), _job("CI artifacts", 2.8, 210, 41_000)),
    ),
    (
        "studio-mac",
        "Studio Mac",
        "Recording room",
        (
            _job("Sessions", 3.2, 2100, 88_000, yearly_growth=0.7, daily_change=0.006, ends="failing"),
            _job("Samples", 4.0, 860, 420_000, interval=WEEK, daily_change=0.0005),
        ),
    ),
    (
        "cabin-pi",
        "Cabin",
        "Mobile line, slow",
        (
            _job("Weather archive", 6.0, 1.4, 22_000, problem_rate=0.12),
            _job("Camera", 6.5, 36, 51_000, problem_rate=0.12, ends="silent"),
        ),
    ),
)


def household() -> tuple[ServerSpec, ...]:
    """Return twelve servers with thirty jobs."""
    return tuple(
        ServerSpec(f"demo{index:028x}", name, alias, note, jobs)
        for index, (name, alias, note, jobs) in enumerate(_HOUSEHOLD, start=1)
    )


def fleet(server_count: int, job_count: int, interval: timedelta) -> tuple[ServerSpec, ...]:
    """Return any number of similar servers for benchmarks.

    Jobs are distributed evenly.
    """
    rng = Random(7)  # noqa: S311 (invented data)
    jobs: list[list[JobSpec]] = [[] for _ in range(server_count)]
    for number in range(job_count):
        jobs[number % server_count].append(
            JobSpec(
                name=f"Job {number:04d}",
                interval=interval,
                start_hour=rng.uniform(0, 24),
                size_bytes=int(rng.uniform(1, 900) * GIB),
                file_count=rng.randrange(100, 400_000),
                yearly_growth=0.2,
                daily_change=0.01,
            )
        )
    return tuple(
        ServerSpec(f"fleet{number:027x}", f"machine-{number:03d}", "", "", tuple(specs))
        for number, specs in enumerate(jobs)
    )


def invent_runs(spec: JobSpec, start_at: datetime, now: datetime, rng: Random) -> Iterator[dict[str, Any]]:
    """Return the runs of a job from `start_at` to `now`, oldest first.

    They are columns of `Run` without ids.
    """
    midnight = start_at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    expected_at = midnight + timedelta(hours=spec.start_hour)
    versions: list[datetime] = []
    away_until = start_at
    silence_at = now - (spec.interval + timedelta(days=2, hours=3))
    while expected_at <= now:
        began_at = expected_at + timedelta(seconds=rng.randrange(1, 40), milliseconds=rng.randrange(1000))
        slots_left = (now - expected_at) / spec.interval
        expected_at += spec.interval
        if began_at > now or (spec.ends == "silent" and began_at > silence_at):
            return
        if began_at < away_until or (slots_left > 2 and rng.random() < 0.006):
            continue
        if slots_left > 10 and rng.random() < 0.0015:
            away_until = began_at + timedelta(days=rng.randrange(3, 12))  # a holiday, a broken disk
            continue
        status = _status_of(spec, slots_left, rng)
        if status != "Fatal":
            versions = [*versions, began_at][-spec.keeps_versions :]
        yield _run(spec, began_at, (began_at - start_at) / DAY, status, slots_left, versions, rng)


def _status_of(spec: JobSpec, slots_left: float, rng: Random) -> str:
    if spec.ends == "failing" and slots_left < 3:
        return "Error" if slots_left >= 1 else "Fatal"
    if spec.ends == "warning" and slots_left < 1:
        return "Warning"
    if slots_left < 2:
        return "Success"
    chance = rng.random() / spec.problem_rate
    return "Success" if chance >= 1 else "Warning" if chance > 0.3 else "Error" if chance > 0.06 else "Fatal"


def _run(
    spec: JobSpec,
    began_at: datetime,
    age_days: float,
    status: str,
    slots_left: float,
    versions: list[datetime],
    rng: Random,
) -> dict[str, Any]:
    growth = (1 + spec.yearly_growth) ** (age_days / 365)
    examined_bytes = int(spec.size_bytes * growth * rng.uniform(0.998, 1.002))
    files = int(spec.file_count * growth * rng.uniform(0.999, 1.001))
    weekday_factor = 0.35 if began_at.weekday() >= 5 else 1.0
    change = spec.daily_change * weekday_factor * math.exp(rng.gauss(0, 0.5)) * spec.interval / DAY
    if spec.ends == "swollen" and slots_left < 1:
        change *= 9
    share = {"Fatal": 0.05, "Error": 0.6}.get(status, 1.0)
    uploaded = int(examined_bytes * change * 0.8 * share)
    duration_s = round((25 + files / 4200 + uploaded / (6 * MIB)) * rng.uniform(0.85, 1.25) * max(share, 0.2), 3)
    added, modified = int(files * change * 0.4), int(files * change * 0.8)
    warning_count = rng.randrange(1, 9) if status == "Warning" else 0
    error_count = rng.randrange(1, 4) if status in ("Error", "Fatal") else 0
    old = versions[::-1]
    return {
        "duplicati_id": f"DB-{1 + sum(spec.name.encode()) % 9}",
        "began_at": began_at,
        "ended_at": began_at + timedelta(seconds=duration_s),
        "received_at": began_at + timedelta(seconds=duration_s + 1),
        "duration_s": duration_s,
        "status": status,
        "parsed_result": status,
        "main_operation": "Backup",
        "duplicati_version": DUPLICATI_VERSIONS[age_days > 380],
        "examined_files": files,
        "examined_bytes": examined_bytes,
        "opened_files": added + modified,
        "opened_bytes": int(uploaded * 1.6),
        "added_files": added,
        "added_bytes": int(uploaded * 0.7),
        "modified_files": modified,
        "modified_bytes": int(uploaded * 0.9),
        "deleted_files": int(added * 0.4),
        "files_with_error": error_count,
        "uploaded_bytes": uploaded,
        "downloaded_bytes": rng.randrange(40 * KIB, 900 * KIB),
        "storage_bytes": int(examined_bytes * (0.82 + 0.01 * len(old))),
        "version_count": len(old),
        "message_count": rng.randrange(14, 60),
        "warning_count": warning_count,
        "error_count": error_count,
        "was_interrupted": status == "Fatal",
        "available_versions": [f"{version:%Y-%m-%dT%H:%M:%S}.000Z" for version in old],
    }


# Filling an empty database with demo data

RUNS, LOGS = Run.__table__, RunLog.__table__
ROWS_A_STATEMENT = 1000
Packer = Callable[[dict[str, Any], Random], bytes]


@dataclass(frozen=True, slots=True)
class Filled:
    """Numbers of created rows."""

    server_count: int
    job_count: int
    run_count: int


def fill_demo(
    start_at: datetime,
    now: datetime,
    *,
    servers: Sequence[ServerSpec] | None = None,
    pack: Packer | None = None,
) -> Filled:
    """Create servers, jobs and their runs from `start_at` to `now`.

    Raise Conflict if there is data. Without `servers`: 12 servers and 30 jobs; `pack` may pack the logs in a cheaper
    way.
    """
    specs = household() if servers is None else servers
    rng = Random(20)  # noqa: S311 (invented data, the same at every call)
    run_count = 0
    with writing() as session:
        if session.scalar(select(func.count()).select_from(Server)):
            raise Refused("demo_needs_empty_database")
        settings_store.save("demo_data", True, now=now)
        for spec in specs:
            server = Server(id=spec.id, name=spec.name, alias=spec.alias, note=spec.note, created_at=start_at)
            session.add(server)
            for job_spec in spec.jobs:
                job = Job(server=server, name=job_spec.name, created_at=start_at)
                job.expected_interval = job_spec.interval_text
                next_run.choose_interval(job)
                session.add(job)
                session.flush()
                run_count += _fill_job(session.connection(), job, job_spec, start_at, now, rng, pack or _pack)
                job_stats.recompute(session, job)
                next_run.relearn(job, server)
                next_run.recalculate_next_run(job)
    return Filled(len(specs), sum(len(spec.jobs) for spec in specs), run_count)


def _fill_job(
    connection: Connection, job: Job, spec: JobSpec, start_at: datetime, now: datetime, rng: Random, pack: Packer
) -> int:
    row_id = connection.scalar(select(func.coalesce(func.max(RUNS.c.row_id), 0))) or 0
    runs: list[dict[str, Any]] = []
    logs: list[dict[str, Any]] = []
    count = 0
    for run in invent_runs(spec, start_at, now, rng):
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
