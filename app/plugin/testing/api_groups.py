"""Contract tests of API groups.

Subclass `ApiGroupContract`, name the group and its public routes, and run.
"""

import re
from abc import ABC
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from flask import Flask, url_for
from werkzeug.routing import AnyConverter, FloatConverter, IntegerConverter, Rule, UUIDConverter

from app import runtime
from app.accounts import users
from app.audit.log import SYSTEM
from app.backups import servers
from app.config import Settings
from app.plugin import Access, ApiGroup
from app.plugin.api import HOST
from app.plugin.testing.applications import Visitor, running_application
from app.registry import Registry, discover
from app.reports.ingest import ingest_report
from app.reports.parser import Report
from app.runtime import Runtime, runtime_of
from app.web import guards
from app.web.http import Application

NAME = re.compile(r"[a-z][a-z0-9_]*")
NAMED_IN_PATH = re.compile("server|backup_name|job_name")
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
VIEWER, VIEWER_PASSWORD = "viewer", "Viewer1234"
# A user who is limited to a list of servers, which is empty; and a server that is hidden from this user.
LIMITED, LIMITED_PASSWORD = "limited", "Limited1234"
HIDDEN_ID, HIDDEN_NAME, HIDDEN_JOB = "5f0c7a52-hidden", "hidden-server-name", "hidden-job-name"
WORDS_OF_HIDDEN = (HIDDEN_ID, HIDDEN_NAME, HIDDEN_JOB)
NOBODY = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path, with its access rule."""

    method: str
    path: str
    url: str
    url_of_hidden: str
    endpoint: str
    rule: guards.Rule

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def changes(self) -> bool:
        """Whether the method may change something."""
        return self.method not in SAFE


class ApiGroupContract(ABC):
    """The contract of every API group, tested in a whole application.

    Set `group`, and in `open_routes` the routes that need no sign-in, as `"GET /api/name"`: public routes must be
    listed explicitly. So must hooks that affect the routes of other groups, in `acts_on_other_routes`.
    """

    group: ClassVar[ApiGroup]
    open_routes: ClassVar[frozenset[str]] = frozenset()
    acts_on_other_routes: ClassVar[bool] = False

    @pytest.fixture
    def application(self, application_with_plugins: Flask, tmp_path: Path) -> Iterator[Flask]:
        """An application with this group.

        The one with all installed plugins, or one of its own.
        """
        if application_with_plugins.blueprints.get(self.group.name) is self.group.blueprint:
            yield application_with_plugins
            return
        found = discover()
        groups = {**found.api_groups, self.group.name: self.group}
        with running_application(tmp_path / "data", replace(found, api_groups=groups)) as app:
            ensure_viewer(app)
            yield app

    @pytest.fixture
    def house(self, application: Flask) -> Flask:
        """Deprecated name of `application`, for tests written for version 2.0."""
        return application

    @pytest.fixture
    def visitor(self, application: Flask) -> Visitor:
        """A client that has not signed in."""
        client = application.test_client()
        assert isinstance(client, Visitor)
        return client

    @pytest.fixture
    def hidden_server(self, application: Flask) -> Iterator[str]:
        """The id of a server that the account `LIMITED` may not see.

        Its only job has a warning and is overdue.
        """
        with application.app_context():
            _report_hidden_run(runtime.now() - timedelta(days=60))
        yield HIDDEN_ID
        with application.app_context():
            servers.delete_server(HIDDEN_ID, actor=SYSTEM, now=runtime.now())

    @pytest.fixture
    def routes(self, application: Flask) -> list[Route]:
        """Every method of every path of the group, with made-up values in the parameters."""
        with application.test_request_context():
            own = [rule for rule in application.url_map.iter_rules() if rule.endpoint.startswith(f"{self.group.name}.")]
            return [route for rule in own for route in routes_of(application, rule)]

    def test_names_itself(self) -> None:
        """Entry point, group and blueprint have the same name.

        The summary is shown in lists.
        """
        assert NAME.fullmatch(self.group.name)
        assert self.group.blueprint.name == self.group.name
        assert self.group.summary.strip()

    def test_the_prefix_is_a_path(self) -> None:
        """The prefix is inserted between the base path and the rules."""
        assert re.fullmatch(r"(/[\w.-]+)*", self.group.url_prefix)

    def test_there_is_something_to_call(self, routes: list[Route]) -> None:
        """A group without a route has an error in its imports."""
        assert routes

    def test_two_applications_in_one_process_take_the_group(self) -> None:
        """Everything that registering the blueprint sets up must work a second time."""
        counts = []
        for name in ("first", "second"):
            app = _without_routes(name)
            app.register_blueprint(self.group.blueprint)
            counts.append(len(list(app.url_map.iter_rules())))
        assert counts[0] == counts[1]

    def test_it_acts_on_other_routes_only_when_said(self) -> None:
        """Hooks and error handlers for the whole application belong to the host."""
        app, bare = _without_routes("with"), _without_routes("without")
        app.register_blueprint(self.group.blueprint)
        hooks = (app.before_request_funcs, app.after_request_funcs, app.teardown_request_funcs)
        handlers = (app.url_value_preprocessors, app.error_handler_spec)
        processors = app.template_context_processors[None], bare.template_context_processors[None]
        acts = any(functions.get(None) for functions in (*hooks, *handlers)) or len(processors[0]) > len(processors[1])
        assert acts is self.acts_on_other_routes

    def test_every_view_says_what_it_gives(self, application: Flask, routes: list[Route]) -> None:
        """The API documentation is made from docstrings."""
        assert [str(route) for route in routes if not application.view_functions[route.endpoint].__doc__] == []

    def test_no_address_is_taken_by_two(self, application: Flask, routes: list[Route]) -> None:
        """One of the two would never be called."""
        own = {(route.path, route.method) for route in routes}
        others = {
            (rule.rule, method)
            for rule in application.url_map.iter_rules()
            for method in rule.methods or ()
            if not rule.endpoint.startswith(f"{self.group.name}.")
        }
        assert len(own) == len(routes)
        assert not own & others

    def test_strangers_may_call_what_is_named_and_nothing_else(self, routes: list[Route]) -> None:
        """Routes with access PUBLIC or SESSION are available without sign-in."""
        found = {str(route) for route in routes if route.rule.access in (Access.PUBLIC, Access.SESSION)}
        assert found == set(self.open_routes)

    def test_strangers_are_refused_elsewhere(self, visitor: Visitor, routes: list[Route]) -> None:
        """The response is 401 in the common error shape, whatever the request."""
        for route in routes:
            if route.rule.access in (Access.USER, Access.ADMIN):
                answer = visitor.open(route.url, method=route.method, json={} if route.changes else None)
                assert answer.status_code == 401, route
                assert {"error", "timestamp"} <= answer.get_json().keys(), route

    def test_changes_need_the_sessions_token(self, visitor: Visitor, routes: list[Route]) -> None:
        """Otherwise another site could make a signed-in browser send changes."""
        visitor.sign_in()
        for route in routes:
            if route.changes and route.rule.access in (Access.USER, Access.ADMIN):
                assert visitor.open(route.url, method=route.method, json={}).status_code == 403, route

    def test_administration_is_for_administrators(self, visitor: Visitor, routes: list[Route]) -> None:
        """Other users get 403, also with a valid token."""
        visitor.sign_in(VIEWER, VIEWER_PASSWORD)
        headers = visitor.csrf_headers()
        for route in routes:
            if route.rule.access is Access.ADMIN:
                answer = visitor.open(route.url, method=route.method, headers=headers)
                assert answer.status_code == 403, route

    def test_limited_accounts_learn_nothing_of_other_servers(
        self, visitor: Visitor, routes: list[Route], hidden_server: str
    ) -> None:
        """Neither in lists nor by its id.

        `visible_server_ids()` returns the servers that an account may see.
        """
        visitor.sign_in(LIMITED, LIMITED_PASSWORD)
        for route in routes:
            if route.method == "GET" and route.rule.access is Access.USER:
                # A URL with the id may be returned.
                for url, unseen in ({route.url_of_hidden: (HIDDEN_NAME,)} | {route.url: WORDS_OF_HIDDEN}).items():
                    answer = visitor.get(url)
                    assert not [word for word in unseen if word in answer.text], route
                    answer.close()

    def test_questions_about_what_does_not_exist_are_answered(self, visitor: Visitor, routes: list[Route]) -> None:
        """A made-up id must not fail.

        An unexpected error is raised here with its traceback.
        """
        visitor.sign_in()
        for route in routes:
            if route.method == "GET":
                answer = visitor.get(route.url)
                assert answer.status_code < 500 or answer.status_code == 503, route
                answer.close()


def ensure_viewer(app: Flask) -> None:
    """Create two accounts without administrator role.

    One is limited to a list of servers.
    """
    with app.app_context():
        for name, password, sees_all in ((VIEWER, VIEWER_PASSWORD, True), (LIMITED, LIMITED_PASSWORD, False)):
            new = users.NewAccount(name, password, must_change_password=False, sees_all_servers=sees_all)
            users.create_account(new, actor=SYSTEM, now=runtime.now())


def _report_hidden_run(began_at: datetime) -> None:
    report = Report(
        server_id=HIDDEN_ID,
        server_name=HIDDEN_NAME,
        job_name=HIDDEN_JOB,
        duplicati_id="DB-hidden",
        main_operation="Backup",
        began_at=began_at,
        ended_at=began_at + timedelta(minutes=2),
        duration_s=120.0,
        status="Warning",
        parsed_result="Warning",
    )
    ingest_report(report, now=began_at, actor=SYSTEM)


def routes_of(app: Flask, rule: Rule) -> Iterator[Route]:
    """Yield the methods of a path, with made-up values in its parameters.

    Needs a request context.
    """
    access_rule = runtime_of(app).part(guards.Rules)[rule.endpoint]
    made_up = {name: _made_up(rule, name) for name in rule.arguments}
    hidden = {
        name: HIDDEN_ID if "server" in name else HIDDEN_JOB for name in rule.arguments if NAMED_IN_PATH.search(name)
    }
    url, url_of_hidden = url_for(rule.endpoint, **made_up), url_for(rule.endpoint, **made_up | hidden)
    for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
        yield Route(method, rule.rule, url, url_of_hidden, rule.endpoint, access_rule)


def _made_up(rule: Rule, name: str) -> Any:
    converter = rule._converters[name]
    if isinstance(converter, IntegerConverter):
        return 987654
    if isinstance(converter, FloatConverter):
        return 9876.5
    if isinstance(converter, UUIDConverter):
        return NOBODY
    if isinstance(converter, AnyConverter):
        return min(converter.items)
    return "nothing-of-this-name"


def _without_routes(name: str) -> Application:
    app = Application(name)
    app.extensions[HOST] = Runtime(Settings(), Registry({}, {}, {}), lambda: None)
    return app
