"""Entry points become a checked registry: one name, one plugin; broken ones are listed and the start continues."""

import sys
from dataclasses import replace
from importlib.metadata import EntryPoint, PathDistribution
from types import ModuleType

import pytest
from applications import close

from app.factory import create_app
from app.plugin import ChartProvider, NotificationChannel
from app.registry import PluginConflict, discover

CHANNELS, CHARTS, GROUPS = "duplistatus.notification_channels", "duplistatus.chart_providers", "duplistatus.api_groups"


class Pager(NotificationChannel):
    name, label, Settings = "pager", "Pager", object

    def send(self, message): ...


class OtherPager(Pager):
    """Another plugin of the same name."""


class Unfinished(NotificationChannel):
    name, label, Settings = "unfinished", "Unfinished", object


class Nameless(ChartProvider):
    name = "nameless"


class Misnamed(Pager):
    name = "beeper"


class Distribution(PathDistribution):
    """A distribution with only a name."""

    def __init__(self, name):
        self._name = name

    @property
    def name(self):
        """Return its name."""
        return self._name


@pytest.fixture
def offer(monkeypatch):
    """Return an entry point of a distribution, which refers to an object of this module, or to nothing."""
    module = ModuleType("offered_plugins")
    for thing in (Pager, OtherPager, Unfinished, Nameless, Misnamed):
        setattr(module, thing.__name__, thing)
    monkeypatch.setitem(sys.modules, module.__name__, module)

    def offer(name, target, distribution="acme", group=CHANNELS):
        point = EntryPoint(name, target if ":" in target else f"offered_plugins:{target}", group)
        return point._for(Distribution(distribution))

    return offer


def test_plugin_is_found_with_its_source(offer):
    registry = discover([offer("pager", "Pager")])
    assert (registry.channels["pager"], registry.sources[CHANNELS, "pager"]) == (Pager, "acme")
    assert registry.broken == ()


def test_same_plugin_offered_twice_is_one(offer):
    registry = discover([offer("pager", "Pager"), offer("pager", "Pager", "acme-too")])
    assert dict(registry.channels) == {"pager": Pager}


def test_two_plugins_of_one_name_are_an_error_that_names_both_distributions(offer):
    with pytest.raises(PluginConflict, match=r"(?s)acme.*evil"):
        discover([offer("pager", "Pager"), offer("pager", "OtherPager", "evil")])


def test_same_name_in_two_groups_is_no_conflict(offer):
    registry = discover([offer("pager", "Pager"), offer("pager", "Pager", group=CHARTS)])
    assert list(registry.channels) == ["pager"]


@pytest.mark.parametrize(
    ("name", "target", "group", "reason"),
    [
        ("gone", "no_such_module:Thing", CHANNELS, "no_such_module"),
        ("gone", "Missing", CHANNELS, "Missing"),
        ("pager", "Pager", CHARTS, "ChartProvider"),
        ("pager", "Pager", GROUPS, "ApiGroup"),
        ("other", "Pager", CHANNELS, "'pager'"),
        ("unfinished", "Unfinished", CHANNELS, "send"),
        ("nameless", "Nameless", CHARTS, "label"),
        ("pager", "Misnamed", CHANNELS, "'beeper'"),
    ],
)
def test_invalid_plugin_is_listed_with_its_reason(offer, name, target, group, reason):
    registry = discover([offer(name, target, group=group), offer("pager", "Pager", group=CHANNELS)])
    [broken] = registry.broken
    assert (broken.name, broken.kind, broken.distribution) == (name, group, "acme")
    assert reason in broken.reason


def test_broken_plugin_does_not_occupy_its_name(offer):
    registry = discover([offer("pager", "Misnamed"), offer("pager", "Pager", "good")])
    assert registry.sources[CHANNELS, "pager"] == "good"


def test_start_continues_with_a_broken_plugin(offer, settings, caplog):
    registry = discover([offer("gone", "no_such_module:Thing")])
    app = create_app(settings, registry)
    assert "gone" in caplog.text
    assert app.test_client().get("/login").status_code == 200
    close(app)


def test_all_bundled_plugins_are_valid(installed):
    assert [broken for broken in installed.broken if broken.distribution == "duplistatus"] == []
    assert {"ntfy", "email"} <= installed.channels.keys()
    assert {"upload", "external", "monitoring", "dashboard", "servers"} <= installed.api_groups.keys()


def test_second_application_in_one_process_works(app, settings, tmp_path, installed):
    other = create_app(replace(settings, data_dir=tmp_path / "other"), installed)
    for each in (app, other):
        assert each.test_client().get("/api/health").status_code == 200
        assert each.test_client().get("/api/dashboard").status_code == 401
    close(other)
