"""The wheels, built from the source distributions and installed outside of the checkout."""

import shutil
import subprocess
import sys
import urllib.request
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import flask
import pytest
from real_server import ROOT, RealServer

pytestmark = pytest.mark.slow
pytest.importorskip("setuptools", minversion="77")

# What is not in a fresh clone, and what no distribution contains anyway.
LEFT_OUT = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "build", "dist", "data", "tests", "docs", "bench", "node_modules"
)
ASSET = next((ROOT / "app" / "static" / "css").glob("*.css"))
BUILD_SDIST = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"


# Installed separately next to duplistatus. The other plugin is an example.
PLUGINS = ("webhook", "apprise")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build_wheel(ROOT, tmp_path_factory.mktemp("distributions"))


@pytest.fixture(scope="module")
def plugin_wheels(tmp_path_factory):
    return [build_wheel(ROOT / "plugins" / name, tmp_path_factory.mktemp(name)) for name in PLUGINS]


def build_wheel(project, folder):
    """Build the source distribution of a copy of the project, and the wheel from that only."""
    shutil.copytree(project, folder / "clone", ignore=LEFT_OUT)
    subprocess.run([sys.executable, "-c", BUILD_SDIST, folder], cwd=folder / "clone", check=True, capture_output=True)
    [sdist] = folder.glob("*.tar.gz")
    pip(sys.executable, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, sdist)
    [made] = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The programs of an environment with our requirements, and the wheel instead of this checkout."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    [packages] = folder.glob("lib/python*/site-packages")
    for path in Path(flask.__file__).parents[1].iterdir():
        if path.suffix != ".pth" and not path.name.startswith(("duplistatus", "__editable__", "__pycache__")):
            (packages / path.name).symlink_to(path)
    pip(folder / "bin" / "python", "install", "--no-deps", "--no-index", wheel)
    return folder / "bin"


def pip(python, *arguments):
    command = [sys.executable, "-m", "pip", "--python", python, "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def metadata_of(wheel, name="METADATA"):
    with zipfile.ZipFile(wheel) as archive:
        [path] = [path for path in archive.namelist() if path.endswith(f".dist-info/{name}")]
        return archive.read(path).decode()


def test_wheel_declares_its_requirements(wheel):
    described = HeaderParser().parsestr(metadata_of(wheel))
    required = described.get_all("Requires-Dist")
    assert {"Flask<4,>=3.1", "click<9,>=8.2"} <= {line for line in required if "extra" not in line}
    assert not [line for line in required if line.startswith("psycopg") and "extra" not in line]
    assert set(described.get_all("Provides-Extra")) == {"postgres", "apprise", "gunicorn", "testing"}


def test_every_wheel_contains_its_licence(wheel, plugin_wheels):
    for made in (wheel, *plugin_wheels):
        assert HeaderParser().parsestr(metadata_of(made))["License-Expression"] == "Apache-2.0"
        assert "Apache License" in metadata_of(made, "licenses/LICENSE")


def test_pytest_loads_no_plugin(wheel):
    assert "pytest11" not in metadata_of(wheel, "entry_points.txt")


def test_wheel_contains_every_file_that_the_program_reads(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    kinds = ("app/**/*.py", "app/templates/**/*.html", "app/static/**/*.*", "app/translations/**/*.mo")
    kinds += tuple(f"plugins/{name}/translations/**/*.mo" for name in ("ntfy", "email", "core_charts"))
    needed = {path.relative_to(ROOT).as_posix() for kind in kinds for path in ROOT.glob(kind) if path.is_file()}
    needed |= {f"app/{path.relative_to(ROOT)}" for path in ROOT.glob("migrations/**/*.[!p]*") if path.suffix != ".pyc"}
    needed |= {f"app/{path.relative_to(ROOT)}" for path in ROOT.glob("migrations/**/*.py")}
    assert not {name for name in needed if "__pycache__" not in name} - held
    assert not [name for name in held if name.startswith("migrations/") or "tests/" in name or name.endswith(".db")]


def test_installed_wheel_serves(installed, tmp_path):
    result = subprocess.run([installed / "duplistatus", "--version"], cwd=tmp_path, capture_output=True, text=True)
    assert result.stdout.startswith("duplistatus, version ")
    server = InstalledServer(installed, tmp_path)
    try:
        assert server.request("GET", "/api/health")[1]["status"] == "healthy"
        for path, text in (("/login", "Anmelden"), (f"/static/{ASSET.relative_to(ROOT / 'app' / 'static')}", "{")):
            asked = urllib.request.Request(server.url + path, headers={"Accept-Language": "de"})
            with urllib.request.urlopen(asked) as answer:
                assert text in answer.read().decode()
    finally:
        assert server.stop() == 0
    command, environment = [installed / "duplistatus", "doctor"], {"DATA_DIR": str(tmp_path)}
    checked = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "At the newest version" in checked.stdout


def test_plugins_are_found_after_installing_their_wheels(installed, plugin_wheels, tmp_path):
    bundled = {"ntfy": "duplistatus", "email": "duplistatus", "duration": "duplistatus"}
    assert bundled.items() <= listed_plugins(installed, tmp_path).items()
    for made in plugin_wheels:
        assert "duplistatus<3,>=2" in HeaderParser().parsestr(metadata_of(made)).get_all("Requires-Dist")
        pip(installed / "python", "install", "--no-deps", "--no-index", made)
    added = {name: f"duplistatus-{name}" for name in PLUGINS}
    assert (bundled | added).items() <= listed_plugins(installed, tmp_path).items()


def listed_plugins(programs, folder):
    """Return the working plugins, each with its distribution."""
    ended = subprocess.run([programs / "duplistatus", "plugins", "list"], cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "broken" not in ended.stdout.lower()
    rows = [line.split() for line in ended.stdout.splitlines() if line.strip()]
    return {row[0]: row[-1] for row in rows}


class InstalledServer(RealServer):
    """The installed command, started in a folder without sources."""

    def __init__(self, programs, folder):
        self.command, self.folder = (str(programs / "duplistatus"), "serve"), folder
        super().__init__(folder)
