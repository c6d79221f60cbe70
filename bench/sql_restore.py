"""Measures a restore of SQL dumps: many short statements, and many runs.

    python bench/sql_restore.py [statements] [runs]

Prints one line for each step of the restore.
"""

import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.audit.log import SYSTEM
from app.database import backup, inspection
from app.database import restore as database_restore
from app.demo import fill_demo
from app.plugin.testing.fixtures import running_application
from app.registry import discover

SHORT = "INSERT INTO audit_log VALUES ({}, 0, NULL, 'x', 'y', 'z', 'success', NULL, NULL, NULL, NULL, NULL, NULL);\n"


def measured(name, work, *arguments):
    """Call it and print how long it took."""
    begun = time.monotonic()
    result = work(*arguments)
    print(f"{name:<24}{time.monotonic() - begun:8.1f} s", flush=True)
    return result


def restore(name, script, folder):
    """Restore a script, and print the time of each step."""
    path = folder / "dump.sql"
    path.write_text(script)
    print(f"{name}: {path.stat().st_size / 1e6:.0f} MB, {script.count(';' + chr(10)):,} statements")
    for module, step in (
        (database_restore, "run_script"),
        (database_restore, "check_file"),
        (database_restore, "rebuild"),
    ):
        work = getattr(module, step)
        setattr(module, step, lambda *arguments, work=work, step=step: measured(f"  {step}", work, *arguments))
    measured("  in all", lambda: database_restore.restore(path, "dump.sql", actor=SYSTEM, now=datetime.now(UTC)))
    for step in ("run_script", "check_file", "rebuild"):
        setattr(database_restore, step, getattr(inspection, step))


def main(statements=1_000_000, years=6.0):
    """Measure both."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_application(folder / "data", discover()) as app, app.app_context():
            now = datetime.now(UTC)

            def dump():
                with backup.make_backup("sql", actor=SYSTEM, now=now).file as file:
                    return file.read().decode()

            script = dump()
            # After the COMMIT of the dump, each statement is a transaction of its own.
            many = "".join(SHORT.format(1000 + number) for number in range(statements))
            restore("short statements", script + many, folder)
            restore("nothing more", script, folder)
            filled = fill_demo(now - timedelta(days=365 * years), now)
            restore(f"{filled.run_count:,} runs", dump(), folder)


if __name__ == "__main__":
    main(*(kind(text) for kind, text in zip((int, float), sys.argv[1:], strict=False)))
