"""Whether the database answers, has the newest schema, and gives what the dashboard needs."""

from dataclasses import dataclass

from sqlalchemy import func, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from app.extensions import db
from app.models import Job, Server


@dataclass(frozen=True, slots=True)
class Health:
    """What an examination found; `error` is technical and for signed-in people only."""

    is_connected: bool
    is_migrated: bool = False
    queries_work: bool = False
    tables: tuple[str, ...] = ()
    error: str | None = None

    @property
    def is_healthy(self) -> bool:
        """Whether everything is well."""
        return self.is_connected and self.is_migrated and self.queries_work


def examine() -> Health:
    """Look at the database now; never raises for a database that is unwell."""
    try:
        db.session.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        db.session.rollback()
        return Health(is_connected=False, error=str(error))
    try:
        tables = tuple(sorted(inspect(db.session.connection()).get_table_names()))
        db.session.execute(select(func.count()).select_from(Server))
        db.session.execute(select(Job.id).limit(1))
    except SQLAlchemyError as error:
        db.session.rollback()
        return Health(is_connected=True, error=str(error))
    return Health(True, is_migrated="alembic_version" in tables, queries_work=True, tables=tables)
