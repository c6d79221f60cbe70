"""Choices of users in an old installation: settings, templates, destinations, secrets, accounts."""

import json
import shutil
from datetime import UTC, datetime

import pytest
from old_installations import BCRYPT, SAMPLES, make_old_database, old_run
from sqlalchemy import select

from app.accounts import users
from app.accounts.models import User
from app.audit.log import SYSTEM, AuditEntry
from app.backups.models import Job, Server
from app.core.db.orm import writing
from app.core.settings import store as settings_store
from app.database import secrets
from app.legacy_import.importing import import_database
from app.legacy_import.source import NotImportable
from app.notifications import channels, messages, template_settings
from app.notifications.outbox import is_channel_on
from app.schedules import overdue_check

pytestmark = pytest.mark.slow

NEWEST_SAMPLE = SAMPLES / "backups_1.4.2.db"


@pytest.fixture
def take(db, clock):
    """Import a file."""

    def take(file, **options):
        return import_database(file, now=clock(), **options)

    return take


@pytest.fixture
def take_settings(take, tmp_path):
    """Import a database of one job with some settings; return the report."""

    def take_settings(version="4.0", **stored):
        file = tmp_path / "old.db"
        file.unlink(missing_ok=True)
        return take(make_old_database(file, version=version, runs=[old_run()], settings=stored))

    return take_settings


@pytest.fixture
def job(db):
    """Return the only job."""

    def read(name="photos"):
        db.session.commit()
        return db.session.scalars(
            select(Job).where(Job.name == name), execution_options={"populate_existing": True}
        ).one()

    return read


def test_settings_of_the_newest_version_are_imported(take):
    take(NEWEST_SAMPLE)
    assert settings_store.get("overdue_tolerance") == "4h"
    assert settings_store.get("notification_frequency") == "every_week"
    assert settings_store.get("audit_retention_days") == 200
    check = settings_store.get("cron_tasks")["overdue-backup-check"]
    assert (check["cronExpression"].split()[0], check["enabled"]) == ("*/30", True)


def test_only_changed_templates_are_imported(take):
    take(NEWEST_SAMPLE)
    stored = messages.stored_templates()
    assert stored.keys() == {"language", "warning"}
    assert stored["language"] == "de"
    assert stored["warning"]["title"] == "Hm {server_name}"


@pytest.mark.parametrize("name", ["backups_v0.6.1", "backups_0.7.27", "backups_0.8.21"])
def test_default_templates_of_old_releases_become_our_defaults(name, take):
    take(SAMPLES / f"{name}.db")
    assert not messages.stored_templates().keys() - {"language"}
    assert settings_store.get("overdue_tolerance") == "1h"
    topic = channels.load_settings(channels.standard("ntfy"))["topic"]
    assert topic.startswith("duplistatus-")
    assert len(topic) == 24


def test_secrets_are_decrypted_with_the_old_key_and_encrypted_with_the_new_one(take, db):
    take(NEWEST_SAMPLE)
    assert channels.load_settings(channels.standard("ntfy"))["token"] == "tk_old_a"
    mail = channels.load_settings(channels.standard("email"))
    assert (mail["host"], mail["port"], mail["connection_type"]) == ("mail.lan", 465, "ssl")
    assert (mail["username"], mail["password"], mail["mailto"]) == ("u-a", "mail-pw-a", "me@home.lan")
    server = db.session.get_one(Server, "id-nas-a")
    assert secrets.decrypt(server.encrypted_password) == "duplicati-pw-a"
    assert server.alias == "Attic"


def test_password_is_not_imported_for_a_server_with_another_address(take, db):
    with writing() as session:
        session.add(Server(id="id-nas-a", name="nas", url="https://elsewhere.lan:8200", created_at=datetime.now(UTC)))
    report = take(NEWEST_SAMPLE)
    assert "The Duplicati password of Attic was skipped: the server has a different URL here" in report.remarks
    assert not db.session.get_one(Server, "id-nas-a", populate_existing=True).has_password


def test_without_the_old_key_secrets_are_cleared_and_reported(take, db, tmp_path):
    file = shutil.copy(NEWEST_SAMPLE, tmp_path / "alone.db")
    report = take(file)
    assert db.session.get_one(Server, "id-nas-a").encrypted_password == ""
    assert channels.load_settings(channels.standard("email"))["password"] == ""
    assert sum("without the old key file" in remark for remark in report.remarks) == 3


def test_with_another_key_secrets_are_cleared_and_reported(take, db, tmp_path):
    other = tmp_path / "other.key"
    other.write_bytes(b"x" * 32)
    report = take(NEWEST_SAMPLE, key_path=other)
    assert db.session.get_one(Server, "id-nas-a").encrypted_password == ""
    assert "The key file does not match the older installation" in report.remarks


def test_invalid_key_file_is_rejected_before_any_change(take, tmp_path, db):
    file = make_old_database(tmp_path / "old.db", runs=[old_run()])
    (tmp_path / ".duplistatus.key").write_bytes(b"short")
    with pytest.raises(NotImportable, match="32 bytes"):
        take(file)
    assert db.session.scalars(select(Server)).all() == []


def test_job_settings_of_the_newest_version_are_imported(take, job, db):
    take(NEWEST_SAMPLE)
    data = job("Da:ta")
    assert (data.notification_event, data.expected_interval, data.allowed_weekdays) == ("errors", "1W", 0b101010)
    assert (is_channel_on(data, "ntfy"), is_channel_on(data, "email")) == (False, True)
    assert (data.additional_event, data.additional_emails, data.additional_ntfy_topic) == ("all", "x@y.z", "extra")
    sites = job("Sites/prod")
    assert (sites.notification_event, sites.is_overdue_check_enabled) == ("off", False)
    server = db.session.get_one(Server, "id-nas-a")
    assert (server.additional_emails, server.additional_event) == ("all@home.lan", "warnings")


def test_expected_time_becomes_the_anchor_of_the_schedule(take_settings, job):
    entry = {"expectedInterval": "1D", "time": "2031-05-02T05:30:00.000Z"}
    take_settings(backup_settings={"machine-1:photos": entry})
    assert job().schedule_anchor_at == datetime(2031, 5, 2, 5, 30, tzinfo=UTC)
    assert job().next_expected_at == datetime(2031, 5, 1, 5, 30, tzinfo=UTC)


def test_job_without_expected_time_is_scheduled_from_its_newest_run(take_settings, job):
    take_settings()
    assert job().next_expected_at == datetime(2031, 5, 2, 2, tzinfo=UTC)


@pytest.mark.parametrize(("unit", "number", "interval"), [("hour", 6, "6h"), ("day", 2, "2D"), ("day", 0.5, "12h")])
def test_old_form_of_intervals_is_accepted(unit, number, interval, take_settings, job):
    entry = {"notificationEvent": "all", "expectedInterval": number, "intervalUnit": unit}
    take_settings(version="2.0", backup_settings={"nas:photos": entry})
    assert (job().expected_interval, job().notification_event) == (interval, "all")


def test_settings_of_an_ambiguous_server_name_are_skipped(take, tmp_path, job):
    both = [{"id": "machine-1", "name": "pc"}, {"id": "machine-2", "name": "pc"}]
    chosen = {"backup_settings": {"pc:photos": {"notificationEvent": "off"}}}
    report = take(make_old_database(tmp_path / "o.db", version="2.0", servers=both, runs=[old_run()], settings=chosen))
    assert job().notification_event == "warnings"
    assert report.counts["job settings"].left == 1


def test_last_overdue_message_is_imported_to_avoid_a_repeat(take_settings, job):
    notified = {"machine-1:photos": {"lastNotificationSent": "2031-05-03T12:00:00.000Z", "serverName": "nas"}}
    take_settings(overdue_notifications=notified)
    assert job().overdue_alerted_at == datetime(2031, 5, 3, 12, tzinfo=UTC)


def test_invalid_values_are_skipped_with_the_reason(take_settings, job):
    entry = {"notificationEvent": "sometimes", "expectedInterval": "soon", "allowedWeekDays": [9]}
    report = take_settings(
        overdue_tolerance="3 moons",
        audit_retention_days="7",
        cron_service={"tasks": {"overdue-backup-check": {"cronExpression": "now; then"}}},
        backup_settings={"machine-1:photos": entry},
    )
    assert settings_store.get("overdue_tolerance") == "2h"
    assert settings_store.get("audit_retention_days") == 90
    assert settings_store.get("cron_tasks") == {}
    assert (job().notification_event, job().expected_interval, job().allowed_weekdays) == ("warnings", "1D", 127)
    assert len(report.remarks) == 5


def test_existing_choices_are_kept(take_settings, clock, job):
    entry = {"machine-1:photos": {"notificationEvent": "off", "expectedInterval": "2D"}}
    overdue_check.save_tolerance("12h", actor=SYSTEM, now=clock())
    channels.save_settings("ntfy", "ntfy", {"url": "https://ntfy.sh", "topic": "mine"}, now=clock())
    take_settings()
    with writing() as session:
        session.scalars(select(Job)).one().notification_event = "all"
    ntfy = {"url": "https://ntfy.sh/", "topic": "old", "accessToken": ""}
    report = take_settings(overdue_tolerance="4h", ntfy_config=ntfy, backup_settings=entry)
    assert settings_store.get("overdue_tolerance") == "12h"
    assert channels.load_settings(channels.standard("ntfy"))["topic"] == "mine"
    assert (job().notification_event, job().expected_interval) == ("all", "2D")
    assert (report.counts["settings"].left, report.counts["channels"].left) == (1, 1)


def test_title_changed_by_a_user_is_kept_with_an_old_message(take_settings):
    kept = {"title": "Mine: {machine_name}", "message": "{machine_id} is fine", "priority": "low", "tags": ""}
    take_settings(notification_templates={"success": kept})
    template = template_settings.read_templates()["success"]
    assert (template.title, template.message, template.priority) == (
        "Mine: {server_name}",
        "{server_id} is fine",
        "low",
    )


@pytest.mark.parametrize(
    ("username", "password"), [("admin", "Import9Password"), ("viewer", "Viewer1234"), ("boss", "Boss12345")]
)
def test_users_sign_in_with_their_old_passwords(username, password, app, db, take, client):
    take(NEWEST_SAMPLE)
    db.session.remove()
    assert client.sign_in(username, password).status_code == 200


def test_unused_administrator_is_replaced_and_a_used_one_kept(take, db, clock):
    with writing() as session:
        session.scalars(select(User)).one().last_login_at = clock()
    hash_before = users.find_by_name("admin").password_hash
    report = take(NEWEST_SAMPLE)
    assert users.find_by_name("admin").password_hash == hash_before
    assert (report.counts["accounts"].taken, report.counts["accounts"].known) == (2, 1)


def test_account_without_a_readable_hash_is_skipped(take, tmp_path):
    rows = [{"id": "u1", "username": "eve", "password_hash": "plain", "is_admin": 1}]
    report = take(make_old_database(tmp_path / "old.db", users=rows))
    assert report.counts["accounts"].left == 1
    assert users.find_by_name("eve") is None
    assert users.find_by_name("admin") is not None


def test_initial_password_does_not_remain_next_to_a_renamed_administrator(take, tmp_path, db):
    with writing() as session:
        session.scalars(select(User)).one().must_change_password = True
    rows = [
        {"id": "u1", "username": "root", "password_hash": BCRYPT, "is_admin": 1, "created_at": "2031-01-01 00:00:00"}
    ]
    take(make_old_database(tmp_path / "old.db", users=rows))
    assert list(db.session.scalars(select(User.username))) == ["root"]


def test_audit_log_is_imported_with_its_users(take, db):
    take(NEWEST_SAMPLE)
    entries = db.session.scalars(select(AuditEntry).where(AuditEntry.action != "database_import")).all()
    assert len(entries) == 69
    login = next(entry for entry in entries if entry.action == "login")
    assert login.user_id == users.find_by_name("admin").id
    assert login.at == datetime(2026, 11, 24, 4, 24, 5, tzinfo=UTC)


def test_equal_audit_entries_of_one_second_are_all_imported_once(take, tmp_path, db):
    entry = {"timestamp": "2031-05-01 02:00:00", "action": "login", "category": "auth", "status": "failure"}
    rows = [{**entry, "id": number, "details": json.dumps({"token": "secret"})} for number in range(1, 4)]
    file = make_old_database(tmp_path / "old.db", audit=rows)
    take(file)
    take(file)
    entries = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "login")).all()
    assert [entry.details for entry in entries] == [{"token": "[REDACTED]"}] * 3
