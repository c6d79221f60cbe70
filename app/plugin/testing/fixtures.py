"""Fixtures for tests of plugins: `pytest_plugins = ["app.plugin.testing.fixtures"]` in a conftest.py registers them.

pytest loads this module at every start, so the fixtures import what they need when they are used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from flask import Flask

    from app.plugin.testing.http_servers import RecordingServer
    from app.plugin.testing.mail_servers import MailServer


@pytest.fixture
def http_stand_in() -> Iterator[RecordingServer]:
    """An HTTP server on loopback that records requests and sends configured answers."""
    from app.plugin.testing.http_servers import recording_server

    with recording_server() as server:
        yield server


@pytest.fixture
def mail_stand_in() -> Iterator[MailServer]:
    """A plain mail server on loopback that records messages and requires no login."""
    from app.plugin.testing.mail_servers import mail_server

    with mail_server() as server:
        yield server


@pytest.fixture(scope="session")
def application_with_plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An application with all plugins, shared by the tests of all API groups."""
    from app.plugin.testing.api_groups import ensure_viewer
    from app.plugin.testing.applications import running_application
    from app.registry import discover

    with running_application(tmp_path_factory.mktemp("application"), discover()) as app:
        ensure_viewer(app)
        yield app


@pytest.fixture(scope="session")
def house_of_plugins(application_with_plugins: Flask) -> Flask:
    """Deprecated name of `application_with_plugins`, for tests written for version 2.0."""
    return application_with_plugins
