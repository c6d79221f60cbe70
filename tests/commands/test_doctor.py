"""The doctor from the shell."""

import pytest
from click.testing import CliRunner

from app.cli import main
from app.database import secrets


@pytest.fixture
def run(app, settings, monkeypatch):
    """Run `duplistatus doctor` on the data of `app`."""
    monkeypatch.setenv("DATA_DIR", str(settings.data_dir))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    return lambda: CliRunner().invoke(main, ["doctor"])


def test_installation_that_is_well_ends_with_status_0(run):
    told = run()
    assert told.exit_code == 0
    assert told.output.endswith("No problems found.\n")


def test_trouble_is_named_with_what_to_do_and_ends_with_status_1(run, settings):
    (settings.data_dir / secrets.KEY_FILE).chmod(0o640)
    told = run()
    assert told.exit_code == 1
    assert "WRONG key file" in told.output
    assert "-> chmod 400" in told.output


def test_folder_that_others_can_write_is_no_reason_to_look_no_further(run, settings):
    settings.data_dir.chmod(0o777)
    told = run()
    assert (told.exit_code, "WRONG data directory" in told.output, "ok    accounts" in told.output) == (1, True, True)


def test_doctor_puts_nothing_right_by_itself(run, settings):
    path = settings.data_dir / secrets.KEY_FILE
    path.chmod(0o640)
    before = sorted(settings.data_dir.rglob("*"))
    run()
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(settings.data_dir.rglob("*")) == before


def test_missing_installation_is_not_made(run, settings, tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "elsewhere"))
    told = run()
    assert (told.exit_code, "does not exist" in told.output) == (1, True)
    assert not (tmp_path / "elsewhere").exists()
