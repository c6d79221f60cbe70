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


def test_report_tells_what_was_taken_known_and_left(run, tmp_path):
    file = make_old_database(tmp_path / "old.db", runs=[old_run(), old_run(date="someday", begin_time="")])
    told = run(file)
    assert told.exit_code == 0
    assert [line.split() for line in told.output.splitlines() if line.startswith("runs")] == [
        ["runs", "2", "1", "0", "1"]
    ]
    assert "A run without a readable time was skipped." in told.output


def test_second_import_says_that_nothing_was_changed(run, tmp_path):
    file = make_old_database(tmp_path / "old.db", runs=[old_run()])
    run(file)
    assert "Nothing changed" in run(file).output


def test_refusal_is_one_sentence_and_a_status(run, tmp_path):
    file = tmp_path / "old.db"
    file.write_text("hello")
    told = run(file)
    assert told.exit_code == 1
    assert "Error: The file is not a SQLite database" in told.output
    assert "Traceback" not in told.output
