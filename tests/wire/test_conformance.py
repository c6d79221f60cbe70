"""The recorded exchanges of the reference, replayed against a freshly started server, where they are at hand."""

import importlib.util
import json
import re
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from real_server import real_server

pytestmark = pytest.mark.slow

CONFORMANCE = Path(__file__).resolve().parents[3] / "shared" / "conformance"
if not (CONFORMANCE / "wire.py").is_file():
    pytest.skip("the recorded exchanges are not beside the project", allow_module_level=True)

# The scenario took the reference that long; what it made last is recorded so much after the beginning.
RECORDING_MINUTES = 4
SCENARIO = json.loads((CONFORMANCE / "public.json").read_text())
GOLDEN = json.loads((CONFORMANCE / "public.golden.json").read_text())
# The clean-up of that step goes back so far from the day of the recording: days in answers are held against that day.
RECORDED_ON = date.fromisoformat(GOLDEN["audit-cleanup-dry"]["body"]["cutoffDate"]) + timedelta(days=30)
DAY = re.compile(r"(?:(?P<d>\d\d)/(?P<m>\d\d)/(?P<y>\d{4})|(?P<iso>\d{4}-\d\d-\d\d))$")
# The runs of a day in the scenario lie from four hours before the time of its start to two hours after.
HOURS_OF_WHOLE_DAYS = range(5, 21)


@pytest.fixture(scope="module")
def wire():
    """The program that replays and compares."""
    spec = importlib.util.spec_from_file_location("wire", CONFORMANCE / "wire.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["wire"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def answers(wire, tmp_path_factory):
    """What our server says to each step, in their order."""
    with real_server(tmp_path_factory.mktemp("data"), RUN_JOBS="true") as server:
        run = wire.Run(server.url)
        run.absolute = SCENARIO.get("absolute", False)
        said = {}
        for step in SCENARIO["steps"]:
            status, data = run.step(step)
            said[step["name"]] = status, run.fold(data)
        return said


@pytest.mark.parametrize(
    "step", [step for step in SCENARIO["steps"] if step["name"] in GOLDEN], ids=lambda s: s["name"]
)
def test_step_agrees_with_the_reference(wire, answers, step):
    status, body = answers[step["name"]]
    recorded = GOLDEN[step["name"]]
    if status == 404 != recorded["status"] and body.get("error") == "Not found":
        pytest.skip("this endpoint does not exist yet")
    if status != recorded["status"]:
        assert status in step.get("better", []), (recorded["status"], body)
        assert body["error"]
    elif step.get("soft"):
        assert type(body) is type(recorded["body"])
    else:
        wanted, got = in_days(recorded["body"], RECORDED_ON), in_days(body, datetime.now(UTC).date())
        if wanted != recorded["body"] and datetime.now(UTC).hour not in HOURS_OF_WHOLE_DAYS:
            pytest.skip("so near to midnight the runs of the scenario fall on other days than when it was recorded")
        lines = wire.differ(wanted, got, "", step.get("skip", []))
        assert [line for line in lines if not is_slow_recording(line)] == []


def in_days(value: Any, today: date) -> Any:
    """An answer with its dates, which have no time of day, as days from `today`."""
    if isinstance(value, dict):
        return {key: in_days(inner, today) for key, inner in value.items()}
    if isinstance(value, list):
        return [in_days(inner, today) for inner in value]
    if isinstance(value, str) and (found := DAY.match(value)):
        day = found["iso"] or f"{found['y']}-{found['m']}-{found['d']}"
        return f"{(date.fromisoformat(day) - today).days} days"
    return value


def is_slow_recording(line: str) -> bool:
    """Whether two times differ by no more than the recording of the reference took."""
    found = re.search(r"recorded @(-?\d+) min, got @(-?\d+) min$", line)
    return found is not None and abs(int(found[1]) - int(found[2])) <= RECORDING_MINUTES
