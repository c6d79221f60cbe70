"""The command `duplistatus`."""

import ctypes
import os
import runpy
import shutil
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import main
from app.config import Settings

ROOT = Path(__file__).resolve().parents[1]
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1  # of linux/prctl.h and linux/capability.h
COMMAND = [sys.executable, "-c", "from app.cli import main; main()"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command on its own data directory; return the exit status, and all output."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))

    def run(*arguments, **environment):
        result = CliRunner().invoke(main, arguments, env=environment)
        return result.exit_code, result.output

    return run


def test_plugins_are_listed_with_their_source(run):
    status, output = run("plugins", "list")
    assert status == 0
    for name in ("ntfy", "email", "uploadedSize", "upload"):
        [line] = [line for line in output.splitlines() if line.split()[:1] == [name]]
        assert line.split()[-1] == "duplistatus"


def test_demo_fills_an_empty_database_and_rejects_a_second_time(run):
    status, output = run("demo", "--years", "0.05")
    assert (status, "12 servers, 30 jobs" in output) == (0, True)
    status, output = run("demo", "--years", "0.05")
    assert (status, "a demo requires an empty one (see DATA_DIR)" in output) == (1, True)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "value"), [("PORT", "high"), ("TZ", "Mars")])
@pytest.mark.parametrize("command", [[*COMMAND, "serve"], [sys.executable, "wsgi.py"]], ids=["serve", "wsgi"])
def test_server_with_an_invalid_value_does_not_start_and_names_it(tmp_path, command, name, value, pytestconfig):
    environment = {**os.environ, "DATA_DIR": str(tmp_path), name: value}
    ended = subprocess.run(command, env=environment, cwd=pytestconfig.rootpath, capture_output=True, text=True)
    assert (ended.returncode, f"{name}='{value}'" in ended.stderr) == (2, True)
    assert "Traceback" not in ended.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_an_invalid_database_address_is_named_without_its_password(tmp_path, pytestconfig):
    environment = {**os.environ, "DATA_DIR": str(tmp_path), "DATABASE_URL": "mysql://x:Secret7Word@h/d"}
    command = [*COMMAND, "serve"]
    ended = subprocess.run(command, env=environment, cwd=pytestconfig.rootpath, capture_output=True, text=True)
    assert (ended.returncode, "DATABASE_URL" in ended.stderr) == (2, True)
    assert "Secret7Word" not in ended.stdout + ended.stderr


def test_other_commands_name_an_invalid_value_too(run):
    status, output = run("demo", PORT="high")
    assert (status != 0, "PORT='high'" in output) == (True, True)


def obey_permissions() -> None:
    """Let even root respect the permissions of files, like the usual user of the server."""
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)


@pytest.mark.slow
class TestFailingStart:
    """One line and an exit status: 1 if another start may succeed, 2 if an administrator must act first."""

    @pytest.fixture
    def start(self, pytestconfig):
        def start(data_dir, command=(*COMMAND, "serve"), **environment):
            values = {"PATH": os.environ["PATH"], "DATA_DIR": str(data_dir), "TZ": "UTC", "PORT": "0", **environment}
            ended = subprocess.run(
                command,
                env=values,
                cwd=pytestconfig.rootpath,
                capture_output=True,
                text=True,
                timeout=60,
                preexec_fn=obey_permissions,
            )
            assert "Traceback" not in ended.stderr
            *_log, sentence = ended.stderr.strip().splitlines()
            return ended.returncode, sentence

        return start

    @pytest.fixture
    def data(self, tmp_path):
        folder = tmp_path / "data"
        folder.mkdir()
        return folder

    @pytest.mark.parametrize("command", [(*COMMAND, "serve"), (sys.executable, "wsgi.py"), (*COMMAND, "admin", "list")])
    def test_folder_that_cannot_be_created(self, start, data, command):
        (data / "file").touch()
        status, sentence = start(data / "file" / "data", command)
        assert (status, "Not a directory" in sentence, str(data / "file") in sentence) == (1, True, True)

    def test_folder_that_cannot_be_written(self, start, data):
        data.chmod(0o555)
        status, sentence = start(data)
        assert (status, "Permission denied" in sentence, str(data) in sentence) == (1, True, True)

    def test_database_that_cannot_be_written(self, start, data, prepared):
        shutil.copy(prepared(Settings(admin_password="Correct7Horse")), data)
        (data / "duplistatus.db").chmod(0o444)
        status, sentence = start(data)
        assert (status, "readonly" in sentence, "duplistatus.db" in sentence) == (1, True, True)

    def test_file_that_is_no_database(self, start, data):
        (data / "duplistatus.db").write_bytes(b"no database at all " * 1000)
        status, sentence = start(data)
        assert (status, "not a database" in sentence, "docs/recovery.md" in sentence) == (2, True, True)

    def test_database_of_a_newer_version(self, start, data, prepared):
        shutil.copy(prepared(Settings(admin_password="Correct7Horse")), data)
        with closing(sqlite3.connect(data / "duplistatus.db", isolation_level=None)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        for path in data.glob("duplistatus.db-*"):
            path.unlink()
        status, sentence = start(data)
        assert (status, "newer version" in sentence, str(data / "copies") in sentence) == (2, True, True)

    def test_postgresql_that_is_not_running(self, start, data):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
            status, sentence = start(data, DATABASE_URL=f"postgresql://me:S3cret@127.0.0.1:{port}/x")
        assert (status, "127.0.0.1" in sentence, "S3cret" in sentence) == (1, True, False)

    def test_port_in_use(self, start, data):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            status, sentence = start(data, HOST="127.0.0.1", PORT=str(taken.getsockname()[1]))
        assert (status, "Address already in use" in sentence) == (1, True)


def load_wsgi(monkeypatch, name):
    """Run wsgi.py under a name; return its variables, and how many applications it created."""
    asked = []
    monkeypatch.setattr(
        "app.factory.create_app", lambda *_arguments, **_options: asked.append("object") or "application"
    )
    monkeypatch.setattr("app.cli.serve", lambda: asked.append("server"))
    return runpy.run_path(str(ROOT / "wsgi.py"), run_name=name), asked


@pytest.mark.parametrize("name", ["wsgi", "_mod_wsgi_0815", "uwsgi_file_wsgi_py"])
def test_wsgi_servers_find_the_application_under_both_names(monkeypatch, name):
    found, asked = load_wsgi(monkeypatch, name)
    assert (found["application"], found["app"], asked) == ("application", "application", ["object"])


def test_the_script_serves_and_creates_no_second_application(monkeypatch):
    found, asked = load_wsgi(monkeypatch, "__main__")
    assert (asked, "application" in found) == (["server"], False)
