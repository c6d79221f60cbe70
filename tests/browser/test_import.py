"""Importing an old installation in a browser: the file is uploaded in parts, and the page follows the import."""

import pytest
from old_installations import make_old_database, old_run
from playwright.sync_api import expect

from app.database import recovery_pages


@pytest.fixture
def page(open_context, shared_site, signed_in_to_shared_site):
    return open_context(storage_state=signed_in_to_shared_site, base_url=shared_site.address).new_page()


@pytest.fixture
def old(tmp_path):
    dates = [f"2031-04-{day:02}T02:00:00.000Z" for day in range(1, 29)]
    return make_old_database(tmp_path / "backups.db", runs=[old_run(date=date, size=1) for date in dates])


def test_a_file_is_uploaded_in_parts_and_imported(page, old, monkeypatch):
    monkeypatch.setattr(recovery_pages, "PIECE_BYTES", 4096)
    pieces = []
    page.on("request", lambda sent: pieces.append(sent.url) if "/import/file?" in sent.url else None)
    page.goto("/settings/import")
    page.set_input_files("#database", old)
    page.get_by_role("button", name="Upload and import").click()
    expect(page.get_by_role("heading", name="Imported: backups.db")).to_be_visible(timeout=30_000)
    assert len(pieces) == -(-old.stat().st_size // 4096)
    expect(page.get_by_role("row", name="Runs 28 28 0 0")).to_be_visible()


def test_an_invalid_file_is_reported_next_to_the_button(page, tmp_path, page_errors):
    (tmp_path / "letter.db").write_text("Dear all, this is no database, although its name says so.")
    page.goto("/settings/import")
    page.set_input_files("#database", tmp_path / "letter.db")
    page.get_by_role("button", name="Upload and import").click()
    expect(page.get_by_role("alert")).to_have_text("The file is not a SQLite database")
    expect(page.get_by_role("button", name="Upload and import")).to_be_enabled()
    page_errors.console.clear()  # browsers log each rejection
