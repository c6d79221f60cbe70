"""Applications that tests make: what they share, and how to let go of one.

Thousands of applications are made of the same routes, statements and templates. What is worked out of these once
serves all of them: to work it out anew for each took more than half of the time of the tests.
"""

import sqlite3
from contextlib import closing
from typing import Any

from jinja2.bccache import Bucket, BytecodeCache
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.compiler import Compiled

from app.audit.log import AuditEntry
from app.config import Settings
from app.core.db import extensions
from app.core.db.engine import close
from app.core.db.transaction import writing
from app.factory import create_app
from app.registry import Registry
from app.web.routing import Address

__all__ = ["CompiledTemplates", "close", "prepare_database", "share_addresses", "share_statements"]

# What a route consists of once it is compiled.
COMPILED = ("arguments", "_parts", "_trace", "_converters", "_build", "_build_unknown")


def prepare_database(settings: Settings, registry: Registry) -> None:
    """Make a database as a first start leaves it, but for its entry in the audit log: many tests count entries."""
    app = create_app(settings, registry)
    with app.app_context(), writing() as session:
        session.query(AuditEntry).delete()
    close(app)
    if not settings.database_url:  # what watches the database keeps it open, so nobody else folds in what was written
        with closing(sqlite3.connect(settings.data_dir / "duplistatus.db")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


class CompiledTemplates(BytecodeCache):
    """Templates in the form that runs."""

    def __init__(self) -> None:
        self._compiled: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Take what is kept, if it is of the same source."""
        if bucket.key in self._compiled:
            bucket.bytecode_from_string(self._compiled[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a template."""
        self._compiled[bucket.key] = bucket.bytecode_to_string()


class CompiledStatements(dict[Any, Compiled]):
    """Statements as SQL, by the name of the dialect: each engine has a dialect of its own, and all are set up alike."""

    def get(self, key: tuple[Dialect, ...], default: Compiled | None = None) -> Compiled | None:
        """A statement that was compiled before, for this engine or another one."""
        return super().get((key[0].name, *key[1:]), default)

    def __setitem__(self, key: tuple[Dialect, ...], compiled: Compiled) -> None:
        super().__setitem__((key[0].name, *key[1:]), compiled)


def share_statements() -> None:
    """Have the engines of all applications look among the same compiled statements, and mapped objects too."""
    compiled = CompiledStatements()
    extensions.db._engine_options["execution_options"] = {"compiled_cache": compiled}
    for mapper in extensions.db.Model.registry.mappers:
        mapper._compiled_cache = compiled


def share_addresses() -> None:
    """Have the routes of all applications read and written by the same expressions."""
    compile_anew = Address.compile
    kept: dict[tuple[Any, ...], dict[str, Any]] = {}

    def compile_once(self: Address) -> None:
        defaults = frozenset((self.defaults or {}).items())
        key = (self.rule, self.subdomain, self.host, self.merge_slashes, defaults, *self.map.converters.values())
        if key not in kept:
            compile_anew(self)
            kept[key] = {name: getattr(self, name) for name in COMPILED}
        vars(self).update(kept[key])

    Address.compile = compile_once  # type: ignore[method-assign]
