"""The command `duplistatus`: serve, and manage an installation from the shell."""

import logging
import os
import signal
import sys
import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NoReturn

import click
from flask import Flask

from app import __version__, server
from app.commands import (
    START_FAILURES,
    admin_group,
    application_context,
    doctor,
    import_command,
    keys_group,
    restore_command,
    secrets_group,
    start_sentence,
    start_status,
)
from app.config import from_environment
from app.core.db import engine
from app.demo import fill_demo
from app.factory import close_app, create_app
from app.healthcheck import healthcheck
from app.registry import discover
from app.scheduling.background import announce_stop, start_jobs

log = logging.getLogger(__name__)

# A service manager or container engine kills the process after ten seconds or more.
LONGEST_STOP_S = 8.0
# How long the process then waits for the database file, on a disk that may not respond.
LAST_FOLD_S = 1.0


@click.group()
@click.version_option(__version__, prog_name="duplistatus")
def main() -> None:
    """Monitor Duplicati backups."""


for command in (keys_group, admin_group, doctor, healthcheck, import_command, restore_command, secrets_group):
    main.add_command(command)


@main.command("serve")
def serve_command() -> None:
    """Serve the application with waitress."""
    serve()


def serve() -> None:
    """Start the application and serve it until it is stopped.

    An error at the start is printed as one sentence.
    """
    try:
        settings = from_environment()
        app = create_app(settings, start_jobs=start_jobs)
    except START_FAILURES as error:
        _give_up(error)
    log.info("duplistatus %s listens on http://%s:%d%s", __version__, settings.host, settings.port, settings.base_path)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, partial(stop, app))
    try:
        server.serve(app, settings)
    except OSError as error:
        _give_up(OSError(error.errno, error.strerror, f"{settings.host}:{settings.port}"))
    finally:
        close_app(app)


def _give_up(error: Exception) -> NoReturn:
    click.echo(f"duplistatus cannot start: {start_sentence(error)}", err=True)
    sys.exit(start_status(error))


def stop(app: Flask, *_signal: object) -> None:
    """Stop when asked by a service manager.

    Waitress finishes current requests, for up to five seconds. The process ends in time, even if a request or a
    thread does not respond.
    """
    deadline = threading.Timer(LONGEST_STOP_S, exit_now, [app])
    deadline.daemon = True
    deadline.start()
    announce_stop(app)
    sys.exit()


def exit_now(app: Flask) -> None:
    """End the process immediately.

    Uncommitted work is started again, as after a crash.
    """
    log.warning("some work did not finish within %.0f seconds after the stop", LONGEST_STOP_S)
    fold = partial(engine.checkpoint, app, timeout_s=LAST_FOLD_S)
    folding = threading.Thread(target=fold, daemon=True)
    folding.start()
    folding.join(LAST_FOLD_S)
    logging.shutdown()
    os._exit(0)


@main.command("demo")
@click.option("--years", default=2.0, show_default=True, help="Years of history to generate.")
def demo(years: float) -> None:
    """Fill an empty database with demo data: 12 servers and 30 jobs."""
    now = datetime.now(UTC)
    with application_context():
        filled = fill_demo(now - timedelta(days=365 * years), now)
    click.echo(f"Generated {filled.server_count} servers, {filled.job_count} jobs and {filled.run_count} runs.")


@main.group("plugins")
def plugins_group() -> None:
    """Inspect installed plugins."""


@plugins_group.command("list")
def list_plugins() -> None:
    """List installed plugins with their source, and those that cannot be loaded, with the reason."""
    registry = discover()
    groups = (
        ("duplistatus.api_groups", "API groups", registry.api_groups),
        ("duplistatus.notification_channels", "Notification channels", registry.channels),
        ("duplistatus.chart_providers", "Chart providers", registry.chart_providers),
        ("duplistatus.settings", "Settings", registry.settings_pages),
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
