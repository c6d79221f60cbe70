"""Accounts limited to some servers receive and change nothing of the others."""

from datetime import timedelta
from typing import Any

import pytest
from factories import make_run
from flask import url_for
from sqlalchemy import select, update

from app.accounts import passwords
from app.accounts.models import ServerAccess, User
from app.backups.models import Job, Server
from app.core.db.orm import writing
from app.core.settings import store as settings_store
from app.notifications import channels
from app.notifications.models import Channel, Delivery
from app.plugin import Access
from app.plugin.testing.http_servers import recording_server
from app.plugin.testing.mail_servers import mail_server
from app.runtime import runtime_of
from app.web import guards

pytestmark = pytest.mark.slow

PASSWORD = "Limited7Horse"
TEST, CHECK, CLEAR = (f"/api/notifications/{path}" for path in ("test", "check-overdue", "clear-overdue-timestamps"))
CANARY = "canary"
CONFIGURATION = "/api/configuration"


def make_user(app: Any, name: str, *server_ids: str, is_limited: bool = True) -> Any:
    with app.app_context(), writing() as session:
        now = app.extensions["clock_of_test"]
        user = User(id=name, username=name, password_hash=passwords.hash_password(PASSWORD))
        user.sees_all_servers, user.created_at, user.updated_at = not is_limited, now, now
        session.add(user)
        session.flush()
        session.add_all(ServerAccess(user_id=name, server_id=server_id) for server_id in server_ids)
    visitor = app.test_client()
    assert visitor.sign_in(name, PASSWORD).status_code == 200
    return visitor


@pytest.fixture
def limited(app, db, clock):
    """An account that may see `mine`, while `foreign` reports too; channels and both servers contain canaries."""
    app.extensions["clock_of_test"] = clock()
    account = {"host": f"{CANARY}.example.org", "port": 12345, "username": f"{CANARY}-user", "password": "secret"}
    email_addresses = {
        "mailto": f"{CANARY}@example.org",
        "from_address": f"{CANARY}-from@example.org",
        "sender_name": CANARY,
    }
    channels.save_settings("email", "email", {**account, **email_addresses}, now=clock())
    ntfy = {"url": f"https://{CANARY}.example.org/", "topic": f"{CANARY}-topic", "token": "tk"}
    channels.save_settings("ntfy", "ntfy", ntfy, now=clock())
    channels.save_settings("webhook", "hook", {"url": f"https://{CANARY}.example.org/hook"}, now=clock())
    for name in ("mine", "foreign"):  # both failed, and are overdue
        began_at = clock() - timedelta(days=4)
        make_run(now=began_at, began_at=began_at, server_id=name, server_name=name, job_name="Photos", status="Error")
    with writing() as session:
        session.execute(update(Delivery).values(target=f"{CANARY}-target", last_error=f"{CANARY} refused"))
        session.execute(update(Channel).values(failing_since_at=clock(), failing_error=f"{CANARY} refused"))
        destinations = {"additional_emails": f"{CANARY}@example.net", "additional_ntfy_topic": f"{CANARY}-more"}
        session.execute(update(Job).values(**destinations, additional_event="all"))
        session.execute(update(Server).values(**destinations))
        settings_store.put("daily_summary", {"recipients": f"{CANARY}@example.com"}, now=clock())
    return make_user(app, "mia", "mine")


@pytest.fixture
def unlimited(app, limited):
    """An account that sees all servers and is no administrator."""
    return make_user(app, "max", is_limited=False)


def readable_addresses(app: Any) -> list[str]:
    """Return every GET path that other accounts may request, with parameters of existing rows."""
    values = {"server_id": "mine", "backup_name": "Photos", "channel_id": 1, "key": "job-1", "kind": "success"}
    with app.test_request_context():
        return [
            url_for(rule.endpoint, **{name: values.get(name, 1) for name in rule.arguments})
            for rule in app.url_map.iter_rules()
            if "GET" in rule.methods and runtime_of(app).part(guards.Rules)[rule.endpoint].access is Access.USER
        ]


def test_no_response_contains_destination_addresses(app, limited):
    addresses = [*readable_addresses(app), "/api/health", "/settings/notifications/additional/server-mine"]
    addresses += [f"/settings/?tab={name}" for name in ("ntfy", "email", "channels", "summary", "notifications")]
    addresses += [f"/channels/{number}/code" for number in (1, 2, 3)] + [f"/settings/channels/{n}" for n in (1, 2, 3)]
    assert len(addresses) > 60
    leaking = []
    for address in addresses:
        answer = limited.get(address)
        if CANARY in answer.text + str(answer.headers) or answer.status_code == 500:
            leaking.append(address)
        answer.close()
    assert leaking == []


def test_history_of_a_channel_contains_messages_about_visible_servers(limited, unlimited):
    for address in ("/settings/channels/1", "/settings/channels/1/history"):
        assert "mine / Photos" in limited.get(address).text
        assert "foreign / Photos" not in limited.get(address).text
        assert f"{CANARY} refused" in unlimited.get(address).text


def test_responses_keep_their_keys_and_types(limited):
    ntfy = limited.get(f"{CONFIGURATION}/ntfy").json["ntfy"]
    assert ntfy == {"url": "", "topic": "", "accessToken": "", "hasAccessToken": False}
    mail = limited.get(f"{CONFIGURATION}/email").json
    assert (mail["configured"], mail["config"]["mailto"], mail["config"]["port"]) == (True, "", 0)
    unified = limited.get(f"{CONFIGURATION}/unified").json
    assert unified["ntfy"] == ntfy
    assert unified["email"]["host"] == ""
    assert sorted(unified["backup_settings"]) == ["mine:Photos", "mine:__default__"]
    assert unified["backup_settings"]["mine:Photos"]["additionalNotificationEvent"] == "all"


def test_accounts_that_see_all_servers_get_what_the_contract_prescribes(limited, unlimited):
    assert unlimited.get(f"{CONFIGURATION}/ntfy").json["ntfy"]["topic"] == f"{CANARY}-topic"
    assert unlimited.get(f"{CONFIGURATION}/email").json["config"]["host"] == f"{CANARY}.example.org"
    unified = unlimited.get(f"{CONFIGURATION}/unified").json
    assert unified["backup_settings"]["mine:Photos"]["additionalEmails"] == f"{CANARY}@example.net"
    for address in ("/ntfy/code", "/channels/1/code", "/settings/channels/1", "/settings/?tab=email"):
        assert unlimited.get(address).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/ntfy"),
        ("GET", "/ntfy/code"),
        ("GET", "/ntfy/code?topic=x"),
        ("GET", "/channels/1/code"),
        ("GET", "/settings/notifications/additional/job-1"),
        ("POST", "/settings/channels/1/test"),
        ("POST", "/settings/templates/success/test"),
        ("POST", "/settings/notifications/additional/job-1/test/emails"),
        ("POST", "/settings/notifications/additional/job-1/test/topic"),
    ],
)
def test_changes_for_all_servers_are_rejected(limited, method, path):
    assert limited.send(method, path).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {"type": "email", "toEmail": "victim@example.org"},
        {"type": "email"},
        {"type": "template", "template": {"title": "Own subject", "message": "[link](https://evil.example)"}},
        {"type": "simple"},
        {},
    ],
    ids=["free-recipient", "email", "template", "simple", "none"],
)
def test_limited_account_cannot_send_a_test(limited, clock, body):
    with mail_server() as mail, recording_server() as ntfy:
        place = {"host": mail.host, "port": mail.port, "connection_type": "plain", "requires_login": False}
        channels.save_settings("email", "email", {**place, "password": ""}, now=clock())
        destination = {"url": ntfy.url, "topic": "typed"}
        assert limited.send("POST", TEST, json={**body, "ntfyConfig": destination}).status_code == 403
        assert (mail.letters, ntfy.received) == ([], [])


class TestAlarms:
    @pytest.fixture
    def late(self, db, clock, limited):
        """Notifications about both jobs were sent."""
        with writing() as session:
            session.execute(update(Job).values(overdue_alerted_at=clock()))

    @pytest.fixture
    def pending_servers(self, db):
        """Return the servers of the pending messages."""

        def read() -> set[str]:
            db.session.commit()
            wanted = select(Job.server_id).join(Delivery, Delivery.job_id == Job.id)
            wanted = wanted.where(Delivery.event == "overdueBackup")
            return set(db.session.scalars(wanted))

        return read

    @pytest.mark.parametrize("way", ["api", "page"])
    def test_second_alarm_is_about_visible_servers_only(self, limited, late, pending_servers, db, way):
        if way == "api":
            assert limited.send("POST", CLEAR).status_code == 200
            found = limited.send("POST", CHECK).json["statistics"]
            assert (found["checkedBackups"], found["notificationsSent"]) == (1, 1)
        else:
            assert limited.send("POST", "/settings/monitoring/reset").status_code == 303
            assert limited.send("POST", "/settings/monitoring/check").status_code == 303
        assert pending_servers() == {"mine"}
        alerted_at = db.session.scalar(select(Job.overdue_alerted_at).where(Job.server_id == "foreign"))
        assert alerted_at is not None

    def test_first_alarm_of_another_server_waits_for_the_scheduled_check(self, limited, late, pending_servers, db):
        with writing() as session:
            session.execute(update(Job).values(overdue_alerted_at=None))
        limited.send("POST", CHECK)
        assert pending_servers() == {"mine"}
        assert settings_store.get("last_overdue_check_at") is None

    def test_account_without_limits_sends_alarms_of_all_servers(self, unlimited, late, pending_servers):
        unlimited.send("POST", CLEAR)
        unlimited.send("POST", CHECK)
        assert settings_store.get("last_overdue_check_at") is not None


class TestRates:
    @pytest.fixture
    def count_sent(self, clock, limited):
        """Return how many of so many test messages a client can send."""
        with recording_server() as ntfy:

            def count(client: Any, tries: int) -> int:
                body = {"ntfyConfig": {"url": ntfy.url, "topic": "typed"}}
                answers = [client.send("POST", TEST, json=body) for _ in range(tries)]
                assert {answer.status_code for answer in answers} <= {200, 429}
                assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers if answer.status_code == 429)
                assert sum(answer.status_code == 200 for answer in answers) == len(ntfy.received)
                return len(ntfy.received)

            yield count

    def test_users_can_send_a_few_tests(self, unlimited, count_sent):
        assert count_sent(unlimited, 12) == 5

    def test_administrators_can_send_many_tests(self, admin, count_sent):
        assert count_sent(admin, 12) == 12

    def test_tests_sent_from_pages_count_too(self, unlimited, count_sent):
        for _ in range(5):
            unlimited.send("POST", "/settings/channels/1/test")
        assert unlimited.send("POST", "/settings/channels/1/test").status_code == 429
        assert count_sent(unlimited, 1) == 0
