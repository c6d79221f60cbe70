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


def test_healthy_installation_ends_with_status_0(run):
    result = run()
    assert result.exit_code == 0
    assert result.output.endswith("No problems found.\n")


def test_problem_is_named_with_its_solution_and_ends_with_status_1(run, settings):
    (settings.data_dir / secrets.KEY_FILE).chmod(0o640)
    result = run()
    assert result.exit_code == 1
    assert "WRONG key file" in result.output
    assert "-> chmod 400" in result.output


def test_folder_writable_by_others_does_not_stop_further_checks(run, settings):
    settings.data_dir.chmod(0o777)
    result = run()
    assert (result.exit_code, "WRONG data directory" in result.output, "ok    accounts" in result.output) == (
        1,
        True,
        True,
    )


def test_doctor_changes_nothing(run, settings):
    path = settings.data_dir / secrets.KEY_FILE
    path.chmod(0o640)
    before = sorted(settings.data_dir.rglob("*"))
    run()
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(settings.data_dir.rglob("*")) == before


def test_missing_installation_is_not_created(run, settings, tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "elsewhere"))
    result = run()
    assert (result.exit_code, "does not exist" in result.output) == (1, True)
    assert not (tmp_path / "elsewhere").exists()
