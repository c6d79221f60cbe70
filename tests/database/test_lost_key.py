"""The key file is missing, invalid or another one at a start: the start continues, reports it, and keeps all data."""

import re
from datetime import timedelta

import pytest
from applications import close
from click.testing import CliRunner
from sqlalchemy import select

from app.audit.log import AuditEntry
from app.backups.models import Server
from app.cli import main
from app.core.db.orm import db as database
from app.core.db.orm import writing
from app.database import doctor, secrets
from app.factory import create_app
from app.notifications import channels, delivery
from app.notifications.models import Channel, Delivery, DeliveryState
from app.plugin.testing.applications import Visitor
from app.runtime import runtime_of

pytestmark = pytest.mark.slow
BANNER = "stored passwords"
KEY, GIVE_UP = "/api/database/master-key", "/api/database/master-key/give-up-secrets"
LOSSES = {"missing": "missing", "short": "unusable", "empty": "unusable", "folder": "unusable", "other": "other"}
NO_KEY = [loss for loss, state in LOSSES.items() if state != "other"]
MAIL = {
    "host": "127.0.0.1",
    "port": 1,
    "connection_type": "plain",
    "requires_login": True,
    "username": "me",
    "password": "pw",
    "mailto": "a@example.org",
}


@pytest.fixture
def key_path(settings):
    return settings.data_dir / secrets.KEY_FILE


@pytest.fixture
def stopped(app, db, ntfy, clock, ingest, admin):
    """An installation with secrets of a server and two channels, and a pending message; it is not running."""
    values = {"url": ntfy.url, "topic": "backups", "token": "tk_secret"}
    channels.save_settings("ntfy", "ntfy", values, now=clock())
    channels.save_settings("email", "email", MAIL, now=clock(), is_enabled=False)
    ingest(status="Error")
    with writing() as session:
        session.scalars(select(Server)).one().encrypted_password = secrets.encrypt("hunter2")
    db.session.remove()
    close(app)


@pytest.fixture
def start(stopped, settings, installed, clock):
    running = []

    def start():
        for app in running:
            close(app)
        running[:] = [create_app(settings, installed)]
        runtime_of(running[0]).clock = clock
        running[0].test_client_class = Visitor
        return running[0]

    yield start
    for app in running:
        close(app)


def remove_key(key_path, loss):
    key = key_path.read_bytes()
    key_path.unlink()
    if loss == "folder":
        key_path.mkdir()
    elif loss != "missing":
        key_path.write_bytes({"short": b"k" * 16, "empty": b"", "other": b"k" * 32}[loss])
    return key


def put_back(key_path, key):
    if key_path.is_dir():
        key_path.rmdir()
    key_path.unlink(missing_ok=True)
    key_path.write_bytes(key)


def stored_secrets(app):
    with app.app_context():
        servers = [row.encrypted_password for row in database.session.scalars(select(Server))]
        return servers + [row.settings for row in database.session.scalars(select(Channel).order_by(Channel.kind))]


@pytest.mark.parametrize("loss", LOSSES)
def test_a_start_without_the_key_keeps_everything_and_reports_it(start, key_path, loss, caplog, settings):
    before = stored_secrets(start())
    key = remove_key(key_path, loss)
    app = start()
    assert [record.levelname for record in caplog.records if "duplistatus secrets give-up" in record.message] == [
        "ERROR"
    ]
    assert not key_path.is_file() or key_path.read_bytes() != key
    client = app.test_client().sign_in()
    assert stored_secrets(app) == before
    assert BANNER in client.get("/").text
    assert BANNER in client.get("/settings/?tab=database-maintenance").text
    answer = client.get(KEY).get_json()
    assert (answer["state"], set(answer["owners"])) == (LOSSES[loss], {"nas", "ntfy", "email"})
    assert answer["message"]
    with app.app_context():
        assert doctor._examine_secrets().is_wrong
    for page in ("ntfy", "email", "server", "monitoring", "notifications"):
        assert client.get(f"/settings/?tab={page}").status_code == 200
    assert client.get("/api/configuration/unified").status_code == 200


@pytest.mark.parametrize("loss", LOSSES)
def test_the_restored_key_makes_everything_readable_at_once(start, key_path, loss, ntfy, clock):
    before = stored_secrets(start())
    key = remove_key(key_path, loss)
    app = start()
    client = app.test_client().sign_in()
    for _try in range(30):  # many more than the usual attempts
        with app.app_context():
            assert delivery.deliver_due(clock.advance(minutes=1)) == 0
    with app.app_context():
        [waiting] = database.session.scalars(select(Delivery))
        assert (waiting.state, waiting.next_attempt_at <= clock() + timedelta(minutes=1)) == (
            DeliveryState.QUEUED,
            True,
        )
    assert ntfy.received == []
    put_back(key_path, key)
    assert BANNER not in client.get("/").text
    assert stored_secrets(app) == before
    with app.app_context():
        assert delivery.deliver_due(clock.advance(minutes=1)) == 1
        assert secrets.decrypt(before[0]) == "hunter2"
    assert ntfy.received[-1].headers["authorization"] == "Bearer tk_secret"
    assert app.test_client().post("/api/auth/login").status_code in (400, 403)


@pytest.mark.parametrize("loss", NO_KEY)
def test_new_secrets_need_a_key(start, key_path, loss):
    before = stored_secrets(start())
    remove_key(key_path, loss)
    app = start()
    client = app.test_client().sign_in()
    for method, path, body in (
        ("POST", "/api/configuration/notifications", {"ntfy": {"url": "http://127.0.0.1:1", "accessToken": "new"}}),
        ("PATCH", "/api/configuration/email/password", {"password": "new"}),
    ):
        answer = client.open(path, method=method, json=body, headers=client.csrf_headers())
        assert answer.status_code == 503, answer.get_json()
        assert "put the right one back" in answer.get_json()["error"]
    assert stored_secrets(app) == before


@pytest.mark.parametrize("loss", ["missing", "other"])
def test_saving_a_channel_keeps_undecryptable_settings(start, key_path, loss):
    before = stored_secrets(start())
    remove_key(key_path, loss)
    app = start()
    client = app.test_client().sign_in()
    body = {"ntfy": {"topic": "other"}}
    answer = client.post("/api/configuration/notifications", json=body, headers=client.csrf_headers())
    assert answer.status_code == 200, answer.get_json()
    [_server, _mail, ntfy] = stored_secrets(app)
    assert (ntfy["topic"], ntfy["token"]) == ("other", before[2]["token"])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("way", ["api", "page", "command"])
def test_an_administrator_can_delete_them(start, key_path, loss, way, settings, monkeypatch):
    start()
    remove_key(key_path, loss)
    app = start()
    client = app.test_client().sign_in()
    assert client.post(GIVE_UP).status_code == 403
    if way == "api":
        answer = client.post(GIVE_UP, headers=client.csrf_headers())
        assert (answer.status_code, set(answer.get_json()["owners"])) == (200, {"nas", "ntfy", "email"})
    elif way == "page":
        question = client.get("/settings/database/secrets").text
        assert re.search("nas.*", question)
        assert client.post("/settings/database/secrets", headers=client.csrf_headers()).status_code == 303
    else:
        monkeypatch.setenv("DATA_DIR", str(settings.data_dir))
        assert "give-up" in CliRunner().invoke(main, ["secrets", "status"]).output
        assert CliRunner().invoke(main, ["secrets", "give-up"], input="n\n").exit_code == 1
        assert client.get(KEY).get_json()["state"] != "ok"
        result = CliRunner().invoke(main, ["secrets", "give-up"], input="y\n")
        assert result.exit_code == 0, result.output
    assert (len(key_path.read_bytes()), key_path.stat().st_mode & 0o777) == (32, 0o400)
    server, mail, ntfy = stored_secrets(app)
    assert (server, mail["password"], mail["username"], ntfy["token"]) == ("", "", "", "")
    assert mail["host"] == "127.0.0.1"
    assert BANNER not in client.get("/").text
    assert client.post(GIVE_UP, headers=client.csrf_headers()).status_code == 409
    with app.app_context():
        entry = database.session.scalars(
            select(AuditEntry).where(AuditEntry.action == "master_key_changed").order_by(AuditEntry.id.desc())
        ).first()
        assert (entry.details["action"], set(entry.details["owners"])) == (
            "passwords_cleared",
            {"nas", "ntfy", "email"},
        )
        assert secrets.decrypt(secrets.encrypt("x")) == "x"


def test_a_limited_account_sees_no_banner_and_cannot_delete_them(start, key_path):
    start()
    remove_key(key_path, "missing")
    app = start()
    admin = app.test_client().sign_in()
    account = {"username": "eve", "password": "Limited7Horse", "isAdmin": False, "requirePasswordChange": False}
    assert admin.post("/api/users", json=account, headers=admin.csrf_headers()).status_code in (200, 201)
    client = app.test_client().sign_in("eve", "Limited7Horse")
    assert BANNER not in client.get("/").text
    assert client.post(GIVE_UP, headers=client.csrf_headers()).status_code == 403
    assert client.get("/settings/database/secrets").status_code == 403
    assert app.test_client().get("/login").status_code == 200


def test_an_empty_installation_gets_a_new_key(app, settings, installed, key_path):
    close(app)
    key = remove_key(key_path, "missing")
    close(create_app(settings, installed))
    assert len(key_path.read_bytes()) == 32
    assert key_path.read_bytes() != key
