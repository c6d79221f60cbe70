"""Two processes on one data directory: changes of the schedule by one reach the other within 30 s."""

import time

import pytest
import requests
from applications import ADMIN_PASSWORD
from real_server import real_server

pytestmark = pytest.mark.slow

CHECK, CLEANUP = "overdue-backup-check", "audit-log-cleanup"
LIMIT_S = 30


class Administrator:
    """An administrator signed in at one of the processes."""

    def __init__(self, url):
        self._url, self._session = url, requests.Session()
        self.post("auth/login", username="admin", password=ADMIN_PASSWORD)

    def post(self, path, **body):
        """Send a changing request; return the status."""
        token = self._session.get(f"{self._url}/api/csrf").json()["token"]
        return self._session.post(f"{self._url}/api/{path}", json=body, headers={"X-CSRF-Token": token}).status_code

    def active_tasks(self):
        """Return the schedule of this process."""
        return set(self._session.get(f"{self._url}/api/cron/health").json()["activeTasks"])


def wait_until(is_so):
    deadline = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_changes_reach_the_process_that_runs_the_jobs(tmp_path):
    environment = {"ADMIN_PASSWORD": ADMIN_PASSWORD}
    with (
        real_server(tmp_path, **environment) as with_jobs,
        real_server(tmp_path, RUN_JOBS="false", **environment) as without_jobs,
        real_server(tmp_path, **environment) as second,
    ):
        worker, page, other = (Administrator(server.url) for server in (with_jobs, without_jobs, second))
        assert page.post("cron-config", interval="disabled") == 200
        assert page.post("cron/reload-config") == 503  # as the contract prescribes for a process without a schedule
        wait_until(lambda: CHECK not in worker.active_tasks() | other.active_tasks())
        assert other.post(f"cron/stop/{CLEANUP}") == 200
        wait_until(lambda: CLEANUP not in worker.active_tasks())
        assert worker.post("cron/reload-config") == 200
        wait_until(lambda: CLEANUP in other.active_tasks())
        assert page.post("cron-config", interval="1min") == 200
        wait_until(lambda: CHECK in worker.active_tasks() & other.active_tasks())
