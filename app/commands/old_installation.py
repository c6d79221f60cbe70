"""The command `duplistatus import`: bring an old installation along."""

from pathlib import Path

import click

from app.commands.application import application_context
from app.services import clock
from app.services.transfer import ImportReport, import_database


@click.command("import")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--key",
    "key_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The old key file; without this option .duplistatus.key beside the database.",
)
def import_command(path: Path, key_path: Path | None) -> None:
    """Take over a database of the original duplistatus, of any version, or the data folder that holds it.

    Nothing of it is changed. The import may be broken off and started again; what is here already is not taken twice.
    """
    with application_context():
        with click.progressbar(length=1, label="Runs") as bar:

            def show(done: int, total: int) -> None:
                bar.length = total
                bar.update(done - bar.pos)

            report = import_database(path, key_path=key_path, now=clock.now(), progress=show)
        for line in report_lines(report):
            click.echo(line)


def report_lines(report: ImportReport) -> list[str]:
    """What became of the old installation, as a table and the remarks below it."""
    lines = [f"Schema version {report.schema_version}", f"{'':<16}{'found':>10}{'taken':>10}{'known':>10}{'left':>10}"]
    for kind, count in report.counts.items():
        lines.append(f"{kind:<16}{count.found:>10}{count.taken:>10}{count.known:>10}{count.left:>10}")
    for sentence, times in report.remarks.items():
        lines.append(f"{sentence}." if times == 1 else f"{sentence} ({times} times).")
    if not report.taken_count:
        lines.append("Nothing was changed: everything is here already.")
    return lines
