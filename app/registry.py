"""Plugins from entry points: load, check, list broken ones, fail on conflicts.

Built-in and third-party plugins are treated alike. A plugin that cannot be loaded is logged and listed with the
reason, and the start continues: a broken notification channel must not stop the monitor.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from types import MappingProxyType
from typing import Any

from app.plugin import ApiGroup, ChartProvider, NotificationChannel, PluginSettings, Refused

log = logging.getLogger(__name__)
# Checks a loaded object: why it is invalid, or None.
Objection = Callable[[str, object], Refused | None]

API_GROUPS = "duplistatus.api_groups"
NOTIFICATION_CHANNELS = "duplistatus.notification_channels"
CHART_PROVIDERS = "duplistatus.chart_providers"
SETTINGS = "duplistatus.settings"
KINDS = (API_GROUPS, NOTIFICATION_CHANNELS, CHART_PROVIDERS, SETTINGS)


class PluginConflict(RuntimeError):
    """Two distributions provide different objects with the same name.

    An administrator must decide.
    """


@dataclass(frozen=True, slots=True)
class Broken:
    """A plugin that was left out, and why: as a sentence, and as an error unless loading it failed."""

    kind: str
    name: str
    distribution: str
    reason: str
    problem: Refused | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """An entry point with the distribution that provides it."""

    entry_point: metadata.EntryPoint
    distribution: str


@dataclass(frozen=True)
class Registry:
    """All plugins: mappings from name to plugin, ordered by name."""

    api_groups: Mapping[str, ApiGroup]
    channels: Mapping[str, type[NotificationChannel]]
    chart_providers: Mapping[str, type[ChartProvider]]
    settings_pages: Mapping[str, type[PluginSettings]] = field(default_factory=dict)
    broken: tuple[Broken, ...] = ()
    sources: Mapping[tuple[str, str], str] = field(default_factory=dict)


def discover(offers: Iterable[metadata.EntryPoint] | None = None) -> Registry:
    """Load all groups.

    Raise PluginConflict if two distributions use the same name.
    """
    found = list(_installed() if offers is None else offers)
    broken: list[Broken] = []
    sources: dict[tuple[str, str], str] = {}

    def load(group: str, objection: Objection) -> Mapping[str, Any]:
        return _load_group(group, objection, found, broken, sources)

    return Registry(
        api_groups=load(API_GROUPS, _against_api_group),
        channels=load(NOTIFICATION_CHANNELS, _against_channel),
        chart_providers=load(CHART_PROVIDERS, _against_chart_provider),
        settings_pages=load(SETTINGS, _against_settings),
        broken=tuple(broken),
        sources=MappingProxyType(sources),
    )


def _load_group(
    group: str,
    objection: Objection,
    entry_points: list[metadata.EntryPoint],
    broken: list[Broken],
    sources: dict[tuple[str, str], str],
) -> Mapping[str, Any]:
    loaded: dict[str, Any] = {}
    offers = [Offer(point, _distribution_of(point)) for point in entry_points if point.group == group]
    for offer in sorted(offers, key=lambda offer: (offer.entry_point.name, offer.distribution)):
        name = offer.entry_point.name
        try:
            plugin = offer.entry_point.load()
            problem = objection(name, plugin)
            reason = problem.message if problem else ""
        except Exception as error:
            log.exception("cannot load plugin %s (%s) of %s", name, group, offer.distribution)
            problem, reason = None, f"{type(error).__name__}: {error}"
        if reason:
            log.error("skipping plugin %s (%s) of %s: %s", name, group, offer.distribution, reason)
            broken.append(Broken(group, name, offer.distribution, reason, problem))
        elif name in loaded and loaded[name] is not plugin:
            rivals = f"{sources[group, name]} and {offer.distribution}"
            raise PluginConflict(f"{group}: {rivals} both provide a plugin named {name!r}; uninstall one of them")
        else:
            loaded[name] = plugin
            sources[group, name] = offer.distribution
    return MappingProxyType(loaded)


def _installed() -> Iterable[metadata.EntryPoint]:
    # By group: without one, Python 3.11 returns the names of the groups.
    return (point for group in KINDS for point in metadata.entry_points(group=group))


def _distribution_of(point: metadata.EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unknown distribution"


def _against_api_group(name: str, plugin: object) -> Refused | None:
    if not isinstance(plugin, ApiGroup):
        return Refused("plugin_no_api_group")
    if not name == plugin.name == plugin.blueprint.name:
        group, blueprint = repr(plugin.name), repr(plugin.blueprint.name)
        return Refused("plugin_group_names_differ", name=repr(name), group=group, blueprint=blueprint)
    return None


def _against_channel(name: str, plugin: object) -> Refused | None:
    return _against_class(name, plugin, NotificationChannel, ("name", "label", "Settings", "send"))


def _against_chart_provider(name: str, plugin: object) -> Refused | None:
    return _against_class(name, plugin, ChartProvider, ("name", "label", "unit", "combine"))


def _against_settings(name: str, plugin: object) -> Refused | None:
    problem = _against_class(name, plugin, PluginSettings, ("name", "label", "settings"))
    reason = None if problem else plugin.objection()  # type: ignore[attr-defined]
    return Refused("plugin_settings_invalid", reason=reason) if reason else problem


def _against_class(name: str, plugin: object, base: type, needed: tuple[str, ...]) -> Refused | None:
    if not (isinstance(plugin, type) and issubclass(plugin, base)):
        return Refused("plugin_no_subclass", base=base.__name__)
    missing = [attribute for attribute in needed if not hasattr(plugin, attribute)]
    if missing:
        return Refused("plugin_lacks_attributes", plugin=plugin.__name__, names=", ".join(missing))
    undefined = sorted(getattr(plugin, "__abstractmethods__", ()))
    if undefined:
        return Refused("plugin_lacks_definitions", plugin=plugin.__name__, names=", ".join(undefined))
    class_name = plugin.name  # type: ignore[attr-defined]
    if class_name != name:
        return Refused("plugin_names_differ", name=repr(name), class_name=repr(class_name))
    return None
