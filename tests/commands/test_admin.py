"""Accounts from the shell."""

from datetime import timedelta

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from app.accounts import users
from app.audit.log import AuditEntry
from app.cli import main
from app.core.db.orm import writing


@pytest.fixture
def run(app, settings, monkeypatch):
    """Run `duplistatus admin …` on the data of `app`."""
    monkeypatch.setenv("DATA_DIR", str(settings.data_dir))
    monkeypatch.delenv("DATABASE_URL", raising=False)

    def run(*arguments, typed=None):
        return CliRunner().invoke(main, ["admin", *arguments], input=typed)

    return run


@pytest.fixture
def account(db):
    """Read an account from the database."""

    def read(name):
        db.session.rollback()
        db.session.expire_all()
        return users.find_by_name(name)

    return read


def test_accounts_are_listed_with_their_state(run):
    result = run("list")
    assert result.exit_code == 0
    assert "admin" in result.output
    assert "administrator, never signed in" in result.output


def test_new_account_gets_a_working_temporary_password(run, client):
    password = run("create", "anna").output.strip().splitlines()[-1]
    answer = client.sign_in("anna", password)
    assert answer.status_code == 200
    assert answer.get_json()["user"]["mustChangePassword"] is True


def test_new_account_is_an_administrator_only_with_the_option(run, account):
    run("create", "anna")
    run("create", "otto", "--admin")
    assert (account("anna").is_admin, account("otto").is_admin) == (False, True)


def test_name_in_use_is_rejected(run):
    result = run("create", "admin")
    assert (result.exit_code, "already exists" in result.output) == (1, True)


def test_entered_password_must_satisfy_the_policy(run, account):
    result = run("create", "anna", "--ask", typed="short\nshort\n")
    assert (result.exit_code, "at least 8 characters" in result.output) == (1, True)
    assert account("anna") is None


def test_password_is_reset_and_the_account_unlocked(run, account, client, clock):
    with writing():
        user = account("admin")
        user.failed_login_attempts, user.locked_until = 5, clock() + timedelta(days=9000)
    assert run("reset-password", "admin", typed="Other9Horse\nOther9Horse\n").exit_code == 0
    assert client.sign_in("admin", "Other9Horse").status_code == 200


def test_password_may_be_an_argument_as_in_the_original(run, client):
    assert run("reset-password", "admin", "Other9Horse").exit_code == 0
    assert client.sign_in("admin", "Other9Horse").status_code == 200


@pytest.mark.parametrize("password", ["short", "Duplistatus09", "alllowercase1"])
def test_weak_password_is_rejected_and_nothing_changes(password, run, account):
    before = account("admin").password_hash
    assert run("reset-password", "admin", password).exit_code == 1
    assert account("admin").password_hash == before


@pytest.mark.parametrize("command", [("reset-password", "nobody", "Other9Horse"), ("unlock", "nobody")])
def test_unknown_name_is_rejected(command, run):
    result = run(*command)
    assert (result.exit_code, "no user 'nobody'" in result.output) == (1, True)


def test_reset_is_in_the_audit_log(run, db):
    run("reset-password", "admin", "Other9Horse")
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "admin_password_reset_cli")).one()
    assert (entry.username, entry.status, entry.details) == (
        "system",
        "success",
        {"targetUser": "admin", "method": "cli"},
    )


def test_unlocking_keeps_the_password(run, account, client, clock):
    with writing():
        user = account("admin")
        user.failed_login_attempts, user.locked_until = 5, clock() + timedelta(days=9000)
    assert run("unlock", "admin").exit_code == 0
    assert client.sign_in("admin").status_code == 200
