"""Settings that people change while the program runs."""

from copy import deepcopy
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import String, Text, delete, select, type_coerce
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db.cache import cache
from app.core.db.extensions import Model, db
from app.core.db.transaction import WRITTEN, insert_for, writing
from app.core.db.types import Instant, Json
from app.core.settings import declarations


class Setting(Model):
    """One named JSON value; `services.configuration` knows the names, types and defaults."""

    __tablename__ = "settings"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[Any] = mapped_column(Json)
    updated_at: Mapped[datetime] = mapped_column(Instant)


# Settings that people change while the program runs: typed names with defaults, kept as JSON values.

DEFAULTS: dict[str, Any] = {
    "overdue_tolerance": "2h",
    "notification_frequency": "every_day",
    "notification_templates": None,
    "last_overdue_check_at": None,
    # Hours after which silence of everybody, and a channel that delivers nothing, are told of; 0: never.
    "silence_hours": 48,
    "channel_failure_hours": 2,
    "destination_full_alarm": True,
    # What `services.alarms` keeps as long as a silence lasts that people know of.
    "silence_told": None,
    "audit_retention_days": 90,
    # 0: without end. `services.retention` knows the bounds.
    "run_retention_days": 0,
    "run_retention_count": 0,
    "delivery_retention_days": 90,
    "log_retention_days": 0,
    # Copies of the database in our own folder: what `domain.backup_times.BackupSchedule` holds.
    "local_backup_schedule": {},
    "local_backup_failed_at": None,
    "import_declined": False,
    "keeps_other_operations": False,
    "requires_api_keys": False,
    "public_url": "",
    # None: as the environment says.
    "upload_max_mib": None,
    "cron_tasks": {},
    # Tasks that were stopped or started by hand: see `services.task_schedule`.
    "cron_changes_by_hand": {},
    "master_key_fingerprint": None,
    # Of the signatures of `services.anonymous_sessions`.
    "anonymous_session_key": "",
    "has_default_channels": False,
    "admin_allowlist_enabled": False,
    "admin_allowlist": [],
    "external_allowlist_enabled": False,
    "external_allowlist": [],
    # When a request came through a proxy on this machine that is not trusted.
    "untrusted_proxy_seen_at": None,
    # What `services.summary_settings` reads.
    "daily_summary": {},
    "digest": {},
    "demo_data": False,
    "metrics_enabled": False,
    "metrics_need_key": False,
    # Dictionaries of what `services.badges.Badge` holds.
    "badges": [],
    # What `services.status_page.StatusPage` holds; what is not named is as by default.
    "status_page": {},
    # Of the work in `services.repairs`.
    "version_lists_total": None,
    # What `domain.anomalies.Limits` holds; what is not named is as by default.
    "anomaly_limits": {},
    # What `services.duplicati_versions` is told, and what it found: off at first, since it asks the internet.
    "version_check": {},
    "newest_duplicati": {},
    # When scheduled work began, and what the newest check of the database file found: `services.health`.
    "jobs_started_at": None,
    "integrity_failure": None,
    # MiB of free disk space below which people are notified; 0: never. What they know of: `services.health_alarms`.
    "free_space_mib": 500,
    "health_notified": {},
    # What `services.external_monitor` is told, and how its newest ping went.
    "external_monitor": {},
    "external_monitor_ping": {},
    # The newest row whose log is packed densely.
    "logs_repacked_to": 0,
}


def get(name: str) -> Any:
    """The value of a setting, or its default. Raises KeyError for an unknown name."""
    return get_several(name)[0]


def get_several(*names: str) -> list[Any]:
    """The values of several settings at one look. Raises KeyError for an unknown name."""
    written = db.session.info.get(WRITTEN, {})
    stored = {} if written.keys() >= {*names} else cache().get("settings", _read_all)
    found = (written[name] if name in written else stored.get(name) for name in names)
    values = [DEFAULTS[name] if value is None else value for name, value in zip(names, found, strict=True)]
    return [deepcopy(value) if isinstance(value, dict | list) else value for value in values]


def save(name: str, value: Any, *, now: datetime) -> None:
    """Store a setting as its declaration allows; None goes back to the default.

    Raises AppError for any other value, and KeyError for an unknown name.
    """
    if value is not None:
        declarations.check(name, value)
    put(name, value, now=now)


def put(name: str, value: Any, *, now: datetime) -> None:
    """Store a setting as it is given; None goes back to the default. Raises KeyError for an unknown name."""
    if name not in DEFAULTS:
        raise KeyError(name)
    with writing() as session:
        if value is None:
            session.execute(delete(Setting).where(Setting.key == name))
        else:
            # In one statement: another process may store the same setting for the first time at this moment.
            values = {"value": value, "updated_at": now}
            insert = insert_for(session.connection().dialect.name)(Setting).values(key=name, **values)
            session.execute(insert.on_conflict_do_update(index_elements=["key"], set_=values))
        session.info.setdefault(WRITTEN, {})[name] = value


def _read_all() -> dict[str, Any]:
    session = db.session()
    if session.info.get("writes"):
        statement = select(Setting.key, type_coerce(Setting.value, Text)).order_by(Setting.key)
        rows = tuple((key, value) for key, value in session.execute(statement))
        return _parsed(rows)
    # Any commit may have changed them; to ask and find them as they were costs less than an ORM query would.
    return _parsed(cache().rows("SELECT key, value FROM settings ORDER BY key"))


@lru_cache(maxsize=4)
def _parsed(rows: tuple[tuple[str, str | None], ...]) -> dict[str, Any]:
    return {key: value for key, text in rows if text is not None and (value := orjson.loads(text)) is not None}
