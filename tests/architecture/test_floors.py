"""The house stands on its floors: imports point down, and plugins see the contracts alone."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLOORS = {
    "contracts": 0,
    "domain": 1,
    "models": 2,
    "services": 3,
    "api": 4,
    "jobs": 4,
    # Pages let people in by the guards of the API, and read who asks from its `client`.
    "pages": 5,
    "factory": 6,
    # The terminal makes applications, so it stands above the place where they are made.
    "commands": 7,
    "server": 8,
    "cli": 9,
    # The kit makes whole applications for those who test a plugin; nothing of ours needs it.
    "testing": 10,
}
# What stands beside the floors, and from which of them upwards it may be used.
BESIDE = {
    "extensions": 1,
    "file_locks": 1,
    "i18n": 1,
    "registry": 1,
    "settings": 1,
    "logs": 3,
    "database": 3,
    "routing": 4,
}
WORDS_WITHOUT_MEANING = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
MODULES = sorted((ROOT / "app").rglob("*.py"))
BUNDLED = sorted(path for path in (ROOT / "plugins").rglob("*.py") if "tests" not in path.parts)


def imported(path: Path) -> Iterator[str]:
    """The modules that a file names in its imports, wherever they stand in it; `from a import b` gives both."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide on which floor we are"
            yield node.module or ""
            yield from (f"{node.module}.{name.name}" for name in node.names)


def room(module: str) -> str:
    """The part of the house that a module belongs to; empty for the outside."""
    parts = module.split(".")
    return parts[1] if parts[0] == "app" and len(parts) > 1 else ""


def of_file(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("path", MODULES, ids=of_file)
def test_imports_point_down(path):
    own = room(of_file(path))
    if own in FLOORS:
        above = {
            module
            for module in imported(path)
            if FLOORS.get(room(module), -1) > FLOORS[own]
            or (FLOORS.get(room(module)) == FLOORS[own] and room(module) != own)
            or BESIDE.get(room(module), -1) > FLOORS[own]
        }
        assert not above
    else:
        # What stands beside the floors knows the contracts; and `database` the rest of what stands there.
        assert {room(module) for module in imported(path)} <= {"", "contracts", *BESIDE, "__version__"}


def test_every_room_is_known():
    rooms = {path.stem if path.is_file() else path.name for path in (ROOT / "app").iterdir()}
    assert rooms - {"__init__", "__pycache__", "static"} <= {*FLOORS, *BESIDE}


@pytest.mark.parametrize("path", [path for path in MODULES if room(of_file(path)) == "domain"], ids=of_file)
def test_rules_know_no_framework_and_no_database(path):
    assert not {module for module in imported(path) if module.split(".")[0] in ("flask", "sqlalchemy", "requests")}


@pytest.mark.parametrize("path", BUNDLED, ids=of_file)
def test_plugins_see_the_contracts_alone(path):
    own = {module for module in imported(path) if module.split(".")[0] == "app"}
    assert all(module == "app.plugin" or module.startswith("app.plugin.") for module in own)


def test_importing_the_package_stays_free():
    assert list(imported(ROOT / "app" / "__init__.py")) == []


@pytest.mark.parametrize("folder", ["app", "plugins", "tests", "bench", "migrations"])
def test_every_file_has_a_name_with_a_meaning(folder):
    assert not [path for path in (ROOT / folder).rglob("*.py") if WORDS_WITHOUT_MEANING & set(path.stem.split("_"))]


def test_no_test_folder_is_a_package():
    assert not [path for path in ROOT.glob("**/tests/**/__init__.py") if ".venv" not in path.parts]
