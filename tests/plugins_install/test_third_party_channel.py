"""A channel of a third party that is installed is listed and used, with no change to our tree."""

import json
import os
import sqlite3
import subprocess
import sys
import sysconfig
from contextlib import closing
from pathlib import Path
from zipfile import ZipFile

import pytest
from factories import report_body

from app.plugin.testing.http_servers import recording_server

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
DIST_INFO = "duplistatus_doorbell-1.0.dist-info"
METADATA = "Metadata-Version: 2.1\nName: duplistatus-doorbell\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
ENTRY_POINTS = "[duplistatus.notification_channels]\ndoorbell = doorbell:DoorbellChannel\n"
MODULE = '''
from marshmallow import Schema, fields

from app.plugin import HttpChannel, Message


class DoorbellSettings(Schema):
    url = fields.Url(required=True, require_tld=False, metadata={"label": "Address of the bell"})


class DoorbellChannel(HttpChannel):
    """Rings a bell."""

    name, label = "doorbell", "Doorbell"
    Settings = DoorbellSettings

    def send(self, message: Message) -> None:
        self.post(self.settings["url"], json={"ring": message.title})
'''
# What a user does through pages and uploads, in one process of the new environment.
USE = """
import sys
from pathlib import Path
from app import runtime
from app.audit.log import Actor
from app.config import Settings
from app.factory import create_app
from app.notifications import channels, delivery
from app.reports import ingest

app = create_app(Settings(data_dir=Path(sys.argv[1]), run_jobs=False, admin_password="Correct7Horse"))
with app.app_context():
    channels.save_settings("doorbell", "front door", {"url": sys.argv[2]}, now=runtime.now())
    ingest.receive_report(sys.stdin.buffer.read(), now=runtime.now(), actor=Actor())
    delivery.deliver_due(runtime.now())
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The Python of a new virtual environment with our libraries and the plugin."""
    folder = tmp_path_factory.mktemp("guest")
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    python = venv / "bin" / "python"
    packages = subprocess.check_output([python, "-c", "import site; print(site.getsitepackages()[0])"], text=True)
    # Also runs the .pth files that our environment has itself, among them the one of our own source.
    ours = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    Path(packages.strip(), "of_the_project.pth").write_text(ours)
    install = ["-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheel(folder)]
    ended = subprocess.run([python, *install], capture_output=True, text=True, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return python


def wheel(folder: Path) -> Path:
    """The plugin as its author would publish it; built by hand, since no tool for that need be installed."""
    path = folder / "duplistatus_doorbell-1.0-py3-none-any.whl"
    files = {"METADATA": METADATA, "WHEEL": WHEEL, "entry_points.txt": ENTRY_POINTS, "RECORD": ""}
    with ZipFile(path, "w") as archive:
        archive.writestr("doorbell.py", MODULE)
        for name, content in files.items():
            archive.writestr(f"{DIST_INFO}/{name}", content)
    return path


def run(python: Path, *arguments, **options) -> subprocess.CompletedProcess:
    variables = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    options.setdefault("cwd", python.parent)
    return subprocess.run([python, *arguments], capture_output=True, env=variables | {"TZ": "UTC"}, **options)


def test_plugin_is_listed_with_its_distribution(environment):
    ended = run(environment, "-c", "from app.cli import main; main()", "plugins", "list", text=True)
    [line] = [line for line in ended.stdout.splitlines() if line.split()[:1] == ["doorbell"]]
    assert line.split()[-1] == "duplistatus-doorbell"
    assert ended.returncode == 0, ended.stderr


def test_plugin_receives_messages(environment, tmp_path):
    with recording_server() as bell:
        ended = run(environment, "-c", USE, tmp_path, bell.url, input=report_body(result="Error", job_name="photos"))
        assert ended.returncode == 0, ended.stderr
        [ring] = [json.loads(request.body) for request in bell.received]
    assert "photos" in ring["ring"]
    with closing(sqlite3.connect(tmp_path / "duplistatus.db")) as database:
        statement = "SELECT state FROM deliveries JOIN channels ON channels.id = channel_id WHERE kind = 'doorbell'"
        assert database.execute(statement).fetchall() == [("delivered",)]


def test_our_own_environment_is_unchanged(environment):
    ended = subprocess.run([sys.executable, "-c", "import doorbell"], capture_output=True, cwd=ROOT)
    assert ended.returncode != 0
