"""State of an application is in its typed runtime, and never under a string."""

import re
from pathlib import Path

import pytest

from app.registry import Registry
from app.runtime import Runtime

ROOT = Path(__file__).resolve().parents[2]
# HOST contains the runtime itself; the other one belongs to Flask-Migrate.
USE = re.compile(r"\b\w*app\.extensions\b(?!\[HOST\]|\[\"migrate\"\])")


def test_no_module_stores_state_under_a_string():
    sources = [path for folder in ("app", "plugins", "bench") for path in (ROOT / folder).rglob("*.py")]
    assert [path for path in sources if USE.search(path.read_text())] == []
    assert [path for path in sources if "[HOST]" in path.read_text()]


class Counter:
    """State of a module."""

    count = 0


@pytest.fixture
def runtime(settings):
    return Runtime(settings, Registry({}, {}, {}), lambda: None)


def test_a_part_is_created_once(runtime):
    assert runtime.find(Counter) is None
    runtime.part(Counter).count += 1
    assert runtime.part(Counter).count == 1
    assert runtime.find(Counter) is runtime.part(Counter)


def test_an_empty_part_is_kept(runtime):
    class Names(set):
        pass

    names = runtime.part(Names)
    assert runtime.part(Names) is names


def test_a_popped_part_is_created_again(runtime):
    first = runtime.part(Counter)
    assert runtime.take(Counter) is first
    assert runtime.take(Counter) is None
    assert runtime.part(Counter) is not first


def test_a_part_may_be_created_by_a_function(runtime):
    def create():
        made = Counter()
        made.count = 7
        return made

    assert runtime.part(Counter, create).count == 7
