"""The manual is sufficient for a new author: its code is put into files, tested with the kit, and installed."""

import importlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from app.web.plugin_texts import translate_plugin_text

ROOT = Path(__file__).parents[2]
MANUAL = ROOT / "docs" / "plugins"
PAGES = sorted(page.name for page in MANUAL.glob("*.md"))
# Which Python blocks of which page become which files: the module first, then its tests.
EXAMPLES = {
    "channels.md": ("duplistatus_room", "room", "duplistatus.notification_channels"),
    "charts.md": ("reading_speed", "readingSpeed", "duplistatus.chart_providers"),
    "settings.md": ("lamp_settings", "lamp", "duplistatus.settings"),
    "api-groups.md": ("wall_lamp", "lamp", "duplistatus.api_groups"),
}
GERMAN = {
    "Chat room": "Chatraum",
    "Line {number} has no colon.": "Zeile {number} hat keinen Doppelpunkt.",
    "the room has no keys": "der Raum hat keine Schlüssel",
}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (MANUAL / page).read_text(), re.DOTALL)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the folder of the plugin, with the application of this checkout but none of its tool settings."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        "DATA_DIR": str(folder / "data"),
    }
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(params=EXAMPLES)
def example(request, tmp_path) -> tuple[str, Path]:
    """A folder with the files of a page, installed by the entry points of the page."""
    module = EXAMPLES[request.param][0]
    code, *tests = blocks(request.param, "python")
    (tmp_path / f"{module}.py").write_text(code)
    for number, test in enumerate(tests):
        (tmp_path / f"test_example_{number}.py").write_text(test)
    (tmp_path / "conftest.py").write_text(blocks("publishing.md", "python")[0])
    described = tomllib.loads(blocks(request.param, "toml")[0])
    installed = tmp_path / f"{module}-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    lines = []
    for group, points in described["project"]["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in points.items())]
    (installed / "entry_points.txt").write_text("\n".join(lines))
    return request.param, tmp_path


def test_python_imports_the_application_of_this_checkout(tmp_path):
    answer = run(tmp_path, "-c", "import app; print(app.__file__)")
    assert Path(answer.stdout.strip()) == ROOT / "app" / "__init__.py"


@pytest.mark.slow
def test_the_example_passes_the_test_kit(example):
    page, folder = example
    answer = run(folder, "-m", "pytest", "-q", "--import-mode=importlib", "-W", "error", "-p", "no:cacheprovider", ".")
    assert answer.returncode == 0, answer.stdout[-4000:]
    assert int(re.search(r"(\d+) passed", answer.stdout)[1]) >= (5 if page == "settings.md" else 10), page


@pytest.mark.slow
def test_the_installed_example_is_listed(example):
    page, folder = example
    answer = run(folder, "-c", "from app.cli import main; main()", "plugins", "list")
    module, name, _ = EXAMPLES[page]
    line = next(line for line in answer.stdout.splitlines() if line.split()[:1] == [name])
    assert line.split()[-1] == module


def test_a_channel_needs_under_forty_lines_and_its_test_nine():
    channel, test, *_ = blocks("channels.md", "python")
    assert len(channel.splitlines()) < 40
    assert len(test.splitlines()) == 9


@pytest.mark.slow
def test_the_example_of_translations_is_translated(tmp_path, monkeypatch):
    package = tmp_path / "duplistatus_room"
    package.mkdir()
    (package / "__init__.py").write_text(blocks("translations.md", "python")[0])
    [commands] = blocks("translations.md", "sh")
    extract, init, update, compile_ = (line.split()[1:] for line in commands.splitlines())
    for arguments in (extract, init, update):
        assert run(tmp_path, "-m", "babel.messages.frontend", *arguments).returncode == 0
    [path] = package.rglob("duplistatus_room.po")
    text = path.read_text()
    for english, german in GERMAN.items():
        assert f'msgid "{english}"\nmsgstr ""' in text
        text = text.replace(f'msgid "{english}"\nmsgstr ""', f'msgid "{english}"\nmsgstr "{german}"')
    path.write_text(text.replace("#, fuzzy\n", ""))
    assert run(tmp_path, "-m", "babel.messages.frontend", *compile_).returncode == 0
    monkeypatch.syspath_prepend(tmp_path)
    channel = importlib.import_module("duplistatus_room").RoomChannel
    assert translate_plugin_text(channel, channel.label, "de") == "Chatraum"
    assert translate_plugin_text(channel, "Line 7 has no colon.", "de") == "Zeile 7 hat keinen Doppelpunkt."
    assert translate_plugin_text(channel, "the room has no keys", "de") == "der Raum hat keine Schlüssel"


def test_the_example_of_packaging_is_complete():
    described = tomllib.loads(blocks("publishing.md", "toml")[0])
    [(name, target)] = described["project"]["entry-points"]["duplistatus.notification_channels"].items()
    assert (name, target) == ("room", "duplistatus_room:RoomChannel")
    assert described["tool"]["setuptools"]["py-modules"] == ["duplistatus_room"]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_points_to_a_target(page):
    targets = re.findall(r"\]\(([^)#:]+)\)", (MANUAL / page).read_text())
    assert [target for target in targets if not (MANUAL / target).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_named_folder_exists(page):
    named = re.findall(r"`(plugins/[a-z_/]+)`", (MANUAL / page).read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_python_can_be_parsed(page):
    for code in blocks(page, "python"):
        compile(code, page, "exec")
