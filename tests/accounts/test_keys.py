"""API keys: a secret is shown once, and its rights are those of its row."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text

from app.accounts import api_keys
from app.accounts.api_keys import KeyStatus
from app.accounts.models import ApiKey
from app.audit.log import AuditEntry
from app.core.errors import Refused

MINUTE = timedelta(minutes=1)


@pytest.fixture
def make(db, clock):
    """Create a key for uploads."""

    def make(**changes):
        return api_keys.create_key(**{"name": "Duplicati", "scope": "upload", "now": clock(), **changes})

    return make


@pytest.fixture
def check_key(db, clock):
    """Return the result of checking a secret."""

    def check_key(secret, scope="upload"):
        return api_keys.key_status(secret, scope, now=clock(), ip_address="192.0.2.9")

    return check_key


def test_valid_key_is_accepted(make, check_key):
    assert check_key(make().secret) is KeyStatus.GOOD


@pytest.mark.parametrize("secret", [None, ""])
def test_missing_key_is_reported_as_missing(check_key, secret):
    assert check_key(secret) is KeyStatus.ABSENT


def test_unknown_key_is_invalid(make, check_key):
    assert check_key(make().secret + "x") is KeyStatus.BAD


@pytest.mark.parametrize(("scope", "asked"), [("upload", "read"), ("read", "upload"), ("admin", "read")])
def test_scope_does_not_grant_another_scope(make, check_key, scope, asked):
    assert check_key(make(scope=scope).secret, asked) is KeyStatus.WRONG_SCOPE


@pytest.mark.parametrize(("left", "verdict"), [(timedelta(0), KeyStatus.BAD), (MINUTE, KeyStatus.GOOD)])
def test_key_expires_at_its_exact_time(make, check_key, clock, left, verdict):
    assert check_key(make(expires_at=clock() + left).secret) is verdict


def test_disabled_key_is_invalid_until_it_is_enabled(make, check_key, clock):
    new = make()
    api_keys.set_enabled(new.key.id, False, now=clock())
    assert check_key(new.secret) is KeyStatus.BAD
    api_keys.set_enabled(new.key.id, True, now=clock())
    assert check_key(new.secret) is KeyStatus.GOOD


def test_expired_key_cannot_be_enabled(make, clock):
    new = make(expires_at=clock() + MINUTE)
    api_keys.set_enabled(new.key.id, False, now=clock())
    with pytest.raises(Refused, match="expired"):
        api_keys.set_enabled(new.key.id, True, now=clock.advance(minutes=2))


def test_deleted_key_is_invalid(make, check_key, clock):
    new = make()
    api_keys.delete_key(new.key.id, now=clock())
    assert check_key(new.secret) is KeyStatus.BAD
    assert api_keys.list_keys() == []


@pytest.mark.parametrize("change", [api_keys.delete_key, lambda *a, **k: api_keys.set_enabled(*a, False, **k)])
def test_unknown_key_is_not_found(db, clock, change):
    with pytest.raises(Refused, check=lambda error: error.status == 404):
        change(77, now=clock())


@pytest.mark.parametrize("wrong", [{"name": "  "}, {"scope": "all"}])
def test_key_needs_a_name_and_a_known_scope(make, db, wrong):
    with pytest.raises(Refused):
        make(**wrong)
    assert api_keys.list_keys() == []


def test_secret_is_not_stored_in_the_database(make, db):
    secret = make().secret
    with db.engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM api_keys")).all()
        rows += connection.execute(text("SELECT * FROM audit_log")).all()
    assert secret not in repr(rows)
    assert f"{secret[:4]}…{secret[-4:]}" in repr(rows)


def test_changes_of_a_key_are_audited(make, db, clock):
    key = make().key
    api_keys.set_enabled(key.id, False, now=clock())
    api_keys.set_enabled(key.id, True, now=clock())
    api_keys.delete_key(key.id, now=clock())
    actions = list(db.session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))
    assert actions == ["api_key_created", "api_key_disabled", "api_key_enabled", "api_key_deleted"]


def test_use_is_recorded_once_a_minute(make, check_key, db, clock):
    new, began_at = make(), clock()
    check_key(new.secret)
    clock.advance(seconds=59)
    check_key(new.secret)
    assert (used(db).last_used_at, used(db).last_used_ip) == (began_at, "192.0.2.9")
    clock.advance(seconds=1)
    check_key(new.secret)
    assert used(db).last_used_at == clock()


def test_rejected_use_is_not_recorded(make, check_key, db):
    check_key(make().secret, "read")
    assert used(db).last_used_at is None


def used(db) -> ApiKey:
    return db.session.scalars(select(ApiKey).execution_options(populate_existing=True)).one()
