"""Rules for all pages: headers, files, errors, old bookmarks, a base path."""

import gzip
import hashlib
import re
import sqlite3
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import update

from app.accounts.models import User
from app.backups import overview
from app.config import Settings
from app.core.db.orm import writing

ADMIN_PASSWORD = "Correct7Horse"
ROOT = Path(__file__).parents[2]
TEMPLATES = sorted((ROOT / "app" / "templates").rglob("*.html"))
PAGES = ["/", "/login", "/change-password", "/connect", "/nothing-here"]


@pytest.mark.parametrize("address", PAGES)
def test_pages_have_a_strict_content_security_policy(admin, address):
    headers = admin.get(address).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"


FORBIDDEN = (
    r"\sstyle=|<style|\son[a-z]+=|javascript:|hx-on|hx-vals=['\"]js:",
    r"<script(?![^>]*\bsrc=)",
    # A link that a user follows is no fetch.
    r"(?:\ssrc=|<link[^>]*\shref=)\"(?:https?:)?//",
)


def test_templates_contain_nothing_that_the_policy_forbids():
    texts = {path.name: path.read_text(encoding="utf-8") for path in TEMPLATES}
    assert len(texts) > 50
    found = {
        (name, match[0]) for name, text in texts.items() for rule in FORBIDDEN for match in re.finditer(rule, text)
    }
    assert found == set()


@pytest.mark.parametrize("address", PAGES)
def test_every_file_of_a_page_exists_under_its_hash(admin, address):
    for file in set(re.findall(r'(?:src|href)="(/static/[^"#]+)', admin.get(address).text)):
        answer = admin.get(file)
        assert answer.status_code == 200, file
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable", file


def test_the_stylesheet_names_its_font_by_the_right_hash():
    static = ROOT / "app" / "static"
    named = re.search(r"inter-latin\.woff2\?v=(\w+)", (static / "css" / "app.css").read_text())[1]
    font = (static / "vendor" / "inter" / "inter-latin.woff2").read_bytes()
    assert named == hashlib.sha256(font).hexdigest()[:12]


def test_files_are_compressed_for_browsers_that_accept_it(client):
    plain = client.get("/static/css/app.css")
    packed = client.get("/static/css/app.css", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert packed.headers["ETag"] != plain.headers["ETag"]


def test_a_file_without_its_hash_is_revalidated(client):
    answer = client.get("/static/css/app.css")
    assert answer.headers["Cache-Control"] == "no-cache"
    again = client.get("/static/css/app.css", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("name", ["../pages/views.py", "%2e%2e/settings.py", "nothing.css", "css", ""])
def test_no_other_file_can_be_fetched(client, name):
    assert client.get(f"/static/{name}", follow_redirects=True).status_code in (404, 403)


def test_scripts_and_styles_stay_under_the_size_limit():
    static = ROOT / "app" / "static"
    files = [path for path in static.rglob("*") if path.suffix in (".js", ".css")]
    assert sum(len(gzip.compress(path.read_bytes(), 9)) for path in files) < 200 * 1024


def test_a_first_visit_of_the_dashboard_stays_under_its_limits(admin):
    page = admin.get("/")
    files = set(re.findall(r'(?:src|href)="(/static/[^"#]+)', page.text))
    answers = [admin.get(file, headers={"Accept-Encoding": "gzip"}) for file in files]
    assert len(answers) + 1 <= 12
    assert len(page.data) + sum(len(answer.data) for answer in answers) < 180 * 1024


@pytest.mark.parametrize("locale", ["en", "de", "pt-BR", "zh-Hans"])
def test_old_bookmarks_redirect_and_set_the_language(client, locale):
    answer = client.get(f"/{locale}/detail/abc?backup=x")
    assert answer.status_code == 308
    assert answer.headers["Location"] == "/detail/abc?backup=x"
    assert f"NEXT_LOCALE={locale}" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize("rest", ["//evil.example", "/\\evil.example", "%5Cevil.example"])
def test_old_bookmarks_redirect_to_no_other_host(client, rest):
    location = client.get(f"/de/{rest}").headers.get("Location", "/")
    assert not re.match(r"/[/\\]", location)
    assert urlsplit(location).netloc in ("", "localhost")


def test_an_unknown_page_is_an_html_page(client):
    answer = client.get("/nothing-here")
    assert answer.status_code == 404
    assert answer.mimetype == "text/html"


def test_a_database_outage_is_shown_on_a_page_without_queries(admin, monkeypatch):
    def fail(*_arguments, **_options):
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(overview, "find_server", fail)
    answer = admin.get("/detail/nas/backup/1")
    assert answer.status_code == 503
    assert "The database cannot be reached. Try again later." in answer.text
    assert "unable to open" not in answer.text


def test_an_error_page_has_the_navigation_for_signed_in_users(admin):
    text = admin.get("/nothing-here").text
    assert 'href="/settings/"' in text
    assert 'value="/nothing-here"' in text  # the page to which choosing a theme returns
    answer = admin.get("/logout")
    assert answer.status_code == 405
    assert 'value="/"' in answer.text  # since this URL cannot be opened


def test_an_error_page_for_visitors_has_neither_header_nor_session(client):
    answer = client.get("/nothing-here")
    assert 'class="topbar"' not in answer.text
    assert "Set-Cookie" not in answer.headers


def test_an_error_page_has_no_header_before_the_password_is_changed(app):
    new_account = app.test_client()
    new_account.sign_in()
    with app.app_context(), writing() as session:
        session.execute(update(User).values(must_change_password=True))
    assert 'class="topbar"' not in new_account.get("/nothing-here").text


def test_an_error_page_is_shown_without_header_if_the_header_fails(app, admin, monkeypatch):
    def fail():
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setitem(app.jinja_env.globals, "failing_channels", fail)
    answer = admin.get("/nothing-here")
    assert answer.status_code == 404
    assert 'class="topbar"' not in answer.text


def test_an_error_page_is_in_the_language_of_the_account(admin):
    token = admin.get("/api/csrf").json["token"]
    admin.post("/language", data={"csrf_token": token, "language": "de"})
    assert '<html lang="de"' in admin.get("/nothing-here", headers={"Accept-Language": "en"}).text


def test_an_expired_form_shows_a_message(admin):
    answer = admin.post("/settings/audit-retention", data={"days": "90", "csrf_token": "old"})
    assert answer.status_code == 403
    assert "<h1>Page expired</h1>" in answer.text


def test_an_unknown_url_of_the_api_is_json(client):
    assert client.get("/api/nothing-here").mimetype == "application/json"


class TestBelowABasePath:
    """The same below `/status`."""

    @pytest.fixture
    def settings(self, tmp_path) -> Settings:
        values = {"admin_password": ADMIN_PASSWORD, "base_path": "/status", "run_jobs": False, "testing": True}
        return Settings(data_dir=tmp_path / "data", **values)

    @pytest.fixture
    def app(self, app):
        app.config["APPLICATION_ROOT"] = "/"  # from which only the test client would take a SCRIPT_NAME
        app.config["SESSION_COOKIE_PATH"] = "/status"
        return app

    @pytest.fixture
    def visitor(self, client):
        text = client.get("/status/login").text
        token = re.search(r'name="csrf_token"[^>]*value="(\w+)"', text)[1]
        fields = {"csrf_token": token, "username": "admin", "password": ADMIN_PASSWORD}
        assert client.post("/status/login", data=fields).headers["Location"] == "/status/"
        return client

    def test_every_link_has_the_base_path(self, visitor):
        text = visitor.get("/status/").text
        links = re.findall(r'(?:href|src|action|hx-get)="(/[^"]*)"', text)
        assert links
        assert all(link.startswith("/status/") for link in links)

    def test_the_address_for_reports_has_the_base_path(self, visitor):
        assert "=http://localhost/status/api/upload" in visitor.get("/status/connect").text

    def test_files_are_found(self, visitor):
        assert visitor.get("/status/static/css/app.css").status_code == 200

    def test_a_visitor_is_redirected_to_sign_in(self, client):
        assert client.get("/status/").headers["Location"] == "/status/login?redirect=/status/"


def test_the_pages_can_be_installed_like_an_application(client):
    answer = client.get("/manifest.webmanifest")
    assert answer.mimetype == "application/manifest+json"
    body = answer.get_json()
    assert (body["start_url"], body["scope"], body["display"]) == ("/", "/", "standalone")
    assert [picture["sizes"] for picture in body["icons"]] == ["192x192", "512x512"]
    assert '<link rel="manifest" href="/manifest.webmanifest">' in client.get("/login").text
    for picture in body["icons"]:
        assert client.get(picture["src"]).data.startswith(b"\x89PNG")
