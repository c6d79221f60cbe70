"""The command `duplistatus doctor`: what is wrong with this installation, and what to do."""

import sys

import click

from app.factory import bind
from app.jobs.forks import close_connections
from app.registry import PluginConflict, discover
from app.services import checkup, clock
from app.services.checkup import Finding
from app.settings import BadSetting, from_environment


@click.command("doctor")
def doctor() -> None:
    """Look the installation over; status 1 when something is wrong. Writes nothing but a row that shows that it can."""
    try:
        settings = from_environment()
        findings = checkup.examine_files(settings)
        _show(findings)
        if not any(finding.is_final for finding in findings):
            app = bind(settings, discover())
            with app.app_context():
                further = checkup.examine_application(clock.now())
            close_connections(app)
            _show(further)
            findings += further
    except (BadSetting, PluginConflict) as error:
        raise click.ClickException(str(error)) from error
    wrong = sum(finding.is_wrong for finding in findings)
    click.echo(f"{wrong} of {len(findings)} findings need your attention." if wrong else "Everything is well.")
    if wrong:
        sys.exit(1)


def _show(findings: list[Finding]) -> None:
    for finding in findings:
        click.echo(f"{'WRONG' if finding.is_wrong else 'ok':<6}{finding.subject:<16}{finding.text}")
        if finding.is_wrong:
            click.echo(f"{'':<22}-> {finding.advice}")
