"""Extensions, made unbound here and bound in the factory, so that importing a model needs no application."""

import sqlite3
from typing import TYPE_CHECKING, Any, ClassVar

from flask import Response, g, request, session
from flask_babel import Babel
from flask_login import LoginManager
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session
from flask_wtf import CSRFProtect
from sqlalchemy import Connection, Engine, MetaData, Table, event
from sqlalchemy.orm import DeclarativeBase

from app.plugin.errors import Forbidden

# The name of the engine with the one connection for writing.
WRITER = "writer"

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Root of all models. Constraints get names, so that migrations can speak of them."""

    metadata = MetaData(naming_convention=NAMING)


class QuietLoginManager(LoginManager):
    """Flask-Login without its remember-me cookie, whose hook would load the session at every open request.

    A cookie of that name, which only a stranger can have made, is not even looked at: checking it needs a signing key,
    and we have none since sessions are kept on the server.
    """

    def __init__(self) -> None:
        super().__init__()
        self.session_protection = None  # an address that changes on the train signs nobody out

    def _update_remember_cookie(self, response: Response) -> Response:
        return response

    def _load_user_from_remember_cookie(self, cookie: str) -> None:
        return None


class SessionCsrf(CSRFProtect):
    """Flask-WTF's protection with the token of our session, one for API and pages, in place of its signed ones."""

    def sent_token(self) -> str | None:
        """The token that came with the request: in the header, else in the form's field."""
        return request.headers.get("X-CSRF-Token") or self._get_csrf_token()

    def protect(self, apply_exemptions: bool = False) -> None:
        """Refuse a changing request without the session's token; afterwards forms need not check again."""
        if request.method not in ("GET", "HEAD", "OPTIONS", "TRACE"):
            own: Any = session  # ours, of app.accounts.sessions
            if not own.accepts_token(self.sent_token()):
                raise Forbidden("Invalid CSRF token")
            g.csrf_valid = True


class RoutedSession(Session):
    """Sends a writing transaction over the one connection that writes, where the database has such a thing.

    A SQLite connection forgets the pages it has read when another one commits, so writers that take turns on eight
    connections read everything anew each time; that took a fifth of the rate of uploads.
    """

    def get_bind(self, *args: Any, **kwargs: Any) -> Engine | Connection:
        """The engine for a statement."""
        writer = db.engines.get(WRITER) if self.info.get("writes") else None
        return writer or super().get_bind(*args, **kwargs)


# Objects stay readable after a commit: services return what they stored, and no second query fetches it again.
db = SQLAlchemy(model_class=Base, session_options={"class_": RoutedSession, "expire_on_commit": False})
if TYPE_CHECKING:

    class Model(Base):
        """What the type checker sees of `db.Model`, which is made at run time."""

        __abstract__ = True
        __table__: ClassVar[Table]
else:
    Model = db.Model
migrate = Migrate()
login_manager = QuietLoginManager()
csrf = SessionCsrf()
babel = Babel()


@event.listens_for(Engine, "connect")
def prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """Set what SQLite keeps per connection, and take BEGIN into our own hands."""
    if not isinstance(connection, sqlite3.Connection):
        return
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout = 30000")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA temp_store = MEMORY")
    # A checkpoint waits for the disk: one for each 16 MB written instead of each 4.
    cursor.execute("PRAGMA wal_autocheckpoint = 4000")
    cursor.execute("PRAGMA cache_size = -2000")  # for each connection; the system keeps the file in memory anyway
    cursor.close()


@event.listens_for(Engine, "begin")
def begin_sqlite(connection: Connection) -> None:
    """Start a writing transaction with the write lock, so that two writers queue instead of failing half way."""
    if connection.dialect.name == "sqlite":
        options = connection.get_execution_options()
        if "wait_s" in options:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(1000 * options['wait_s'])}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes", False) else "BEGIN")
