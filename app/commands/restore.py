"""The command `duplistatus restore`: go back to a backup while no server runs."""

from pathlib import Path

import click

from app import database
from app.commands.application import sentences
from app.database import alone_in
from app.factory import bind
from app.registry import discover
from app.services import clock, local_backups
from app.services.database_restore import restore_stopped
from app.settings import from_environment


@click.command("restore")
@click.argument("file", required=False)
@click.option("--lose-tables", is_flag=True, help="Also where tables of plugins are lost with it.")
def restore_command(file: str | None, lose_tables: bool) -> None:
    """Replace the database by a backup: a file (.db, .sql), or one that is listed when FILE is left out.

    Stop the server before. The file is checked first, and what is here now is kept in DATA_DIR/copies. It has to be of
    this version of duplistatus or of an older one; to go back to an older version, install that one first.
    """
    with sentences():
        settings = from_environment()
        app = bind(settings, discover())
        with app.app_context():
            if file is None:
                _list()
                return
            with alone_in(settings.data_dir):
                try:
                    done = restore_stopped(_find(file), now=clock.now(), accepts_lost_tables=lose_tables)
                finally:
                    database.close(app, is_quiet=True)
    click.echo("The database was restored.")
    if done.safety_copy:
        click.echo(f"What was there before is kept as copies/{done.safety_copy}.")
    for table in (*done.tables.lost, *done.tables.left):
        click.echo(f"The table {table} of a plugin was not restored.")


def _list() -> None:
    for copy in local_backups.list_backups():
        revision = f"schema {copy.revision}" if copy.revision else ""
        click.echo(f"{copy.made_at:%Y-%m-%d %H:%M} UTC  {copy.kind:<16}  {revision:<11}  {copy.name}")


def _find(file: str) -> Path:
    """The file that is meant: a path, else the name of one of our own backups. Raises NotFound."""
    path = Path(file)
    return path if path.is_file() else local_backups.path_of(file)
