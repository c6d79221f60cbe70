"""The auth group over HTTP."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from app.audit.log import AuditEntry
from app.config import DEFAULT_PASSWORD

NEW = "Another8Horse"


@pytest.fixture
def settings(settings, request):
    """Settings without ADMIN_PASSWORD, for tests of an account with the initial password."""
    return replace(settings, admin_password="") if "new_account" in request.fixturenames else settings


@pytest.fixture
def new_account(client):
    """An administrator who signed in with the documented password."""
    assert client.sign_in(password=DEFAULT_PASSWORD).status_code == 200
    return client


def change(client, **body):
    return client.send("POST", "/api/auth/change-password", json=body)


def test_sign_in_returns_the_user(client):
    body = client.sign_in().get_json()
    assert body.keys() == {"success", "user", "keyChanged"}
    assert body["user"].keys() == {"id", "username", "isAdmin", "mustChangePassword"}
    assert (body["success"], body["keyChanged"], body["user"]["isAdmin"]) == (True, False, True)


def test_sign_in_sets_a_cookie_for_a_day(client):
    header = client.sign_in().headers["Set-Cookie"]
    assert header.startswith("sessionId=")
    assert "Max-Age=86400" in header


def test_sign_in_needs_a_token(client):
    answer = client.post("/api/auth/login", json={"username": "admin", "password": "x"})
    assert (answer.status_code, answer.get_json()["error"]) == (403, "CSRF token required")


def test_token_must_match_a_live_session(client):
    client.get("/api/csrf")
    answer = client.post("/api/auth/login", json={}, headers={"X-CSRF-Token": "f" * 64})
    assert (answer.status_code, answer.get_json()["error"]) == (403, "Invalid CSRF token")


def test_without_a_session_any_token_is_accepted(client):
    answer = client.post("/api/auth/login", json={}, headers={"X-CSRF-Token": "anything"})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "body", [{}, {"username": None, "password": None}, {"username": "admin"}, {"username": "", "password": "x"}]
)
def test_missing_credentials(client, body):
    answer = client.send("POST", "/api/auth/login", json=body)
    assert (answer.status_code, answer.get_json()["errorCode"]) == (400, "REQUIRED_CREDENTIALS")


def test_password_that_is_no_text_is_rejected_with_its_field(client):
    answer = client.send("POST", "/api/auth/login", json={"username": "admin", "password": 7})
    assert answer.status_code == 400
    assert "password" in answer.get_json()["error"]


def test_locked_account_reports_the_end_of_the_lock(client):
    for _ in range(5):
        answer = client.sign_in(password="wrong")
    body = answer.get_json()
    assert (answer.status_code, body["errorCode"], body["minutesRemaining"]) == (403, "ACCOUNT_LOCKED", 15)
    assert body["lockedUntil"] == "2031-05-04T12:15:00.000Z"


def test_failed_sign_in_creates_no_session(client):
    client.sign_in(password="wrong")
    assert client.get("/api/auth/me").get_json() == {"authenticated": False, "user": None}


def test_me_needs_a_session(client):
    assert client.get("/api/auth/me").status_code == 401


def test_logout_ends_the_session_and_clears_the_cookie(app, admin):
    cookie = admin.get_cookie("sessionId").value
    answer = admin.send("POST", "/api/auth/logout")
    assert answer.get_json() | {"message": ""} == {"success": True, "message": "", "successCode": "LOGGED_OUT"}
    assert admin.get_cookie("sessionId") is None
    admin.set_cookie("sessionId", cookie)
    assert admin.get("/api/auth/me").status_code == 401


def test_logout_is_recorded_only_for_users(db, app, admin):
    app.test_client().send("POST", "/api/auth/logout")
    admin.send("POST", "/api/auth/logout")
    entries = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "logout")).all()
    assert [(entry.username, entry.details) for entry in entries] == [("admin", {})]


def test_logout_with_only_the_plain_cookie_ends_no_session(client):
    client.post("/api/session")
    headers = client.csrf_headers()
    client.delete_cookie("sessionId")
    answer = client.post("/api/auth/logout", headers=headers)
    assert (answer.status_code, answer.get_json()["errorCode"]) == (400, "NO_ACTIVE_SESSION")


def test_password_is_changed(client, admin):
    answer = change(admin, currentPassword="Correct7Horse", newPassword=NEW)
    assert (answer.status_code, answer.get_json()["successCode"]) == (200, "PASSWORD_CHANGED")
    assert client.sign_in().status_code == 401
    assert client.sign_in(password=NEW).status_code == 200


def test_other_sessions_end_with_the_old_password_and_the_own_one_continues(app, admin):
    elsewhere = app.test_client()
    elsewhere.sign_in()
    change(admin, currentPassword="Correct7Horse", newPassword=NEW)
    assert elsewhere.get("/api/auth/me").status_code == 401
    assert admin.get("/api/auth/me").get_json()["authenticated"] is True


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        pytest.param({}, 400, "NEW_PASSWORD_REQUIRED", id="nothing"),
        pytest.param({"newPassword": None}, 400, "NEW_PASSWORD_REQUIRED", id="null"),
        pytest.param({"newPassword": "a"}, 400, "POLICY_NOT_MET", id="policy-comes-first"),
        pytest.param({"newPassword": NEW}, 401, "CURRENT_PASSWORD_INCORRECT", id="current-is-missing"),
        pytest.param({"currentPassword": "x", "newPassword": NEW}, 401, "CURRENT_PASSWORD_INCORRECT", id="wrong"),
        pytest.param(
            {"currentPassword": "Correct7Horse", "newPassword": "Correct7Horse"},
            400,
            "NEW_PASSWORD_SAME_AS_CURRENT",
            id="the-same",
        ),
    ],
)
def test_invalid_changes_are_rejected(db, admin, body, status, code):
    answer = change(admin, **body)
    assert (answer.status_code, answer.get_json()["errorCode"]) == (status, code)
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "change_password")).one()
    assert (entry.status, entry.username) == ("failure", "admin")


def test_policy_violations_are_listed(admin):
    assert len(change(admin, newPassword="a").get_json()["validationErrors"]) == 3


def test_new_account_changes_the_password_without_the_current_one(new_account, db):
    assert change(new_account, newPassword=NEW).status_code == 200
    assert new_account.get("/api/dashboard").status_code == 200
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "change_password")).one()
    assert entry.details == {"was_forced": True}


def test_new_account_must_change_the_password_first(new_account):
    answer = new_account.get("/api/dashboard")
    assert (answer.status_code, answer.get_json()["errorCode"]) == (403, "PASSWORD_CHANGE_REQUIRED")


def test_new_account_may_read_itself_and_sign_out(new_account):
    assert new_account.get("/api/auth/me").get_json()["user"]["mustChangePassword"] is True
    assert new_account.get("/api/auth/password-policy").status_code == 200
    assert new_account.send("POST", "/api/auth/logout").status_code == 200


def test_initial_password_is_public_until_it_is_changed(client, new_account):
    assert client.get("/api/auth/admin-must-change-password").get_json() == {"mustChangePassword": True}
    change(new_account, newPassword=NEW)
    assert client.get("/api/auth/admin-must-change-password").get_json() == {"mustChangePassword": False}


def test_policy_is_public(client):
    assert client.get("/api/auth/password-policy").get_json() == {
        "minLength": 8,
        "requireUppercase": True,
        "requireLowercase": True,
        "requireNumbers": True,
        "requireSpecialChars": False,
    }


def test_database_out_of_reach_has_its_own_error(app, client, monkeypatch):
    """Simulate a database that fails between two statements."""
    from sqlalchemy.exc import OperationalError

    from app.accounts import sign_in

    def fail(*_args, **_options):
        raise OperationalError("SELECT 1", {}, Exception("disk I/O error"))

    headers = client.csrf_headers()
    monkeypatch.setattr(sign_in, "_count_try", fail)
    answer = client.post("/api/auth/login", json={"username": "admin", "password": "x"}, headers=headers)
    assert (answer.status_code, answer.get_json()["errorCode"]) == (503, "DATABASE_NOT_READY")


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("login", b"{", "INVALID_REQUEST"),
        ("login", b'{"username": "admin", "password": 5}', "INVALID_REQUEST"),
        ("change-password", b'{"newPassword": []}', "INVALID_REQUEST"),
    ],
)
def test_unreadable_body_has_a_code(admin, path, body, code):
    answer = admin.send("POST", f"/api/auth/{path}", data=body)
    assert (answer.status_code, answer.get_json()["errorCode"]) == (400, code)


@pytest.mark.parametrize(("path", "code"), [("me", "INTERNAL_ERROR"), ("password-policy", "POLICY_RETRIEVE_FAILED")])
def test_unexpected_error_has_a_code(app, client, monkeypatch, path, code):
    def break_down():
        raise RuntimeError

    app.config["PROPAGATE_EXCEPTIONS"] = False
    client.get("/api/csrf")
    endpoint = f"auth.{path.replace('-', '_')}"
    monkeypatch.setitem(app.view_functions, endpoint, break_down)
    answer = client.get(f"/api/auth/{path}")
    assert (answer.status_code, answer.get_json()["errorCode"]) == (500, code)
