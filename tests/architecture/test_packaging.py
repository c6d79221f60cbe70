"""Every plugin folder has one owner, and every name in the packaging leads somewhere."""

import tomllib
from configparser import ConfigParser
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = sorted(path for path in (ROOT / "plugins").iterdir() if path.is_dir() and path.name != "__pycache__")
SETUP = ConfigParser()
SETUP.read(ROOT / "setup.cfg")
LISTED = set(SETUP["options.packages.find"]["include"].split())
OFFERS = [
    (group, *(part.strip() for part in line.split("=")))
    for group, lines in SETUP["options.entry_points"].items()
    for line in lines.strip().splitlines()
]


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda path: path.name)
def test_plugin_is_listed_or_has_its_own_packaging_but_not_both(folder):
    is_listed = f"plugins.{folder.name}" in LISTED
    has_own = any((folder / name).is_file() for name in ("pyproject.toml", "setup.cfg"))
    assert is_listed != has_own


def test_every_listed_plugin_exists():
    listed = {name.split(".")[1] for name in LISTED if name.startswith("plugins.")}
    assert listed <= {folder.name for folder in PLUGINS}


def test_plugins_are_a_namespace_that_others_can_join():
    assert not (ROOT / "plugins" / "__init__.py").exists()


@pytest.mark.parametrize(("group", "name", "target"), OFFERS, ids=lambda value: str(value))
def test_entry_point_leads_to_something_of_its_name(group, name, target):
    module, _, attribute = target.partition(":")
    found = import_module(module)
    if attribute:
        found = getattr(found, attribute)
    assert not group.startswith("duplistatus.") or found.name == name


def test_pyproject_holds_nothing_but_the_build_system():
    assert set(tomllib.loads((ROOT / "pyproject.toml").read_text())) == {"build-system"}
