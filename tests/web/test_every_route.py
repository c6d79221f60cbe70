"""Rules for every route and every client: no bare error, and headers that keep private content private."""

import logging
from dataclasses import replace

import pytest
from flask import Blueprint, send_file
from flask.typing import ResponseReturnValue

from app.config import networks
from app.plugin import Access, ApiGroup
from app.plugin.testing.api_groups import Route, routes_of
from app.web import errors as web_errors

pytestmark = pytest.mark.slow
STRANGE_PAGE = "<!doctype html><title>of a plugin</title>"


def routes(app) -> list[Route]:
    with app.test_request_context():
        return [route for rule in app.url_map.iter_rules() for route in routes_of(app, rule)]


@pytest.fixture
def app(app):
    """As in production: unexpected errors become a response, and are not raised again."""
    app.config["PROPAGATE_EXCEPTIONS"] = False
    return app


@pytest.mark.parametrize("has_session", [False, True], ids=["no session", "visitor"])
@pytest.mark.parametrize("body", [{}, {"data": {"a": "b"}}, {"json": {}}], ids=["nothing", "form", "json"])
def test_no_route_answers_a_visitor_with_a_bare_error(app, client, caplog, has_session, body):
    for route in routes(app):
        if has_session:
            client.get("/login")
        answer = client.open(route.url, method=route.method, **body)
        assert answer.status_code < 500 or answer.status_code == 503, route
        assert answer.headers["X-Content-Type-Options"] == "nosniff", route
        answer.close()
    assert "Traceback" not in caplog.text


def test_a_settings_form_of_a_visitor_is_answered_with_a_page(app, client):
    client.get("/login")
    sent = [route for route in routes(app) if route.endpoint.startswith("settings.") and route.method == "POST"]
    assert len(sent) > 50
    for route in sent:
        answer = client.post(route.url, data={"a": "b"})
        assert answer.status_code == 403, route
        assert "<h1>Page expired</h1>" in answer.text
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_every_private_response_forbids_caching(app, client, admin):
    for route in routes(app):
        for user in (client, admin):
            answer = user.open(route.url, method=route.method)
            headers = answer.headers
            assert headers["X-Content-Type-Options"] == "nosniff", route
            assert headers["Cache-Control"], route
            if route.rule.access is not Access.PUBLIC:
                assert "no-store" in headers["Cache-Control"], route
                assert headers.get("Expires", "0") == "0", route
            if answer.mimetype == "text/html":
                assert headers["Content-Security-Policy"], route
                assert headers["X-Frame-Options"] == "DENY", route
            answer.close()


def test_public_files_are_still_cached(client, admin):
    assert "no-store" not in client.get("/static/css/app.css").headers["Cache-Control"]
    answer = client.get("/api/openapi.json")
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert client.get("/api/openapi.json", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    listed = admin.get("/api/servers")
    known = {"If-None-Match": listed.headers.get("ETag", "")}
    assert admin.get("/api/servers", headers=known).status_code in (200, 304)


@pytest.mark.parametrize("kind", ["db", "sql"])
def test_a_backup_of_the_database_has_no_cache_lifetime(admin, kind):
    answer = admin.get("/api/database/backup", query_string={"format": kind})
    answer.close()
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Expires" not in answer.headers


class TestPlugin:
    """An API group of a third party, without headers."""

    @pytest.fixture
    def registry(self, registry, tmp_path):
        strange = Blueprint("strange", __name__, url_prefix="/strange")

        @strange.get("/page")
        def page() -> ResponseReturnValue:
            """Return a page."""
            return STRANGE_PAGE

        @strange.get("/file")
        def file() -> ResponseReturnValue:
            """Return a file."""
            path = tmp_path / "figures.csv"
            path.write_text("1")
            return send_file(path, max_age=3600)

        @strange.get("/broken")
        def broken() -> ResponseReturnValue:
            """Fail."""
            raise RuntimeError("of a plugin")

        group = ApiGroup(name="strange", blueprint=strange, summary="Of somebody else")
        return replace(registry, api_groups={**registry.api_groups, "strange": group})

    def test_plugin_page_has_the_headers_of_ours(self, admin):
        headers, ours = admin.get("/api/strange/page").headers, admin.get("/").headers
        for name in ("Content-Security-Policy", "X-Frame-Options", "Referrer-Policy", "Cache-Control"):
            assert headers[name] == ours[name], name

    def test_plugin_files_are_not_cached(self, admin):
        answer = admin.get("/api/strange/file")
        answer.close()
        headers = answer.headers
        assert (headers["Cache-Control"], "Expires" in headers) == ("no-store", False)

    def test_plugin_errors_do_not_fill_the_log(self, app, admin, settings):
        for _ in range(50):
            assert admin.get("/api/strange/broken").status_code == 500
        logged = (settings.data_dir / "logs" / "application.log").read_text()
        assert logged.count("Traceback") == 1
        assert len(logged) < 20_000


def test_an_error_page_that_cannot_be_rendered_is_still_a_page(app, client, monkeypatch, settings):
    def fail(*_arguments, **_options):
        raise RuntimeError("no template")

    monkeypatch.setattr(web_errors, "render_template", fail)
    for _ in range(20):
        answer = client.get("/nothing-here")
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    logging.shutdown()
    assert (settings.data_dir / "logs" / "application.log").stat().st_size < 20_000


class TestStrictTransport:
    """HSTS: only if cookies are secure, and only over HTTPS."""

    @pytest.fixture(params=[True, False])
    def settings(self, settings, request):
        return replace(settings, secure_cookies=request.param, trusted_proxies=networks("10.0.0.1"))

    @pytest.mark.parametrize("path", ["/login", "/api/ping", "/nothing-here", "/static/css/app.css"])
    @pytest.mark.parametrize("scheme", ["https", "http"])
    def test_header_is_sent(self, client, settings, path, scheme):
        headers = {"X-Forwarded-Proto": scheme}
        answer = client.get(path, environ_base={"REMOTE_ADDR": "10.0.0.1"}, headers=headers)
        sent = answer.headers.get("Strict-Transport-Security")
        assert sent == ("max-age=31536000" if settings.secure_cookies and scheme == "https" else None)
