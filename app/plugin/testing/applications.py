"""Applications for tests: created with a database of their own, and closed again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from app.config import Settings
from app.core.db.engine import close
from app.factory import create_app
from app.registry import Registry

ADMIN_PASSWORD = "Correct7Horse"  # noqa: S105 (of a database that lives as long as a test)


class Visitor(FlaskClient):
    """A browser with its cookies, which can fetch a CSRF token and sign in."""

    def csrf_headers(self) -> dict[str, str]:
        """The header that a changing request needs."""
        return {"X-CSRF-Token": self.get("/api/csrf").get_json()["token"]}

    def sign_in(self, username: str = "admin", password: str = ADMIN_PASSWORD) -> Visitor:
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
