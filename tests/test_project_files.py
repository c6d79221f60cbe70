"""Facts that several files of the project must agree on."""

import re
from configparser import ConfigParser
from pathlib import Path

from app import __version__

ROOT = Path(__file__).parents[1]
SETUP = ConfigParser()
SETUP.read(ROOT / "setup.cfg")


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_changelog_has_a_section_of_the_version():
    assert re.search(rf"^## \[{re.escape(__version__)}\] - \d{{4}}-\d\d-\d\d$", read("CHANGELOG.md"), re.M)


def test_ci_runs_on_every_python_that_the_package_names():
    [matrix] = re.findall(r"python: \[(.+)\]", read(".github/workflows/ci.yml"))
    named = re.findall(r"Programming Language :: Python :: (3\.\d+)", SETUP["metadata"]["classifiers"])
    assert re.findall(r'"(.+?)"', matrix) == named
    assert SETUP["options"]["python_requires"] == f">={named[0]}"


def test_pre_commit_uses_the_pinned_ruff():
    [pinned] = re.findall(r"^ruff==(.+)$", read("requirements-dev.txt"), re.M)
    assert f"ruff-pre-commit\n    # As in requirements-dev.txt, which a test compares.\n    rev: v{pinned}\n" in read(
        ".pre-commit-config.yaml"
    )


def test_every_distribution_contains_the_whole_licence():
    copies = [ROOT / "LICENSE", *(path.parent / "LICENSE" for path in ROOT.glob("plugins/*/pyproject.toml"))]
    assert len({path.read_bytes() for path in copies}) == 1
