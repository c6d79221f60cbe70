"""The fake Duplicati server responds like a real one: the recordings in `data/duplicati/api`."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from duplicati_server import NEW, RECORDINGS, V2_1, V2_2, DuplicatiServer, duplicati_server, entry, recording

pytestmark = pytest.mark.slow

VERSIONS = {"v2105": V2_1, "v2201": V2_2}
# Of features that nothing here uses.
OTHER_FEATURES = ("proof-", "main-37-notifications")
FILES = sorted(path for path in RECORDINGS.glob("*.json") if not path.name.startswith(OTHER_FEATURES))
LISTINGS = {NEW: "running-17", V2_1: "v2105-11", V2_2: "v2201-11"}


def json_type(value: Any) -> str:
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def differences(recorded: Any, answered: Any, place: str = "body") -> list[str]:
    """Return where two values of JSON differ in members or types; of lists, the first elements are compared."""
    if json_type(recorded) != json_type(answered):
        return [f"{place}: {json_type(answered)} in place of {json_type(recorded)}"]
    if isinstance(recorded, dict):
        found = [f"{place}.{name}" for name in recorded.keys() ^ answered.keys()]
        both = recorded.keys() & answered.keys()
        return found + [
            text for name in both for text in differences(recorded[name], answered[name], f"{place}.{name}")
        ]
    if isinstance(recorded, list):
        if bool(recorded) != bool(answered):
            return [f"{place}: one of both is empty"]
        return differences(recorded[0], answered[0], f"{place}[0]") if recorded else []
    return []


def prepare(server: DuplicatiServer, name: str, recorded: dict[str, Any]) -> None:
    """Bring the fake server into the state of the recorded one."""
    answer, path = recorded["answer"], urlsplit(recorded["request"]["path"]).path
    server.password = "right-password"
    server.jobs = recording(LISTINGS[server.generation])["answer"]["body"]
    if path == "/api/v1/backups" and recorded["request"]["method"] == "GET" and answer["status"] == 200:
        server.jobs = answer["body"]
    if answer["status"] == 400:
        server.running = path.split("/")[4]
    elif name.startswith(("running", "partial")) and not path.endswith("/log"):
        server.running = "5"
    if "/task/" in path and answer["body"]:
        server.tasks = {path.split("/")[4]: answer["body"]}
    if path.endswith("/log") and isinstance(answer["body"], list):
        server.logs = {path.split("/")[4]: answer["body"]}
    if name.startswith("paging"):
        server.logs = {"1": [{**entry("{}", number), "Exception": {}} for number in range(761, 0, -1)]}
    if path.endswith("/filesets"):
        server.versions = {path.split("/")[4]: ["2026-11-30T23:24:28+01:00"]}
    if path.endswith("/backup/1"):
        body = answer["body"]
        server.jobs = [{"Schedule": body["Schedule"], "Backup": {**body["Backup"], "Settings": None}}]
        server.job_settings = {"1": {each["Name"]: each["Value"] for each in body["Backup"]["Settings"]}}
    if "with-machine" in name:
        server.settings = {name: value for name, value in answer["body"].items() if name.startswith("--")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_fake_server_answers_as_recorded(path: Path):
    recorded = json.loads(path.read_text())
    request, wanted = recorded["request"], recorded["answer"]
    with duplicati_server(VERSIONS.get(path.name.split("-")[0], NEW)) as server:
        prepare(server, path.stem, recorded)
        headers = dict(request["headers"])
        if "Authorization" in headers:
            headers["Authorization"] = f"Bearer {server.token if wanted['status'] != 401 else 'wrong'}"
        body = request["body"]
        answer = requests.request(request["method"], server.url + request["path"], headers=headers, json=body)
        assert (answer.status_code, answer.reason) == (wanted["status"], wanted["reason"])
        if wanted["body"] is None:
            assert answer.content == b""
            return
        result = answer.json()
        if path.stem.endswith("one-backup"):
            result["DisplayNames"] = wanted["body"]["DisplayNames"]  # folder names, which the fake server lacks
        assert differences(wanted["body"], result) == []
        if path.stem.startswith("paging"):
            assert [each["ID"] for each in result] == [each["ID"] for each in wanted["body"]]
        if wanted["status"] >= 400:
            assert result == wanted["body"]
