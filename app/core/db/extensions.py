"""Extensions, created unbound here and bound in the factory.

So models can be imported without an application.
"""

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

from app.core.errors import Refused

# Name of the engine with the one connection for writing.
WRITER = "writer"

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Root of all models. Constraints get names, so that migrations can refer to them."""

    metadata = MetaData(naming_convention=NAMING)


class QuietLoginManager(LoginManager):
    """Flask-Login without its remember-me cookie.

    Its hook would load the session in every public request. A cookie of that name can only be forged and is ignored:
    checking it needs a signing key, which we do not have since sessions are stored on the server.
    """

    def __init__(self) -> None:
        super().__init__()
        self.session_protection = None  # a changing address, as on a train, signs nobody out

    def _update_remember_cookie(self, response: Response) -> Response:
        return response

    def _load_user_from_remember_cookie(self, cookie: str) -> None:
        return None


class SessionCsrf(CSRFProtect):
    """Flask-WTF's protection with the token of our session.

    For API and pages, in place of its signed tokens.
    """

    def sent_token(self) -> str | None:
        """Return the token of the request: from the header, else from the form."""
        return request.headers.get("X-CSRF-Token") or self._get_csrf_token()

    def protect(self, apply_exemptions: bool = False) -> None:
        """Reject a changing request without the session's token.

        Forms need not check again.
        """
        if request.method not in ("GET", "HEAD", "OPTIONS", "TRACE"):
            own: Any = session  # ours, of app.accounts.sessions
            if not own.accepts_token(self.sent_token()):
                raise Refused("csrf_token_invalid")
            g.csrf_valid = True


class RoutedSession(Session):
    """Uses the one writing connection of SQLite for writing transactions.

    A SQLite connection drops its page cache when another one commits, so writers that alternate on eight connections
    read everything again each time; that cost a fifth of the rate of uploads.
    """

    def get_bind(self, *args: Any, **kwargs: Any) -> Engine | Connection:
        """Return the engine for a statement."""
        writer = db.engines.get(WRITER) if self.info.get("writes") else None
        return writer or super().get_bind(*args, **kwargs)


# Objects stay readable after a commit: services return what they stored, without a second query.
db = SQLAlchemy(model_class=Base, session_options={"class_": RoutedSession, "expire_on_commit": False})
if TYPE_CHECKING:

    class Model(Base):
        """What the type checker sees of `db.Model`, which is created at run time."""

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
    """Set SQLite's settings of a connection, and disable automatic BEGIN."""
    if not isinstance(connection, sqlite3.Connection):
        return
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout = 30000")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA temp_store = MEMORY")
    # A checkpoint waits for the disk: one per 16 MB written instead of per 4 MB.
    cursor.execute("PRAGMA wal_autocheckpoint = 4000")
    cursor.execute("PRAGMA cache_size = -2000")  # per connection; the system caches the file anyway
    cursor.close()


@event.listens_for(Engine, "begin")
def begin_sqlite(connection: Connection) -> None:
    """Begin a writing transaction with the write lock.

    So two writers queue instead of failing half-way.
    """
    if connection.dialect.name == "sqlite":
        options = connection.get_execution_options()
        if "wait_s" in options:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(1000 * options['wait_s'])}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes", False) else "BEGIN")
