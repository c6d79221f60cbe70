"""The contract of API groups as tests. Subclass `ApiGroupContract`, name the group and who may call it, and run."""

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
from app.plugin import ApiGroup, Guard
from app.plugin.testing.applications import Visitor, running_application
from app.registry import discover
from app.reports.ingest import ingest_report
from app.reports.report import Report
from app.web import guards
from app.web.routing import Application

NAME = re.compile(r"[a-z][a-z0-9_]*")
NAMED_IN_PATH = re.compile("server|backup_name|job_name")
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
VIEWER, VIEWER_PASSWORD = "viewer", "Viewer1234"
# Somebody who may see chosen servers only, of which there is none; and a server that is hidden from them.
LIMITED, LIMITED_PASSWORD = "limited", "Limited1234"
HIDDEN_ID, HIDDEN_NAME, HIDDEN_JOB = "5f0c7a52-hidden", "hidden-server-name", "hidden-job-name"
WORDS_OF_HIDDEN = (HIDDEN_ID, HIDDEN_NAME, HIDDEN_JOB)
NOBODY = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one address, with the rule that guards it."""

    method: str
    path: str
    url: str
    url_of_hidden: str
    endpoint: str
    access: guards.Rule

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def changes(self) -> bool:
        """Whether the method is one that may change something."""
        return self.method not in SAFE


class ApiGroupContract(ABC):
    """What every API group promises, tried on a whole application.

    Give `group`, and in `open_routes` what strangers may call, as `"GET /api/name"`: an open door is to be said twice.
    So is a hook that acts on the routes of others, in `acts_on_other_routes`.
    """

    group: ClassVar[ApiGroup]
    open_routes: ClassVar[frozenset[str]] = frozenset()
    acts_on_other_routes: ClassVar[bool] = False

    @pytest.fixture
    def house(self, house_of_plugins: Flask, tmp_path: Path) -> Iterator[Flask]:
        """An application with this group: the one with all that is installed, or one of its own."""
        if house_of_plugins.blueprints.get(self.group.name) is self.group.blueprint:
            yield house_of_plugins
            return
        found = discover()
        groups = {**found.api_groups, self.group.name: self.group}
        with running_application(tmp_path / "data", replace(found, api_groups=groups)) as app:
            ensure_viewer(app)
            yield app

    @pytest.fixture
    def visitor(self, house: Flask) -> Visitor:
        """Somebody who has not signed in."""
        client = house.test_client()
        assert isinstance(client, Visitor)
        return client

    @pytest.fixture
    def hidden_server(self, house: Flask) -> Iterator[str]:
        """The id of a server that the account `LIMITED` may not see; its only job, which warned, is late."""
        with house.app_context():
            _report_hidden_run(runtime.now() - timedelta(days=60))
        yield HIDDEN_ID
        with house.app_context():
            servers.delete_server(HIDDEN_ID, actor=SYSTEM, now=runtime.now())

    @pytest.fixture
    def routes(self, house: Flask) -> list[Route]:
        """Every method of every address of the group, with made-up values in the places of the path."""
        with house.test_request_context():
            own = [rule for rule in house.url_map.iter_rules() if rule.endpoint.startswith(f"{self.group.name}.")]
            return [route for rule in own for route in routes_of(house, rule)]

    def test_names_itself(self) -> None:
        """Entry point, group and blueprint share one word; the summary stands in lists."""
        assert NAME.fullmatch(self.group.name)
        assert self.group.blueprint.name == self.group.name
        assert self.group.summary.strip()

    def test_the_prefix_is_a_path(self) -> None:
        """It is put between the base path and the rules."""
        assert re.fullmatch(r"(/[\w.-]+)*", self.group.url_prefix)

    def test_there_is_something_to_call(self, routes: list[Route]) -> None:
        """A group without a route is a mistake in its imports."""
        assert routes

    def test_two_applications_in_one_process_take_the_group(self) -> None:
        """Whatever is set up when the blueprint is registered must stand a second time."""
        counts = []
        for name in ("first", "second"):
            app = Application(name)
            app.register_blueprint(self.group.blueprint)
            counts.append(len(list(app.url_map.iter_rules())))
        assert counts[0] == counts[1]

    def test_it_acts_on_other_routes_only_when_said(self) -> None:
        """Hooks and error handlers for the whole application belong to the host."""
        app, bare = Application("with"), Application("without")
        app.register_blueprint(self.group.blueprint)
        hooks = (app.before_request_funcs, app.after_request_funcs, app.teardown_request_funcs)
        handlers = (app.url_value_preprocessors, app.error_handler_spec)
        processors = app.template_context_processors[None], bare.template_context_processors[None]
        acts = any(kept.get(None) for kept in (*hooks, *handlers)) or len(processors[0]) > len(processors[1])
        assert acts is self.acts_on_other_routes

    def test_every_view_says_what_it_gives(self, house: Flask, routes: list[Route]) -> None:
        """The description of the API is made from docstrings."""
        assert [str(route) for route in routes if not house.view_functions[route.endpoint].__doc__] == []

    def test_no_address_is_taken_by_two(self, house: Flask, routes: list[Route]) -> None:
        """One of both would never be called."""
        own = {(route.path, route.method) for route in routes}
        others = {
            (rule.rule, method)
            for rule in house.url_map.iter_rules()
            for method in rule.methods or ()
            if not rule.endpoint.startswith(f"{self.group.name}.")
        }
        assert len(own) == len(routes)
        assert not own & others

    def test_strangers_may_call_what_is_named_and_nothing_else(self, routes: list[Route]) -> None:
        """Routes of the guards OPEN and SESSION are called by anybody."""
        found = {str(route) for route in routes if route.access.guard in (Guard.OPEN, Guard.SESSION)}
        assert found == set(self.open_routes)

    def test_strangers_are_refused_elsewhere(self, visitor: Visitor, routes: list[Route]) -> None:
        """They get 401 in the common shape of errors, whatever they ask for."""
        for route in routes:
            if route.access.guard in (Guard.LOGIN, Guard.ADMIN):
                answer = visitor.open(route.url, method=route.method, json={} if route.changes else None)
                assert answer.status_code == 401, route
                assert {"error", "timestamp"} <= answer.get_json().keys(), route

    def test_changes_need_the_sessions_token(self, visitor: Visitor, routes: list[Route]) -> None:
        """Else another site could let a signed-in browser make them."""
        visitor.sign_in()
        for route in routes:
            if route.changes and route.access.guard in (Guard.LOGIN, Guard.ADMIN):
                assert visitor.open(route.url, method=route.method, json={}).status_code == 403, route

    def test_administration_is_for_administrators(self, visitor: Visitor, routes: list[Route]) -> None:
        """Others get 403, with a good token too."""
        visitor.sign_in(VIEWER, VIEWER_PASSWORD)
        headers = visitor.csrf_headers()
        for route in routes:
            if route.access.guard is Guard.ADMIN:
                answer = visitor.open(route.url, method=route.method, headers=headers)
                assert answer.status_code == 403, route

    def test_limited_accounts_learn_nothing_of_other_servers(
        self, visitor: Visitor, routes: list[Route], hidden_server: str
    ) -> None:
        """Neither from lists nor by its id: `visible_server_ids()` says which servers an account may see."""
        visitor.sign_in(LIMITED, LIMITED_PASSWORD)
        for route in routes:
            if route.method == "GET" and route.access.guard is Guard.LOGIN:
                # An address with the id may give that back.
                for url, unseen in ({route.url_of_hidden: (HIDDEN_NAME,)} | {route.url: WORDS_OF_HIDDEN}).items():
                    answer = visitor.get(url)
                    assert not [word for word in unseen if word in answer.text], route
                    answer.close()

    def test_questions_about_what_does_not_exist_are_answered(self, visitor: Visitor, routes: list[Route]) -> None:
        """A made-up id is no reason to break; an unexpected error is raised here with its trace."""
        visitor.sign_in()
        for route in routes:
            if route.method == "GET":
                answer = visitor.get(route.url)
                assert answer.status_code < 500 or answer.status_code == 503, route
                answer.close()


def ensure_viewer(app: Flask) -> None:
    """Make the accounts of two who are no administrators; one may see chosen servers only."""
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
    """The methods of an address, within the context of a request, with made-up values in the places of its path."""
    access = app.extensions[guards.RULES][rule.endpoint]
    made_up = {name: _made_up(rule, name) for name in rule.arguments}
    hidden = {
        name: HIDDEN_ID if "server" in name else HIDDEN_JOB for name in rule.arguments if NAMED_IN_PATH.search(name)
    }
    url, url_of_hidden = url_for(rule.endpoint, **made_up), url_for(rule.endpoint, **made_up | hidden)
    for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
        yield Route(method, rule.rule, url, url_of_hidden, rule.endpoint, access)


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
