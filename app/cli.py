"""The command `duplistatus`: serve, and look after an installation from the shell."""

import logging
import os
import signal
import sys
import threading
from datetime import UTC, datetime, timedelta
from functools import partial

import click
from flask import Flask

from app import __version__, server
from app.commands.admin import admin_group
from app.commands.application import application_context
from app.commands.doctor import doctor
from app.commands.keys import keys_group
from app.commands.old_installation import import_command
from app.factory import create_app
from app.jobs import announce_stop, stop_jobs
from app.registry import PluginConflict, discover
from app.services.demo import fill_demo
from app.settings import BadSetting, from_environment

log = logging.getLogger(__name__)

# A service manager or a container engine kills after ten seconds or more.
LONGEST_STOP_S = 8.0


@click.group()
@click.version_option(__version__, prog_name="duplistatus")
def main() -> None:
    """Watch Duplicati backups."""


for command in (keys_group, admin_group, doctor, import_command):
    main.add_command(command)


@main.command("serve")
def serve_command() -> None:
    """Serve the application with waitress."""
    serve()


def serve() -> None:
    """Start the application and serve it until it is stopped; ends with status 2 and one sentence on bad settings."""
    try:
        settings = from_environment()
        app = create_app(settings)
    except (BadSetting, PluginConflict) as error:
        click.echo(f"duplistatus cannot start: {error}", err=True)
        sys.exit(2)
    log.info("duplistatus %s listens on http://%s:%d%s", __version__, settings.host, settings.port, settings.base_path)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, partial(stop, app))
    server.serve(app, settings)
    stop_jobs(app)


def stop(app: Flask, *_signal: object) -> None:
    """End as a service manager asks for: waitress finishes the requests under way, for five seconds.

    Whatever hangs then, a request or a thread that Python waits for at its end, the process ends in time.
    """
    deadline = threading.Timer(LONGEST_STOP_S, leave)
    deadline.daemon = True
    deadline.start()
    announce_stop(app)
    sys.exit()


def leave() -> None:
    """End the process at once. Nothing is lost: what was not committed is begun anew, as after a crash."""
    log.warning("some work did not end within %.0f seconds of the stop", LONGEST_STOP_S)
    logging.shutdown()
    os._exit(0)


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
