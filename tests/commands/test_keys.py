"""API keys from the shell."""

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from app.accounts import api_keys
from app.accounts.api_keys import KeyStatus
from app.accounts.models import ApiKey
from app.audit.log import AuditEntry
from app.cli import main


@pytest.fixture
def run(app, settings, monkeypatch):
    """Run a command on the database of `app`."""
    monkeypatch.setenv("DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("RUN_JOBS", "false")

    def run(*words, exit_code=0):
        result = CliRunner().invoke(main, ["keys", *words])
        assert result.exit_code == exit_code, result.output
        return result.output

    return run


def test_key_is_created_listed_disabled_and_deleted(run, db, clock):
    secret = run("create", "my script", "--scope", "admin").strip().splitlines()[-1]
    (key,) = db.session.scalars(select(ApiKey))
    assert api_keys.key_status(secret, "admin", now=clock(), ip_address=None) is KeyStatus.GOOD
    assert "my script" in run("list")
    assert secret not in run("list")
    run("disable", str(key.id))
    assert "disabled" in run("list")
    run("enable", str(key.id))
    run("delete", str(key.id))
    db.session.commit()
    assert api_keys.list_keys() == []
    assert set(db.session.scalars(select(AuditEntry.username).where(AuditEntry.target_type == "api_key"))) == {"shell"}


def test_requirement_is_enabled_and_disabled(run, db):
    run("require", "on")
    assert "API keys are required." in run("list")
    run("require", "off")
    assert "API keys are not required." in run("list")


@pytest.mark.parametrize(
    "words",
    [
        ["disable", "77"],
        ["create", " ", "--scope", "read"],
        ["create", "x", "--scope", "read", "--last-day", "2001-01-01"],
    ],
)
def test_error_ends_with_a_message(run, words):
    assert run(*words, exit_code=1).startswith("Error: ")
