"""Released migrations are unchanged: databases have run them, and they will not run again."""

import ast
import hashlib

import pytest

from app.core.db import engine
from app.core.db.orm import NAMING

VERSIONS = engine.MIGRATIONS / "versions"
ADVICE = "Landed migrations are never changed: write a new one. A new one needs a line in FROZEN: "
# SHA-256 of each migration. Add a line with the file; never change one.
FROZEN = {
    "0001_first_schema.py": "2d0f918c98b758b7e8830e6ca6e6cd9b0ab498193bb9e89097539bbb7d44d33c",
    "0002_operation_of_a_job.py": "febc3e0067a8c2329bfcf730ef37b0f5770c4f4d71f292d2a8813b7e337d6bc4",
    "0003_mutes_collecting_quiet_hours.py": "5a41c3064a3098ab4082348ff8d8fe4b30294e7d503e1b33145e27f2353331f6",
    "0004_runs_that_saved_nothing_and_clocks.py": "5bb4d875ae9e19850cc0d4d160bafa3e654fba5b69e294af7c95cf69a734e0a5",
    "0005_learned_schedules_and_collecting.py": "3df554ca025156618253a059ecd79e2473292391e18e402f1ff17fd13949f17f",
    "0006_networks_of_sign_ins.py": "25a78bf30c2633f2b03eade672d526593be5cae2b210428f01ece78cc97872ea",
    "0007_details_of_stored_errors.py": "87886cb322d953cd50c81942fd4079ea734dabf021e9f4e378f86b9170932566",
}
# Migrations name constraints by these, through `target_metadata` of migrations/env.py.
FROZEN_NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
FILES = sorted(VERSIONS.glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_released_migration_is_unchanged(path):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert FROZEN.get(path.name) == digest, f'{ADVICE}"{path.name}": "{digest}",'


def test_no_released_migration_is_missing():
    assert FROZEN.keys() - {path.name for path in FILES} == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_migration_imports_nothing_of_the_application(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module if node.level == 0 else "app")
        elif isinstance(node, ast.Name):
            names.add(node.id)
    own = {name for name in names if name.split(".")[0] in ("app", "plugins", "migrations")}
    assert own | names & {"__import__", "importlib", "import_module", "exec", "eval"} == set()


def test_names_of_constraints_are_unchanged():
    assert NAMING == FROZEN_NAMING
