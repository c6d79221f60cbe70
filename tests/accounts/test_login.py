"""Signing in: what is counted, locked, recorded and rehashed."""

import threading
import time
from datetime import timedelta

import bcrypt
import pytest
from sqlalchemy import select

from app.accounts import passwords, users
from app.accounts.sign_in import sign_in_user
from app.audit.log import Actor, AuditEntry
from app.core.db.orm import writing
from app.core.errors import Refused

GOOD = "Correct7Horse"
VISITOR = Actor(ip_address="192.0.2.7", user_agent="test")


def rejection(username, password, now):
    with pytest.raises(Refused) as caught:
        sign_in_user(username, password, actor=VISITOR, now=now)
    return caught.value


def fail(times, now):
    return [rejection("admin", "wrong", now) for _ in range(times)][-1]


def entries(db):
    return list(db.session.scalars(select(AuditEntry).where(AuditEntry.action == "login").order_by(AuditEntry.id)))


def test_sign_in_is_recorded_with_the_account(db, clock):
    fail(3, clock())
    user = sign_in_user("admin", GOOD, actor=VISITOR, now=clock()).user
    assert (user.last_login_at, user.last_login_ip, user.failed_login_attempts) == (clock(), "192.0.2.7", 0)


@pytest.mark.parametrize(("username", "password"), [("", GOOD), ("admin", ""), ("", "")])
def test_missing_credentials(db, clock, username, password):
    error = rejection(username, password, clock())
    assert (error.status, error.error_code) == (400, "REQUIRED_CREDENTIALS")


@pytest.mark.parametrize("username", ["nobody", "Admin", " admin"])
def test_names_are_matched_exactly(db, clock, username):
    error = rejection(username, GOOD, clock())
    assert (error.status, error.error_code) == (401, "INVALID_CREDENTIALS")


def test_fourth_failure_does_not_lock(db, clock):
    assert fail(4, clock()).status == 401
    assert sign_in_user("admin", GOOD, actor=VISITOR, now=clock()).user.username == "admin"


def test_fifth_failure_locks_for_15_minutes(db, clock):
    error = fail(5, clock())
    assert (error.status, error.error_code) == (403, "ACCOUNT_LOCKED")
    assert error.extra["lockedUntil"] == clock() + timedelta(minutes=15)
    assert error.extra["minutesRemaining"] == 15
    assert entries(db)[-1].details["locked_until"] == "2031-05-04T12:15:00.000Z"


def test_right_password_is_rejected_while_locked(db, clock):
    fail(5, clock())
    error = rejection("admin", GOOD, clock.advance(minutes=14, seconds=30))
    assert (error.status, error.extra["minutesRemaining"]) == (403, 1)


def test_lock_expires_and_the_count_restarts(db, clock):
    fail(5, clock())
    assert fail(1, clock.advance(minutes=15)).status == 401
    assert users.find_by_name("admin").failed_login_attempts == 1


def test_concurrent_attempts_do_not_allow_more_guesses(app, clock):
    """Twenty threads guess; no more than five guesses may be checked."""
    codes = []

    def guess():
        with app.app_context():
            codes.append(rejection("admin", "wrong", clock()).error_code)

    threads = [threading.Thread(target=guess) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (codes.count("INVALID_CREDENTIALS"), codes.count("ACCOUNT_LOCKED")) == (4, 16)


def test_bcrypt_hash_is_replaced_at_sign_in(db, clock):
    with writing():
        users.find_by_name("admin").password_hash = bcrypt.hashpw(GOOD.encode(), bcrypt.gensalt(4)).decode()
    user = sign_in_user("admin", GOOD, actor=VISITOR, now=clock()).user
    assert user.password_hash.startswith("$argon2id$")
    assert passwords.is_right(GOOD, user.password_hash)


@pytest.mark.usefixtures("real_hashing")
def test_unknown_user_costs_as_much_work_as_a_known_one(db, clock):
    """Return processor time, which other load does not change."""
    passwords.dummy_hash()
    with writing():
        users.find_by_name("admin").password_hash = passwords.hash_password(GOOD)

    def work_for(username):
        began = time.process_time()
        rejection(username, "wrong", clock())
        return time.process_time() - began

    known = min(work_for("admin") for _ in range(3))
    unknown = min(work_for("nobody") for _ in range(3))
    assert unknown > known / 2


@pytest.mark.parametrize(
    ("tries", "reason", "more"),
    [
        pytest.param([("", "x")], "Missing credentials", {}, id="missing"),
        pytest.param([("nobody", "x")], "Invalid credentials", {}, id="unknown"),
        pytest.param([("admin", "x")], "Invalid password", {"failed_attempts": 1}, id="wrong"),
        pytest.param([("admin", "x")] * 5, "Too many failed attempts", {"failed_attempts": 5}, id="fifth"),
        pytest.param([("admin", "x")] * 6, "Account locked", {"minutes_remaining": 15}, id="locked"),
    ],
)
def test_failure_is_recorded_with_its_reason(db, clock, tries, reason, more):
    for username, password in tries:
        rejection(username, password, clock())
    entry = entries(db)[-1]
    assert (entry.category, entry.status, entry.ip_address) == ("auth", "failure", "192.0.2.7")
    assert entry.details.items() >= {"reason": reason, **more}.items()


def test_unknown_user_is_recorded_without_an_account(db, clock):
    rejection("nobody", "x", clock())
    assert (entries(db)[0].user_id, entries(db)[0].username) == (None, "nobody")


def test_success_is_recorded(db, clock):
    user = sign_in_user("admin", GOOD, actor=VISITOR, now=clock()).user
    entry = entries(db)[0]
    assert (entry.status, entry.user_id) == ("success", user.id)
    assert entry.details == {"is_admin": True, "must_change_password": False}
