"""Applications that tests make: what they share, and how to let go of one."""

import sqlite3
from contextlib import closing

from jinja2.bccache import Bucket, BytecodeCache

from app.factory import create_app
from app.models import AuditEntry
from app.registry import Registry
from app.services.transaction import writing
from app.settings import Settings
from app.testing.applications import close

__all__ = ["CompiledTemplates", "close", "prepare_database"]


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
    """Templates in the form that runs, kept as long as the tests: making it anew took half of their time."""

    def __init__(self) -> None:
        self._compiled: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Take what is kept, if it is of the same source."""
        if bucket.key in self._compiled:
            bucket.bytecode_from_string(self._compiled[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a template."""
        self._compiled[bucket.key] = bucket.bytecode_to_string()
