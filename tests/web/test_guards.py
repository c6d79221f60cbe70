"""Access to routes, the order of the checks, and redirects of pages."""

from dataclasses import replace

import pytest
from flask import Blueprint

from app.accounts import passwords
from app.accounts.models import User
from app.config import DEFAULT_PASSWORD
from app.core.db.orm import writing
from app.plugin import Access, ApiGroup, guarded
from app.registry import Registry
from app.web import guards

pytestmark = pytest.mark.slow

SIGNED_IN = ("login", "admin")


def group_of(name: str, access: Access, **options) -> ApiGroup:
    """An API group with one URL for each method."""
    blueprint = Blueprint(name, __name__)
    blueprint.add_url_rule(f"/{name}", "all", lambda: {"ok": True}, methods=["GET", "POST", "PATCH", "DELETE"])
    return ApiGroup(name, blueprint, "A group for this test", access, **options)


def mixed_group() -> ApiGroup:
    """A group for administrators with one public view and one for accounts with the initial password."""
    blueprint = Blueprint("mixed", __name__)
    blueprint.add_url_rule("/mixed/strict", "strict", lambda: {"ok": True})
    blueprint.add_url_rule("/mixed/open", "open", guarded(Access.PUBLIC)(lambda: {"ok": True}))
    early = guarded(Access.USER, before_password_change=True)(lambda: {"ok": True})
    blueprint.add_url_rule("/mixed/early", "early", early)
    return ApiGroup("mixed", blueprint, "A group for this test", Access.ADMIN)


@pytest.fixture(scope="module")
def registry(installed) -> Registry:
    """The built-in groups and some of our own."""
    rules = {"open": Access.PUBLIC, "login": Access.USER, "admin": Access.ADMIN}
    own = {name: group_of(name, access) for name, access in rules.items()}
    own["anybody"] = group_of("anybody", Access.SESSION)
    own["tokenless"] = group_of("tokenless", Access.USER, csrf=False)
    own["mixed"] = mixed_group()
    return replace(installed, api_groups={**installed.api_groups, **own})


@pytest.fixture
def app(own_app):
    """An application to which routes may be added."""
    return own_app


@pytest.fixture
def viewer(app, clock):
    """A signed-in user who is no administrator."""
    with app.app_context(), writing() as session:
        hashed = passwords.hash_password("Viewer1234")
        user = User(id="v", username="viewer", password_hash=hashed, created_at=clock(), updated_at=clock())
        session.add(user)
    client = app.test_client()
    assert client.sign_in("viewer", "Viewer1234").status_code == 200
    return client


@pytest.fixture
def new_account(app):
    """An administrator who must still change the password."""
    with app.app_context(), writing() as session:
        user = session.query(User).filter_by(username="admin").one()
        user.password_hash, user.must_change_password = passwords.hash_password(DEFAULT_PASSWORD), True
    client = app.test_client()
    client.sign_in(password=DEFAULT_PASSWORD)
    return client


def rejected(answer) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["error"]


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_public_route_needs_nothing(client, method):
    assert client.open("/api/open", method=method).status_code == 200


@pytest.mark.parametrize("name", ["anybody", "login", "admin"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_without_a_session_access_is_denied(client, name, method):
    assert rejected(client.open(f"/api/{name}", method=method)) == (401, "Invalid or expired session")


def test_anonymous_session_passes_the_session_guard_only(client):
    client.get("/api/csrf")
    assert client.get("/api/anybody").status_code == 200
    assert rejected(client.get("/api/login")) == (401, "Authentication required")
    assert rejected(client.get("/api/admin")) == (401, "Authentication required")


def test_plain_cookie_is_no_sign_in(app, admin, client):
    client.set_cookie("session", admin.get_cookie("sessionId").value)
    assert client.get("/api/anybody").status_code == 200
    assert rejected(client.get("/api/login")) == (401, "Authentication required")


def test_token_is_checked_before_the_sign_in(client):
    client.get("/api/csrf")
    assert rejected(client.post("/api/login")) == (403, "Invalid CSRF token")
    assert rejected(client.send("POST", "/api/login")) == (401, "Authentication required")


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
@pytest.mark.parametrize("token", [None, "", "f" * 64, "ünicode"])
def test_changing_request_needs_the_token(admin, method, token):
    admin.get("/api/csrf")
    headers = {} if token is None else {"X-CSRF-Token": token.encode().decode("latin-1")}
    assert rejected(admin.open("/api/admin", method=method, headers=headers)) == (403, "Invalid CSRF token")


def test_token_of_another_session_is_rejected(app, admin):
    headers = app.test_client().csrf_headers()
    assert rejected(admin.post("/api/admin", headers=headers)) == (403, "Invalid CSRF token")


def test_token_is_accepted_from_a_form_field_too(admin):
    token = admin.csrf_headers()["X-CSRF-Token"]
    assert admin.post("/api/admin", data={"csrf_token": token}).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reading_needs_no_token(admin, method):
    assert admin.open("/api/admin", method=method).status_code == 200


def test_group_without_tokens_still_needs_a_sign_in(client, admin):
    assert admin.post("/api/tokenless").status_code == 200
    assert client.post("/api/tokenless").status_code == 401


def test_administrator_has_access_everywhere(admin):
    assert {admin.send("POST", f"/api/{name}").status_code for name in ("anybody", "login", "admin")} == {200}


def test_viewer_is_no_administrator(viewer):
    assert viewer.send("POST", "/api/login").status_code == 200
    assert rejected(viewer.get("/api/admin")) == (403, "Administrator access required")


@pytest.mark.parametrize("name", SIGNED_IN)
def test_new_account_must_change_the_password_first(new_account, name):
    answer = new_account.get(f"/api/{name}")
    assert (answer.status_code, answer.get_json()["errorCode"]) == (403, "PASSWORD_CHANGE_REQUIRED")


def test_view_may_need_less_than_its_group(client, viewer, new_account):
    assert client.get("/api/mixed/open").status_code == 200
    assert new_account.get("/api/mixed/early").status_code == 200
    assert viewer.get("/api/mixed/strict").status_code == 403


def test_route_without_a_rule_is_closed(app, admin):
    app.view_functions["forgotten"] = lambda: "open?"
    app.url_map.add(app.url_rule_class("/api/forgotten", endpoint="forgotten"))
    assert admin.get("/api/forgotten").status_code == 403


def test_options_are_public(client):
    answer = client.options("/api/admin")
    assert answer.status_code == 204
    assert {"GET", "POST", "PATCH", "DELETE"} <= set(answer.headers["Allow"].split(", "))


def test_unknown_url_is_not_hidden_behind_the_guard(client):
    assert client.get("/api/nothing-here").status_code == 404


@pytest.fixture
def page(app):
    """A page for administrators at /place."""
    blueprint = Blueprint("place", __name__)
    blueprint.add_url_rule("/place", "show", lambda: "a page", methods=["GET", "POST"])
    guards.register(app, blueprint, access=Access.ADMIN, is_page=True)


@pytest.mark.usefixtures("page")
def test_visitor_of_a_page_is_redirected_to_sign_in_and_back(client):
    answer = client.get("/place?tab=a&b=ü")
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/login?redirect=/place%3Ftab%3Da%26b%3D%25C3%25BC"


@pytest.mark.usefixtures("page")
def test_form_sent_without_session_returns_to_sign_in_only(client):
    assert client.post("/place").headers["Location"] == "/login"


@pytest.mark.usefixtures("page")
def test_fragment_redirects_the_whole_page_to_sign_in(client):
    answer = client.get("/place", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (401, "/login")


@pytest.mark.usefixtures("page")
def test_new_account_is_redirected_to_the_password_page(new_account):
    answer = new_account.get("/place")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/change-password")


@pytest.mark.usefixtures("page")
def test_viewer_gets_a_message_and_no_redirect(viewer):
    assert viewer.get("/place").status_code == 403


@pytest.mark.usefixtures("page")
def test_form_needs_its_token(admin):
    assert admin.post("/place").status_code == 403
    token = admin.csrf_headers()["X-CSRF-Token"]
    assert admin.post("/place", data={"csrf_token": token}).status_code == 200


class TestBelowAPath:
    """Hosted below a base path."""

    @pytest.fixture
    def settings(self, settings):
        return replace(settings, base_path="/backups")

    def test_all_routes_have_the_base_path(self, client):
        assert client.get("/backups/api/csrf").status_code == 200
        assert client.get("/api/csrf").status_code == 404

    def test_cookie_is_for_that_path(self, client):
        assert "Path=/backups" in client.get("/backups/api/csrf").headers["Set-Cookie"]

    @pytest.mark.usefixtures("page")
    def test_sign_in_is_found_below_the_base_path(self, client):
        assert client.get("/backups/place").headers["Location"] == "/backups/login?redirect=/backups/place"
