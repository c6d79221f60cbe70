#!/usr/bin/env python3
"""Take a picture of every page, in both themes, on a desk and on a phone.

`scripts/screenshots.py [FOLDER]` makes an installation of its own with invented backups, serves it on a free port of
this machine, and puts the pictures into FOLDER (docs/screenshots).
"""

import sys
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import waitress.server
from playwright.sync_api import Browser, Page, StorageState, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.factory import create_app  # noqa: E402
from app.services.demo import fill_demo  # noqa: E402
from app.settings import DEFAULT_PASSWORD, Settings  # noqa: E402

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SIZES = {"desk": (1440, 900), "phone": (390, 844)}
PASSWORD = "Screenshot-2026"  # noqa: S105 (of an installation that lives for a minute)


def main(folder: Path) -> None:
    """Make the installation, look at it, and throw it away."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data_dir:
        app = create_app(Settings(data_dir=Path(data_dir), run_jobs=False, log_level="WARNING"))
        server = waitress.server.create_server(app, host="127.0.0.1", port=0)
        threading.Thread(target=server.run, daemon=True).start()
        address = f"http://127.0.0.1:{server.effective_port}"
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
            state = sign_in(browser, address, folder)
            with app.app_context():
                fill_demo(datetime.now(UTC) - timedelta(days=365), datetime.now(UTC))
            for theme in ("light", "dark"):
                for size in SIZES:
                    take_all(browser, address, folder, state, size, theme)
            browser.close()


def sign_in(browser: Browser, address: str, folder: Path) -> StorageState:
    """Go through the first visit up to the empty dashboard; gives the browser's cookies."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{address}/login")
    take(page, folder / "login.png")
    page.fill("#username", "admin")
    page.fill("#password", DEFAULT_PASSWORD)
    page.click("[data-login] .btn-primary")
    page.wait_for_selector("#new")
    take(page, folder / "change-password.png")
    page.fill("#new", PASSWORD)
    page.fill("#confirm", PASSWORD)
    page.click("[data-password-form] .btn-primary")
    page.wait_for_selector("#board")
    take(page, folder / "dashboard-empty.png")
    return page.context.storage_state()


def take_all(browser: Browser, address: str, folder: Path, state: StorageState, size: str, theme: str) -> None:
    """Pictures of the pages in one size and theme."""
    width, height = SIZES[size]
    context = browser.new_context(
        base_url=address, storage_state=state, viewport={"width": width, "height": height}, color_scheme=theme
    )
    page = context.new_page()
    name = f"{size}-{theme}.png"
    page.goto("/?view=cards")
    take(page, folder / f"dashboard-cards-{name}")
    page.locator("[data-dialog]").first.click()
    page.wait_for_selector("dialog[open]")
    page.screenshot(path=folder / f"dialog-{name}")
    page.goto("/?view=table&sort=-errors")
    take(page, folder / f"dashboard-table-{name}")
    run = str(page.locator("td[data-label=Status] a").first.get_attribute("href"))
    job = str(page.locator("th[data-label='Backup job'] a").first.get_attribute("href"))
    for kind, link in (
        ("server", job.partition("?")[0]),
        ("job", job),
        ("run", run),
        ("charts", "/charts"),
        ("connect", "/connect"),
        ("settings", "/settings"),
        ("channel", "/settings/channels/1"),
        ("channel-new", "/settings/channels/new/email"),
    ):
        page.goto(link)
        take(page, folder / f"{kind}-{name}")
    context.close()


def take(page: Page, path: Path) -> None:
    """A picture of the whole page, once it has drawn itself."""
    page.wait_for_timeout(300)
    page.screenshot(path=path, full_page=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "screenshots")
