"""Fixtures for plugin authors, offered to pytest through an entry point."""

from collections.abc import Iterator

import pytest
from flask import Flask

from app.testing.http_servers import RecordingServer, recording_server
from app.testing.mail_servers import MailServer, mail_server


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
    # Here, since pytest loads this module at every start, also for those who test a channel.
    from app.registry import discover
    from app.testing.api_groups import ensure_viewer
    from app.testing.applications import running_application

    with running_application(tmp_path_factory.mktemp("house"), discover()) as app:
        ensure_viewer(app)
        yield app
