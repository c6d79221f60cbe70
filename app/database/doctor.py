"""Diagnose an installation: what is OK, what is not, and what to do about it.

Files are checked first and without an application, whose start would repair some problems, or fail.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import current_app
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from app.accounts import network_access, passwords
from app.accounts.models import User
from app.backups.models import Run
from app.config import DEFAULT_PASSWORD, Settings
from app.core.db import engine
from app.core.db.faults import Fault
from app.core.db.orm import db
from app.core.settings import store as settings_store
from app.database import checks, health, local_backups, secrets
from app.database.local_backups import newest_slot
from app.database.maintenance import find_damages
from app.notifications import channels
from app.notifications.models import Delivery, DeliveryState
from app.runtime import registry, settings
from app.scheduling.control import Lease, Task

# Some scheduled tasks run once a day.
LONGEST_REST = timedelta(hours=26)
CLOCK_SLACK = timedelta(minutes=10)
EARLIEST_YEAR = 2025
WRITE_ADVICE: Mapping[str, str] = {
    Fault.DISK_FULL: "Free up disk space: reports are lost.",
    Fault.LOCKED: "Stop the program that locks the database, or wait until it is finished.",
    Fault.READ_ONLY: "Make the user that runs duplistatus the owner of the database and its directory (chown).",
    Fault.DAMAGED: "Stop the server, keep the file, and restore a backup (docs/recovery.md).",
}
OTHER_ADVICE = "Check the disk and the system log."


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check; `advice` says what to do if something is wrong.

    With `is_final` the checks that follow make no sense.
    """

    subject: str
    text: str
    advice: str = ""
    is_final: bool = False

    @property
    def is_wrong(self) -> bool:
        """Whether a person should act."""
        return bool(self.advice)


def examine_files(chosen: Settings) -> list[Finding]:
    """Check data directory, key file and database file; changes nothing."""
    if not chosen.data_dir.is_dir():
        advice = "Set DATA_DIR to the directory with your data; for a new installation start duplistatus once."
        return [Finding("data directory", f"{chosen.data_dir} does not exist", advice, is_final=True)]
    return [*_examine_folder(chosen.data_dir), _examine_key(chosen.data_dir), *_examine_database_file(chosen)]


def examine_application(now: datetime) -> list[Finding]:
    """Check the database content, the clock, channels and scheduled tasks.

    It writes one unused row.
    """
    try:
        schema = _examine_schema()
        if schema.is_wrong:
            return [schema]
        return [
            schema,
            _examine_writing(now),
            _examine_secrets(),
            *_examine_accounts(now),
            _examine_zone(now),
            _examine_clock(now),
            _examine_outbox(now),
            *_examine_channels(),
            *_examine_schedule(now),
            *_examine_backups(now),
            *_examine_plugins(),
            *_examine_proxy(now),
        ]
    except SQLAlchemyError as error:
        advice = "Check that the database is running, and check DATABASE_URL."
        return [Finding("database", f"It cannot be read: {type(error).__name__}", advice)]


def _examine_folder(folder: Path) -> Iterator[Finding]:
    mode = folder.stat().st_mode & 0o777
    if not os.access(folder, os.W_OK | os.X_OK):
        advice = "Change the owner of the directory to the user that runs duplistatus (chown)."
        yield Finding("data directory", f"{folder} cannot be written by this user", advice, is_final=True)
    elif mode & 0o022:
        yield Finding("data directory", f"{folder} can be written by others (mode {mode:o})", f"chmod 700 {folder}")
    else:
        yield Finding("data directory", f"{folder}, mode {mode:o}")
    for space in checks.measure_disks(folder):
        advice = "Free up disk space: reports are lost when the disk is full." if space.is_short else ""
        yield Finding("disk", f"{space.free_bytes / 1e9:.1f} GB free for {space.folder}", advice)


def _examine_key(folder: Path) -> Finding:
    path = folder / secrets.KEY_FILE
    if not path.exists():
        advice = "Restore the key file from a backup; without it stored passwords cannot be read (docs/recovery.md)."
        return Finding("key file", f"{path.name} is missing", advice)
    mode = path.stat().st_mode & 0o777
    try:
        fingerprint = secrets.fingerprint_of(secrets.read_key(path))
    except secrets.KeyUnusable as error:
        return Finding("key file", error.message, "Restore a readable key file from a backup.")
    text = f"{path.name}, mode {mode:o}, fingerprint {fingerprint[:16]}…"
    return Finding("key file", text, "" if mode == 0o400 else f"chmod 400 {path}")


def _examine_database_file(chosen: Settings) -> Iterator[Finding]:
    if not chosen.database.startswith("sqlite:///"):
        yield Finding("database", "PostgreSQL")
        return
    path = Path(chosen.database.removeprefix("sqlite:///"))
    if not path.exists():
        advice = "Check DATA_DIR and DATABASE_URL; for a new installation start the server once."
        yield Finding("database", f"{path} does not exist", advice, is_final=True)
        return
    advice = "Stop the server, keep the file, and restore a backup (docs/recovery.md)."
    try:
        damages = find_damages(path)
    except sqlite3.Error as error:
        yield Finding("database", f"{path.name} cannot be read: {error}", advice, is_final=True)
        return
    if damages:
        yield Finding("database", f"{path.name} is damaged: {damages[0]}", advice, is_final=True)
    else:
        yield Finding("database", f"{path.name} passed the integrity check, {path.stat().st_size / 1e6:.1f} MB")


def _examine_schema() -> Finding:
    extension = current_app.extensions["migrate"]
    scripts = ScriptDirectory.from_config(extension.migrate.get_config(extension.directory))
    with db.engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
        newest = scripts.get_current_head()
        differences = engine.find_differences(connection) if present == newest else []
    if differences:
        advice = "Restore a backup from before the upgrade, or install the version that the database was used with."
        text = f"At the newest version, {newest}, but {engine.name_differences(differences)}"
        return Finding("schema", text, advice)
    if present == newest:
        return Finding("schema", f"At the newest version, {newest}")
    if present is None:
        advice = "Restore a backup (docs/recovery.md); for a new installation start duplistatus."
        return Finding("schema", "The database contains no duplistatus data", advice)
    if present in {script.revision for script in scripts.walk_revisions()}:
        return Finding("schema", f"At {present}, the newest is {newest}", "Start the server: it migrates.")
    return Finding("schema", f"{present} is unknown", "The database is of a newer version: install that version.")


def _examine_secrets() -> Finding:
    problem = secrets.find_key_problem()
    if problem is not None and problem.state != secrets.OTHER:
        return Finding("secrets", problem.sentence, "See the finding about the key file.")
    if closed := secrets.unreadable_owners():
        advice = "Restore the right key file, or clear these passwords: duplistatus secrets give-up"
        return Finding("secrets", f"Secrets of {', '.join(closed[:10])} were encrypted with another key file", advice)
    stored = settings_store.get(secrets.FINGERPRINT)
    is_other = stored is not None and stored != secrets.fingerprint()
    return Finding("secrets", "The key file has changed; no secret needs it" if is_other else "All readable")


def _examine_accounts(now: datetime) -> Iterator[Finding]:
    admins = list(db.session.scalars(select(User).where(User.is_admin).order_by(User.username)))
    if not admins:
        yield Finding("accounts", "There is no administrator", "duplistatus admin create NAME --admin")
    elif all(user.is_locked(now) for user in admins):
        name = admins[0].username
        yield Finding("accounts", "Every administrator is locked", f"duplistatus admin unlock {name}")
    else:
        yield Finding("accounts", f"{len(admins)} administrators")
    for user in admins:
        if user.must_change_password and passwords.is_right(DEFAULT_PASSWORD, user.password_hash):
            advice = f"Sign in and change it, or: duplistatus admin reset-password {user.username}"
            yield Finding("accounts", f"{user.username} still has the documented password", advice)


def _examine_zone(now: datetime) -> Finding:
    chosen = settings()
    return Finding("time zone", f"{chosen.timezone}, local time {now.astimezone(chosen.zone):%Y-%m-%d %H:%M}")


def _examine_clock(now: datetime) -> Finding:
    advice = "Set the clock of this host, preferably by NTP: overdue checks depend on it."
    newest = db.session.scalar(select(func.max(Run.received_at)))
    if now.year < EARLIEST_YEAR:
        return Finding("clock", f"It shows the year {now.year}", advice)
    if newest is not None and newest > now + CLOCK_SLACK:
        return Finding("clock", f"It shows {now:%Y-%m-%d %H:%M} UTC, a report is of {newest:%Y-%m-%d %H:%M}", advice)
    return Finding("clock", f"{now:%Y-%m-%d %H:%M} UTC")


def _examine_writing(now: datetime) -> Finding:
    problem = health.find_write_problem(now)
    if problem is None:
        return Finding("writing", "A row was written")
    return Finding("writing", f"Nothing can be stored: {problem.text}", WRITE_ADVICE.get(problem.code, OTHER_ADVICE))


def _examine_outbox(now: datetime) -> Finding:
    failed = db.session.scalar(select(func.count()).where(Delivery.state == DeliveryState.FAILED)) or 0
    for problem in health.find_late_messages(now):
        return Finding("outbox", problem.text, "Start duplistatus without RUN_JOBS=false to send them.")
    return Finding("outbox", f"Nothing is late; {failed} past notifications could not be delivered")


def _examine_channels() -> Iterator[Finding]:
    usable = channels.usable()
    if not usable:
        yield Finding("channels", "No notification can be sent", "Set up a channel in the settings.")
    else:
        yield Finding("channels", ", ".join(f"{row.kind} {row.name}" for row in usable))
    for problem in channels.failing_channels():
        text = f"{problem.kind} {problem.name} fails: {problem.error or 'no reason was given'}"
        yield Finding("channels", text, "Correct it in the settings and send a test.")


def _examine_schedule(now: datetime) -> Iterator[Finding]:
    newest = db.session.scalar(select(func.max(Task.last_started_at)))
    is_held = db.session.scalar(select(func.count()).select_from(Lease).where(Lease.expires_at > now))
    when = "Nothing has run yet" if newest is None else f"Last run at {newest:%Y-%m-%d %H:%M} UTC"
    is_idle = newest is not None and not is_held and newest < now - LONGEST_REST
    advice = "Start duplistatus without RUN_JOBS=false: overdue backups are not checked." if is_idle else ""
    yield Finding("scheduled work", f"{when}{'; a task is running now' if is_held else ''}", advice)
    for problem in health.find_schedule_problems(now):
        if problem.code == health.NO_CHECKS and not is_idle:
            advice = "Start duplistatus without RUN_JOBS=false: overdue backups are not checked."
            yield Finding("scheduled work", problem.text, advice)
    for task in db.session.scalars(select(Task).where(Task.last_error.is_not(None)).order_by(Task.name)):
        text = f"{task.name} failed: {task.last_error}"
        yield Finding("scheduled work", text, "See the application log for the reason.")


def _examine_backups(now: datetime) -> Iterator[Finding]:
    if db.engine.dialect.name != "sqlite":
        return
    slot = newest_slot(local_backups.schedule(), now, settings().zone)
    backups = local_backups.list_backups()
    newest = f"the newest backup is of {backups[0].made_at:%Y-%m-%d %H:%M} UTC" if backups else "there is no backup"
    failed_at = local_backups.failed_at()
    if failed_at is not None:
        text = f"The scheduled backup failed at {failed_at:%Y-%m-%d %H:%M} UTC; {newest}"
        yield Finding("backups", text, "See the application log for the reason, and check the free disk space.")
    elif slot is not None and now - slot > health.LONGEST_WAIT and not any(made.made_at >= slot for made in backups):
        text = f"The backup scheduled for {slot:%Y-%m-%d %H:%M} UTC was not created; {newest}"
        yield Finding("backups", text, "Start duplistatus without RUN_JOBS=false to create them.")
    else:
        yield Finding("backups", f"{'No automatic backups' if slot is None else 'Scheduled'}; {newest}")


def _examine_plugins() -> Iterator[Finding]:
    for broken in registry().broken:
        text = f"{broken.name} of {broken.distribution} cannot be loaded: {broken.reason}"
        yield Finding("plugins", text, "Update or remove it.")


def _examine_proxy(now: datetime) -> Iterator[Finding]:
    seen_at = network_access.untrusted_seen_at(now)
    if seen_at is not None:
        text = f"Requests were received through an untrusted proxy on this host at {seen_at:%Y-%m-%d %H:%M} UTC"
        advice = "Set IP_TRUSTED_PROXIES to the address from which it connects, for example 127.0.0.1."
        yield Finding("proxy", text, advice)
