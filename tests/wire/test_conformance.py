"""The recorded exchanges of the original program, replayed against a freshly started server."""

from pathlib import Path

import pytest
import replay
from real_server import real_server

pytestmark = pytest.mark.slow

CONFORMANCE = Path(__file__).resolve().parents[1] / "data" / "conformance"
SCENARIO = replay.read_json(CONFORMANCE / "public.json")
GOLDEN = replay.read_json(CONFORMANCE / "public.golden.json")
STEPS = [step["name"] for step in SCENARIO["steps"] if step["name"] in GOLDEN]
assert STEPS, f"no recorded steps in {CONFORMANCE}"


@pytest.fixture(scope="module")
def differences(tmp_path_factory):
    """Return the differences of each step from the recording, by the name of the step."""
    with real_server(tmp_path_factory.mktemp("data"), RUN_JOBS="true") as server:
        return replay.check(server.url, SCENARIO, GOLDEN)


@pytest.mark.parametrize("step", STEPS)
def test_step_agrees_with_the_recording(differences, step):
    assert differences[step] == []
