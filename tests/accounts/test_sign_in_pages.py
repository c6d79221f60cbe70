"""Signing in and out, choosing a password, and redirects."""

import re

import pytest

from app.database import secrets

ADMIN_PASSWORD = "Correct7Horse"


def token(text: str) -> str:
    return re.search(r'name="csrf_token"[^>]*value="([0-9a-f]{64})"', text)[1]


def sign_in(client, password=ADMIN_PASSWORD, address="/login"):
    fields = {"csrf_token": token(client.get(address).text), "username": "admin", "password": password}
    return client.post(address, data=fields)


def test_a_visitor_is_redirected_to_sign_in_and_the_page_is_remembered(client):
    answer = client.get("/detail/abc?backup=Photos")
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/login?redirect=/detail/abc%3Fbackup%3DPhotos"


@pytest.mark.parametrize(
    ("page", "way"),
    [
        ("http://localhost/detail/abc?backup=Photos", "/login?redirect=/detail/abc%3Fbackup%3DPhotos"),
        ("", "/login"),
        ("http://[", "/login"),
    ],
)
def test_an_expired_session_returns_to_the_page_after_signing_in(client, page, way):
    answer = client.get("/detail/abc", headers={"HX-Request": "true", "HX-Current-URL": page})
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == way


def test_signing_in_leads_to_the_requested_page(client):
    answer = sign_in(client, address="/login?redirect=/connect")
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/connect"


@pytest.mark.parametrize(
    "wanted",
    ["//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example", "/login", "evil", "/x://y"],
)
def test_only_own_addresses_are_followed(client, wanted):
    answer = sign_in(client, address="/login")
    assert answer.status_code == 303
    answer = client.get("/login", query_string={"redirect": wanted})
    assert answer.headers["Location"] == "/"


def test_a_wrong_password_is_reported_on_the_page(client):
    answer = sign_in(client, "wrong")
    assert answer.status_code == 401
    assert 'role="alert"' in answer.text


def test_a_locked_account_reports_for_how_long(client):
    for _wrong in range(5):
        sign_in(client, "wrong")
    assert "try again in 15 minutes" in sign_in(client).text


def test_sign_in_after_a_change_of_the_key_file_shows_a_warning(client, monkeypatch):
    monkeypatch.setattr(secrets, "check_key", lambda *_arguments, **_options: True)
    sign_in(client)
    assert "The key file has changed, so stored passwords" in client.get("/").text


def test_empty_fields_are_reported_on_the_page(client):
    answer = sign_in(client, "")
    assert "Enter your username and your password" in answer.text


def test_signing_in_without_the_pages_token_is_rejected(client):
    client.get("/login")
    answer = client.post("/login", data={"username": "admin", "password": ADMIN_PASSWORD})
    assert answer.status_code == 403
    assert client.get("/").status_code == 303


def test_the_first_account_is_named_only_until_its_password_is_changed(client):
    assert "First time here?" not in client.get("/login").text


def test_signing_out_ends_the_session(admin):
    answer = admin.send("POST", "/logout")
    assert answer.headers["Location"] == "/login"
    assert admin.get("/").headers["Location"].startswith("/login")


def test_signing_out_by_a_link_does_nothing(admin):
    assert admin.get("/logout").status_code == 405
    assert admin.get("/").status_code == 200


def test_a_password_is_changed_with_the_current_one(admin, client):
    fields = {"current": ADMIN_PASSWORD, "new": "Another8Horse", "confirm": "Another8Horse"}
    assert admin.send("POST", "/change-password", data=fields).headers["Location"] == "/"
    assert "Your password has been changed" in admin.get("/").text
    assert sign_in(client, "Another8Horse").status_code == 303


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"current": "Wrong1234"}, "The current password is wrong"),
        ({"new": "short", "confirm": "short"}, "at least 8 characters"),
        ({"confirm": "Different9Horse"}, "The passwords do not match."),
    ],
)
def test_violations_of_the_policy_are_shown(admin, changes, problem):
    fields = {"current": ADMIN_PASSWORD, "new": "Another8Horse", "confirm": "Another8Horse"} | changes
    answer = admin.send("POST", "/change-password", data=fields)
    assert answer.status_code == 400
    assert problem in answer.text
