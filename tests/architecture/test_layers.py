"""Directions of imports that import-linter cannot express by names, and names of files."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}


def name_of(path: Path) -> str:
    """Return the dotted name of a module."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in sorted((ROOT / "app").rglob("*.py"))}
# Modules that assemble the application, and the web layer itself.
TOP = ("app.factory", "app.cli", "app.commands", "app.server", "app.scheduling.background", "app.plugin.testing")


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Return the names in the imports of a file at any place; `from a import b` gives `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write absolute imports"
            found |= {node.module or ""} | {f"{node.module}.{each.name}" for each in node.names}
    return frozenset(found)


def kind_of(module: str) -> str:
    """Return `api`, `pages`, `web`, `top` or `service` (also for rules and models)."""
    last = module.rpartition(".")[2]
    if module.startswith(TOP):
        return "top"
    if module.startswith(("app.web", "app.openapi", "app.navigation")):
        return "web"
    if module.startswith(("app.core", "app.plugin")):
        return "service"
    if last == "api" or last.endswith("_api"):
        return "api"
    if last == "pages" or last.endswith("_pages"):
        return "pages"
    return (
        "web" if any(name.startswith(("app.web", "flask_babel")) for name in imports_of(MODULES[module])) else "service"
    )


def edges(importer: str, *imported: str) -> list[str]:
    """Return the imports from modules of one kind to modules of others."""
    return [
        f"{module} imports {name}"
        for module, path in MODULES.items()
        if kind_of(module) == importer
        for name in sorted(imports_of(path) & MODULES.keys() - {module})
        if kind_of(name) in imported
    ]


def test_every_module_is_covered():
    assert {"api", "pages", "web", "service", "top"} == {kind_of(module) for module in MODULES}


def test_services_import_neither_web_layer_nor_api_nor_pages():
    assert edges("service", "web", "api", "pages", "top") == []


def test_api_and_pages_never_import_each_other():
    assert edges("api", "pages") + edges("pages", "api") == []


def test_bundled_plugins_import_the_plugin_api_only():
    plugins = [path for path in sorted((ROOT / "plugins").rglob("*.py")) if "tests" not in path.parts]
    assert plugins
    assert not [
        f"{path}: {name}"
        for path in plugins
        for name in imports_of(path)
        if name.split(".")[0] == "app" and name.split(".")[:2] != ["app", "plugin"]
    ]


def test_importing_the_package_loads_nothing():
    assert imports_of(ROOT / "app" / "__init__.py") == frozenset()


def test_file_names_are_meaningful():
    folders = ("app", "plugins", "tests", "bench", "migrations", "scripts")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert not [path for path in files if VAGUE_NAMES & set(path.stem.split("_"))]


def test_no_test_folder_is_a_package():
    assert not [path for path in ROOT.glob("**/tests/**/__init__.py") if ".venv" not in path.parts]
