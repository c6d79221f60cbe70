"""The first administrator, and recovery of access."""

from dataclasses import replace

import pytest
from sqlalchemy import func, select

from app.accounts import passwords, users
from app.accounts.models import User
from app.accounts.sign_in import sign_in_user
from app.audit.log import Actor, AuditEntry
from app.core.db.orm import writing
from app.core.errors import Refused


def start_afresh(db, settings, clock, admin_password):
    with writing() as session:
        session.query(User).delete()
    users.ensure_admin(replace(settings, admin_password=admin_password), now=clock())
    return users.find_by_name("admin")


def test_first_administrator_has_the_id_of_the_contract(db):
    admin = users.find_by_name("admin")
    assert admin.is_admin
    assert admin.id.startswith("admin-")
    assert len(admin.id) == len("admin-") + 32


def test_a_new_database_is_audited_without_its_password(db, settings, clock):
    start_afresh(db, settings, clock, "")
    entry = db.session.scalars(select(AuditEntry)).one()
    assert (entry.action, entry.category, entry.username) == ("database_initialization", "system", "system")
    assert "Duplistatus09" not in str(entry.details)


@pytest.mark.parametrize(
    ("chosen", "password", "must_change"),
    [
        pytest.param("", "Duplistatus09", True, id="documented-one"),
        pytest.param("Correct7Horse", "Correct7Horse", False, id="chosen-by-the-operator"),
        pytest.param("weak", "weak", True, id="chosen-but-too-weak-to-stay"),
    ],
)
def test_initial_password(db, settings, clock, chosen, password, must_change):
    admin = start_afresh(db, settings, clock, chosen)
    assert passwords.is_right(password, admin.password_hash)
    assert admin.must_change_password is must_change


def test_renamed_administrator_is_not_created_again(db, settings, clock):
    with writing():
        users.find_by_name("admin").username = "boss"
    users.ensure_admin(settings, now=clock())
    assert db.session.scalar(select(func.count(User.id))) == 1


def test_recovery_unlocks_an_account_and_ends_its_sessions(app, db, clock, admin):
    with writing():
        user = users.find_by_name("admin")
        user.locked_until, user.failed_login_attempts, user.must_change_password = clock.advance(days=0), 5, True
    users.recover_account("admin", "Another8Horse", now=clock())
    assert sign_in_user("admin", "Another8Horse", actor=Actor(), now=clock()).user.must_change_password is False
    assert admin.get("/api/auth/me").status_code == 401
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "admin_password_reset_cli")).one()
    assert (entry.status, entry.username, entry.details) == (
        "success",
        "system",
        {"targetUser": "admin", "method": "cli"},
    )


def test_recovery_rejects_a_password_that_violates_the_policy(db, clock):
    with pytest.raises(Refused, match="8 characters"):
        users.recover_account("admin", "short", now=clock())


def test_recovery_of_an_unknown_user_is_recorded(db, clock):
    with pytest.raises(Refused, check=lambda error: error.status == 404):
        users.recover_account("nobody", "Another8Horse", now=clock())
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "admin_password_reset_cli")).one()
    assert (entry.status, entry.details["error"]) == ("failure", "User not found")
