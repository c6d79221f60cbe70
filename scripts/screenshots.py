#!/usr/bin/env python3
"""Take a picture of every page and tab, in both themes, in desktop and phone size.

`scripts/screenshots.py [FOLDER] [--only TEXT] [--png]` creates an installation with invented backups, serves it on a
free port of this machine, and puts the pictures into FOLDER (docs/screenshots).
"""

import argparse
import base64
import sys
import tempfile
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import waitress.server
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Page, StorageState, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.accounts import api_keys  # noqa: E402
from app.audit.log import SYSTEM  # noqa: E402
from app.backups import overview, servers  # noqa: E402
from app.config import (  # noqa: E402
    DEFAULT_PASSWORD,
    Settings,
)
from app.demo import (  # noqa: E402
    JobSpec,
    fill_demo,
    household,
)
from app.factory import create_app  # noqa: E402
from app.navigation.settings import TABS  # noqa: E402
from app.notifications import (  # noqa: E402
    channels,
    mutes,
    summary_settings,
)
from app.sharing import badges, status_page  # noqa: E402

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
# Further down, pages look the same; and the pictures are stored in the repository.
TALLEST = {"desk": 1250, "phone": 1400}
QUALITY = 0.35
PASSWORD = "Screenshot-2026"  # noqa: S105 (of an installation that lives for a minute)
IN_GERMAN = {"dashboard-cards", "settings-monitoring"}
# A browser page converts the pictures into a format a quarter the size.
SMALLER = """async ([png, quality]) => {
  const picture = new Image();
  picture.src = "data:image/png;base64," + png;
  await picture.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [picture.width, picture.height];
  canvas.getContext("2d").drawImage(picture, 0, 0);
  return canvas.toDataURL("image/webp", quality).split(",")[1];
}"""


class Camera:
    """Takes pictures of pages into a folder, only those whose names contain a text."""

    def __init__(self, browser: Browser, folder: Path, only: str, is_png: bool) -> None:
        self._darkroom = browser.new_page()
        self._folder, self._only, self._is_png = folder, only, is_png
        folder.mkdir(parents=True, exist_ok=True)

    def is_wanted(self, name: str) -> bool:
        """Whether a picture is wanted."""
        return self._only in name

    def take(self, page: Page, name: str, tallest: int, *, is_whole: bool = True) -> None:
        """Take a picture of a page, in full or of the visible part."""
        if not self.is_wanted(name):
            return
        page.wait_for_timeout(200)
        window = page.viewport_size or {"width": 0, "height": 0}
        if is_whole:
            # A taller window, so that sticky elements are in the right position.
            height = min(page.evaluate("document.documentElement.scrollHeight"), tallest)
            page.set_viewport_size({**window, "height": max(height, window["height"])})
            page.wait_for_timeout(50)
        png = page.screenshot(animations="disabled")
        page.set_viewport_size(window)
        if self._is_png:
            (self._folder / f"{name}.png").write_bytes(png)
            return
        smaller = self._darkroom.evaluate(SMALLER, [base64.b64encode(png).decode(), QUALITY])
        (self._folder / f"{name}.webp").write_bytes(base64.b64decode(smaller))


def main() -> None:
    """Create the installation, take the pictures, and delete it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "docs" / "screenshots")
    parser.add_argument("--only", default="", help="take pictures whose names hold this text")
    parser.add_argument("--png", action="store_true", help="keep them as they were taken, four times the size")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as data_dir:
        app = create_app(Settings(data_dir=Path(data_dir), run_jobs=False, log_level="INFO"))
        server = waitress.server.create_server(app, host="127.0.0.1", port=0)
        threading.Thread(target=server.run, daemon=True).start()
        address = f"http://127.0.0.1:{server.effective_port}"
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
            camera = Camera(browser, options.folder, options.only, options.png)
            state = sign_in(browser, camera, address)
            with app.app_context():
                create_data(datetime.now(UTC))
            create_accounts(browser, address, state)
            for theme in ("light", "dark"):
                for size in SIZES:
                    take_all(browser, camera, app, address, state, size, theme)
            browser.close()


def create_data(now: datetime) -> None:
    """Create two years of backups, and the usual settings of a household."""
    machines = [replace(server, jobs=tuple(map(_steadier, server.jobs))) for server in household()]
    fill_demo(now - timedelta(days=730), now, servers=machines)
    attic, office, cabin = (overview.overview(now, None).servers[index] for index in (1, 8, 3))
    for index, server in enumerate(overview.overview(now, None).servers):
        servers.change_tags(server.id, None, ["home"] if index % 3 else ["firm", "nightly"], actor=SYSTEM, now=now)
        change = servers.ServerChange(f"http://192.0.2.{10 + index}:8200", server.alias, server.note)
        servers.change_server(server.id, change, actor=SYSTEM, now=now)
    note = "The mobile line is down until the mast is mended"
    mutes.mute(cabin.id, None, until_at=now + timedelta(days=3), note=note, actor=SYSTEM, now=now)
    mailbox = {"host": "mail.example.org", "port": 587, "connection_type": "starttls", "mailto": "it@example.org"}
    mailbox |= {"username": "backups", "password": "not-a-real-one", "from_address": "backups@example.org"}
    for kind, name, values in (
        ("ntfy", "Family", {"url": "https://ntfy.example.org", "topic": "backups-7gk2p"}),
        ("email", "email", mailbox),
        ("webhook", "Home automation", {"url": "https://home.example.org/api/webhook/backups"}),
    ):
        channels.save_settings(kind, name, values, now=now)
    api_keys.create_key("Attic NAS", "upload", now=now)
    api_keys.create_key("Grafana", "read", now=now, expires_at=now + timedelta(days=90))
    badges.create_badge(slug=None, label="backups", server_id=None, job_name=None, actor=SYSTEM, now=now)
    badges.create_badge(slug=None, label="office", server_id=office.id, job_name=None, actor=SYSTEM, now=now)
    status_page.save(
        is_enabled=True,
        title="Backups of the house",
        shows_names=True,
        shows_all=False,
        server_ids=[attic.id, office.id, cabin.id],
        job_ids=[],
        actor=SYSTEM,
        now=now,
    )
    summary_settings.save_daily_summary(is_enabled=True, time="07:30", recipients="", actor=SYSTEM, now=now)


def _steadier(job: JobSpec) -> JobSpec:
    return replace(job, problem_rate=job.problem_rate / 4)


def sign_in(browser: Browser, camera: Camera, address: str) -> StorageState:
    """Sign in for the first time, up to the empty dashboard and lists.

    Return the browser's cookies.
    """
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{address}/login")
    camera.take(page, "login-desk-light", 900)
    page.fill("#username", "admin")
    page.fill("#password", "wrong")
    page.click("[data-login] .btn-primary")
    page.wait_for_timeout(800)
    camera.take(page, "login-refused-desk-light", 900)
    page.fill("#password", DEFAULT_PASSWORD)
    page.click("[data-login] .btn-primary")
    page.wait_for_selector("#new")
    camera.take(page, "change-password-desk-light", 900)
    page.fill("#new", PASSWORD)
    page.fill("#confirm", PASSWORD)
    page.click("[data-password-form] .btn-primary")
    page.wait_for_selector("#board")
    camera.take(page, "dashboard-empty-desk-light", TALLEST["desk"])
    page.set_viewport_size({"width": 390, "height": 844})
    camera.take(page, "dashboard-empty-phone-light", TALLEST["phone"])
    for name in ("monitoring", "uploads"):
        page.goto(f"{address}/settings/?tab={name}")
        camera.take(page, f"settings-{name}-empty-phone-light", TALLEST["phone"])
    return page.context.storage_state()


def create_accounts(browser: Browser, address: str, state: StorageState) -> None:
    """Create further accounts, and send a report that is rejected."""
    page = browser.new_context(storage_state=state, base_url=address).new_page()
    page.goto("/settings/?tab=users")
    for name in ("anna", "ben", "caretaker"):
        page.evaluate(
            """async (name) => {
              const {token} = await (await fetch("/api/csrf")).json();
              const headers = {"X-CSRF-Token": token, "Content-Type": "application/json"};
              const body = JSON.stringify({username: name, password: "Screenshot-2026", isAdmin: name === "anna"});
              await fetch("/api/users", {method: "POST", headers, body});
              const report = JSON.stringify({Data: {MainOperation: "Backup"}, Extra: {"machine-name": name}});
              await fetch("/api/upload", {method: "POST", headers, body: report});
            }""",
            name,
        )
    page.context.close()


def take_all(
    browser: Browser, camera: Camera, app: Flask, address: str, state: StorageState, size: str, theme: str
) -> None:
    """Take the pictures of all pages in one size and theme."""
    end = f"{size}-{theme}"
    context = open_context(browser, address, state, size, theme)
    page = context.new_page()
    with app.app_context():
        slug, pages = status_page.current().slug, addresses()
    for name, path in (*pages.items(), ("status", f"/status/{slug}")):
        if camera.is_wanted(f"{name}-{end}"):
            page.goto(path)
            camera.take(page, f"{name}-{end}", TALLEST[size])
    page.goto("/?view=cards")
    page.locator("#board [data-dialog]:visible").first.click()
    page.wait_for_selector("dialog[open]")
    camera.take(page, f"dialog-{end}", 0, is_whole=False)
    page.goto(pages["server"])
    page.locator(".versions:visible").first.click()
    page.wait_for_selector("dialog[open]")
    camera.take(page, f"versions-{end}", 0, is_whole=False)
    page.goto("/")
    page.keyboard.press("Control+k")
    camera.take(page, f"palette-{end}", 0, is_whole=False)
    context.close()
    if theme == "light":
        german = open_context(browser, address, state, size, theme, "de-DE")
        page = german.new_page()
        for name in sorted(IN_GERMAN):
            page.goto(pages[name])
            camera.take(page, f"{name}-german-{end}", TALLEST[size])
        german.close()


def open_context(
    browser: Browser, address: str, state: StorageState, size: str, theme: str, locale: str = "en-GB"
) -> BrowserContext:
    """Return the browser context of a signed-in user."""
    width, height = SIZES[size]
    return browser.new_context(
        base_url=address,
        storage_state=state,
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
        locale=locale,
        timezone_id="Europe/Berlin",
    )


def addresses() -> dict[str, str]:
    """Return the pages by the names of their pictures."""
    shown = overview.overview(datetime.now(UTC), None)
    busiest = next(server for server in shown.servers if server.name == "office-dc01")
    failed = next(job for job in shown.jobs if job.last_status == "Fatal")
    job = busiest.jobs[0]
    run = f"/detail/{failed.server_id}/backup/{failed.last_run_id}"
    channel = channels.list_channels()[-1].id
    return {
        "dashboard-cards": "/?view=cards&panel=status",
        "dashboard-table": "/?view=table&panel=none",
        "dashboard-compact": "/?view=compact&panel=charts",
        "dashboard-nothing-found": "/?view=cards&panel=status&q=nowhere",
        "server": f"/detail/{busiest.id}",
        "job": f"/detail/{busiest.id}?backup={job.name}&range=1Y",
        "run": run,
        "charts": "/charts?by=server&range=3M",
        "collect": "/collect",
        "connect": "/connect",
        "api": "/api/docs",
        "not-found": "/detail/nowhere",
        **{f"settings-{tab.name}": f"/settings/?tab={tab.name}" for tab in TABS},
        "settings-one-channel": f"/settings/channels/{channel}",
        "settings-new-email-channel": "/settings/channels/new/email",
        "settings-one-server": f"/settings/servers/{busiest.id}",
        "settings-new-user": "/settings/users/new",
        "settings-import": "/settings/import",
    }


if __name__ == "__main__":
    main()
