"""The environment is read once; an invalid value names its variable."""

import sys
from ipaddress import ip_network
from pathlib import Path

import pytest

from app.config import BadSetting, Settings, from_environment


def test_empty_environment_has_the_documented_defaults():
    settings = from_environment({})
    assert (settings.host, settings.port, settings.data_dir) == ("0.0.0.0", 9666, Path("data"))
    assert settings.max_upload_bytes == 16 * 1024 * 1024
    assert (settings.uploads_per_minute, settings.upload_burst) == (300, 100)
    assert (settings.secure_cookies, settings.trusted_proxies, settings.base_path) == (False, (), "")


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("PORT", " 8080 ", "port", 8080),
        ("SECURE_COOKIES", "Yes", "secure_cookies", True),
        ("SECURE_COOKIES", "off", "secure_cookies", False),
        ("IP_TRUSTED_PROXIES", "10.0.0.1, ::1/128", "trusted_proxies", (ip_network("10.0.0.1"), ip_network("::1"))),
        ("ADMIN_IP_ALLOWLIST_ENABLED", "false", "admin_allowlist_enabled", False),
        ("BASE_PATH", "/backup/", "base_path", "/backup"),
        ("BASE_PATH", "/", "base_path", ""),
        ("DUPLISTATUS_PUBLIC_URL", "https://x.example/", "public_url", "https://x.example"),
        ("DATABASE_URL", "postgres://u@h/d", "database_url", "postgresql+psycopg://u@h/d"),
        ("TZ", ":Europe/Berlin", "timezone", "Europe/Berlin"),
        ("LANG", "pt_BR.UTF-8", "language", "pt-BR"),
        ("PWD_MIN_LEN", "12abc", "password_min_length", 12),
        ("PWD_MIN_LEN", "0", "password_min_length", 8),
        ("UPLOAD_MAX_MIB", "5", "max_upload_bytes", 5 * 1024 * 1024),
        ("LOG_LEVEL", "debug", "log_level", "DEBUG"),
        ("PORT", "", "port", 9666),
    ],
)
def test_variable_is_parsed(name, text, field, value):
    assert getattr(from_environment({name: text}), field) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PORT", "high"),
        ("PORT", "65536"),
        ("PORT", "²"),
        ("SECURE_COOKIES", "maybe"),
        ("IP_TRUSTED_PROXIES", "10.0.0.300"),
        ("EXTERNAL_API_IP_ALLOWLIST", "everybody"),
        ("DUPLISTATUS_PUBLIC_URL", "example.org"),
        ("DATABASE_URL", "mysql://h/d"),
        ("TZ", "Mars/Olympus"),
        ("TZ", "../../etc/passwd"),
        ("LOG_LEVEL", "LOUD"),
        ("UPLOAD_MAX_MIB", "0"),
        ("THREADS", "0"),
    ],
)
def test_invalid_value_names_its_variable(name, text):
    with pytest.raises(BadSetting, match=f"^{name}="):
        from_environment({name: text})


def test_settings_are_immutable():
    with pytest.raises(AttributeError):
        Settings().port = 1


def test_database_is_a_file_in_the_data_directory_by_default(tmp_path):
    assert Settings(data_dir=tmp_path).database == f"sqlite:///{tmp_path}/duplistatus.db"
    assert Settings(database_url="postgresql+psycopg://h/d").database == "postgresql+psycopg://h/d"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DATABASE_URL", "mysql://x:Secret7Word@h/d"),
        ("DATABASE_URL", "postgresql://x:Secret7Word@h:Secret7Word/d"),
        ("DATABASE_URL", "postgresql://x:a/Secret7Word:b@h/d"),
        ("DATABASE_URL", "Secret7Word"),
        ("DUPLISTATUS_PUBLIC_URL", "ftp://x:Secret7Word@h/"),
    ],
)
def test_no_value_that_may_contain_a_secret_is_printed(name, text):
    try:
        shown = repr(from_environment({name: text}))
    except BadSetting as error:
        shown = str(error)
        assert name in shown
    assert "Secret7Word" not in shown


def test_settings_are_shown_without_their_secrets():
    assert "Secret7Word" not in repr(from_environment({"ADMIN_PASSWORD": "Secret7Word"}))


@pytest.mark.parametrize("address", ["postgres://u:secret@h/d", "postgresql+psycopg://h/d"])
def test_postgresql_without_its_package_is_reported_in_one_line(monkeypatch, address):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(BadSetting, match=r"^DATABASE_URL=…: .*pip install 'psycopg\[binary\]'$") as error:
        from_environment({"DATABASE_URL": address})
    assert "secret" not in str(error.value)
    assert from_environment({"DATABASE_URL": "sqlite:////tmp/d.db"}).database == "sqlite:////tmp/d.db"
