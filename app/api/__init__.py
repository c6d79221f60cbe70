"""Floor 4: the HTTP API, one folder for each group; `guards` and `errors` serve them all."""

from flask import Flask

from app.api import errors, guards, response_headers
from app.api.client import TrustedProxies, visible_server_ids
from app.api.encoding import OrjsonProvider
from app.contracts.api import VISIBLE_SERVERS
from app.extensions import login_manager
from app.models import Visitor
from app.registry import Registry
from app.services import sessions
from app.services.network_access import Zone

# Every other group, a guest's too, belongs to the administration.
ZONES = {
    "upload": Zone.EXTERNAL,
    "external": Zone.EXTERNAL,
    "metrics": Zone.EXTERNAL,
    "badges": Zone.EXTERNAL,
    "monitoring": Zone.PROBES,
}


def install(app: Flask, registry: Registry) -> None:
    """Put guards and error handlers in place, then the API groups behind them."""
    trusted = app.extensions["duplistatus.settings"].trusted_proxies
    app.wsgi_app = TrustedProxies(app.wsgi_app, trusted)  # type: ignore[method-assign]
    app.json = OrjsonProvider(app)
    app.extensions[VISIBLE_SERVERS] = visible_server_ids
    login_manager.anonymous_user = Visitor
    login_manager.user_loader(sessions.load_user)
    login_manager.request_loader(guards.load_script)
    guards.install(app)
    errors.install(app)
    response_headers.install(app)
    _offer_csrf_token(app)
    for group in registry.api_groups.values():
        guards.cover(
            app,
            group.blueprint,
            guard=group.guard,
            csrf=group.csrf,
            url_prefix=group.url_prefix,
            zone=ZONES.get(group.name, Zone.ADMINISTRATION),
        )


def _offer_csrf_token(app: Flask) -> None:
    """Give templates `csrf_token()`; a processor too, since Flask-WTF's own would win over the global."""

    def csrf_token() -> str:
        return sessions.current().csrf_token()

    app.jinja_env.globals["csrf_token"] = csrf_token
    app.context_processor(lambda: {"csrf_token": csrf_token})
