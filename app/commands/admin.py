"""The commands `duplistatus admin …`: the way back in for those who cannot sign in any more."""

import click

from app.commands.application import application_context
from app.contracts import AppError
from app.services import accounts, clock, users
from app.services.audit import Actor

SHELL = Actor(username="shell")
ACCOUNTS_SHOWN = 10_000


@click.group("admin")
def admin_group() -> None:
    """Look after accounts, also when nobody can sign in."""


@admin_group.command("list")
def list_accounts() -> None:
    """List all accounts."""
    with application_context():
        now = clock.now()
        for account in accounts.list_accounts(limit=ACCOUNTS_SHOWN).accounts:
            user = account.user
            states = [
                "administrator" if user.is_admin else "user",
                f"locked until {user.locked_until:%Y-%m-%d %H:%M} UTC" if user.is_locked(now) else "",
                "must change the password" if user.must_change_password else "",
                f"last seen {user.last_login_at:%Y-%m-%d %H:%M} UTC" if user.last_login_at else "never signed in",
            ]
            click.echo(f"{user.username:<24} {', '.join(state for state in states if state)}")


@admin_group.command("create")
@click.argument("username")
@click.option("--admin", "is_admin", is_flag=True, help="Make it an administrator.")
@click.option("--ask", is_flag=True, help="Ask for the password instead of making a temporary one.")
def create(username: str, is_admin: bool, ask: bool) -> None:
    """Make an account and print its temporary password, which has to be changed at the first sign-in."""
    password = click.prompt("Password", hide_input=True, confirmation_prompt=True) if ask else ""
    new = accounts.NewAccount(username, password, is_admin=is_admin, must_change_password=not ask)
    with application_context():
        try:
            made = accounts.create_account(new, actor=SHELL, now=clock.now())
        except AppError as error:
            raise click.ClickException(". ".join([error.message, *error.extra.get("validationErrors", ())])) from error
        click.echo(made.temporary_password or f"The account {made.user.username} was made.")


@admin_group.command("reset-password")
@click.argument("username")
@click.argument("password", required=False)
def reset_password(username: str, password: str | None) -> None:
    """Give an account a new password and open it if it is locked; its sessions end.

    Without PASSWORD it is asked for, so that it stands in no list of processes and no history of the shell.
    """
    chosen = password or click.prompt("New password", hide_input=True, confirmation_prompt=True)
    with application_context():
        users.recover_account(username, chosen, now=clock.now())
        click.echo(f"The account {username} has a new password.")


@admin_group.command("unlock")
@click.argument("username")
def unlock(username: str) -> None:
    """Open an account that too many wrong passwords have locked; its password stays."""
    with application_context():
        users.unlock_account(username, now=clock.now())
        click.echo(f"The account {username} is open.")
