"""An application whose jobs run, and are stopped at the end."""

from collections.abc import Iterator

import pytest
from flask import Flask

from app import jobs


@pytest.fixture
def working_app(app: Flask) -> Iterator[Flask]:
    """The application with its schedule and its courier."""
    jobs.start_jobs(app)
    yield app
    jobs.stop_jobs(app)
