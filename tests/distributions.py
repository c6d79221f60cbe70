"""The distributions of this checkout: the program, and each plugin that has its own `pyproject.toml`."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLUGINS = {path.parent.name: tomllib.loads(path.read_text()) for path in ROOT.glob("plugins/*/pyproject.toml")}
NAMES = frozenset({"duplistatus", *(described["project"]["name"] for described in PLUGINS.values())})
