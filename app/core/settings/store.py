"""Settings that users change at run time.

Typed names with defaults, stored as JSON values.
"""

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
    """One named JSON value."""

    __tablename__ = "settings"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[Any] = mapped_column(Json)
    updated_at: Mapped[datetime] = mapped_column(Instant)


# Names and defaults

DEFAULTS: dict[str, Any] = {
    "overdue_tolerance": "2h",
    "notification_frequency": "every_day",
    "notification_templates": None,
    "last_overdue_check_at": None,
    # Hours without any report, or without a delivery of a channel, before users are notified; 0: never.
    "silence_hours": 48,
    "channel_failure_hours": 2,
    "destination_full_alarm": True,
    # State of the current notification that no reports arrive; see `app.notifications`.
    "silence_told": None,
    "audit_retention_days": 90,
    # 0: unlimited.
    "run_retention_days": 0,
    "run_retention_count": 0,
    "delivery_retention_days": 90,
    "log_retention_days": 0,
    # Backups of the database in our own folder, as a `BackupSchedule`.
    "local_backup_schedule": {},
    "local_backup_failed_at": None,
    "import_declined": False,
    "keeps_other_operations": False,
    "requires_api_keys": False,
    "public_url": "",
    # None: as the environment says.
    "upload_max_mib": None,
    "cron_tasks": {},
    # Tasks that were stopped or started manually; see `app.scheduling.control`.
    "cron_changes_by_hand": {},
    "master_key_fingerprint": None,
    # Key of the signatures of anonymous sessions; see `app.accounts.sessions`.
    "anonymous_session_key": "",
    "has_default_channels": False,
    "admin_allowlist_enabled": False,
    "admin_allowlist": [],
    "external_allowlist_enabled": False,
    "external_allowlist": [],
    # When a request arrived through an untrusted proxy on this machine.
    "untrusted_proxy_seen_at": None,
    # The daily summary.
    "daily_summary": {},
    "digest": {},
    "demo_data": False,
    "metrics_enabled": False,
    "metrics_need_key": False,
    # Badges as dictionaries; see `app.sharing.badges.Badge`.
    "badges": [],
    # See `app.sharing.status_page.StatusPage`; missing values are defaults.
    "status_page": {},
    # State of repairs after an update.
    "version_lists_total": None,
    # Thresholds of unusual values; missing ones are defaults.
    "anomaly_limits": {},
    # Look-up of Duplicati versions and its result; disabled by default, since it uses the internet.
    "version_check": {},
    "newest_duplicati": {},
    # When scheduled work began, and the result of the latest check of the database file.
    "jobs_started_at": None,
    "integrity_failure": None,
    # MiB of free disk space below which users are notified (0: never), and which problems they know of.
    "free_space_mib": 500,
    "health_notified": {},
    # External monitor, and the result of the latest ping.
    "external_monitor": {},
    "external_monitor_ping": {},
    # The newest row whose log is packed densely.
    "logs_repacked_to": 0,
}


def get(name: str) -> Any:
    """Return the value of a setting, or its default.

    Raise KeyError for an unknown name.
    """
    return get_several(name)[0]


def get_several(*names: str) -> list[Any]:
    """Return the values of several settings of one state.

    Raise KeyError for an unknown name.
    """
    written = db.session.info.get(WRITTEN, {})
    stored = {} if written.keys() >= {*names} else cache().get("settings", _read_all)
    found = (written[name] if name in written else stored.get(name) for name in names)
    values = [DEFAULTS[name] if value is None else value for name, value in zip(names, found, strict=True)]
    return [deepcopy(value) if isinstance(value, dict | list) else value for value in values]


def save(name: str, value: Any, *, now: datetime) -> None:
    """Store a setting as its declaration allows; None restores the default.

    Raise AppError for any other value, and KeyError for an unknown name.
    """
    if value is not None:
        declarations.check(name, value)
    put(name, value, now=now)


def put(name: str, value: Any, *, now: datetime) -> None:
    """Store a setting without checks; None restores the default.

    Raise KeyError for an unknown name.
    """
    if name not in DEFAULTS:
        raise KeyError(name)
    with writing() as session:
        if value is None:
            session.execute(delete(Setting).where(Setting.key == name))
        else:
            # In one statement: another process may store the same setting for the first time now.
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
    # Any commit may have changed them; asking the database costs less than an ORM query.
    return _parsed(cache().rows("SELECT key, value FROM settings ORDER BY key"))


@lru_cache(maxsize=4)
def _parsed(rows: tuple[tuple[str, str | None], ...]) -> dict[str, Any]:
    return {key: value for key, text in rows if text is not None and (value := orjson.loads(text)) is not None}
