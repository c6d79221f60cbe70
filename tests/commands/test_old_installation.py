"""The import from the shell."""

import pytest
from click.testing import CliRunner
from old_installations import make_old_database, old_run

from app.cli import main


@pytest.fixture
def run(app, settings, monkeypatch):
    """Run `duplistatus import …` on the data of `app`."""
    monkeypatch.setenv("DATA_DIR", str(settings.data_dir))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    return lambda *arguments: CliRunner().invoke(main, ["import", *map(str, arguments)])


def test_report_counts_imported_known_and_skipped_rows(run, tmp_path):
    file = make_old_database(tmp_path / "old.db", runs=[old_run(), old_run(date="someday", begin_time="")])
    result = run(file)
    assert result.exit_code == 0
    assert [line.split() for line in result.output.splitlines() if line.startswith("runs")] == [
        ["runs", "2", "1", "0", "1"]
    ]
    assert "A run without a readable time was skipped." in result.output


def test_second_import_reports_that_nothing_was_changed(run, tmp_path):
    file = make_old_database(tmp_path / "old.db", runs=[old_run()])
    run(file)
    assert "Nothing changed" in run(file).output


def test_rejection_is_one_message_and_a_status(run, tmp_path):
    file = tmp_path / "old.db"
    file.write_text("hello")
    result = run(file)
    assert result.exit_code == 1
    assert "Error: The file is not a SQLite database" in result.output
    assert "Traceback" not in result.output
