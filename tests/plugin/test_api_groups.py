"""The contract test of every API group of the tree, with the list of its public routes."""

from contextlib import ExitStack, contextmanager
from dataclasses import replace

import distributions
import pytest
from flask import Blueprint

from app import runtime
from app.backups import overview
from app.plugin import Access, ApiGroup, Guard
from app.plugin.testing.api_groups import HIDDEN_ID, ApiGroupContract, ensure_viewer
from app.plugin.testing.applications import running_application
from app.registry import API_GROUPS, discover

pytestmark = pytest.mark.slow

# Every public route of the program. A group that is missing here fails a test below.
OPEN_ROUTES: dict[str, set[str]] = {
    "access": set(),
    "alarms": set(),
    "audit": set(),
    "auth": {
        "GET /api/auth/admin-must-change-password",
        "GET /api/auth/me",
        "GET /api/auth/password-policy",
        "POST /api/auth/login",
        "POST /api/auth/logout",
    },
    "backups": set(),
    "badges": {"GET /badge/<slug>.svg"},
    "charts": set(),
    "configuration": {"GET /api/configuration/templates/defaults"},
    "cron": set(),
    "dashboard": set(),
    "database": set(),
    "deliveries": set(),
    "duplicati": set(),
    "external": {
        "GET /api/lastbackup/<name:server>",
        "GET /api/lastbackups/<name:server>",
        "GET /api/summary",
    },
    "insight": set(),
    "keys": set(),
    "logs": set(),
    "metrics": {"GET /metrics"},
    "monitoring": {"GET /api/health", "GET /api/ping"},
    "notifications": set(),
    "openapi": {"GET /api/openapi.json"},
    "publishing": set(),
    "reception": set(),
    "servers": set(),
    "session": {"DELETE /api/session", "GET /api/csrf", "GET /api/session", "POST /api/session"},
    "tags": set(),
    "upload": {"POST /api/upload"},
    "users": set(),
}
INSTALLED = discover()
for group_name, open_routes in OPEN_ROUTES.items():
    class_name = f"Test{group_name.capitalize()}"
    held_to = {
        "group": INSTALLED.api_groups[group_name],
        "open_routes": frozenset(open_routes),
    }
    globals()[class_name] = type(class_name, (ApiGroupContract,), held_to)


def test_each_api_group_of_the_tree_has_its_contract_test():
    ours = {name for name in INSTALLED.api_groups if INSTALLED.sources[API_GROUPS, name] in distributions.NAMES}
    assert set(OPEN_ROUTES) == ours


def plugin_group(name: str = "guest", **options) -> ApiGroup:
    """A group with one view, as a third party may write it."""
    blueprint = Blueprint(name, __name__)

    @blueprint.get("/guest")
    def show():
        """Return a response."""
        return {}

    return ApiGroup(name, blueprint, "A guest", **options)


class TestPluginGroup(ApiGroupContract):
    """A group that is not installed is tested on its own application."""

    group = plugin_group()


def contract_of(group: ApiGroup, **changes) -> ApiGroupContract:
    return type("Contract", (ApiGroupContract,), {"group": group, **changes})()


def test_the_kit_rejects_a_hook_for_the_whole_application():
    group = plugin_group()
    group.blueprint.before_app_request(lambda: None)
    with pytest.raises(AssertionError):
        contract_of(group).test_it_acts_on_other_routes_only_when_said()


def test_the_kit_rejects_an_error_handler_for_the_whole_application():
    group = plugin_group()
    group.blueprint.app_errorhandler(404)(lambda error: ("no", 404))
    with pytest.raises(AssertionError):
        contract_of(group).test_it_acts_on_other_routes_only_when_said()


def test_the_kit_rejects_a_public_route_that_is_not_named(application_with_plugins):
    group = INSTALLED.api_groups["monitoring"]
    contract = contract_of(group)
    with application_with_plugins.test_request_context():
        routes = ApiGroupContract.routes.__wrapped__(contract, application_with_plugins)
    with pytest.raises(AssertionError):
        contract.test_strangers_may_call_what_is_named_and_nothing_else(routes)


@pytest.mark.parametrize("path", ["/guest", "/guest/<server_id>"])
@pytest.mark.parametrize("visible", [None, frozenset()], ids=["leaking", "limited"])
def test_the_kit_rejects_a_group_that_shows_hidden_servers(tmp_path, visitor_of, path, visible):
    blueprint = Blueprint("guest", __name__)

    @blueprint.get(path)
    def show(server_id: str = ""):
        """Return names of servers."""
        return {"servers": [server.name for server in overview.overview(runtime.now(), visible).servers]}

    visitor, routes, contract = visitor_of(ApiGroup("guest", blueprint, "A guest"))
    check = contract.test_limited_accounts_learn_nothing_of_other_servers
    if visible is None:
        with pytest.raises(AssertionError):
            check(visitor, routes, HIDDEN_ID)
    else:
        check(visitor, routes, HIDDEN_ID)


@pytest.fixture
def visitor_of(tmp_path):
    """Create a visitor of an application that has a group, with its routes, its contract and a hidden server."""
    with ExitStack() as stack:

        def make(group: ApiGroup):
            groups = {**INSTALLED.api_groups, group.name: group}
            app = stack.enter_context(running_application(tmp_path, replace(INSTALLED, api_groups=groups)))
            ensure_viewer(app)
            contract = contract_of(group)
            stack.enter_context(contextmanager(ApiGroupContract.hidden_server.__wrapped__)(contract, app))
            return app.test_client(), ApiGroupContract.routes.__wrapped__(contract, app), contract

        yield make


@pytest.mark.parametrize("prefix", ["api", "/api/", "/a b"])
def test_the_kit_rejects_a_prefix_that_is_no_path(prefix):
    with pytest.raises(AssertionError):
        contract_of(plugin_group(access=Access.PUBLIC, url_prefix=prefix)).test_the_prefix_is_a_path()


def test_deprecated_names_of_access_still_work():
    assert Guard is Access
    assert list(Access) == [Guard.OPEN, Guard.SESSION, Guard.LOGIN, Guard.ADMIN]
    group = ApiGroup(name="old", blueprint=Blueprint("old", __name__), summary="Old", guard=Guard.OPEN)
    assert group.access is Access.PUBLIC
    assert replace(group, access=Access.ADMIN).access is Access.ADMIN
