"""A restore rejects what no form, endpoint or report could have stored, and names table and setting."""

import io
import json
import shutil
import sqlite3
from contextlib import closing

import pytest
from factories import make_run

import app.factory  # noqa: F401 (which declares all settings)
from app.core.settings import declarations
from app.core.settings.declarations import DECLARED
from app.database import secrets

pytestmark = pytest.mark.slow

RESTORE = "/api/database/restore"
SLUG = "badge-1"
BAD_SETTINGS = [
    ("external_allowlist", ["garbage"]),
    ("external_allowlist", ["192.0.2.0/33"]),
    ("admin_allowlist", [None]),
    ("admin_allowlist", [["192.0.2.1"]]),
    ("admin_allowlist", [3232235521]),
    ("admin_allowlist", {"192.0.2.1": True}),
    ("external_allowlist_enabled", "yes"),
    ("external_allowlist_enabled", 1),
    ("overdue_tolerance", "3h"),
    ("overdue_tolerance", ["2h"]),
    ("notification_frequency", "hourly"),
    ("notification_templates", {"warning": "text"}),
    ("notification_templates", {"warning": {"title": 5}}),
    ("notification_templates", {"warning": {"title": None}}),
    ("notification_templates", {"warning": {"subject": "x"}}),
    ("notification_templates", {"alarm": {"title": "x"}}),
    ("notification_templates", {"language": "tlh"}),
    ("last_overdue_check_at", "yesterday"),
    ("last_overdue_check_at", "2031-05-04T12:00:00"),
    ("last_overdue_check_at", "9999-12-31T23:59:59+00:00"),
    ("last_overdue_check_at", 1),
    ("silence_hours", "48"),
    ("silence_hours", -1),
    ("silence_hours", 10**9),
    ("silence_hours", 1.5),
    ("channel_failure_hours", True),
    ("silence_told", {"at": "2031-05-04T12:00:00+00:00"}),
    ("silence_told", {"at": None, "since": None}),
    ("silence_told", []),
    ("audit_retention_days", 1),
    ("run_retention_days", "all"),
    ("delivery_retention_days", 0),
    ("local_backup_schedule", {"every": "hourly"}),
    ("local_backup_schedule", {"at": "25:00"}),
    ("local_backup_schedule", {"keep": "7"}),
    ("local_backup_schedule", {"timezone": "UTC"}),
    ("local_backup_failed_at", "soon"),
    ("public_url", "javascript:alert(1)"),
    ("public_url", 5),
    ("public_url", "http://[::1"),
    ("upload_max_mib", 0),
    ("upload_max_mib", "16"),
    ("cron_tasks", {"overdue-backup-check": "*/5 * * * *"}),
    ("cron_tasks", {"overdue-backup-check": {"cronExpression": "often"}}),
    ("cron_tasks", {"overdue-backup-check": {"cronExpression": ["*"]}}),
    ("cron_tasks", {"overdue-backup-check": {"enabled": "no"}}),
    ("cron_tasks", {"overdue-backup-check": None}),
    ("cron_tasks", []),
    ("daily_summary", {"enabled": True, "time": "late"}),
    ("daily_summary", {"recipients": "a@example.org"}),
    ("daily_summary", {"recipients": [1]}),
    ("daily_summary", {"since": "never"}),
    ("daily_summary", {"hour": 1}),
    ("digest", {"period": "yearly"}),
    ("digest", {"weekday": 7}),
    ("digest", {"weekday": "1"}),
    ("digest", {"channels": ["ntfy"]}),
    ("digest", {"channels": None}),
    ("badges", [{"slug": "a b", "label": "x"}]),
    ("badges", [{"slug": SLUG}]),
    ("badges", [{"slug": SLUG, "label": 1}]),
    ("badges", [{"slug": SLUG, "label": "x", "colour": "red"}]),
    ("badges", [{"slug": SLUG, "label": "x", "server_id": 1}]),
    ("badges", ["badge"]),
    ("badges", [None]),
    ("badges", {"slug": SLUG, "label": "x"}),
    ("status_page", {"is_enabled": "on"}),
    ("status_page", {"server_ids": "a"}),
    ("status_page", {"server_ids": [1]}),
    ("status_page", {"jobs": [["a"]]}),
    ("status_page", {"jobs": ["ab"]}),
    ("status_page", {"title": "x" * 81}),
    ("status_page", {"slug": None}),
    ("status_page", {"theme": "dark"}),
    ("anomaly_limits", {"least_runs": 1}),
    ("anomaly_limits", {"times": "3"}),
    ("anomaly_limits", {"percent": 0}),
    ("anomaly_limits", {"limit": 3}),
    ("version_check", {"every_hours": 5}),
    ("version_check", {"url": None}),
    ("version_check", {"hours": 6}),
    ("newest_duplicati", {"checked_at": "now"}),
    ("newest_duplicati", {"versions": ["2.1"]}),
    ("newest_duplicati", {"versions": {"stable": 2.1}}),
    ("version_lists_total", "many"),
    ("logs_repacked_to", -1),
    ("master_key_fingerprint", "abc"),
    ("demo_data", "false"),
]
GOOD_SETTINGS = [
    ("external_allowlist", ["192.0.2.0/24", "2001:db8::1"]),
    ("notification_templates", {"language": "hi-Latn", "warning": {"title": "x", "message": "{unknown}"}}),
    ("last_overdue_check_at", "2031-05-04T12:00:00.123+00:00"),
    ("silence_told", {"at": "2031-05-04T12:00:00+00:00", "since": "2031-05-03T12:00:00.5+00:00"}),
    ("local_backup_schedule", {"every": "weekly", "weekday": 2, "at": "21:15", "keep": 4}),
    ("public_url", "https://backups.example.org/base"),
    ("cron_tasks", {"overdue-backup-check": {"cronExpression": "*/5    *    *            *     *", "enabled": True}}),
    (
        "daily_summary",
        {"enabled": True, "time": "07:30", "recipients": ["a@example.org"], "since": "2031-05-04T12:00+00:00"},
    ),
    ("digest", {"period": "weekly", "time": "07:30", "weekday": 0, "recipients": [], "channels": [77]}),
    ("badges", [{"slug": SLUG, "label": "x", "server_id": None, "job_name": None}]),
    ("status_page", {"slug": "a-_B", "is_enabled": True, "server_ids": ["gone"], "jobs": [["gone", "job"]]}),
    ("anomaly_limits", {"is_enabled": False, "times": 3}),
    ("version_check", {"is_enabled": True, "every_hours": 12, "url": ""}),
    ("newest_duplicati", {"versions": {"stable": "2.1.0.5"}, "checked_at": "2031-05-04T12:00:00+00:00", "error": ""}),
    ("a_setting_of_tomorrow", {"anything": [1]}),
]
SEALED = ":".join(("0" * 64, "0" * 24, "0" * 32, ""))
BAD_VALUES = [
    ("UPDATE channels SET settings = '[1,2]'", "channels", "settings"),
    ("UPDATE channels SET settings = '\"x\"'", "channels", "settings"),
    ("UPDATE channels SET settings = '{\"url\": 5}'", "channels", "url"),
    ('UPDATE channels SET settings = \'{"url": "ftp://x"}\'', "channels", "url"),
    ("UPDATE channels SET settings = '{\"topic\": null}'", "channels", "topic"),
    ('UPDATE channels SET settings = \'{"topic": ["a"]}\'', "channels", "topic"),
    ('UPDATE channels SET settings = \'{"token": "in clear"}\'', "channels", "token"),
    ("UPDATE channels SET settings = '{\"token\": 5}'", "channels", "token"),
    ("UPDATE channels SET kind = 'email', name = 'email', settings = '{\"port\": \"many\"}'", "channels", "port"),
    ("UPDATE channels SET quiet_from = '22:00'", "channels", "quiet_from"),
    ("UPDATE channels SET quiet_from = '22:00', quiet_until = '27:00'", "channels", "quiet_from"),
    ("UPDATE jobs SET channel_switches = '[true]'", "jobs", "channel_switches"),
    ('UPDATE jobs SET channel_switches = \'{"ntfy": "on"}\'', "jobs", "channel_switches"),
    ('UPDATE jobs SET channel_switches = \'{"ntfy": {"on": null}}\'', "jobs", "channel_switches"),
    ("UPDATE jobs SET anomalies = '{}'", "jobs", "anomalies"),
    ("UPDATE jobs SET anomalies = '[1]'", "jobs", "anomalies"),
    ('UPDATE jobs SET anomalies = \'[{"figure": "size", "value": "1", "usual": 2}]\'', "jobs", "anomalies"),
    ('UPDATE jobs SET anomalies = \'[{"figure": "weight", "value": 1, "usual": 2}]\'', "jobs", "anomalies"),
    ("UPDATE jobs SET tags = '\"a\"'", "jobs", "tags"),
    ("UPDATE jobs SET tags = '[1]'", "jobs", "tags"),
    ("UPDATE jobs SET expected_interval = 'soon'", "jobs", "expected_interval"),
    ("UPDATE jobs SET expected_interval = '99999999Y'", "jobs", "expected_interval"),
    ("UPDATE jobs SET allowed_weekdays = 128", "jobs", "allowed_weekdays"),
    ("UPDATE jobs SET overdue_tolerance = '3h'", "jobs", "overdue_tolerance"),
    ("UPDATE jobs SET notification_event = 'loud'", "jobs", "notification_event"),
    ("UPDATE jobs SET interval_source = 'stars'", "jobs", "interval_source"),
    ("UPDATE jobs SET learned_schedule = '[1]'", "jobs", "learned_schedule"),
    ('UPDATE jobs SET learned_schedule = \'{"interval": "1D"}\'', "jobs", "learned_schedule"),
    ("UPDATE jobs SET learned_schedule = '{\"at_least\": 5}'", "jobs", "learned_schedule"),
    ("UPDATE jobs SET recent_runs = x'0102'", "jobs", "recent_runs"),
    ("UPDATE servers SET collect_error_details = '[]'", "servers", "collect_error_details"),
    ('UPDATE servers SET collect_error_details = \'{"code": 1, "params": {}}\'', "servers", "collect_error_details"),
    ("UPDATE jobs SET packed_versions = x'010203'", "jobs", "packed_versions"),
    ("UPDATE jobs SET recent_statuses = 'SxE'", "jobs", "recent_statuses"),
    ("UPDATE jobs SET last_outcome = 'odd'", "jobs", "last_outcome"),
    ("UPDATE jobs SET muted_until = 253402300799999", "jobs", "muted_until"),
    ("UPDATE jobs SET run_count = -1", "jobs", "run_count"),
    ("UPDATE jobs SET run_count = 9223372036854775807", "jobs", "run_count"),
    ("UPDATE runs SET available_versions = x'010203'", "runs", "available_versions"),
    ("UPDATE runs SET outcome = 'odd'", "runs", "outcome"),
    ("UPDATE servers SET tags = '[null]'", "servers", "tags"),
    ("UPDATE servers SET seen_offsets = '[[1, 2]]'", "servers", "seen_offsets"),
    ("UPDATE servers SET seen_offsets = '[[\"1\", 2, 3]]'", "servers", "seen_offsets"),
    ("UPDATE servers SET collect_interval = '17m'", "servers", "collect_interval"),
    ("UPDATE users SET preferences = '[]'", "users", "preferences"),
    ('UPDATE users SET preferences = \'{"time_zone": "Mars/Base"}\'', "users", "preferences"),
    ('UPDATE users SET preferences = \'{"table_page_size": "15"}\'', "users", "preferences"),
    ("UPDATE users SET preferences = '{\"theme\": null}'", "users", "preferences"),
    ("UPDATE users SET language = 'tlh'", "users", "language"),
    ("UPDATE users SET password_hash = 'x'", "users", "password_hash"),
    ("UPDATE users SET password_hash = ''", "users", "password_hash"),
    ("UPDATE users SET password_hash = '$2b$12$short'", "users", "password_hash"),
    ("UPDATE users SET password_hash = '$2b$31' || substr(password_hash, 7)", "users", "password_hash"),
    ("UPDATE users SET password_hash = '$argon2id$v=19$m=8,t=1,p=1$c2FsdA'", "users", "password_hash"),
    ("UPDATE users SET password_hash = replace(password_hash, ',t=', '99999999,t=')", "users", "password_hash"),
    ("UPDATE users SET password_hash = password_hash || ' '", "users", "password_hash"),
    ("UPDATE users SET username = ''", "users", "username"),
    ("UPDATE audit_log SET details = '[1]'", "audit_log", "details"),
    ("INSERT INTO api_keys VALUES (1, 'n', 'root', 'h', 'f', 1, NULL, NULL, NULL, NULL, 0)", "api_keys", "scope"),
]


@pytest.fixture
def backup(admin, db, tmp_path):
    """A backup with a run, as a file that can be changed."""
    make_run()
    path = tmp_path / "backup.db"
    path.write_bytes(admin.get("/api/database/backup", buffered=True).data)
    return path


@pytest.fixture
def restore(admin, backup):
    """Restore a copy of the backup after some statements; return the response."""

    def restore(*statements):
        changed = shutil.copy(backup, backup.with_name("changed.db"))
        with closing(sqlite3.connect(changed, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(*statement) if isinstance(statement, tuple) else connection.execute(statement)
        form = {"database": (io.BytesIO(changed.read_bytes()), "mine.db")}
        return admin.send("POST", RESTORE, data=form, content_type="multipart/form-data")

    return restore


def put(name, value):
    return ("INSERT OR REPLACE INTO settings VALUES (?, ?, 0)", (name, json.dumps(value)))


@pytest.mark.parametrize("name", DECLARED)
def test_defaults_are_as_declared(name):
    if DECLARED[name].default is not None:
        declarations.check(name, DECLARED[name].default)


@pytest.mark.slow
def test_an_invalid_setting_is_rejected_and_named(admin, restore):
    for name, value in BAD_SETTINGS:
        answer = restore(put(name, value))
        assert answer.status_code == 400, (name, value)
        assert f"table settings has an impossible value of the setting {name}" in answer.get_json()["error"], value
        assert admin.get("/api/dashboard").status_code == 200


def test_all_valid_settings_are_restored_and_everything_works(app, restore):
    assert restore(*(put(name, value) for name, value in GOOD_SETTINGS)).status_code == 200
    again = app.test_client()
    assert again.sign_in().status_code == 200
    pages = ["/", "/settings/?tab=ntfy", "/settings/?tab=email", "/settings/?tab=database-maintenance"]
    for path in [*pages, "/api/configuration/unified", "/api/access/allowlists", "/api/badges"]:
        assert again.get(path).status_code in (200, 404), path


@pytest.mark.slow
def test_an_invalid_value_is_rejected_and_named(admin, restore):
    for statement, table, column in BAD_VALUES:
        answer = restore(statement)
        assert answer.status_code == 400, statement
        assert table in answer.get_json()["error"], statement
        assert column in answer.get_json()["error"], statement
        assert admin.get("/api/dashboard").status_code == 200


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE channels SET settings = '{}'",
        f'UPDATE channels SET settings = \'{{"token": "{SEALED}"}}\'',
        "UPDATE channels SET kind = 'pigeon', settings = '{\"any\": [1]}'",
        "UPDATE channels SET quiet_from = '22:00', quiet_until = '06:00'",
        f"UPDATE users SET password_hash = '$2a$10${'a.' * 26}b'",
        f"UPDATE users SET password_hash = '$2y$12${'a.' * 26}b'",
        'UPDATE users SET preferences = \'{"theme": "dark", "forgotten": 1}\'',
        "UPDATE jobs SET expected_interval = '', learned_schedule = '{\"at_least\": \"3D\"}'",
        'UPDATE jobs SET channel_switches = \'{"pigeon": false}\', tags = \'["a", "b"]\'',
        "UPDATE servers SET seen_offsets = '[[1, 2, 120]]', collect_interval = '1h'",
    ],
)
def test_a_valid_value_is_restored(restore, statement):
    assert restore(statement).status_code == 200, statement


@pytest.mark.parametrize(
    "payload",
    ["[]", "{}", '{"title": "a", "text": "b", "tags": "c"}', '{"title": null, "text": "b"}'],
)
def test_a_pending_message_that_cannot_be_sent_is_rejected(restore, payload):
    columns = "idempotency_key, event, event_key, channel_id, payload, state, next_attempt_at, created_at"
    values = f"x'00112233445566778899aabbccddeeff', 'run', 'k', id, '{payload}', 'queued', 0, 0"
    assert restore(f"INSERT INTO deliveries ({columns}) SELECT {values} FROM channels").status_code == 400


def test_a_sign_in_lock_of_the_backup_is_not_applied(app, restore):
    lock = "UPDATE {} SET locked_until = 253000000000000"
    answer = restore(
        lock.format("users"), lock.format("sign_in_networks"), "UPDATE sign_in_networks SET failed_count = 9"
    )
    assert answer.status_code == 200
    assert app.test_client().sign_in().status_code == 200


def test_an_unreadable_stored_list_fails_no_request(app, client, db, clock):
    db.session.execute(db.text("INSERT INTO settings VALUES ('external_allowlist', '[\"garbage\", 5]', 0)"))
    db.session.execute(db.text("INSERT INTO settings VALUES ('external_allowlist_enabled', 'true', 0)"))
    db.session.commit()
    assert client.get("/api/summary").status_code == 200
    elsewhere = {"REMOTE_ADDR": "203.0.113.5"}
    assert client.get("/api/summary", environ_overrides=elsewhere).status_code == 403
    assert client.get("/login").status_code == 200


def test_secrets_have_the_expected_form(db):
    assert secrets.is_encrypted(secrets.encrypt("x"))
