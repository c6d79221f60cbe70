"""The groups of commands; `app.cli` combines them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import NoReturn

import click

from app import runtime
from app.accounts import api_keys, users
from app.config import BadSetting, from_environment
from app.core.db import engine
from app.core.db.engine import CannotStart, close_connections, exclusive_access
from app.core.errors import Refused
from app.database import doctor as database_doctor
from app.database import local_backups, secrets
from app.database.doctor import Finding
from app.database.restore import SHELL, restore_stopped
from app.factory import bind, create_app
from app.legacy_import.importing import import_database
from app.legacy_import.source import ImportReport
from app.registry import PluginConflict, discover
from app.runtime import settings

# The application as commands use it.

# What prevents a start and is printed as one sentence; anything else is a bug.
START_FAILURES = (BadSetting, PluginConflict, CannotStart, OSError)


@contextmanager
def application_context() -> Iterator[None]:
    """Enter the application context without scheduled work; print errors as sentences."""
    with sentences():
        app = create_app(replace(from_environment(), run_jobs=False))
        try:
            with app.app_context():
                yield
        finally:
            engine.close(app, is_quiet=True)


@contextmanager
def sentences() -> Iterator[None]:
    """Print errors that users can correct as one sentence and set the exit status."""
    try:
        yield
    except START_FAILURES as error:
        _fail(start_sentence(error), start_status(error))
    except Refused as error:
        _fail(error.message, 1)


def start_sentence(error: Exception) -> str:
    """Return the reason why the application does not start."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def start_status(error: Exception) -> int:
    """Return the exit status.

    It is 1 if the cause may pass, 2 if another start would fail in the same way.
    """
    return error.status if isinstance(error, CannotStart) else 1 if isinstance(error, OSError) else 2


def _fail(sentence: str, status: int) -> NoReturn:
    click.echo(f"Error: {sentence}", err=True)
    sys.exit(status)


# The commands `duplistatus admin …`: recovery when nobody can sign in

ACCOUNTS_SHOWN = 10_000


@click.group("admin")
def admin_group() -> None:
    """Manage accounts, also when nobody can sign in."""


@admin_group.command("list")
def list_accounts() -> None:
    """List all accounts."""
    with application_context():
        now = runtime.now()
        for account in users.list_accounts(limit=ACCOUNTS_SHOWN).accounts:
            user = account.user
            states = [
                "administrator" if user.is_admin else "user",
                f"locked until {user.locked_until:%Y-%m-%d %H:%M} UTC" if user.is_locked(now) else "",
                "must change password" if user.must_change_password else "",
                f"last sign-in {user.last_login_at:%Y-%m-%d %H:%M} UTC" if user.last_login_at else "never signed in",
            ]
            click.echo(f"{user.username:<24} {', '.join(state for state in states if state)}")


@admin_group.command("create")
@click.argument("username")
@click.option("--admin", "is_admin", is_flag=True, help="Create an administrator.")
@click.option("--ask", is_flag=True, help="Prompt for the password instead of generating a temporary one.")
def create_account(username: str, is_admin: bool, ask: bool) -> None:
    """Create an account and print its temporary password, which must be changed at the first sign-in."""
    password = click.prompt("Password", hide_input=True, confirmation_prompt=True) if ask else ""
    new = users.NewAccount(username, password, is_admin=is_admin, must_change_password=not ask)
    with application_context():
        try:
            made = users.create_account(new, actor=SHELL, now=runtime.now())
        except Refused as error:
            raise click.ClickException(". ".join([error.message, *error.extra.get("validationErrors", ())])) from error
        click.echo(made.temporary_password or f"Created the account {made.user.username}.")


@admin_group.command("reset-password")
@click.argument("username")
@click.argument("password", required=False)
def reset_password(username: str, password: str | None) -> None:
    """Set a new password, unlock the account and end its sessions.

    Without PASSWORD the command prompts for it, so that it does not appear in process lists or the shell history.
    """
    chosen = password or click.prompt("New password", hide_input=True, confirmation_prompt=True)
    with application_context():
        users.recover_account(username, chosen, now=runtime.now())
        click.echo(f"Password of {username} changed.")


@admin_group.command("unlock")
@click.argument("username")
def unlock(username: str) -> None:
    """Unlock an account that was locked after too many wrong passwords. The password does not change."""
    with application_context():
        users.unlock_by_name(username, now=runtime.now())
        click.echo(f"Unlocked the account {username}.")


# The commands `duplistatus keys …`: API keys, also when nobody can sign in


@click.group("keys")
def keys_group() -> None:
    """Manage API keys."""


@keys_group.command("list")
def list_keys() -> None:
    """List all keys, oldest first."""
    with application_context():
        now = runtime.now()
        for key in api_keys.list_keys():
            state = "expired" if key.is_expired(now) else "enabled" if key.is_enabled else "disabled"
            until = f"until {key.expires_at:%Y-%m-%d %H:%M} UTC" if key.expires_at else ""
            click.echo(f"{key.id:>4}  {key.fingerprint}  {key.scope:<6}  {state:<8}  {key.name}  {until}".rstrip())
        click.echo(f"API keys are {'required' if api_keys.are_required() else 'not required'}.")


@keys_group.command("create")
@click.argument("name")
@click.option("--scope", type=click.Choice(api_keys.SCOPES), required=True, help="Permission of the key.")
@click.option("--last-day", type=click.DateTime(["%Y-%m-%d"]), help="Last day on which the key is valid.")
def create_key(name: str, scope: str, last_day: datetime | None) -> None:
    """Create a key and print its secret. It is shown only once."""
    with application_context():
        now = runtime.now()
        expires_at = None if last_day is None else api_keys.end_of(last_day.date(), settings().zone, now)
        click.echo(api_keys.create_key(name, scope, expires_at=expires_at, now=now, actor=SHELL).secret)


@keys_group.command("enable")
@click.argument("key_id", type=int)
def enable_key(key_id: int) -> None:
    """Enable a key."""
    with application_context():
        api_keys.set_enabled(key_id, True, now=runtime.now(), actor=SHELL)


@keys_group.command("disable")
@click.argument("key_id", type=int)
def disable_key(key_id: int) -> None:
    """Disable a key."""
    with application_context():
        api_keys.set_enabled(key_id, False, now=runtime.now(), actor=SHELL)


@keys_group.command("delete")
@click.argument("key_id", type=int)
def delete_key(key_id: int) -> None:
    """Delete a key."""
    with application_context():
        api_keys.delete_key(key_id, now=runtime.now(), actor=SHELL)


@keys_group.command("require")
@click.argument("switch", type=click.Choice(["on", "off"]))
def require_keys(switch: str) -> None:
    """Set whether API keys are required for sending reports and reading."""
    with application_context():
        api_keys.require(switch == "on", now=runtime.now(), actor=SHELL)


# The command `duplistatus restore`: restore a backup while no server runs


@click.command("restore")
@click.argument("file", required=False)
@click.option("--lose-tables", is_flag=True, help="Restore even if tables of plugins are lost.")
def restore_command(file: str | None, lose_tables: bool) -> None:
    """Replace the database by a backup: a file (.db, .sql) or the name of a listed backup. Without FILE, list backups.

    Stop duplistatus first. The file is validated, and current data is saved in DATA_DIR/copies. The backup must be of
    this version of duplistatus or of an older one; to go back to an older version, install that one first.
    """
    with sentences():
        settings = from_environment()
        app = bind(settings, discover())
        with app.app_context():
            if file is None:
                _list()
                return
            with exclusive_access(settings.data_dir):
                try:
                    done = restore_stopped(_find(file), now=runtime.now(), accepts_lost_tables=lose_tables)
                finally:
                    engine.close(app, is_quiet=True)
    click.echo("The database was restored.")
    if done.safety_copy:
        click.echo(f"The previous data was saved as copies/{done.safety_copy}.")
    for table in (*done.tables.lost, *done.tables.left):
        click.echo(f"The plugin table {table} was not restored.")


def _list() -> None:
    for copy in local_backups.list_backups():
        revision = f"schema {copy.revision}" if copy.revision else ""
        click.echo(f"{copy.made_at:%Y-%m-%d %H:%M} UTC  {copy.kind:<16}  {revision:<11}  {copy.name}")


def _find(file: str) -> Path:
    """Return the file: a path, else the name of one of our backups. Raise Refused (404)."""
    path = Path(file)
    return path if path.is_file() else local_backups.path_of(file)


# The command `duplistatus import`: import an old installation


@click.command("import")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--key",
    "key_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Key file of the older installation. Default: .duplistatus.key in the directory of the database.",
)
def import_command(path: Path, key_path: Path | None) -> None:
    """Import a database of duplistatus 1.x or earlier, or the data directory that contains it.

    The old database is not changed. An interrupted import can be started again; existing runs are skipped.
    """
    with application_context():
        with click.progressbar(length=1, label="Runs") as bar:

            def show(done: int, total: int) -> None:
                bar.length = total
                bar.update(done - bar.pos)

            report = import_database(path, key_path=key_path, now=runtime.now(), progress=show)
        for line in report_lines(report):
            click.echo(line)


def report_lines(report: ImportReport) -> list[str]:
    """Return the result of an import as a table, with the remarks below it."""
    lines = [
        f"Schema version {report.schema_version}",
        f"{'':<16}{'found':>10}{'imported':>10}{'existing':>10}{'skipped':>10}",
    ]
    for kind, count in report.counts.items():
        lines.append(f"{kind:<16}{count.found:>10}{count.taken:>10}{count.known:>10}{count.left:>10}")
    for sentence, times in report.remarks.items():
        lines.append(f"{sentence}." if times == 1 else f"{sentence} ({times} times).")
    if not report.imported_count:
        lines.append("Nothing changed: all data had already been imported.")
    return lines


# The commands `duplistatus secrets …`: what to do when the key file is lost


@click.group("secrets")
def secrets_group() -> None:
    """Manage stored passwords and their key file."""


@secrets_group.command("status")
def secrets_status() -> None:
    """Show whether the key file decrypts all stored passwords."""
    with application_context():
        problem = secrets.find_key_problem()
        click.echo(problem.sentence if problem else "The key file decrypts all stored passwords.")


@secrets_group.command("give-up")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def give_up_secrets(yes: bool) -> None:
    """Clear the stored passwords that the key file cannot decrypt. Creates a key file if there is none."""
    with application_context():
        problem = secrets.find_key_problem()
        if problem is not None and not yes:
            click.echo(f"Stored passwords of: {', '.join(problem.owners) or 'none'}")
            click.confirm("Clear them permanently?", abort=True)
        owners = secrets.clear_unreadable(actor=SHELL, now=runtime.now())
        click.echo(f"Cleared: {', '.join(owners) or 'nothing'}. Enter the passwords again in the settings.")


# The command `duplistatus doctor`: problems of this installation and their solutions


@click.command("doctor")
def doctor() -> None:
    """Check the installation. Exit status 1 if there is a problem. Writes only one row, as a write test."""
    try:
        settings = from_environment()
        findings = database_doctor.examine_files(settings)
        _show(findings)
        if not any(finding.is_final for finding in findings):
            app = bind(settings, discover())
            with app.app_context():
                further = database_doctor.examine_application(runtime.now())
            close_connections(app, is_quiet=True)
            _show(further)
            findings += further
    except (BadSetting, PluginConflict) as error:
        raise click.ClickException(str(error)) from error
    wrong = sum(finding.is_wrong for finding in findings)
    click.echo(f"{wrong} of {len(findings)} checks found a problem." if wrong else "No problems found.")
    if wrong:
        sys.exit(1)


def _show(findings: list[Finding]) -> None:
    for finding in findings:
        click.echo(f"{'WRONG' if finding.is_wrong else 'ok':<6}{finding.subject:<16}{finding.text}")
        if finding.is_wrong:
            click.echo(f"{'':<22}-> {finding.advice}")
