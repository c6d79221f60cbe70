"""One format for every error."""

import logging
import re
from dataclasses import replace

import pytest
from flask import Blueprint
from marshmallow import Schema, fields
from sqlalchemy.exc import OperationalError

from app.core.errors import Refused
from app.plugin import Access, AppError
from app.plugin.errors import NotFound
from app.web import errors as web_errors
from app.web import guards
from app.web.http import json_body


class Inner(Schema):
    size = fields.Integer(required=True)


class Outer(Schema):
    name = fields.String(required=True)
    inner = fields.Nested(Inner)


@pytest.fixture
def app(own_app):
    """An application to which routes may be added."""
    return own_app


@pytest.fixture
def failing(app):
    """Routes that fail in every way."""
    app.config["PROPAGATE_EXCEPTIONS"] = False
    blueprint = Blueprint("failing", __name__)

    @blueprint.get("/teapot")
    def teapot():
        raise AppError("I am a teapot", 418, errorCode="TEAPOT")

    @blueprint.get("/missing")
    def missing():
        raise NotFound("No such pot")

    @blueprint.get("/refused")
    def rejected():
        raise Refused("server_not_found", "server_id")

    @blueprint.get("/unexpected")
    def unexpected():
        raise RuntimeError("secret detail")

    @blueprint.get("/database")
    def database():
        raise OperationalError("SELECT secret", {}, Exception("disk I/O error"))

    @blueprint.post("/schema")
    def schema():
        return Outer().load(json_body())

    @blueprint.post("/optional")
    def optional():
        return json_body(optional=True)

    web_errors.name_errors(blueprint, {400: "BAD", 418: "POT", 503: "BROKEN"})
    web_errors.name_errors(blueprint, {400: "WORSE"}, "optional")
    guards.register(app, blueprint, access=Access.PUBLIC, csrf=False, url_prefix="/api/failing")
    page = Blueprint("page", __name__)
    page.add_url_rule("/missing-page", view_func=missing)
    guards.register(app, page, access=Access.PUBLIC, is_page=True)


pytestmark = [pytest.mark.usefixtures("failing"), pytest.mark.slow]


def test_error_has_message_extra_fields_and_time(client):
    answer = client.get("/api/failing/teapot")
    assert answer.status_code == 418
    assert answer.get_json() == {
        "error": "I am a teapot",
        "errorCode": "TEAPOT",
        "timestamp": "2031-05-04T12:00:00.000Z",
    }


def test_rejection_has_message_code_and_field_in_the_api(client):
    answer = client.get("/api/failing/refused")
    assert answer.status_code == 404
    assert answer.get_json() == {
        "error": "Server not found",
        "errorCode": "SERVER_NOT_FOUND",
        "field": "serverId",
        "timestamp": "2031-05-04T12:00:00.000Z",
    }


def test_subclass_keeps_its_status(client):
    assert client.get("/api/failing/missing").status_code == 404


def test_unexpected_error_is_reported_plainly_and_logged_with_its_trace(client, caplog):
    answer = client.get("/api/failing/unexpected")
    assert answer.status_code == 500
    assert "secret" not in answer.get_data(as_text=True)
    assert answer.get_json().keys() == {"error", "errorCode", "timestamp"}
    assert "RuntimeError: secret detail" in caplog.text


def test_unexpected_error_is_raised_again_under_test(app, client):
    app.config["PROPAGATE_EXCEPTIONS"] = True
    with pytest.raises(RuntimeError):
        client.get("/api/failing/unexpected")


def test_database_out_of_reach_is_503(client, caplog):
    with caplog.at_level(logging.CRITICAL):
        answer = client.get("/api/failing/database")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert "secret" not in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        pytest.param({}, {"name"}, id="missing"),
        pytest.param({"name": 7}, {"name"}, id="wrong-type"),
        pytest.param({"name": "a", "inner": {"size": "x"}}, {"inner.size"}, id="nested"),
        pytest.param({"inner": {}}, {"name", "inner.size"}, id="several"),
    ],
)
def test_schema_errors_name_the_fields(client, body, names):
    answer = client.post("/api/failing/schema", json=body)
    found = answer.get_json()
    assert answer.status_code == 400
    assert found["fields"].keys() == names
    assert any(found["error"].startswith(f"{name}: ") for name in names)


@pytest.mark.parametrize("body", [b"", b"{", b"name=a", b"[1]", b'"text"', b"null", b"\xff", b"[" * 60, b"NaN"])
def test_body_that_is_no_json_object_is_400(client, body):
    answer = client.post("/api/failing/schema", data=body)
    assert answer.status_code == 400
    assert answer.get_json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "teapot", "TEAPOT"),  # its own takes precedence
        ("GET", "database", "DATABASE_NOT_READY"),
        ("GET", "refused", "SERVER_NOT_FOUND"),
        ("POST", "schema", "BAD"),
        ("POST", "optional", "WORSE"),
        ("GET", "missing", None),
    ],
)
def test_errors_of_a_group_may_have_codes(client, method, path, code):
    assert client.open(f"/api/failing/{path}", method=method, data=b"{").get_json().get("errorCode") == code


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_json_is_read_with_any_content_type(client, content_type):
    answer = client.post("/api/failing/schema", data=b'{"name": "a"}', content_type=content_type)
    assert answer.get_json() == {"name": "a"}


@pytest.mark.parametrize("body", [b"", b"  ", b"{}"])
def test_optional_body_may_be_empty(client, body):
    assert client.post("/api/failing/optional", data=body).get_json() == {}


def test_size_of_a_json_body_is_limited(client):
    answer = client.post("/api/failing/schema", data=b" " * (guards.PUBLIC_BODY_BYTES + 1))
    assert answer.status_code == 413
    assert answer.get_json()["error"]


@pytest.mark.parametrize("path", ["/api/nothing", "/api", "/api/csrf/more"])
def test_unknown_url_of_the_api_is_json(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer.get_json()["error"]) == (404, "Not found")


def test_unknown_method_is_json_with_the_known_ones(client):
    answer = client.put("/api/csrf")
    assert answer.status_code == 405
    assert answer.get_json()["error"]
    assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/api/csrf/", "/api/csrf"),
        ("/api/csrf/?a=1&b=2", "/api/csrf?a=1&b=2"),
        ("/api/lastbackup/a%20b/", "/api/lastbackup/a%20b"),
    ],
)
def test_trailing_slash_is_redirected(client, path, target):
    answer = client.get(path)
    assert (answer.status_code, answer.headers["Location"]) == (308, target)


@pytest.mark.parametrize("path", ["//evil.example/", "/%5Cevil.example/", "/%2Fevil.example/"])
def test_redirect_never_leads_to_another_host(client, path):
    location = client.get(path).headers.get("Location", "")
    assert not re.match(r"(https?:)?[/\\]{2}(?!localhost)", location)


def test_pages_render_their_own_errors(app, client):
    web_errors.show_page_errors_with(app, lambda error: (f"<p>{error}</p>", error.status))
    answer = client.get("/missing-page")
    assert (answer.status_code, answer.get_data(as_text=True)) == (404, "<p>No such pot</p>")
    assert client.get("/api/failing/missing").is_json


class TestDebug:
    """During development."""

    @pytest.fixture
    def settings(self, settings):
        return replace(settings, debug=True)

    def test_response_contains_the_technical_details(self, client):
        body = client.get("/api/failing/unexpected").get_json()
        assert body["message"] == "secret detail"
        assert "RuntimeError" in body["stack"]


class TestNul:
    """The only Unicode character that PostgreSQL cannot store."""

    @pytest.fixture
    def settings(self, settings_of_each_database):
        return settings_of_each_database

    @pytest.mark.parametrize("body", [{"a\0": 1}, {"name": "a\0"}, {"inner": [{"size": "\0"}]}])
    def test_body_with_nul_is_rejected(self, admin, body):
        answer = admin.send("POST", "/api/users", json={"username": "user", **body})
        assert (answer.status_code, "NUL" in answer.get_json()["error"]) == (400, True)

    def test_body_with_an_escaped_nul_is_accepted(self, admin):
        assert admin.send("POST", "/api/users", json={"username": r"\u0000"}).status_code == 201

    def test_query_with_nul_is_rejected(self, admin):
        assert admin.get("/api/users?search=a%00").status_code == 400

    def test_form_with_nul_causes_no_error(self, client):
        form = {"username": "a\0", "password": "b", "csrf_token": client.csrf_headers()["X-CSRF-Token"]}
        assert client.post("/login", data=form).status_code < 500
