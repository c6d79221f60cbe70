"""Our own recorded exchanges, one file for each endpoint: requests, and the exact responses.

RECORD_GOLDEN=1 records the responses again; review the difference before you keep it.
"""

import json
import os
import re
from pathlib import Path

import pytest
from factories import report_document

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.json"))
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
# Each exchange is sent after these reports.
REPORTS = (
    {"data": {"BeginTime": "2031-05-02T11:00:00Z", "EndTime": "2031-05-02T11:05:00Z", "Duration": "00:05:00"}},
    {"result": "Warning", "lines": ["2031-05-04 11:00:01 +00 - [Warning-x]: a file was locked"]},
    {"job_name": "mail", "result": "Error", "data": {"Errors": ["no room"], "ErrorsActualLength": 1}},
    {"server_id": "machine-2", "server_name": "attic", "storage": {"KnownFileSize": 3_000_000_000_000}},
)


def without_ids(text: str) -> str:
    """Number the ids, which are random, in order of appearance."""
    names: dict[str, str] = {}
    return UUID.sub(lambda found: names.setdefault(found[0], f"<id {len(names) + 1}>"), text)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_exchange_is_as_recorded(path, app, client, admin):
    exchange = json.loads(path.read_text())
    for report in REPORTS:
        assert client.post("/api/upload", json=report_document(**report)).status_code == 200
    request = exchange["request"]
    sender = admin if request.get("as") == "admin" else client
    answer = sender.open(request["path"], method=request.get("method", "GET"), json=request.get("json"))
    response = {"status": answer.status_code, "body": json.loads(without_ids(answer.text))}
    if os.environ.get("RECORD_GOLDEN"):
        exchange["answer"] = response
        path.write_text(json.dumps(exchange, indent=1, ensure_ascii=False) + "\n")
    assert response == exchange["answer"]
