"""Encrypted secrets, and a changed key."""

import shutil
import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import select

from app.audit.log import SYSTEM, AuditEntry
from app.backups.models import Server
from app.core.db.orm import writing
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.database import secrets
from app.notifications.models import Channel

OLD = Path(__file__).resolve().parents[1] / "data" / "old-databases"


@pytest.fixture
def key_path(settings):
    return settings.data_dir / secrets.KEY_FILE


@pytest.fixture
def server(db, clock):
    """A server with a stored password."""
    with writing() as session:
        server = Server(id="a", name="nas", encrypted_password=secrets.encrypt("hunter2"), created_at=clock())
        session.add(server)
    return server


def exchange_key(key_path: Path) -> None:
    key_path.unlink()
    key_path.write_bytes(b"k" * 32)
    key_path.chmod(0o400)


def test_first_start_creates_a_private_key(app, key_path):
    assert len(key_path.read_bytes()) == 32
    assert key_path.stat().st_mode & 0o777 == 0o400


def test_key_is_kept_at_later_starts(app, settings, key_path):
    key = key_path.read_bytes()
    secrets.ensure_key(settings.data_dir)
    assert key_path.read_bytes() == key


def test_two_concurrent_starts_agree_on_one_key(tmp_path):
    seen = []
    starts = [threading.Thread(target=lambda: seen.append(secrets.ensure_key(tmp_path).read_bytes())) for _ in range(8)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert len(seen) == 8
    assert len(set(seen)) == 1
    assert [path.name for path in tmp_path.iterdir()] == [secrets.KEY_FILE]


def test_permissions_of_a_public_key_file_are_restricted(tmp_path):
    secrets.ensure_key(tmp_path).chmod(0o644)
    assert secrets.ensure_key(tmp_path).stat().st_mode & 0o777 == 0o400


def test_invalid_key_file_is_rejected(tmp_path):
    (tmp_path / secrets.KEY_FILE).write_bytes(b"short")
    with pytest.raises(secrets.KeyUnusable):
        secrets.ensure_key(tmp_path)


@pytest.mark.parametrize("text", ["x", "pässwörd ✓", "a:b:c:d", "x" * 5000])
def test_encrypted_text_is_decrypted(db, text):
    stored = secrets.encrypt(text)
    assert [len(part) for part in stored.split(":")][:3] == [64, 24, 32]
    assert secrets.decrypt(stored) == text


def test_empty_text_stays_empty(db):
    assert secrets.encrypt("") == secrets.decrypt("") == ""


def test_same_text_is_never_encrypted_identically(db):
    assert secrets.encrypt("x") != secrets.encrypt("x")


@pytest.mark.parametrize("part", range(4))
def test_changed_ciphertext_is_detected(db, part):
    parts = secrets.encrypt("hunter2").split(":")
    parts[part] = ("0" if parts[part][0] != "0" else "1") + parts[part][1:]
    with pytest.raises(secrets.Undecryptable):
        secrets.decrypt(":".join(parts))


@pytest.mark.parametrize("text", ["plain", "a:b:c:d", "::::"])
def test_value_of_another_form_cannot_be_decrypted(db, text):
    with pytest.raises(secrets.Undecryptable):
        secrets.decrypt(text)


def test_secrets_of_the_original_can_be_decrypted(db, key_path):
    key_path.unlink()
    shutil.copy(OLD / "backups_1.4.2.key", key_path)
    with sqlite3.connect(f"file:{OLD / 'backups_1.4.2.db'}?mode=ro&immutable=1", uri=True) as old:
        stored = old.execute("SELECT server_password FROM servers WHERE id = 'id-nas-a'").fetchone()[0]
        known = old.execute("SELECT value FROM configurations WHERE key = 'master_key_fingerprint'").fetchone()[0]
    old.close()
    assert secrets.decrypt(stored) == "duplicati-pw-a"
    assert secrets.fingerprint() == known


def test_unchanged_key_is_remembered_and_changes_nothing(db, server, clock):
    assert not secrets.check_key("u", "admin", now=clock())
    assert settings_store.get("master_key_fingerprint") == secrets.fingerprint()
    assert secrets.decrypt(server.encrypted_password) == "hunter2"


@pytest.fixture
def spare_channel(db, server, clock):
    """A channel with a stored token, and the server."""
    stored = {"url": "http://ntfy.lan", "token": secrets.encrypt("tk")}
    with writing() as session:
        session.add(Channel(kind="ntfy", name="spare", settings=stored, created_at=clock(), updated_at=clock()))
    return db.session.scalars(select(Channel).where(Channel.name == "spare")).one()


@pytest.mark.parametrize("was_remembered", [True, False])
def test_exchanged_key_deletes_nothing_until_that_is_confirmed(
    db, server, spare_channel, clock, key_path, was_remembered
):
    if was_remembered:
        secrets.check_key("u", "admin", now=clock())
    before = server.encrypted_password, dict(spare_channel.settings)
    exchange_key(key_path)
    for _sign_in in range(3):
        assert secrets.check_key("u", "admin", now=clock())
    assert (server.encrypted_password, spare_channel.settings) == before
    problem = secrets.find_key_problem()
    assert (problem.state, problem.owners) == ("other", ("nas", "spare"))
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "master_key_changed")).one()
    assert (entry.username, entry.details["action"]) == ("system", "passwords_kept")

    assert secrets.clear_unreadable(actor=SYSTEM, now=clock()) == ("nas", "spare")
    assert (server.encrypted_password, spare_channel.settings) == ("", {"url": "http://ntfy.lan", "token": ""})
    assert settings_store.get("master_key_fingerprint") == secrets.fingerprint()
    assert secrets.find_key_problem() is None
    assert not secrets.check_key("u", "admin", now=clock())
    actions = [row.details["action"] for row in db.session.scalars(select(AuditEntry).order_by(AuditEntry.id))]
    assert actions == ["passwords_kept", "passwords_cleared"]


@pytest.mark.parametrize("was_remembered", [True, False])
def test_restored_key_decrypts_everything_again(db, server, spare_channel, clock, key_path, was_remembered):
    if was_remembered:
        secrets.check_key("u", "admin", now=clock())
    key = key_path.read_bytes()
    exchange_key(key_path)
    secrets.check_key("u", "admin", now=clock())
    key_path.unlink()
    secrets.check_key("u", "admin", now=clock())
    key_path.write_bytes(key)
    assert secrets.find_key_problem() is None
    assert secrets.decrypt(server.encrypted_password) == "hunter2"
    secrets.check_key("u", "admin", now=clock())
    assert not secrets.check_key("u", "admin", now=clock())


def test_nothing_is_deleted_while_all_is_readable(db, server, clock):
    with pytest.raises(Refused, check=lambda error: error.status == 409):
        secrets.clear_unreadable(actor=SYSTEM, now=clock())


def test_secret_entered_with_the_new_key_is_kept_by_the_check(db, server, clock, key_path):
    secrets.check_key("u", "admin", now=clock())
    exchange_key(key_path)
    with writing():
        server.encrypted_password = secrets.encrypt("new")
    assert secrets.check_key("u", "admin", now=clock())
    assert secrets.decrypt(server.encrypted_password) == "new"


def test_unreadable_key_counts_as_unchanged_and_is_recorded(db, server, clock, key_path):
    key_path.unlink()
    assert not secrets.check_key("u", "admin", now=clock())
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "master_key_check_failed")).one()
    assert entry.status == "error"
    assert server.encrypted_password


def test_sign_in_reports_an_exchanged_key_and_succeeds(app, db, server, client, clock, key_path):
    secrets.check_key("u", "admin", now=clock())
    exchange_key(key_path)
    assert client.sign_in().get_json()["keyChanged"] is True


def test_a_folder_in_place_of_the_key_file_is_unchanged(tmp_path):
    folder = tmp_path / secrets.KEY_FILE
    folder.mkdir(mode=0o755)
    with pytest.raises(secrets.KeyUnusable):
        secrets.ensure_key(tmp_path)
    assert folder.stat().st_mode & 0o777 == 0o755
