"""Access: every route and method, called by every kind of account, with and without a token, against this table."""

import re

import pytest
from flask import Flask

from app import runtime
from app.accounts import users
from app.audit.log import SYSTEM
from app.plugin.testing.applications import Visitor, running_application

# Guards of docs/compatibility/conventions.md#guards, as docs/deviations.md raises them: routes for any session
# need a signed-in user, and scheduled work an administrator. "early" is a user who may still have to change
# the password; "login-form" checks the token itself (rule L, see test_auth.py).
TABLE = {
    "/api/access/allow-lists": {"GET": "admin"},
    "/api/access/allow-lists/<any(admin, external):zone>": {"PATCH": "admin"},
    "/api/api-keys": {"GET": "admin", "POST": "admin"},
    "/api/api-keys/<int:key_id>": {"PATCH": "admin", "DELETE": "admin"},
    "/api/api-keys/requirement": {"GET": "admin", "PATCH": "admin"},
    "/api/application-logs": {"GET": "admin"},
    "/api/application-logs/export": {"GET": "admin"},
    "/api/alarm-limits": {"GET": "admin", "PUT": "admin"},
    "/api/audit-log": {"GET": "login"},
    "/api/audit-log/cleanup": {"POST": "admin"},
    "/api/audit-log/download": {"GET": "login"},
    "/api/audit-log/filters": {"GET": "login"},
    "/api/audit-log/retention": {"GET": "login", "PATCH": "admin"},
    "/api/auth/admin-must-change-password": {"GET": "open"},
    "/api/auth/change-password": {"POST": "early"},
    "/api/auth/login": {"POST": "login-form"},
    "/api/auth/logout": {"POST": "session"},
    "/api/auth/me": {"GET": "session"},
    "/api/auth/password-policy": {"GET": "open"},
    "/api/badges": {"GET": "admin", "POST": "admin"},
    "/api/badges/<slug>": {"DELETE": "admin"},
    "/api/backups/cleanup": {"POST": "admin"},
    "/api/backups/collect": {"POST": "login"},
    "/api/backups/collect/<server_id>": {"GET": "login", "PATCH": "admin"},
    "/api/backups/collections": {"POST": "login"},
    "/api/backups/collections/<batch_id>": {"GET": "login"},
    "/api/backups/collections/<batch_id>/<int:number>/json": {"GET": "login"},
    "/api/backups/delete-job": {"DELETE": "admin"},
    "/api/backups/last-timestamps": {"GET": "login"},
    "/api/backups/run": {"POST": "admin"},
    "/api/backups/sync-schedule": {"POST": "login"},
    "/api/channels": {"GET": "admin"},
    "/api/channels/<int:channel_id>/quiet-hours": {"PUT": "admin", "DELETE": "admin"},
    "/api/chart-data/aggregated": {"GET": "login"},
    "/api/chart-data/server/<server_id>": {"GET": "login"},
    "/api/chart-data/server/<server_id>/backup/<name:backup_name>": {"GET": "login"},
    "/api/configuration/backup-settings": {"POST": "admin"},
    "/api/configuration/email": {"GET": "login", "POST": "admin", "DELETE": "admin"},
    "/api/configuration/email/password": {"GET": "login", "PATCH": "admin"},
    "/api/configuration/external-monitor": {"GET": "admin", "PUT": "admin"},
    "/api/configuration/external-monitor/ping": {"POST": "admin"},
    "/api/configuration/free-space": {"GET": "admin", "PUT": "admin"},
    "/api/configuration/notifications": {"GET": "login", "POST": "admin"},
    "/api/configuration/ntfy": {"GET": "login"},
    "/api/configuration/overdue-tolerance": {"GET": "login", "POST": "admin"},
    "/api/configuration/templates": {"POST": "admin"},
    "/api/configuration/templates/defaults": {"GET": "open"},
    "/api/configuration/unified": {"GET": "login"},
    "/api/cron-config": {"GET": "login", "POST": "admin"},
    "/api/cron/health": {"GET": "login"},
    "/api/cron/tasks": {"GET": "login"},
    "/api/cron/reload-config": {"POST": "admin"},
    "/api/cron/start/<task>": {"POST": "admin"},
    "/api/cron/stop/<task>": {"POST": "admin"},
    "/api/cron/trigger/<task>": {"POST": "admin"},
    "/api/csrf": {"GET": "open"},
    "/api/dashboard": {"GET": "login"},
    "/api/database/backup": {"GET": "admin"},
    "/api/database/backup-schedule": {"GET": "admin", "PATCH": "admin"},
    "/api/database/backups": {"GET": "admin", "POST": "admin"},
    "/api/database/backups/<backup_name>": {"GET": "admin", "DELETE": "admin"},
    "/api/database/backups/<backup_name>/restore": {"POST": "admin"},
    "/api/database/compact": {"POST": "admin"},
    "/api/database/import": {"GET": "admin", "POST": "admin", "DELETE": "admin"},
    "/api/database/import/decline": {"POST": "admin"},
    "/api/database/import/file": {"PUT": "admin"},
    "/api/database/import/key": {"PUT": "admin"},
    "/api/database/integrity-check": {"POST": "admin"},
    "/api/database/master-key": {"GET": "admin"},
    "/api/database/master-key/give-up-secrets": {"POST": "admin"},
    "/api/database/restore": {"POST": "admin"},
    "/api/database/retention": {"GET": "admin", "PATCH": "admin"},
    "/api/database/retention/cleanup": {"POST": "admin"},
    "/api/database/state": {"GET": "admin"},
    "/api/deliveries": {"GET": "admin"},
    "/api/deliveries/<int:delivery_id>/retry": {"POST": "admin"},
    "/api/deliveries/failing": {"GET": "admin"},
    "/api/detail/<server_id>": {"GET": "login"},
    "/api/duplicati-versions": {"GET": "admin", "PATCH": "admin"},
    "/api/duplicati-versions/check": {"POST": "admin"},
    "/api/health": {"GET": "open"},
    "/api/insight": {"GET": "login"},
    "/api/insight-limits": {"GET": "login", "PATCH": "admin"},
    "/api/insight/<server_id>": {"GET": "login"},
    "/api/insight/<server_id>/quota": {"PATCH": "admin"},
    "/api/insight/<server_id>/schedule": {"POST": "admin"},
    "/api/lastbackup/<name:server>": {"GET": "open"},
    "/api/lastbackups/<name:server>": {"GET": "open"},
    "/api/metrics-settings": {"GET": "admin", "PATCH": "admin"},
    "/api/mutes": {"GET": "login"},
    "/api/notifications/check-overdue": {"POST": "login"},
    "/api/notifications/clear-overdue-timestamps": {"POST": "login"},
    "/api/notifications/test": {"POST": "login"},
    "/api/openapi.json": {"GET": "open"},
    "/api/ping": {"GET": "open"},
    "/api/reception": {"GET": "admin", "PATCH": "admin"},
    "/api/rejected-reports": {"GET": "admin"},
    "/api/rejected-reports/<int:report_id>": {"GET": "admin", "DELETE": "admin"},
    "/api/rejected-reports/<int:report_id>/replay": {"POST": "admin"},
    "/api/servers": {"GET": "login"},
    "/api/servers/<server_id>": {"GET": "login", "PATCH": "admin", "DELETE": "admin"},
    "/api/servers/<server_id>/backup/<name:backup_name>/mute": {"PUT": "admin", "DELETE": "admin"},
    "/api/servers/<server_id>/mute": {"PUT": "admin", "DELETE": "admin"},
    "/api/servers/<server_id>/password": {"GET": "login", "PATCH": "admin"},
    "/api/servers/<server_id>/server-url": {"GET": "login", "PATCH": "admin"},
    "/api/servers/duplicates": {"GET": "admin"},
    "/api/servers/merge": {"POST": "admin"},
    "/api/servers/test-connection": {"POST": "login"},
    "/api/session": {"GET": "open", "POST": "open", "DELETE": "open"},
    "/api/summary": {"GET": "open"},
    "/api/tags": {"GET": "login"},
    "/api/tags/<server_id>": {"PATCH": "admin"},
    "/api/upload": {"POST": "open"},
    "/api/users": {"GET": "admin", "POST": "admin"},
    "/api/users/<user_id>/unlock": {"POST": "admin"},
    "/api/users/<user_id>": {"PATCH": "admin", "DELETE": "admin"},
}
ROWS = [(method, path, guard) for path, methods in TABLE.items() for method, guard in methods.items()]
ACCOUNTS = ("nobody", "anonymous", "newcomer", "user", "admin")
PASSWORD = "Viewer1234"
NO_SESSION = (401, "Invalid or expired session")
BAD_TOKEN = (403, "Invalid CSRF token")
NOT_SIGNED_IN = (401, "Authentication required")
MUST_CHANGE = (403, "The password must be changed first")
NOT_ADMIN = (403, "Administrator access required")
IN = (200, None)


def expected(guard: str, account: str, *, needs_token: bool, has_token: bool) -> tuple[int, str | None]:
    """Return the response of the contract, with its checks in order."""
    if guard in ("open", "login-form"):
        return IN
    if account == "nobody":
        return NO_SESSION
    if needs_token and not has_token:
        return BAD_TOKEN
    if guard == "session":
        return IN
    if account == "anonymous":
        return NOT_SIGNED_IN
    if account == "newcomer" and guard != "early":
        return MUST_CHANGE
    return NOT_ADMIN if guard == "admin" and account != "admin" else IN


@pytest.fixture(scope="module")
def shared_app(tmp_path_factory, installed) -> Flask:
    """An application with two more accounts."""
    with running_application(tmp_path_factory.mktemp("house"), installed) as app:
        with app.app_context():
            for name, must_change in (("user", False), ("newcomer", True)):
                new = users.NewAccount(name, PASSWORD, is_admin=must_change, must_change_password=must_change)
                users.create_account(new, actor=SYSTEM, now=runtime.now())
        yield app


@pytest.fixture(scope="module")
def clients(shared_app) -> dict[str, tuple[Visitor, dict[str, str]]]:
    """Every kind of client with the header of its token. Afterwards views only report that they were reached."""
    by_account = {name: shared_app.test_client() for name in ACCOUNTS}
    by_account["admin"].sign_in()
    by_account["user"].sign_in("user", PASSWORD)
    by_account["newcomer"].sign_in("newcomer", PASSWORD)
    tokens = {name: {} if name == "nobody" else client.csrf_headers() for name, client in by_account.items()}
    for endpoint in shared_app.view_functions:
        shared_app.view_functions[endpoint] = lambda **_arguments: {"reached": True}
    return {name: (client, tokens[name]) for name, client in by_account.items()}


def address(path: str) -> str:
    """Return the path with values for its parameters."""
    path = path.replace("<any(admin, external):zone>", "admin")
    return re.sub(r"<(?!int:)[^<>]+>", "some", re.sub(r"<int:[^<>]+>", "1", path))


def test_table_names_every_route_and_method_of_the_contract(shared_app, installed):
    found = {
        (method, rule.rule)
        for rule in shared_app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/") and rule.endpoint.partition(".")[0] in installed.api_groups
    }
    assert {(method, path) for method, path, _ in ROWS} == found


@pytest.mark.parametrize(("method", "path", "guard"), ROWS, ids=[f"{method} {path}" for method, path, _ in ROWS])
def test_route_allows_whom_the_contract_allows(clients, method, path, guard):
    needs_token = method != "GET"
    for account, (client, token) in clients.items():
        for has_token in (True, False):
            answer = client.open(address(path), method=method, headers=token if has_token else {})
            body = (answer.status_code, answer.get_json().get("error"))
            wanted = expected(guard, account, needs_token=needs_token, has_token=has_token)
            assert body == wanted, f"{account} {'with' if has_token else 'without'} token"


def test_other_methods_are_rejected_and_the_right_ones_named(clients):
    client, _ = clients["admin"]
    for path, methods in TABLE.items():
        if {"POST", "GET"} <= set(methods) or "PUT" in methods:
            continue
        answer = client.open(address(path), method="PUT")
        assert answer.status_code == 405, path
        assert set(methods) <= {method.strip() for method in answer.headers["Allow"].split(",")}, path
