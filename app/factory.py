"""The one place where everything meets: settings, plugins, database, guards, blueprints, scheduled work."""

import atexit
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from weakref import WeakSet

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from app import api, database, logs, pages
from app.api import guards
from app.contracts.addresses import use_proxies
from app.extensions import csrf, db, login_manager, migrate
from app.jobs import stop_jobs
from app.jobs.forks import prepare_for_forks, start_jobs_in_workers
from app.registry import Registry, discover
from app.routing import Application
from app.services import bootstrap, schema_state
from app.services.database_faults import describe
from app.services.sessions import ServerSessionInterface
from app.settings import Settings, from_environment

log = logging.getLogger(__name__)

# Those that the end of the process closes: no WSGI server tells an application that it ends.
_served: WeakSet[Flask] = WeakSet()


def create_app(
    settings: Settings | None = None,
    registry: Registry | None = None,
    *,
    start_jobs: Callable[[Flask], None] = start_jobs_in_workers,
) -> Flask:
    """Make an application that is ready to serve: migrated, with its first administrator, its jobs about to start.

    Raises BadSetting for an environment that cannot be understood, PluginConflict for two plugins of one name, and
    CannotStart for a database that cannot be used.
    """
    settings = settings or from_environment()
    app = bind(settings, registry or discover())
    database.hold(app, settings)
    with app.app_context(), database.explained(), database.alone():
        database.upgrade(settings)
        differs = schema_state.log_differences()
        try:
            bootstrap.prepare(settings, now=datetime.now(UTC))
        except SQLAlchemyError as error:
            if not differs:
                raise
            log.error("the start goes on without what it would have put right: %s", describe(error))
    prepare_for_forks(app)
    _served.add(app)
    if settings.run_jobs:
        start_jobs(app)
    return app


def close_app(app: Flask) -> None:
    """End scheduled work, then let go of the database, so that nothing of it is left beside its file."""
    _served.discard(app)
    stop_jobs(app)
    # A request that took longer than the five seconds of waitress may still be looking at it.
    database.close(app, is_quiet=not any(thread.name.startswith("waitress") for thread in threading.enumerate()))


@atexit.register
def _close_served() -> None:
    """Close the applications of this process, be it the one that made them or forked from that."""
    for app in list(_served):
        close_app(app)


def bind(settings: Settings, registry: Registry) -> Flask:
    """Make an application that leaves its database as it is; it serves only where that is ready already."""
    app = Application(__name__, static_folder="static", static_url_path=f"{settings.base_path}/static")
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    logs.configure(settings)
    app.config.from_mapping(
        SQLALCHEMY_DATABASE_URI=settings.database,
        SQLALCHEMY_ENGINE_OPTIONS=database.engine_options(settings),
        SQLALCHEMY_BINDS=database.further_engines(settings),
        WTF_CSRF_CHECK_DEFAULT=False,
        DEBUG=settings.debug,
        TESTING=settings.testing,
        MAX_CONTENT_LENGTH=guards.STRANGERS_BYTES,  # where no rule of a route says more
        SESSION_COOKIE_SECURE=settings.secure_cookies,
        SESSION_COOKIE_PATH=settings.base_path or "/",
    )
    use_proxies(settings.uses_proxies)
    app.extensions["duplistatus.settings"] = settings
    app.extensions["duplistatus.registry"] = registry
    app.session_interface = ServerSessionInterface()
    db.init_app(app)
    migrate.init_app(app, db, directory=str(database.MIGRATIONS), render_as_batch=True)
    login_manager.init_app(app)
    csrf.init_app(app)
    api.install(app, registry)
    pages.install(app)
    return app
