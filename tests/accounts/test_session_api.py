"""The session group: tokens and anonymous sessions."""

import re
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from app.accounts.models import Session
from app.runtime import runtime_of

HEX_64 = re.compile(r"[0-9a-f]{64}")


def test_token_is_64_hex_digits_and_is_sent_with_a_session(client):
    answer = client.get("/api/csrf")
    assert HEX_64.fullmatch(answer.get_json()["token"])
    assert answer.get_json()["message"]
    assert HEX_64.fullmatch(client.get_cookie("sessionId").value)


def test_token_is_unchanged_while_it_is_fresh(client, clock):
    first = client.get("/api/csrf").get_json()["token"]
    clock.advance(minutes=24, seconds=59)
    assert client.get("/api/csrf").get_json()["token"] == first


def test_token_is_replaced_when_less_than_five_minutes_remain(client, clock):
    first = client.get("/api/csrf").get_json()["token"]
    clock.advance(minutes=25)
    assert client.get("/api/csrf").get_json()["token"] != first


def test_token_expires_after_30_minutes(admin, clock):
    headers = admin.csrf_headers()
    clock.advance(minutes=29, seconds=59)
    assert admin.post("/api/auth/change-password", json={}, headers=headers).status_code == 400
    clock.advance(seconds=1)
    assert admin.post("/api/auth/change-password", json={}, headers=headers).status_code == 403


def test_tokens_of_two_browsers_differ(app):
    one, other = app.test_client().get("/api/csrf"), app.test_client().get("/api/csrf")
    assert one.get_json()["token"] != other.get_json()["token"]


def test_expired_cookie_is_replaced_by_a_valid_session(client):
    client.set_cookie("sessionId", "0" * 64)
    headers = client.csrf_headers()
    assert client.get_cookie("sessionId").value != "0" * 64
    assert client.post("/api/auth/logout", headers=headers).status_code == 200


def test_plain_session_is_found_by_its_cookie(client):
    made = client.post("/api/session").get_json()
    assert made["message"]
    assert client.get("/api/session").get_json() == {"valid": True, "sessionId": made["sessionId"]}
    assert client.get("/api/auth/me").get_json() == {"authenticated": False, "user": None}


def test_token_for_a_plain_session_belongs_to_the_same_session(client):
    session_id = client.post("/api/session").get_json()["sessionId"]
    client.get("/api/csrf")
    assert client.get_cookie("sessionId").value == session_id


@pytest.mark.parametrize(("is_debug", "same_site"), [(False, "Strict"), (True, "Lax")])
def test_plain_cookie_lasts_a_day_and_is_same_site(app, client, is_debug, same_site):
    runtime_of(app).config = replace(runtime_of(app).config, debug=is_debug)
    parts = client.post("/api/session").headers["Set-Cookie"].split("; ")
    assert {"Max-Age=86400", "HttpOnly", "Path=/", f"SameSite={same_site}"} <= set(parts)
    gone = client.delete("/api/session").headers["Set-Cookie"]
    assert "Max-Age=0" in gone
    assert f"SameSite={same_site}" in gone


def test_without_cookies_there_is_no_session(client):
    answer = client.get("/api/session")
    assert (answer.status_code, answer.get_json()["valid"]) == (401, False)


def test_other_cookies_are_ignored(client):
    client.set_cookie("NEXT_LOCALE", "de")
    answer = client.get("/api/session")
    assert (answer.status_code, answer.get_json()["valid"]) == (401, False)


def test_expired_session_is_not_valid(client):
    client.set_cookie("session", "0" * 64)
    answer = client.get("/api/session")
    assert (answer.status_code, answer.get_json()) == (200, {"valid": False, "sessionId": None})


def test_deleted_session_is_gone(client):
    session_id = client.post("/api/session").get_json()["sessionId"]
    answer = client.delete("/api/session")
    assert answer.status_code == 200
    assert client.get_cookie("session") is None
    client.set_cookie("session", session_id)
    assert client.get("/api/session").get_json()["valid"] is False


def test_deleting_nothing_succeeds(client):
    answer = client.delete("/api/session")
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers


def test_rows_per_address_are_limited(app, db):
    for number in range(60):
        browser = app.test_client()
        address = f"2001:db8::{number:x}"
        assert browser.post("/api/session", environ_base={"REMOTE_ADDR": address}).status_code == 200
    assert db.session.scalar(select(func.count()).select_from(Session)) == 50
    assert browser.get("/api/session").get_json()["valid"] is True
    answer = browser.post("/api/session", environ_base={"REMOTE_ADDR": address})
    assert (answer.status_code, "Retry-After" in answer.headers) == (429, True)


def test_a_visitors_session_can_be_deleted_too(client):
    client.get("/api/csrf")
    assert client.delete("/api/session").status_code == 200
    assert client.get("/api/session").get_json() == {"valid": False, "sessionId": None}
