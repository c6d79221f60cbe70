"""The command `duplistatus`, as it is typed."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from app.cli import main

COMMAND = [sys.executable, "-c", "from app.cli import main; main()"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a command on a data directory of its own; gives the exit status, and all that was said."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))

    def run(*arguments, **environment):
        result = CliRunner().invoke(main, arguments, env=environment)
        return result.exit_code, result.output

    return run


def test_plugins_are_listed_with_their_source(run):
    status, said = run("plugins", "list")
    assert status == 0
    for name in ("ntfy", "email", "uploadedSize", "upload"):
        [line] = [line for line in said.splitlines() if line.split()[:1] == [name]]
        assert line.split()[-1] == "duplistatus"


def test_demo_fills_an_empty_database_and_refuses_a_second_time(run):
    status, said = run("demo", "--years", "0.05")
    assert (status, "12 servers, 30 jobs" in said) == (0, True)
    status, said = run("demo", "--years", "0.05")
    assert (status, "holds data already" in said) == (1, True)


@pytest.mark.parametrize(("name", "value"), [("PORT", "high"), ("TZ", "Mars")])
@pytest.mark.parametrize("command", [[*COMMAND, "serve"], [sys.executable, "wsgi.py"]], ids=["serve", "wsgi"])
def test_server_does_not_start_with_a_bad_value_and_names_it(tmp_path, command, name, value, pytestconfig):
    environment = {**os.environ, "DATA_DIR": str(tmp_path), name: value}
    ended = subprocess.run(command, env=environment, cwd=pytestconfig.rootpath, capture_output=True, text=True)
    assert (ended.returncode, f"{name}='{value}'" in ended.stderr) == (2, True)
    assert "Traceback" not in ended.stderr
    assert not list(tmp_path.iterdir())


def test_a_bad_database_address_is_named_without_its_password(tmp_path, pytestconfig):
    environment = {**os.environ, "DATA_DIR": str(tmp_path), "DATABASE_URL": "mysql://x:Secret7Word@h/d"}
    command = [*COMMAND, "serve"]
    ended = subprocess.run(command, env=environment, cwd=pytestconfig.rootpath, capture_output=True, text=True)
    assert (ended.returncode, "DATABASE_URL" in ended.stderr) == (2, True)
    assert "Secret7Word" not in ended.stdout + ended.stderr


def test_other_commands_name_a_bad_value_too(run):
    status, said = run("demo", PORT="high")
    assert (status != 0, "PORT='high'" in said) == (True, True)
