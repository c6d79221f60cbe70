"""Every plugin folder has one owner, and every name in the packaging exists."""

import ast
import tomllib
from configparser import ConfigParser
from importlib import import_module
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement

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


def test_each_plugin_is_listed_or_has_its_own_packaging_but_not_both():
    listed = {folder for folder in PLUGINS if f"plugins.{folder.name}" in LISTED}
    have_own = {
        folder for folder in PLUGINS if any((folder / name).is_file() for name in ("pyproject.toml", "setup.cfg"))
    }
    assert listed | have_own == set(PLUGINS)
    assert listed & have_own == set()


def test_every_listed_plugin_exists():
    listed = {name.split(".")[1] for name in LISTED if name.startswith("plugins.")}
    assert listed <= {folder.name for folder in PLUGINS}


def test_plugins_are_a_namespace_that_others_can_join():
    assert not (ROOT / "plugins" / "__init__.py").exists()


def test_entry_points_lead_to_objects_of_their_name():
    for group, name, target in OFFERS:
        module, _, attribute = target.partition(":")
        found = import_module(module)
        if attribute:
            found = getattr(found, attribute)
        assert not group.startswith("duplistatus.") or found.name == name, target


def test_pyproject_contains_only_the_build_system():
    assert set(tomllib.loads((ROOT / "pyproject.toml").read_text())) == {"build-system"}


REQUIRED = [Requirement(line) for line in SETUP["options"]["install_requires"].split("\n") if line.strip()]
EXTRAS = {
    name: [Requirement(line) for line in text.split("\n") if line.strip()]
    for name, text in SETUP["options.extras_require"].items()
}
LINES = [line for name in ("", "-dev") for line in (ROOT / f"requirements{name}.txt").read_text().splitlines()]
PINNED = {pin.name.lower(): pin for pin in (Requirement(line) for line in LINES if line and line[0] not in "#-")}


def test_pinned_versions_are_within_what_the_wheel_requires():
    required = [*REQUIRED, *chain(*EXTRAS.values())]
    outside = [each for each in required if not each.specifier.contains(version_pinned(each.name))]
    assert outside == []


def version_pinned(name):
    [pinned] = PINNED[name.lower()].specifier
    return pinned.version


def test_the_wheel_requires_what_the_sources_import():
    owners = packages_distributions()
    folders = ["app", "migrations", *(name.replace(".", "/") for name in LISTED if name.startswith("plugins."))]
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    used = {module.split(".")[0] for path in sources if not is_for_tests(path) for module in imported(path)}
    needed = {owners[module][0].lower().replace("_", "-") for module in used & owners.keys()} - {"duplistatus"}
    assert needed - {"psycopg"} <= {required.name.lower() for required in REQUIRED}


def is_for_tests(path):
    return bool({"tests", "testing"} & set(path.relative_to(ROOT).parts))


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("name", ["psycopg", "psycopg-binary"])
@pytest.mark.parametrize(
    ("machine", "is_wanted"),
    [("x86_64", True), ("aarch64", True), ("arm64", True), ("armv7l", False), ("armv6l", False), ("armv8l", False)],
)
def test_postgresql_is_left_out_where_it_cannot_be_installed(name, machine, is_wanted):
    assert PINNED[name].marker.evaluate({"platform_machine": machine}) is is_wanted


def test_no_other_requirement_depends_on_the_platform():
    assert {name for name, pin in PINNED.items() if pin.marker} == {"psycopg", "psycopg-binary"}


def test_postgresql_is_an_extra():
    assert [required.name for required in EXTRAS["postgres"]] == ["psycopg"]
    assert "psycopg" not in {required.name for required in REQUIRED}


# Must never be part of an image: the history, the database and its key, and local files.
KEPT_OUT = {".git", ".venv", "**/__pycache__", "data", "tests", "**/.env", "**/*.db", "**/.duplistatus.key"}


@pytest.mark.parametrize("name", [".dockerignore", ".containerignore"])
def test_image_is_built_without_data_and_history(name):
    assert set((ROOT / name).read_text().splitlines()) >= KEPT_OUT


def test_docker_and_podman_ignore_the_same_files():
    assert (ROOT / ".dockerignore").read_text() == (ROOT / ".containerignore").read_text()
