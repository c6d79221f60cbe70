"""The typed state of an application in the memory of its process."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from flask import current_app
from flask.sansio.app import App

from app.config import Settings
from app.plugin.api import HOST
from app.registry import Registry

Part = TypeVar("Part")


def system_time() -> datetime:
    """Return the instant of the machine's clock, aware and in UTC."""
    return datetime.now(UTC)


def _without_database(name: str) -> Any:
    raise LookupError(f"no database to read the setting {name} from")


@dataclass
class Runtime:
    """Deployment settings, plugins, clock, and the state of other modules.

    `factory.bind` creates it. A module declares a class for its state and calls `part(ThatClass)`, so that nothing is
    imported from above. A fork copies it; `scheduling.background` drops the parts that a child must not share.
    """

    config: Settings
    registry: Registry
    # The servers that the signed-in user may see; None means all.
    visible_server_ids: Callable[[], frozenset[str] | None]
    # The value of a stored setting by name; for plugins, which import nothing else.
    read_setting: Callable[[str], Any] = _without_database
    # Read at the edges only; services take the time as an argument. Tests may replace it.
    clock: Callable[[], datetime] = system_time
    _parts: dict[type[Any], Any] = field(default_factory=dict)

    def part(self, kind: type[Part], create: Callable[[], Part] | None = None) -> Part:
        """Return the object of this class, shared by all threads; created at the first call."""
        found: Part | None = self._parts.get(kind)
        return found if found is not None else cast(Part, self._parts.setdefault(kind, (create or kind)()))

    def find(self, kind: type[Part]) -> Part | None:
        """Return the object of this class, or None if there is none yet."""
        return self._parts.get(kind)

    def take(self, kind: type[Part]) -> Part | None:
        """Remove and return the object of this class, or None if there is none."""
        found: Part | None = self._parts.pop(kind, None)
        return found


def runtime_of(app: App) -> Runtime:
    """Return the runtime of an application."""
    found: Runtime = app.extensions[HOST]
    return found


def runtime() -> Runtime:
    """Return the runtime of the running application."""
    return runtime_of(current_app)


def settings() -> Settings:
    """Return the deployment settings of the running application."""
    return runtime().config


def registry() -> Registry:
    """Return the plugins of the running application."""
    return runtime().registry


def now() -> datetime:
    """Return the current instant, aware and in UTC."""
    return runtime().clock()


def part(kind: type[Part], create: Callable[[], Part] | None = None) -> Part:
    """Return the object of this class of the running application."""
    return runtime().part(kind, create)
