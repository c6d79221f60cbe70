"""Guessing passwords over HTTP: who is delayed, who is locked, and who is not."""

import re
from datetime import timedelta

import pytest
from applications import close
from sqlalchemy import func, select, update
from statements import sent_statements

from app.accounts import sign_in, users
from app.accounts.models import SignInNetwork, User
from app.audit.log import AuditEntry
from app.core.db.orm import writing
from app.factory import create_app
from app.runtime import runtime_of

pytestmark = pytest.mark.slow

PASSWORD = "Correct7Horse"
GUESSER, OTHER = "203.0.113.9", "198.51.100.7"


@pytest.fixture
def settings(settings_of_each_database):
    """Every test here runs on SQLite and on PostgreSQL."""
    return settings_of_each_database


@pytest.fixture
def attempt(app):
    """Sign in by the API from an address, each time with a new browser."""

    def attempt(name="admin", password="wrong", address=GUESSER):
        known = {"username": name, "password": password}
        sent = {"headers": {"X-CSRF-Token": "x"}, "environ_base": {"REMOTE_ADDR": address}}
        return app.test_client().post("/api/auth/login", json=known, **sent)

    return attempt


def counted(db, model=AuditEntry):
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(model))


@pytest.mark.parametrize("address", [GUESSER, "127.0.0.1", "2001:db8::1"])
def test_existing_and_unknown_names_get_the_same_response(attempt, address):
    answers = {name: [attempt(name, address=address) for _ in range(7)] for name in ("admin", "nobody", "Z" * 300)}
    for tried in answers.values():
        assert [answer.status_code for answer in tried] == [401] * 4 + [403] * 3
        locked = tried[-1].get_json()
        assert (locked["errorCode"], locked["minutesRemaining"]) == ("ACCOUNT_LOCKED", 15)
        assert locked["lockedUntil"] == "2031-05-04T12:15:00.000Z"
    keys = {name: [sorted(answer.get_json()) for answer in tried] for name, tried in answers.items()}
    assert keys["admin"] == keys["nobody"] == keys["Z" * 300]


def test_a_lock_ends_no_session_and_affects_no_other_account(attempt, admin):
    for _ in range(8):
        attempt()
    assert attempt(password=PASSWORD).status_code == 403
    assert admin.get("/api/users").status_code == 200
    assert admin.get("/").status_code == 200
    assert attempt(password=PASSWORD, address=OTHER).status_code == 200


def test_a_lock_ends_after_15_minutes(attempt, clock):
    for _ in range(5):
        attempt()
    clock.advance(minutes=14, seconds=59)
    assert attempt(password=PASSWORD).status_code == 403
    clock.advance(seconds=1)
    assert attempt().status_code == 401
    assert attempt(password=PASSWORD).status_code == 200


def test_addresses_of_one_subscriber_are_counted_together(attempt):
    statuses = [attempt(address=f"2001:db8:0:1::{number:x}").status_code for number in range(6)]
    assert statuses == [401] * 4 + [403] * 2
    assert attempt(password=PASSWORD, address="2001:db8:0:2::1").status_code == 200


def test_a_lock_survives_a_restart_and_applies_in_other_processes(app, attempt, settings, clock):
    for _ in range(5):
        attempt()
    other = create_app(settings)
    runtime_of(other).clock = clock
    known = {"username": "admin", "password": PASSWORD}
    sent = {"headers": {"X-CSRF-Token": "x"}, "environ_base": {"REMOTE_ADDR": GUESSER}}
    assert other.test_client().post("/api/auth/login", json=known, **sent).status_code == 403
    close(other)


@pytest.mark.parametrize("address", [GUESSER, "127.0.0.1"])
def test_an_address_with_many_names_is_delayed(db, attempt, clock, address):
    answers = [attempt(f"name-{number}", address=address) for number in range(40)]
    assert [answer.status_code for answer in answers] == [401] * 30 + [429] * 10
    assert answers[-1].get_json()["errorCode"] == "TOO_MANY_ATTEMPTS"
    assert int(answers[-1].headers["Retry-After"]) == 10
    assert attempt(password=PASSWORD, address=OTHER).status_code == 200
    clock.advance(seconds=10)
    assert attempt("other", address=address).status_code == 401


def test_missing_passwords_count_too_and_rejected_attempts_write_nothing(db, attempt):
    for _ in range(30):
        assert attempt(password="").status_code == 400
    before = counted(db)
    with sent_statements() as seen:
        assert attempt(password="").status_code == 429
    assert counted(db) == before
    assert [statement for statement in seen if not statement.startswith("SELECT")] == []


def test_right_password_is_never_delayed(attempt):
    assert {attempt(password=PASSWORD).status_code for _ in range(100)} == {200}


class TestManyAddresses:
    """One name is guessed from many addresses."""

    @pytest.fixture
    def many_attempts(self, attempt):
        return [attempt(address=f"198.18.{number}.1").status_code for number in range(100)]

    def test_the_name_is_rate_limited(self, many_attempts, attempt, clock):
        assert many_attempts == [401] * 60 + [429] * 40
        clock.advance(minutes=1)
        again = [attempt(address=f"198.19.{number}.1").status_code for number in range(4)]
        assert again == [401, 401, 429, 429]

    def test_unknown_names_are_rate_limited(self, attempt):
        found = [attempt("nobody", address=f"198.18.{number}.1").status_code for number in range(61)]
        assert found == [401] * 60 + [429]

    def test_an_address_that_has_signed_in_before_is_not_limited(self, attempt, clock):
        assert attempt(password=PASSWORD, address=OTHER).status_code == 200
        clock.advance(days=30)
        self.guess_from_everywhere(attempt)
        assert attempt(password="wrong", address=OTHER).status_code == 401
        assert attempt(password=PASSWORD, address=OTHER).status_code == 200

    def test_other_names_are_not_limited(self, many_attempts, attempt):
        assert attempt("viewer", address=OTHER).status_code == 401

    def test_sessions_continue(self, admin, attempt):
        self.guess_from_everywhere(attempt)
        assert admin.get("/api/users").status_code == 200

    def test_an_administrator_unlocks_it(self, admin, attempt):
        self.guess_from_everywhere(attempt)
        [user] = admin.get("/api/users").get_json()["users"]
        assert user["failedLoginAttempts"] == 60
        assert admin.send("POST", f"/api/users/{user['id']}/unlock").status_code == 200
        assert attempt(password=PASSWORD, address=OTHER).status_code == 200

    @staticmethod
    def guess_from_everywhere(attempt):
        for number in range(100):
            attempt(address=f"198.18.{number}.1")


class TestLongNames:
    @pytest.mark.parametrize("length", [255, 256, 60_000])
    def test_stored_names_are_cut(self, db, attempt, length):
        assert attempt("Z" * length).status_code == 401
        [entry] = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "login"))
        assert entry.username == "Z" * 255
        [row] = db.session.scalars(select(SignInNetwork))
        assert row.username == "Z" * 255

    def test_larger_body_is_not_read(self, db, attempt):
        assert attempt("Z" * 70_000).status_code == 413
        assert not list(db.session.scalars(select(AuditEntry).where(AuditEntry.action == "login")))

    def test_missing_passwords_store_no_more(self, db, attempt):
        assert attempt("Z" * 60_000, "").status_code == 400
        assert {len(entry.username) for entry in db.session.scalars(select(AuditEntry)) if entry.username} <= {6, 255}

    def test_the_page_has_the_same_limits(self, db, client):
        text = client.get("/login").text
        token = re.search(r'name="csrf_token"[^>]*value="([0-9a-f]{64})"', text)[1]
        client.post("/login", data={"csrf_token": token, "username": "Z" * 60_000, "password": "x"})
        assert db.session.scalar(select(func.max(func.length(AuditEntry.username)))) == 255


class TestPage:
    def send(self, client, password="wrong", name="admin"):
        text = client.get("/login").text
        token = re.search(r'name="csrf_token"[^>]*value="([0-9a-f]{64})"', text)[1]
        return client.post("/login", data={"csrf_token": token, "username": name, "password": password})

    def test_lock_applies(self, client, attempt):
        for _ in range(4):
            attempt(address="127.0.0.1")
        assert self.send(client).status_code == 403
        answer = self.send(client, PASSWORD)
        assert (answer.status_code, "try again in 15 minutes" in answer.text) == (403, True)

    def test_rate_applies(self, client):
        for number in range(30):
            assert self.send(client, name=f"name-{number}").status_code == 401
        answer = self.send(client)
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "10")
        assert "Wait a few minutes" in answer.text


class TestCurrentPassword:
    """Every form and route with the current password counts wrong ones."""

    def change(self, client, current, **sent):
        body = {"currentPassword": current, "newPassword": "Another8Horse"}
        return client.send("POST", "/api/auth/change-password", json=body, **sent)

    def test_a_stolen_session_cannot_be_used_to_guess(self, admin):
        answers = [self.change(admin, "bad") for _ in range(6)]
        assert [answer.status_code for answer in answers] == [401] * 4 + [403] * 2
        assert answers[0].get_json()["errorCode"] == "CURRENT_PASSWORD_INCORRECT"
        assert answers[-1].get_json()["errorCode"] == "ACCOUNT_LOCKED"
        assert self.change(admin, PASSWORD).status_code == 403
        assert admin.get("/api/users").status_code == 200

    def test_many_addresses_do_not_allow_more_guesses(self, admin):
        statuses = []
        for number in range(100):
            statuses.append(self.change(admin, "bad", environ_base={"REMOTE_ADDR": f"198.18.{number}.1"}).status_code)
        assert (statuses.count(401), statuses.count(429)) == (60, 40)

    def test_wrong_current_passwords_and_sign_ins_are_counted_together(self, admin, attempt):
        for _ in range(3):
            attempt(address="127.0.0.1")
        assert [self.change(admin, "bad").status_code for _ in range(2)] == [401, 403]

    def test_the_page_reports_it(self, admin):
        fields = {"current": "bad", "new": "Another8Horse", "confirm": "Another8Horse"}
        for _ in range(4):
            assert admin.send("POST", "/change-password", data=fields).status_code == 400
        answer = admin.send("POST", "/change-password", data=fields)
        assert (answer.status_code, "try again in 15 minutes" in answer.text) == (403, True)

    def test_the_right_password_resets_the_count(self, admin, db):
        for _ in range(4):
            self.change(admin, "bad")
        assert self.change(admin, PASSWORD).status_code == 200
        assert db.session.scalars(select(SignInNetwork.failed_count)).one() == 0

    def test_a_missing_password_is_not_counted(self, admin, db):
        for _ in range(10):
            assert self.change(admin, None).status_code == 401
        assert db.session.scalars(select(SignInNetwork.failed_count)).one() == 0

    def test_the_account_shows_wrong_sign_ins_only(self, admin, db):
        self.change(admin, "bad")
        assert db.session.scalars(select(User.failed_login_attempts)).one() == 0


class TestUnlocking:
    @pytest.fixture
    def user_id(self, attempt, admin):
        for _ in range(5):
            attempt()
        [user] = admin.get("/api/users").get_json()["users"]
        assert (user["isLocked"], user["lockedUntil"]) == (True, "2031-05-04 12:15:00")
        return user["id"]

    def test_account_is_unlocked_by_the_api(self, admin, attempt, user_id):
        admin.send("POST", f"/api/users/{user_id}/unlock")
        assert admin.get("/api/users").get_json()["users"][0]["isLocked"] is False
        assert attempt(password=PASSWORD).status_code == 200

    def test_account_is_unlocked_from_the_shell(self, db, attempt, user_id, clock):
        users.unlock_by_name("admin", now=clock())
        assert attempt(password=PASSWORD).status_code == 200

    def test_a_sign_in_from_another_address_keeps_the_lock(self, admin, attempt, user_id):
        assert attempt(password=PASSWORD, address=OTHER).status_code == 200
        assert admin.get("/api/users").get_json()["users"][0]["isLocked"] is True
        assert attempt(password=PASSWORD).status_code == 403


class TestBounds:
    def test_old_rows_are_deleted(self, db, attempt, clock):
        attempt("nobody")
        attempt(password=PASSWORD, address=OTHER)
        assert sign_in.purge_networks(clock.advance(hours=25)) == 1
        assert sign_in.purge_networks(clock.advance(days=88)) == 0
        assert sign_in.purge_networks(clock.advance(days=2)) == 1

    def test_rows_are_limited_and_the_oldest_are_deleted_first(self, db, attempt, clock, monkeypatch):
        monkeypatch.setattr(sign_in, "MOST_FAILING", 10)
        attempt(password=PASSWORD, address=OTHER)
        for number in range(25):
            clock.advance(minutes=1)
            attempt(f"name-{number}")
        names = set(db.session.scalars(select(SignInNetwork.username)))
        assert names == {"admin", *(f"name-{number}" for number in range(15, 25))}

    def test_a_lock_of_an_earlier_version_is_ignored(self, db, attempt, clock):
        with writing() as session:
            session.execute(update(User).values(locked_until=clock() + timedelta(minutes=15)))
        assert attempt(password=PASSWORD).status_code == 200
