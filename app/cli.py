"""The command `duplistatus`: serve, and look after an installation from the shell."""

import logging
import signal
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import NoReturn

import click
import waitress
from flask import Flask

from app import __version__, database
from app.commands.admin import admin_group
from app.commands.application import START_FAILURES, application_context, start_sentence, start_status
from app.commands.doctor import doctor
from app.commands.keys import keys_group
from app.commands.master_key import secrets_group
from app.commands.old_installation import import_command
from app.commands.restore import restore_command
from app.factory import create_app
from app.jobs import stop_jobs
from app.registry import discover
from app.services.demo import fill_demo
from app.settings import Settings, from_environment

log = logging.getLogger(__name__)


@click.group()
@click.version_option(__version__, prog_name="duplistatus")
def main() -> None:
    """Watch Duplicati backups."""


for command in (keys_group, admin_group, doctor, import_command, restore_command, secrets_group):
    main.add_command(command)


@main.command("serve")
def serve_command() -> None:
    """Serve the application with waitress."""
    serve()


def serve() -> None:
    """Start the application and serve it until it is stopped; what keeps it from starting is told in one sentence."""
    try:
        settings = from_environment()
        app = create_app(settings)
    except START_FAILURES as error:
        _give_up(error)
    log.info("duplistatus %s listens on http://%s:%d%s", __version__, settings.host, settings.port, settings.base_path)
    signal.signal(signal.SIGTERM, stop)
    try:
        waitress.serve(app, **waitress_options(settings))
    except OSError as error:
        _give_up(OSError(error.errno, error.strerror, f"{settings.host}:{settings.port}"))
    finally:
        close_database(app)


def _give_up(error: Exception) -> NoReturn:
    click.echo(f"duplistatus cannot start: {start_sentence(error)}", err=True)
    sys.exit(start_status(error))


def close_database(app: Flask) -> None:
    """End scheduled work, then let go of the database, so that nothing of it is left beside its file."""
    stop_jobs(app)
    # A request that took longer than the five seconds may still be looking at it.
    database.close(app, is_quiet=not any(thread.name.startswith("waitress") for thread in threading.enumerate()))


def stop(*_signal: object) -> None:
    """End as a service manager asks for: waitress finishes the requests under way, for five seconds."""
    sys.exit()


def waitress_options(settings: Settings) -> dict[str, object]:
    """How waitress serves us; the bench uses the same options for its bare comparison."""
    return {
        "host": settings.host,
        "port": settings.port,
        "threads": settings.threads,
        "ident": None,
        "channel_timeout": 60,
        "connection_limit": 500,
        "max_request_body_size": 256 * 1024 * 1024,
        "clear_untrusted_proxy_headers": False,  # the application reads them itself, from trusted peers only
        "url_scheme": "http",
    }


@main.command("demo")
@click.option("--years", default=2.0, show_default=True, help="How much history to invent.")
def demo(years: float) -> None:
    """Fill an empty database with 12 invented servers and 30 jobs, to try the product."""
    now = datetime.now(UTC)
    with application_context():
        filled = fill_demo(now - timedelta(days=365 * years), now)
    click.echo(f"Invented {filled.server_count} servers, {filled.job_count} jobs and {filled.run_count} runs.")


@main.group("plugins")
def plugins_group() -> None:
    """Look at installed plugins."""


@plugins_group.command("list")
def list_plugins() -> None:
    """List what is installed, from where, and what is broken and why."""
    registry = discover()
    groups = (
        ("duplistatus.api_groups", "API groups", registry.api_groups),
        ("duplistatus.notification_channels", "Notification channels", registry.channels),
        ("duplistatus.chart_providers", "Chart providers", registry.chart_providers),
    )
    for group, title, plugins in groups:
        click.echo(title)
        for name, plugin in plugins.items():
            label = getattr(plugin, "label", None) or getattr(plugin, "summary", "")
            click.echo(f"  {name:<18} {label:<42} {registry.sources[group, name]}")
    for broken in registry.broken:
        click.echo(f"BROKEN  {broken.name} ({broken.kind}) of {broken.distribution}: {broken.reason}", err=True)
    if registry.broken:
        sys.exit(1)
