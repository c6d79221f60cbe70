"""Collecting in a real browser: the dialog, the progress, and testing all servers."""

from collections.abc import Iterator

import pytest
from duplicati_server import BEGAN_AT, PASSWORD, DuplicatiServer, Reply, duplicati_server
from playwright.sync_api import expect
from screens import barriers

from app.backups.models import Server
from app.core.db.orm import writing
from app.database import secrets


@pytest.fixture
def duplicati() -> Iterator[DuplicatiServer]:
    with duplicati_server() as server:
        yield server


@pytest.fixture
def open_page(open_context, shared_site, signed_in_to_shared_site):
    def open_page(**options):
        return open_context(storage_state=signed_in_to_shared_site, base_url=shared_site.address, **options).new_page()

    return open_page


@pytest.fixture
def remember(shared_site):
    def remember(server_id: str, url: str) -> None:
        with shared_site.app.app_context(), writing() as session:
            encrypted = secrets.encrypt(PASSWORD)
            session.merge(
                Server(id=server_id, name=server_id, url=url, encrypted_password=encrypted, created_at=BEGAN_AT)
            )

    return remember


@pytest.mark.parametrize("width", [1440, 390])
def test_a_server_is_added_in_a_dialog_and_monitored_without_reloading(open_page, duplicati, width):
    duplicati.replies["/4/log"] = Reply(body=b"[]", pause_s=1.5)
    page = open_page(viewport={"width": width, "height": 844})
    page.goto("/settings?tab=server")
    page.get_by_role("link", name="Add server").click()
    dialog = page.get_by_role("dialog", name="Collect backup logs")
    dialog.get_by_label("Host name or address").fill("127.0.0.1")
    dialog.get_by_label("Port").fill(str(duplicati.port))
    dialog.get_by_label("Connection").select_option("http")
    dialog.get_by_label("Duplicati password").fill(PASSWORD)
    dialog.get_by_role("button", name="Collect", exact=True).click()
    expect(page.get_by_role("heading", name="Collecting from 1 server")).to_be_visible()
    page.evaluate("window.wasNeverReloaded = true")
    expect(page.get_by_role("heading", name="Collected from 1 server")).to_be_visible()
    expect(page.get_by_role("link", name="nas-01")).to_be_visible()
    assert page.evaluate("window.wasNeverReloaded")


def test_a_known_server_needs_no_address(open_page, remember, duplicati):
    remember("cellar", duplicati.url)
    page = open_page()
    page.goto("/collect")
    expect(page.get_by_label("Host name or address")).to_be_visible()
    page.get_by_label("Server", exact=True).select_option("cellar")
    expect(page.get_by_label("Host name or address")).to_be_hidden()
    expect(page.get_by_text("Leave blank to use the stored password;")).to_be_visible()


def test_all_servers_are_tested_in_place(open_page, remember, duplicati):
    remember("good", duplicati.url)
    remember("gone", "http://127.0.0.1:9")
    page = open_page()
    page.goto("/settings?tab=server")
    page.get_by_role("button", name="Test all").click()
    for name, state in (("good", "Connected"), ("gone", "No connection")):
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))
        expect(row.get_by_text(state, exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Test all")).to_be_enabled()


def test_collecting_works_without_script(open_page, remember, duplicati):
    remember("plain", duplicati.url)
    page = open_page(java_script_enabled=False)
    page.goto("/collect")
    page.get_by_label("Server", exact=True).select_option("plain")
    page.get_by_role("button", name="Collect", exact=True).click()
    look_again = page.get_by_role("link", name="Refresh")
    while look_again.is_visible():
        look_again.click()
    expect(page.get_by_role("heading", name="Collected from 1 server")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_violation(open_page, remember, duplicati, theme):
    remember("seen", duplicati.url)
    remember("shut", "http://127.0.0.1:9")
    page = open_page(color_scheme=theme)
    page.goto("/collect")
    page.locator(".collect-all button").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Collection failed for")
    for address in (
        "",
        "/collect",
        "/settings?tab=server",
        "/settings/servers/shut",
        "/settings/servers/shut/password",
        "/settings/servers/shut/headers",
    ):
        if address:
            page.goto(address)
        assert barriers(page, "#content") == [], address
