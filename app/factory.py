"""Composition root: creates the application and binds all its parts."""

import atexit
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from weakref import WeakSet

from flask import Flask, Response
from sqlalchemy.exc import SQLAlchemyError

from app import __version__, demo  # noqa: F401 (demo declares a setting)
from app.accounts import sessions, sign_in_pages, users  # noqa: F401 (sign_in_pages has views)
from app.accounts.models import Visitor
from app.accounts.network_access import Zone
from app.accounts.sessions import ServerSessionInterface
from app.backups import (
    dashboard_pages,  # noqa: F401
    graphics,
    health_summary,
    job_pages,  # noqa: F401
    repairs,
    server_pages,  # noqa: F401
    words,
)
from app.backups.graphics import heartbeat_bar, interactive_heartbeat_bar
from app.collector import pages as collector_pages  # noqa: F401
from app.config import Settings, from_environment
from app.core import logs
from app.core.db import engine
from app.core.db.faults import describe
from app.core.db.orm import db, migrate
from app.core.settings import store as settings_store
from app.core.settings.declarations import declare_plugin
from app.database import recovery_pages, secrets
from app.navigation import palette  # noqa: F401
from app.notifications import channels
from app.openapi import pages as openapi_pages
from app.plugin import Access
from app.plugin.api import HOST
from app.plugin.http import use_proxies
from app.registry import Registry, discover
from app.runtime import Runtime, runtime_of
from app.schedules.monitoring_pages import schedule_words
from app.scheduling.background import prepare_for_forks, start_jobs_in_workers, stop_jobs
from app.sharing import public_page
from app.web import assets, formats, guards, http, i18n
from app.web import errors as web_errors
from app.web.guards import add_page_headers, csrf, login_manager
from app.web.http import Application, OrjsonProvider, TrustedProxies, pages_bp, settings_bp, visible_server_ids
from app.web.plugin_texts import channel_title, failure_text

# What a new database needs before it can serve, and what each start repairs


def prepare_installation(settings: Settings, *, now: datetime) -> None:
    """Create the master key, first administrator and standard channels if missing."""
    secrets.prepare_key(settings.data_dir)
    users.ensure_admin(settings, now=now)
    channels.ensure_defaults(now=now)
    sessions.ensure_key(now)
    sessions.purge_expired(now=now)
    repairs.finish_migration(now)


# The HTTP API: one group per subject; `app.web.guards` and `app.web.errors` apply to all

# Every other group, also of a plugin, belongs to the administration.
ZONES = {
    "upload": Zone.EXTERNAL,
    "external": Zone.EXTERNAL,
    "metrics": Zone.EXTERNAL,
    "badges": Zone.EXTERNAL,
    "monitoring": Zone.PROBES,
}


def install_api(app: Flask, registry: Registry) -> None:
    """Install access rules and error handlers, then register the API groups."""
    trusted = runtime_of(app).config.trusted_proxies
    app.wsgi_app = TrustedProxies(app.wsgi_app, trusted)  # type: ignore[method-assign]
    app.json = OrjsonProvider(app)
    login_manager.anonymous_user = Visitor
    login_manager.user_loader(sessions.load_user)
    login_manager.request_loader(guards.load_api_key_user)
    http.count_requests(app)
    guards.install_guards(app)
    web_errors.install(app)
    guards.install_headers(app)
    _offer_csrf_token(app)
    for group in registry.api_groups.values():
        guards.register(
            app,
            group.blueprint,
            access=group.access,
            csrf=group.csrf,
            url_prefix=group.url_prefix,
            zone=ZONES.get(group.name, Zone.ADMINISTRATION),
        )


def _offer_csrf_token(app: Flask) -> None:
    """Provide `csrf_token()` in templates.

    Also as a processor, since Flask-WTF's own would override the global.
    """

    def csrf_token() -> str:
        return sessions.current().csrf_token()

    app.jinja_env.globals["csrf_token"] = csrf_token
    app.context_processor(lambda: {"csrf_token": csrf_token})


# The web UI: server-rendered pages that work without script, and refresh with it


def install_pages(app: Flask) -> None:
    """Register the pages below the base path.

    Also their files, formats, error pages and headers.
    """
    assets.install(app)
    formats.install(app)
    i18n.install(app)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(
        version=__version__, heartbeat_bar=heartbeat_bar, interactive_heartbeat_bar=interactive_heartbeat_bar
    )
    app.jinja_env.globals.update(trend=graphics.trend, heatmap=graphics.heatmap, heat_key=graphics.heat_key)
    app.jinja_env.globals.update(
        status_word=words.status_word,
        schedule_words=schedule_words,
        anomaly_words=words.anomaly_words,
        version_times=words.version_times,
        anomaly_figures=words.anomaly_figures,
        filling_words=health_summary.filling_words,
        failing_channels=channels.failing_channels,
        channel_title=channel_title,
        failure_text=failure_text,
        key_problem=recovery_pages.visible_key_problem,
        key_problem_sentence=recovery_pages.sentence,
    )
    for blueprint in BLUEPRINTS:
        guards.register(app, blueprint, access=Access.USER, is_page=True)
    guards.register(app, public_page.bp, access=Access.PUBLIC, zone=Zone.EXTERNAL, is_page=True)
    web_errors.show_page_errors_with(app, lambda refusal: add_page_headers(web_errors.show_error(refusal)))


def page_values() -> dict[str, object]:
    """Return what every page needs: display preferences and the current URL."""
    chosen = i18n.reader_preferences()
    return {"preferences": chosen, "theme": chosen.theme, "here": http.here()}


def protect_public(response: Response) -> Response:
    """Add the same for public pages, which browsers may cache for a while."""
    caching = dict(response.headers) if response.status_code in (200, 304) else {}
    response = add_page_headers(response)
    response.headers.update({name: caching[name] for name in public_page.CACHING if name in caching})
    response.headers.update(public_page.PRIVACY)
    return response


# Once per process: a registered blueprint cannot be changed.
public_page.bp.context_processor(page_values)
public_page.bp.after_request(protect_public)
BLUEPRINTS = (pages_bp, settings_bp, openapi_pages.bp)
for _blueprint in BLUEPRINTS:
    _blueprint.context_processor(page_values)
    _blueprint.after_request(add_page_headers)


log = logging.getLogger(__name__)

# Applications to close when the process ends: WSGI servers do not notify an application when they stop.
_served: WeakSet[Flask] = WeakSet()


def create_app(
    settings: Settings | None = None,
    registry: Registry | None = None,
    *,
    start_jobs: Callable[[Flask], None] = start_jobs_in_workers,
) -> Flask:
    """Create an application that is ready to serve.

    It is migrated, has an administrator, and its jobs are about to start. Raise BadSetting for an invalid
    environment, PluginConflict for two plugins with the same name, and CannotStart for a database that cannot be
    used.
    """
    settings = settings or from_environment()
    app = bind(settings, registry or discover())
    engine.mark_open(app, settings)
    with app.app_context(), engine.readable_errors(), engine.startup_lock():
        engine.upgrade(settings)
        differs = engine.log_differences()
        try:
            prepare_installation(settings, now=datetime.now(UTC))
        except SQLAlchemyError as error:
            if not differs:
                raise
            log.error("a repair at startup was skipped: %s", describe(error))
    prepare_for_forks(app)
    _served.add(app)
    if settings.run_jobs:
        start_jobs(app)
    return app


def close_app(app: Flask) -> None:
    """Stop scheduled work, then close the database and remove its additional files."""
    _served.discard(app)
    stop_jobs(app)
    # A request that took longer than the five seconds of waitress may still use it.
    engine.close(app, is_quiet=not any(thread.name.startswith("waitress") for thread in threading.enumerate()))


@atexit.register
def _close_served() -> None:
    """Close the applications of this process, whether it created them or was forked."""
    for app in list(_served):
        close_app(app)


def bind(settings: Settings, registry: Registry) -> Flask:
    """Create an application without changing its database.

    It can serve only if that is ready.
    """
    app = Application(__name__, static_folder="static", static_url_path=f"{settings.base_path}/static")
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    logs.configure(settings)
    app.config.from_mapping(
        SQLALCHEMY_DATABASE_URI=settings.database,
        SQLALCHEMY_ENGINE_OPTIONS=engine.engine_options(settings),
        SQLALCHEMY_BINDS=engine.further_engines(settings),
        WTF_CSRF_CHECK_DEFAULT=False,
        DEBUG=settings.debug,
        TESTING=settings.testing,
        MAX_CONTENT_LENGTH=guards.PUBLIC_BODY_BYTES,  # where no access rule allows more
        SESSION_COOKIE_SECURE=settings.secure_cookies,
        SESSION_COOKIE_PATH=settings.base_path or "/",
    )
    use_proxies(settings.uses_proxies)
    app.extensions[HOST] = Runtime(settings, registry, visible_server_ids, settings_store.get)
    for page in registry.settings_pages.values():
        declare_plugin(page)
    app.session_interface = ServerSessionInterface()
    db.init_app(app)
    migrate.init_app(app, db, directory=str(engine.MIGRATIONS), render_as_batch=True)
    login_manager.init_app(app)
    csrf.init_app(app)
    install_api(app, registry)
    install_pages(app)
    return app
