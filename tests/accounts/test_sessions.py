"""Server-side sessions: cost, lifetime and owner."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from statements import sent_statements

from app.accounts import sessions
from app.accounts.models import Session, User
from app.accounts.sessions import Browser
from app.core.db.orm import writing
from app.core.settings import store as settings_store
from app.factory import create_app
from app.runtime import runtime_of
from app.web import guards


def cookie_of(client, name="sessionId"):
    cookie = client.get_cookie(name)
    return cookie and cookie.value


def rows(db):
    db.session.rollback()
    db.session.expire_all()
    return db.session.scalar(select(func.count()).select_from(Session))


def test_public_endpoint_does_not_read_the_session(app, admin):
    admin.get("/api/auth/password-policy")
    with sent_statements() as seen:
        answer = admin.get("/api/auth/password-policy")
    assert seen == []
    assert "Set-Cookie" not in answer.headers
    assert "Cookie" not in answer.vary


def test_session_and_user_cost_one_query_at_most_and_no_write(app, admin):
    admin.get("/api/auth/me")
    with sent_statements() as seen:
        answer = admin.get("/api/auth/me")
    assert len(seen) <= 1
    assert all(statement.startswith("SELECT") for statement in seen)
    assert "Set-Cookie" not in answer.headers
    assert "Cookie" in answer.vary


def test_last_use_is_stored_to_the_minute(app, db, admin, clock):
    begun_at = clock()
    clock.advance(seconds=59)
    admin.get("/api/auth/me")
    assert db.session.scalars(select(Session.last_accessed_at)).all() == [begun_at]
    db.session.rollback()
    clock.advance(seconds=1)
    admin.get("/api/auth/me")
    assert db.session.scalars(select(Session.last_accessed_at)).all() == [clock()]


def test_cookie_is_stored_hashed(db, admin):
    cookie = cookie_of(admin)
    row = db.session.scalars(select(Session)).one()
    assert len(cookie) == 64
    assert row.id_hash == sessions.hash_of(cookie) != cookie


def test_browser_name_is_stored_shortened(db, client):
    client.environ_base["HTTP_USER_AGENT"] = "x" * 5000
    client.sign_in()
    row = db.session.scalars(select(Session)).one()
    assert (row.ip_address, len(row.user_agent)) == ("127.0.0.1", 512)


def test_session_lasts_a_day_regardless_of_use(admin, clock):
    clock.advance(hours=23, minutes=59)
    assert admin.get("/api/auth/me").status_code == 200
    clock.advance(minutes=1)
    assert admin.get("/api/auth/me").status_code == 401


def test_sessions_survive_a_restart(app, admin, settings, clock):
    again = create_app(settings)
    runtime_of(again).clock = clock
    browser = again.test_client()
    browser.set_cookie("sessionId", cookie_of(admin))
    assert browser.get("/api/auth/me").get_json()["authenticated"] is True


def test_signing_in_moves_to_a_new_id_and_deletes_the_old_row(app, db, client):
    client.get("/api/csrf")
    planted = cookie_of(client)
    client.sign_in()
    first = cookie_of(client)
    client.sign_in()
    assert len({planted, first, cookie_of(client)}) == 3
    for old in (planted, first):
        other_client = app.test_client()
        other_client.set_cookie("sessionId", old)
        assert (other_client.get("/api/auth/me").get_json() or {}).get("authenticated") is not True
        assert other_client.get("/api/servers").status_code == 401
    assert rows(db) == 1


@pytest.mark.parametrize("path", ["/api/csrf", "/login", "/", "/nothing-here", "/api/auth/me", "/api/session"])
def test_a_visit_writes_nothing(db, client, path):
    for _ in range(3):
        client.get("/api/csrf")
        with sent_statements() as seen:
            client.get(path)
        client.delete_cookie("sessionId")
        with sent_statements() as more:
            client.get(path)
        assert {statement.split()[0] for statement in seen + more} <= {"SELECT"}
    assert rows(db) == 0


def test_a_session_of_a_visitor_cannot_be_forged(client, clock):
    client.get("/api/csrf")
    own = cookie_of(client)
    for wrong in (own[:-1] + ("0" if own[-1] != "0" else "1"), "f" + own[1:], own.upper() + "0"):
        client.set_cookie("sessionId", wrong)
        assert client.get("/api/auth/me").status_code == 401
    client.set_cookie("sessionId", own)
    assert client.get("/api/auth/me").status_code == 200
    clock.advance(hours=24)
    assert client.get("/api/auth/me").status_code == 401


def test_a_visit_continues_after_a_restart(app, client, settings, clock):
    headers = client.csrf_headers()
    again = create_app(settings)
    runtime_of(again).clock = clock
    browser = again.test_client()
    browser.set_cookie("sessionId", cookie_of(client))
    known = {"username": "admin", "password": "Correct7Horse"}
    assert browser.post("/api/auth/login", json=known, headers=headers).status_code == 200


def test_a_replaced_token_is_valid_for_signing_in_and_afterwards(client, clock):
    headers = client.csrf_headers()
    clock.advance(minutes=27)
    known = {"username": "admin", "password": "Correct7Horse"}
    assert client.post("/api/auth/login", json=known, headers=headers).status_code == 200
    assert client.post("/api/auth/logout", headers=headers).status_code == 200


def test_a_sign_in_form_that_was_open_for_too_long_is_rejected(client, clock):
    headers = client.csrf_headers()
    clock.advance(minutes=30)
    known = {"username": "admin", "password": "Correct7Horse"}
    assert client.post("/api/auth/login", json=known, headers=headers).status_code == 403


def test_signing_in_again_changes_the_id_again(admin):
    before = cookie_of(admin)
    admin.sign_in()
    assert cookie_of(admin) != before


def test_token_fetched_before_signing_in_is_valid_afterwards(client):
    headers = client.csrf_headers()
    client.sign_in()
    assert client.post("/api/auth/logout", headers=headers).status_code == 200


def test_expired_rows_are_deleted_when_a_session_is_created(db, client, clock):
    client.sign_in()
    clock.advance(hours=24)
    client.sign_in()
    assert rows(db) == 1


def test_purge_returns_the_number_of_expired_sessions(db, clock):
    for _ in range(3):
        sessions.create_stored(clock(), Browser())
    clock.advance(hours=12)
    sessions.create_stored(clock(), Browser())
    assert sessions.purge_expired(now=clock.advance(hours=12)) == 3


def test_deleted_user_loses_the_session(db, admin):
    with writing() as session:
        session.query(User).delete()
    assert admin.get("/api/auth/me").status_code == 401


def test_a_lock_ends_no_session(db, admin, clock):
    with writing() as session:
        session.scalars(select(User)).one().locked_until = clock() + timedelta(minutes=15)
    assert admin.get("/api/dashboard").status_code == 200
    assert admin.get("/api/auth/me").get_json()["authenticated"] is True


@pytest.mark.parametrize("cookie", ["", "x", "0" * 64, "0" * 4000, "' OR 1=1 --"])
def test_cookie_without_a_row_is_no_session(client, cookie):
    client.set_cookie("sessionId", cookie)
    assert client.get("/api/auth/me").status_code == 401


def test_remember_me_cookie_of_a_visitor_is_ignored(app, client):
    client.get("/api/csrf")
    client.set_cookie("remember_token", "admin|abc")
    assert client.get("/api/auth/me").get_json()["authenticated"] is False


def test_flashed_message_waits_for_the_next_page(own_app):
    from flask import flash, get_flashed_messages

    app = own_app

    @app.get("/flash")
    def put():
        flash("hello")
        return ""

    @app.get("/flashed")
    def take():
        return get_flashed_messages()

    rules = runtime_of(app).part(guards.Rules)
    rules |= dict.fromkeys(("put", "take"), rules["static"])
    browser = app.test_client()
    browser.get("/flash")
    assert browser.get("/flashed").get_json() == ["hello"]
    assert browser.get("/flashed").get_json() == []


@pytest.mark.parametrize("secure", [True, False])
def test_secure_flag_follows_the_settings(settings, secure):
    browser = create_app(replace(settings, secure_cookies=secure)).test_client()
    for path in ("/api/csrf", "/api/session"):
        answer = browser.open(path, method="POST" if path == "/api/session" else "GET")
        assert ("Secure" in answer.headers["Set-Cookie"]) is secure


def test_session_cookie_is_http_only_and_same_site(client):
    header = client.get("/api/csrf").headers["Set-Cookie"]
    assert "HttpOnly" in header
    assert "SameSite=Lax" in header
    assert "Path=/" in header


@pytest.mark.parametrize("key", ["", "x" * 1000, 7, ["x"]])
def test_a_visit_works_with_any_key_of_a_restored_database(db, client, clock, key):
    settings_store.put("anonymous_session_key", key, now=clock())
    client.get("/login")
    assert client.sign_in().status_code == 200
