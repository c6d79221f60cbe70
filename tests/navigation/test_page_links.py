"""The links in messages lead to our pages, with any base path."""

from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from flask import url_for

from app.core.settings import store as settings_store
from app.notifications import messages

NAMES = ("machine-1", "a/b c", "100%", "ümläut?#", "a+b&c=d", "备份")


@pytest.fixture(params=["", "/backups"])
def base_path(request) -> str:
    return request.param


@pytest.fixture
def settings(settings, base_path):
    """Deployments with and without a base path."""
    return type(settings)(**{**vars(settings), "base_path": base_path})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("prefix", ["https://x.example.org", "https://x.example.org/proxy"])
def test_links_point_to_the_pages(app, db, clock, base_path, name, prefix):
    settings_store.put("public_url", prefix, now=clock())
    with app.test_request_context():
        run = url_for("pages.run", server_id=name, run_id="1234")
        job = url_for("pages.server", server_id=name, backup=name)
        channels = url_for("settings.index", tab="channels")
    assert unquote(messages.run_link(name, "1234")) == unquote(f"{prefix}{run}")
    assert "%2F" in messages.run_link("a/b", "1234")
    for link, wanted in ((messages.job_link(name, name), job), (messages.channels_link(), channels)):
        found, parts = urlsplit(link), urlsplit(f"{prefix}{wanted}")
        assert (unquote(found.path), parse_qs(found.query)) == (unquote(parts.path), parse_qs(parts.query))


def test_a_public_address_with_the_base_path_is_used_unchanged(db, clock, base_path):
    settings_store.put("public_url", f"https://x.example.org{base_path}", now=clock())
    assert messages.run_link("a", "b") == f"https://x.example.org{base_path}/detail/a/backup/b"


def test_without_a_public_address_there_are_no_links(db):
    assert (messages.run_link("a", "b"), messages.job_link("a", "b"), messages.channels_link()) == (None,) * 3
