"""Reports of the kinds that were once stored wrong, replayed with their right values.

A scenario is a list of requests, `….golden.json` has the required parts of the responses; they may have more.
"""

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.core.instants import iso

CASES = Path(__file__).parents[1] / "data" / "cases"
TEXTS = {"error", "message", "details"}
SIGNED_IN = "admin"


@pytest.fixture
def settings(settings):
    """The zone of the right values."""
    return replace(settings, timezone="Europe/Berlin")


def scenario(name: str, *kinds: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the steps of a file and the right responses; only of those kinds, if any are named."""
    steps = json.loads((CASES / f"{name}.json").read_text())["steps"]
    golden = json.loads((CASES / f"{name}.golden.json").read_text())
    meant = [step for step in steps if not kinds or any(kind in step["name"] for kind in kinds)]
    return meant, {step["name"]: golden[step["name"]] for step in meant if step["name"] in golden}


def filled(value: Any, now: Any) -> Any:
    """Replace the times of a step, which are seconds from now."""
    text = json.dumps(value)
    return json.loads(re.sub(r"\{\{iso:(-?\d+)\}\}", lambda found: iso(now + timedelta(seconds=int(found[1]))), text))


def differences(wanted: Any, got: Any, path: str = "") -> list[str]:
    """Return a line for each value that is missing or different."""
    if isinstance(wanted, dict) and "<json text>" in wanted:
        wanted, got = wanted["<json text>"], json.loads(got) if isinstance(got, str) else got
    if isinstance(wanted, dict) and isinstance(got, dict):
        return [line for key, value in wanted.items() for line in differences(value, got.get(key), f"{path}.{key}")]
    if isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        pairs = zip(wanted, got, strict=True)
        return [line for place, pair in enumerate(pairs) for line in differences(*pair, f"{path}.{place}")]
    is_same = bool(wanted) == bool(got) if path.rpartition(".")[2] in TEXTS else wanted == got
    return [] if is_same else [f"{path}: {wanted} is right, got {got}"]


def replay(client, admin, clock, steps, golden) -> list[str]:
    found = []
    for step in steps:
        options: dict[str, Any] = {"headers": step.get("headers", {})}
        if "json" in step:
            options["json"] = filled(step["json"], clock())
        elif "raw" in step:
            options["data"] = step["raw"].encode()
        visitor = admin if step.get("as") == SIGNED_IN else client
        answer = visitor.open(step["path"], method=step.get("method", "GET"), **options)
        wanted = golden.get(step["name"])
        if wanted is None:
            assert answer.status_code == 200, (step["name"], answer.get_data(as_text=True))
        elif answer.status_code == wanted["status"]:
            found += [f"{step['name']}{line}" for line in differences(wanted["body"], answer.get_json())]
        elif answer.status_code not in step.get("better", []):
            found.append(f"{step['name']}: {wanted['status']} is right, got {answer.status_code}")
    return found


@pytest.mark.parametrize(
    ("name", "kinds", "count"),
    [("dates", (), 18), ("figures", (), 10), ("schedules", ("future", "aborted"), 2)],
    ids=["dates", "figures", "schedules"],
)
def test_every_case_is_answered_correctly(client, admin, clock, name, kinds, count):
    steps, golden = scenario(name, *kinds)
    # A live status is accepted and dropped by now: Duplicati logs a warning for each response from 400 on.
    if "post-37" in golden:
        golden["post-37"] = {"status": 200, "body": {"success": True, "stored": False}}
    assert len(golden) == count
    assert replay(client, admin, clock, steps, golden) == []


def test_a_job_is_no_longer_overdue_after_a_saved_run(client, admin, clock):
    steps, _ = scenario("schedules", "aborted")
    reports = [step["json"] for step in steps if "json" in step]
    for report in [*reports, reports[0] | {"Data": reports[0]["Data"] | {"BeginTime": "{{iso:-60}}"}}]:
        assert client.post("/api/upload", json=filled(report, clock())).status_code == 200
    assert admin.get("/api/detail/aborted").get_json()["overdueBackups"] == []
