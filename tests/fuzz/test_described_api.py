"""Valid and invalid requests for every operation, as every kind of client: nothing may fail.

A few examples each in CI; `make fuzz` sends a hundred (FUZZ_EXAMPLES), only to some groups with their names in
FUZZ_GROUPS (`users,audit`), and on PostgreSQL with FUZZ_DATABASE=postgresql. The database is deleted afterwards, so
that deleting and restoring are tested like everything else. Each example uses its own session, since some operations
end it.
"""

import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from factories import report_document
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app import runtime
from app.accounts import sessions, users
from app.accounts.models import User
from app.audit.log import SYSTEM
from app.plugin.testing.applications import running_application
from app.scheduling import background

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2"))
GROUPS = os.environ.get("FUZZ_GROUPS", "").split(",")
ACCOUNTS = ("admin", "user", "nobody")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# 5xx of docs/compatibility/README.md: email or push that cannot be sent, and a missing log file.
EXPECTED_FAILURES = {("notifications.test", 500), ("logs.export", 500)}
# Besides generated names also existing ones, otherwise little after the first look-up would be reached.
KNOWN_NAMES = {
    "server_id": "machine-1",
    "backup_name": "photos",
    "server": "nas",
    "task": "overdue-backup-check",
    "report_id": 1,
    "key_id": 1,
    "delivery_id": 1,
}
Credentials = Callable[[str], dict[str, str]]


@pytest.fixture(scope="module")
def _no_network() -> Iterator[None]:
    """Block the network except loopback, since generated addresses may exist."""
    look_up, connect = socket.getaddrinfo, socket.socket.connect

    def local_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in (None, "localhost") and not _is_loopback(host):
            raise socket.gaierror(socket.EAI_NONAME, "no network in this test")
        return look_up(host, *args, **kwargs)

    def local_connect(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and not _is_loopback(address[0]):
            raise ConnectionRefusedError("no network in this test")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", local_look_up)
        patch.setattr(socket.socket, "connect", local_connect)
        yield


@pytest.fixture(scope="module")
def database_url(request: pytest.FixtureRequest) -> str:
    """Return the value of DATABASE_URL."""
    if os.environ.get("FUZZ_DATABASE") != "postgresql":
        return ""
    server = request.getfixturevalue("postgres_server")
    server.execute("CREATE DATABASE fuzzed")
    url: str = server.url("fuzzed")
    return url


@pytest.fixture(scope="module")
def fuzzed_app(
    _no_network: None, tmp_path_factory: pytest.TempPathFactory, installed: Any, database_url: str
) -> Iterator[Flask]:
    """An application that answers 500 as in production, with an account, two runs, a rejected report and a key."""
    folder = tmp_path_factory.mktemp("fuzzed")
    with running_application(folder, installed, testing=False, database_url=database_url) as app:
        with app.app_context():
            new = users.NewAccount("user", "Viewer1234", must_change_password=False)
            users.create_account(new, actor=SYSTEM, now=runtime.now())
        sender = app.test_client()
        for name in ("photos", "mail"):
            sender.post("/api/upload", json=report_document(job_name=name))
        sender.post("/api/upload", data=b"what is this?")
        background.start_jobs(app)
        yield app
        background.stop_jobs(app)


@pytest.fixture(scope="module")
def credentials(fuzzed_app: Flask) -> Credentials:
    """Return the headers of a client with a new session."""
    with fuzzed_app.app_context():
        ids = {user.username: user.id for user in User.query.all()}

    def make(account: str) -> dict[str, str]:
        if account == "nobody":
            return {}
        with fuzzed_app.app_context():
            session_id = sessions.create_stored(runtime.now(), sessions.Browser(), user_id=ids[account])
            token, _ = sessions.issue_token(sessions.hash_of(session_id), runtime.now())
        return {"Cookie": f"sessionId={session_id}", "X-CSRF-Token": token}

    return make


@pytest.fixture(scope="module")
def described(fuzzed_app: Flask) -> Any:
    """The served document as schemathesis reads it."""
    return schemathesis.openapi.from_wsgi("/api/openapi.json", fuzzed_app)


@pytest.fixture(scope="module")
def all_operations(described: Any) -> dict[str, Any]:
    """Return the operations by their names."""
    found = [result.ok() for result in described.get_all_operations()]
    names = {operation.definition.raw["operationId"] + " " + operation.method: operation for operation in found}
    return {name: names[name] for name in names if GROUPS == [""] or name.partition(".")[0] in GROUPS}


# The delivery worker draws its delays meanwhile, in its own thread.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
@pytest.mark.parametrize("account", ACCOUNTS)
def test_nothing_fails_and_every_response_is_as_described(
    fuzzed_app: Flask, credentials: Credentials, all_operations: dict[str, Any], account: str, subtests: Any
) -> None:
    for name, operation in all_operations.items():
        with subtests.test(operation=name):
            send_examples(operation, lambda: credentials(account), EXAMPLES)


def send_examples(operation: Any, make_credentials: Callable[[], dict[str, str]], count: int) -> None:
    """Send generated requests, valid and invalid ones."""
    modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    strategies = [operation.as_strategy(generation_mode=mode) for mode in modes if _can_make(operation, mode)]

    @given(case=st.one_of(strategies), is_known=st.booleans())
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=count < 10,  # the same few in CI; new ones for `make fuzz`
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    def send(case: Any, is_known: bool) -> None:
        if is_known:
            names = case.path_parameters or {}
            case.path_parameters = {name: KNOWN_NAMES.get(name, value) for name, value in names.items()}
        answer = case.call(headers=make_credentials())
        operation_id = operation.definition.raw["operationId"]
        is_expected = (operation_id, answer.status_code) in EXPECTED_FAILURES
        case.validate_response(answer, checks=CHECKS[1:] if is_expected else CHECKS)

    send()


def _can_make(operation: Any, mode: Any) -> bool:
    """Return whether the operation has anything that can be invalid."""
    if mode is schemathesis.GenerationMode.POSITIVE:
        return True
    return bool(operation.body or operation.query)


def _is_loopback(host: Any) -> bool:
    try:
        return ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host).is_loopback
    except ValueError:
        return host == "localhost"
