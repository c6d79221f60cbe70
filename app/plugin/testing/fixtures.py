"""Applications and stand-ins for tests of plugins, as fixtures: `pytest_plugins = ["app.plugin.testing.fixtures"]`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.config import Settings
from app.core.db.engine import close
from app.factory import create_app
from app.plugin.testing.http_servers import RecordingServer, recording_server
from app.plugin.testing.mail_servers import MailServer, mail_server
from app.registry import Registry

ADMIN_PASSWORD = "Correct7Horse"  # noqa: S105 (of a database that lives as long as a test)


class Visitor(FlaskClient):
    """A browser with its cookies, which can fetch a CSRF token and sign in."""

    def csrf_headers(self) -> dict[str, str]:
        """The header that a changing request needs."""
        return {"X-CSRF-Token": self.get("/api/csrf").get_json()["token"]}

    def sign_in(self, username: str = "admin", password: str = ADMIN_PASSWORD) -> "Visitor":
        """Sign in, and return this client."""
        known = {"username": username, "password": password}
        answer = self.post("/api/auth/login", headers=self.csrf_headers(), json=known)
        assert answer.status_code == 200, answer.get_json()
        return self


@contextmanager
def running_application(folder: Path, registry: Registry, **settings: Any) -> Iterator[Flask]:
    """An application with the administrator `admin` and a fresh database in a folder; its jobs do not run."""
    chosen = {"admin_password": ADMIN_PASSWORD, "run_jobs": False, "testing": True, **settings}
    app = create_app(Settings(data_dir=folder, **chosen), registry)
    app.test_client_class = Visitor
    try:
        yield app
    finally:
        close(app)


# Fixtures for tests of plugins: `pytest_plugins = ["app.plugin.testing.fixtures"]` in a conftest.py registers them.


@pytest.fixture
def http_stand_in() -> Iterator[RecordingServer]:
    """An HTTP server on loopback that records and answers as told."""
    with recording_server() as server:
        yield server


@pytest.fixture
def mail_stand_in() -> Iterator[MailServer]:
    """A plain mail server on loopback that keeps what it is sent, and demands no login."""
    with mail_server() as server:
        yield server


@pytest.fixture(scope="session")
def house_of_plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An application with everything that is installed, shared by the tests of all API groups."""
    # Imported here, since tests of a channel need nothing of it.
    from app.plugin.testing.api_groups import ensure_viewer
    from app.registry import discover

    pass  # REMOVED

    with running_application(tmp_path_factory.mktemp("house"), discover()) as app:
        ensure_viewer(app)
        yield app
