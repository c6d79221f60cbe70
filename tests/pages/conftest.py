"""Reports to post, and pages to read."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

Post = Callable[..., None]


def make_report(
    began_at: datetime, *, server: str = "nas", job: str = "Photos", status: str = "Success", **changes: Any
) -> dict[str, Any]:
    """A report as Duplicati sends it; `changes` go into its data."""
    ended_at = began_at + timedelta(minutes=7)
    return {
        "Data": {
            "MainOperation": "Backup",
            "ParsedResult": status,
            "BeginTime": began_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "EndTime": ended_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "Duration": "00:07:00",
            "ExaminedFiles": 48211,
            "SizeOfExaminedFiles": 3 * 1024**3,
            "Version": "2.2.0.1 (2.2.0.1_stable_2025-11-09)",
            "BackendStatistics": {"BytesUploaded": 5 * 1024**2, "KnownFileSize": 7 * 1024**3, "BackupListCount": 4},
            "Messages": [
                "2031-05-04 10:00:00 +00 - [Information-Duplicati.Library.Main.Controller]: The operation ran"
            ],
            "Warnings": [],
            "Errors": [],
            **changes,
        },
        "Extra": {
            "OperationName": "Backup",
            "machine-id": f"id-of-{server}",
            "machine-name": server,
            "backup-name": job,
            "backup-id": "DB-1",
        },
    }


@pytest.fixture
def post(client, clock) -> Post:
    """Send reports: `post(hours_ago=3, job="Mail", status="Error")`."""

    def send(hours_ago: float = 1, **values: Any) -> None:
        report = make_report(clock.now - timedelta(hours=hours_ago), **values)
        assert client.post("/api/upload", json=report).status_code == 200

    return send


@pytest.fixture
def viewer(admin, app):
    """A signed-in person who is no administrator."""
    new = {"username": "viewer", "password": "Viewer1234", "isAdmin": False, "requirePasswordChange": False}
    assert admin.send("POST", "/api/users", json=new).status_code == 201
    viewer = app.test_client()
    assert viewer.sign_in("viewer", "Viewer1234").status_code == 200
    return viewer
