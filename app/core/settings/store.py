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

from app.core.db.orm import READ, WRITTEN, Instant, Json, Model, cache, db, insert_for, writing
from app.core.settings import declarations
from app.core.settings.declarations import DECLARED, Setting, Value


class StoredSetting(Model):
    """One named JSON value; the declaration of its name has type and default."""

    __tablename__ = "settings"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[Any] = mapped_column(Json)
    updated_at: Mapped[datetime] = mapped_column(Instant)


# Names and defaults


def read(setting: Setting[Value]) -> Value:
    """Return the value of a declared setting, or its default."""
    found: Value = get_several(setting.name)[0]
    return found


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
    values = [DECLARED[name].default if value is None else value for name, value in zip(names, found, strict=True)]
    return [deepcopy(value) if isinstance(value, dict | list) else value for value in values]


def save(name: str, value: Any, *, now: datetime) -> None:
    """Store a setting as its declaration allows; None restores the default.

    Raise Refused for any other value, and KeyError for an unknown name.
    """
    if value is not None:
        declarations.check(name, value)
    put(name, value, now=now)


def put(name: str, value: Any, *, now: datetime) -> None:
    """Store a setting without checks; None restores the default.

    Raise KeyError for an unknown name.
    """
    if name not in DECLARED:
        raise KeyError(name)
    with writing() as session:
        if value is None:
            session.execute(delete(StoredSetting).where(StoredSetting.key == name))
        else:
            # In one statement: another process may store the same setting for the first time now.
            values = {"value": value, "updated_at": now}
            insert = insert_for(session.connection().dialect.name)(StoredSetting).values(key=name, **values)
            session.execute(insert.on_conflict_do_update(index_elements=["key"], set_=values))
        session.info.setdefault(WRITTEN, {})[name] = value


def _read_all() -> dict[str, Any]:
    session = db.session()
    if session.info.get("writes"):
        if READ not in session.info:
            statement = select(StoredSetting.key, type_coerce(StoredSetting.value, Text)).order_by(StoredSetting.key)
            session.info[READ] = _parsed(tuple((key, value) for key, value in session.execute(statement)))
        read: dict[str, Any] = session.info[READ]
        return read
    # Any commit may have changed them; asking the database costs less than an ORM query.
    return _parsed(cache().rows("SELECT key, value FROM settings ORDER BY key"))


@lru_cache(maxsize=4)
def _parsed(rows: tuple[tuple[str, str | None], ...]) -> dict[str, Any]:
    return {key: value for key, text in rows if text is not None and (value := orjson.loads(text)) is not None}
