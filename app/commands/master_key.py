"""The commands `duplistatus secrets …`: what to do when the key file is lost."""

import click

from app.commands.application import application_context
from app.services import clock, secrets
from app.services.database_restore import SHELL


@click.group("secrets")
def secrets_group() -> None:
    """Look after stored passwords and their key file."""


@secrets_group.command("status")
def status() -> None:
    """Say whether the key file opens all stored passwords."""
    with application_context():
        trouble = secrets.find_trouble()
        click.echo(trouble.sentence if trouble else "The key file opens all stored passwords.")


@secrets_group.command("give-up")
@click.option("--yes", is_flag=True, help="Do not ask.")
def give_up(yes: bool) -> None:
    """Clear the stored passwords that the key file does not open; without a key file a new one is made."""
    with application_context():
        trouble = secrets.find_trouble()
        if trouble is not None and not yes:
            click.echo(f"Stored passwords of: {', '.join(trouble.owners) or 'nobody'}")
            click.confirm("Clear them for good?", abort=True)
        owners = secrets.give_up(actor=SHELL, now=clock.now())
        click.echo(f"Cleared: {', '.join(owners) or 'nothing'}. Enter the passwords again in the settings.")
