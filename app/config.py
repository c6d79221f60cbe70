"""Deployment settings: the environment, read once into a frozen value.

An invalid one stops the start.
"""

import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

Value = TypeVar("Value")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT_PASSWORD = "Duplistatus09"  # noqa: S105 (the documented initial password, refused as a new one)
TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off", ""})
# Variables that are or may contain secrets, and are never shown.
SECRET_VARIABLES = frozenset({"DATABASE_URL", "ADMIN_PASSWORD", "DUPLISTATUS_PUBLIC_URL"})


class BadSetting(ValueError):
    """An environment variable is invalid; the message names it."""


@dataclass(frozen=True)
class Settings:
    """Deployment settings. The names of the variables are in `from_environment`."""

    host: str = "0.0.0.0"  # noqa: S104 (a monitor that other machines report to)
    port: int = 9666
    threads: int = 8
    data_dir: Path = Path("data")
    import_from: Path | None = None
    database_url: str = field(default="", repr=False)
    timezone: str = "UTC"
    language: str = ""
    admin_password: str = field(default="", repr=False)
    secure_cookies: bool = False
    trusted_proxies: tuple[Network, ...] = ()
    admin_allowlist_enabled: bool | None = None
    admin_allowlist: tuple[Network, ...] | None = None
    external_allowlist_enabled: bool | None = None
    external_allowlist: tuple[Network, ...] | None = None
    public_url: str = field(default="", repr=False)
    base_path: str = ""
    password_min_length: int = 8
    password_classes_enforced: bool = True
    max_upload_bytes: int = 16 * 1024 * 1024
    uploads_per_minute: int = 300
    upload_burst: int = 100
    log_level: str = "INFO"
    debug: bool = False
    run_jobs: bool = True
    uses_proxies: bool = False
    testing: bool = field(default=False, repr=False)

    @property
    def database(self) -> str:
        """The SQLAlchemy URL of the database."""
        return self.database_url or f"sqlite:///{self.data_dir.resolve() / 'duplistatus.db'}"

    @cached_property
    def zone(self) -> ZoneInfo:
        """The time zone of notifications, and of log lines without one."""
        return ZoneInfo(self.timezone)


def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Raise BadSetting, which names the variable, for an invalid value.
    """
    values = os.environ if environment is None else environment

    def read(name: str, default: Value, parse: Callable[[str], Value]) -> Value:
        text = values.get(name, "").strip()
        if not text:
            return default
        try:
            return parse(text)
        except ValueError as error:
            if name in SECRET_VARIABLES:
                raise BadSetting(f"{name}=…: {error}") from None
            raise BadSetting(f"{name}={text!r}: {error}") from error

    return Settings(
        host=read("HOST", Settings.host, str),
        port=read("PORT", Settings.port, whole_number(0, 65535)),
        threads=read("THREADS", Settings.threads, whole_number(1, 64)),
        data_dir=read("DATA_DIR", Settings.data_dir, Path),
        import_from=read("IMPORT_FROM", None, Path),
        database_url=read("DATABASE_URL", "", database_url),
        timezone=read("TZ", system_timezone(), timezone),
        language=read("LANG", "", lambda text: text.split(".")[0].replace("_", "-")),
        admin_password=read("ADMIN_PASSWORD", "", str),
        secure_cookies=read("SECURE_COOKIES", False, boolean),
        trusted_proxies=read("IP_TRUSTED_PROXIES", (), networks),
        admin_allowlist_enabled=read("ADMIN_IP_ALLOWLIST_ENABLED", None, boolean),
        admin_allowlist=read("ADMIN_IP_ALLOWLIST", None, networks),
        external_allowlist_enabled=read("EXTERNAL_API_IP_ALLOWLIST_ENABLED", None, boolean),
        external_allowlist=read("EXTERNAL_API_IP_ALLOWLIST", None, networks),
        public_url=read("DUPLISTATUS_PUBLIC_URL", "", http_url),
        base_path=read("BASE_PATH", "", base_path),
        password_min_length=read("PWD_MIN_LEN", 8, leading_number),
        password_classes_enforced=read("PWD_ENFORCE", True, lambda text: text.lower() != "false"),
        max_upload_bytes=read("UPLOAD_MAX_MIB", 16, whole_number(1, 1024)) * 1024 * 1024,
        uploads_per_minute=read("UPLOAD_RATE_PER_MINUTE", 300, whole_number(1, 1_000_000)),
        upload_burst=read("UPLOAD_RATE_BURST", 100, whole_number(1, 1_000_000)),
        log_level=read("LOG_LEVEL", "INFO", log_level),
        debug=read("FLASK_DEBUG", False, boolean),
        run_jobs=read("RUN_JOBS", True, boolean),
        uses_proxies=read("USE_PROXY", False, boolean),
    )


def boolean(text: str) -> bool:
    """Parse yes or no in its usual spellings."""
    word = text.lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ValueError("expected true or false")


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Return a parser of whole numbers within bounds, both included."""

    def parse(text: str) -> int:
        number = int(text) if text.lstrip("-").isdigit() else None
        if number is None or not least <= number <= most:
            raise ValueError(f"expected a whole number from {least} to {most}")
        return number

    return parse


def leading_number(text: str) -> int:
    """Parse leading digits; 8 for anything below 1 or without digits.

    Source: docs/compatibility/authentication-and-users.md#password-policy.
    """
    digits = ""
    for char in text:
        if not char.isdigit():
            break
        digits += char
    return int(digits) if digits and int(digits) >= 1 else 8


def networks(text: str) -> tuple[Network, ...]:
    """Parse addresses and CIDR ranges, separated by commas or blanks."""
    return tuple(ipaddress.ip_network(part, strict=False) for part in text.replace(",", " ").split())


def timezone(text: str) -> str:
    """Check the name of an IANA time zone.

    A leading colon, which POSIX allows, is removed.
    """
    name = text.removeprefix(":")
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError) as error:
        raise ValueError("unknown time zone") from error
    return name


def system_timezone() -> str:
    """Return the zone of the machine, from the link that Debian and most others have.

    Else UTC.
    """
    target = os.path.realpath("/etc/localtime")
    name = target.partition("zoneinfo/")[2]
    try:
        return timezone(name) if name else "UTC"
    except ValueError:
        return "UTC"


def database_url(text: str) -> str:
    """Accept the URLs of the two databases that we test."""
    if text.startswith("postgres://"):
        text = "postgresql://" + text.removeprefix("postgres://")
    if text.startswith("postgresql://"):
        text = "postgresql+psycopg://" + text.removeprefix("postgresql://")
    if not text.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise ValueError("expected sqlite:///… or postgresql+psycopg://…")
    # Imported here, since the health check of containers reads the settings each minute and does not need it.
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        make_url(text)
    except (ArgumentError, ValueError):
        # The message of the exception repeats parts of the URL, which may be parts of the password.
        sentence = "is not a database URL; characters such as @ / : in the password must be percent-encoded"
        raise ValueError(sentence) from None
    if text.startswith("postgresql"):
        require_postgresql_driver()
    return text


def require_postgresql_driver() -> None:
    """Raise ValueError if the driver for PostgreSQL, an extra, is missing or unusable."""
    try:
        import_module("psycopg")
    except ImportError as error:
        raise ValueError("PostgreSQL needs a package that is not installed: pip install 'psycopg[binary]'") from error


def http_url(text: str) -> str:
    """Check the scheme of a URL and remove the final slash."""
    if not text.startswith(("http://", "https://")):
        raise ValueError("expected a URL that starts with http:// or https://")
    return text.rstrip("/")


def base_path(text: str) -> str:
    """Normalize the base path.

    "" for the root, else "/path" without a final slash.
    """
    path = "/" + text.strip("/")
    return "" if path == "/" else path


def log_level(text: str) -> str:
    """Check the name of a log level."""
    name = text.upper()
    if name not in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
        raise ValueError("expected DEBUG, INFO, WARNING, ERROR or CRITICAL")
    return name
