"""A real server on loopback, and a real browser."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import waitress.server
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright
from waitress import wasyncore

from app.config import Settings
from app.core.db import orm
from app.core.db.orm import ExactCache
from app.demo import fill_demo
from app.factory import create_app
from app.runtime import runtime_of

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ADMIN_PASSWORD = "Correct7Horse"
PATIENCE_MS = 20_000  # fails the test; available data is never waited for

expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Site:
    """A running installation."""

    app: Flask
    address: str

    def post(
        self,
        *,
        server: str = "nas",
        name: str = "",
        job: str = "Photos",
        status: str = "Success",
        hours_ago: float = 1,
        errors: tuple[str, ...] = (),
    ) -> None:
        """Report a run; `server` is the id of the server, and its name unless `name` is given."""
        began_at = datetime.now(UTC) - timedelta(hours=hours_ago)
        data = {
            "MainOperation": "Backup",
            "ParsedResult": status,
            "BeginTime": began_at.isoformat(),
            "EndTime": (began_at + timedelta(minutes=7)).isoformat(),
            "Duration": "00:07:00",
            "ExaminedFiles": 10,
            "SizeOfExaminedFiles": 1000,
            "Errors": errors,
        }
        extra = {"OperationName": "Backup", "machine-id": server, "machine-name": name or server, "backup-name": job}
        report = {"Data": data, "Extra": extra | {"backup-id": "DB-1"}}
        assert requests.post(f"{self.address}/api/upload", json=report, timeout=10).status_code == 200


@dataclass
class PageErrors:
    """Errors of a page: messages in its console, requests to other hosts."""

    console: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)


@contextmanager
def serving(data_dir: Path, **values: Any) -> Iterator[Site]:
    app = create_app(Settings(data_dir=data_dir, run_jobs=False, testing=True, **values))
    sockets: dict[int, Any] = {}
    server = waitress.server.create_server(app, sockets, host="127.0.0.1", port=0, threads=4)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()

    def close() -> None:
        for channel in list(server.active_channels.values()):
            channel.handle_close()  # closes the temporary file of a long response too, which close_all leaves open
        wasyncore.close_all(sockets, ignore_all=True)

    try:
        yield Site(app, f"http://127.0.0.1:{server.effective_port}")
    finally:
        server.trigger.pull_trigger(close)  # in the serving thread, which ends when no socket is left
        thread.join(10)
        server.task_dispatcher.shutdown()
        with app.app_context():
            for engine in orm.db.engines.values():
                engine.dispose()
            if cache := runtime_of(app).find(ExactCache):
                cache.close()


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    if not CHROMIUM.exists():
        pytest.skip(f"there is no browser at {CHROMIUM}; on Debian, `apt-get install chromium` brings it")
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def demo_site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An installation with the 30 jobs of the demo; tests only read it."""
    with serving(tmp_path_factory.mktemp("demo_site"), admin_password=ADMIN_PASSWORD) as site:
        now = datetime.now(UTC)
        with site.app.app_context():
            fill_demo(now - timedelta(days=40), now)
        yield site


@pytest.fixture
def empty_site(browser: Browser, tmp_path: Path) -> Iterator[Site]:
    """An installation after its first start."""
    with serving(tmp_path / "data") as site:
        yield site


@pytest.fixture
def own_site(browser: Browser, tmp_path: Path) -> Iterator[Site]:
    """An installation that a test may leave in any state."""
    with serving(tmp_path / "data", admin_password=ADMIN_PASSWORD) as site:
        yield site


@pytest.fixture(scope="module")
def shared_site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An installation that the tests of a module may change."""
    with serving(tmp_path_factory.mktemp("shared_site"), admin_password=ADMIN_PASSWORD) as site:
        yield site


@pytest.fixture(scope="session")
def signed_in(browser: Browser, demo_site: Site) -> Any:
    """The cookies of the administrator of `demo_site`."""
    return sign_in(browser, demo_site)


@pytest.fixture(scope="module")
def signed_in_to_shared_site(browser: Browser, shared_site: Site) -> Any:
    """The cookies of the administrator of `shared_site`."""
    return sign_in(browser, shared_site)


def sign_in(browser: Browser, site: Site) -> Any:
    """Sign in as the administrator; return the cookies."""
    page = browser.new_page()
    page.goto(f"{site.address}/login")
    page.fill("#username", "admin")
    page.fill("#password", ADMIN_PASSWORD)
    page.click("[data-login] .btn-primary")
    page.wait_for_selector("#board")
    state = page.context.storage_state()
    page.context.close()
    return state


@pytest.fixture
def page_errors() -> PageErrors:
    return PageErrors()


@pytest.fixture
def open_context(browser: Browser, page_errors: PageErrors) -> Iterator[Callable[..., BrowserContext]]:
    """Open browsers that record errors; a test with any error fails."""
    contexts = []

    def make(**options: Any) -> BrowserContext:
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE_MS)
        context.on("console", lambda note: page_errors.console.append(note.text) if note.type == "error" else None)
        context.on("weberror", lambda error: page_errors.console.append(str(error.error)))
        context.on(
            "request", lambda sent: None if "://127.0.0.1:" in sent.url else page_errors.elsewhere.append(sent.url)
        )
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        close(context)
    assert page_errors == PageErrors()


def close(context: BrowserContext) -> None:
    """Close a window; one that Chromium does not close, which happens, stays open until the browser ends.

    Playwright's own `close` waits forever, and has no time limit.
    """
    with suppress(TimeoutError):
        context._sync(asyncio.wait_for(context._impl_obj.close(reason=None), PATIENCE_MS / 1000))


@pytest.fixture
def page(open_context: Callable[..., BrowserContext], demo_site: Site, signed_in: Any) -> Page:
    """A page of `demo_site`, signed in."""
    return open_context(storage_state=signed_in, base_url=demo_site.address).new_page()
