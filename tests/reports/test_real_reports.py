"""Every upload recorded from a real Duplicati is stored with the known facts of its run.

`tests/data/duplicati/README.md` describes the source of the recordings and the content of `expected.json`.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

import pytest
from factories import BEGAN_AT

from app.reports.decoding import FieldReader
from app.reports.plain_text import read_plain_text

REPORTS = Path(__file__).parents[1] / "data" / "duplicati" / "reports"
EXPECTED: dict[str, dict[str, Any]] = json.loads((REPORTS / "expected.json").read_text())
FORMATS = ("json", "form")
# The API names of the figures of a run.
FIGURES = {
    "status": "status",
    "files": "fileCount",
    "size": "fileSize",
    "uploaded": "uploadedSize",
    "warnings": "warnings",
    "errors": "errors",
}
# The dashboard names of the figures of a job.
KNOWN = ("storageSize", "fileCount", "fileSize", "lastBackupListCount")


@pytest.fixture(params=["Europe/Berlin", "UTC"])
def settings(settings, request):
    """Deployments of both zones."""
    return type(settings)(**{**vars(settings), "timezone": request.param})


@dataclass(frozen=True)
class Upload:
    """One recorded upload with the known facts of its run."""

    name: str
    format: str
    wanted: dict[str, Any]

    @property
    def recorded(self) -> dict[str, str]:
        return json.loads((REPORTS / f"{self.name}.{self.format}.json").read_text())

    @property
    def run(self) -> dict[str, Any]:
        """Return what must be stored; empty for other operations."""
        has_text = self.format == "form" and "text" in self.wanted
        return self.wanted["text"] if has_text else self.wanted.get("run", {})

    @property
    def server(self) -> str:
        return self.wanted["machine-id"] or self.wanted["machine-name"]


def uploads(format: str) -> Iterator[Upload]:
    for name, wanted in EXPECTED.items():
        if format == "json" or wanted.get("form", True):
            yield Upload(name, format, wanted)


def second(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def missing_figures(upload: Upload) -> set[str]:
    """Return the dashboard names of the figures missing in a report."""
    if not upload.run:
        return set(KNOWN)
    if upload.format == "form":
        document = read_plain_text(parse_qs(upload.recorded["body"])["message"][0])
    else:
        document = json.loads(upload.recorded["body"])
    data = document["Data"]
    if data is None or "MainOperation" not in data:
        return set(KNOWN)
    backend = data.get("BackendStatistics") or {}
    section = FieldReader("Data", data)
    is_incomplete = data["ParsedResult"] in ("Error", "Fatal") or any(
        section.flag(name) for name in ("Interrupted", "PartialBackup", "Dryrun")
    )
    is_unknown = not backend or str(backend["LastBackupDate"]).startswith("0001-")
    names = set()
    if is_unknown or (is_incomplete and not backend["KnownFileSize"]):
        names.add("storageSize")
    if is_unknown or (is_incomplete and not backend["BackupListCount"]):
        names.add("lastBackupListCount")
    if is_incomplete and not int(data.get("ExaminedFiles") or data.get("SourceFiles") or 0):
        names |= {"fileCount", "fileSize"}
    return names


class Dashboard:
    """The content of the dashboard: the number of runs, and the figures of each job."""

    def __init__(self, admin) -> None:
        body = admin.get("/api/dashboard").get_json()
        self.run_count = body["overallSummary"]["totalBackupsRuns"]
        self._jobs = {
            (name, job["name"]): {figure: job[figure] for figure in KNOWN}
            for server in body["serversSummary"]
            for name in (server["name"], server["id"])
            for job in server["backupInfo"]
        }

    def known(self, upload: Upload) -> dict[str, Any]:
        """Return the known facts of the job of an upload; nothing if there is no such job."""
        return self._jobs.get((upload.server, upload.wanted["job"]), {})


def differences(run: dict[str, Any], got: dict[str, Any], is_text: bool) -> Iterator[str]:
    """Return a line for each wrong value of a run."""
    if "began" in run and abs(second(got["date"]) - second(run["began"])) >= (2 if is_text else 1):
        yield f"date {got['date']} for {run['began']}"
    for ours, theirs in FIGURES.items():
        if run.get(ours) is not None and got[theirs] != run[ours]:
            yield f"{ours} {got[theirs]} for {run[ours]}"
    if "seconds" in run and abs(got["duration_seconds"] - run["seconds"]) >= 1:
        yield f"duration {got['duration_seconds']} for {run['seconds']}"
    if "versions" in run:
        have = sorted(int(second(text)) for text in got["available_backups"] or [])
        need = sorted(int(second(text)) for text in run["versions"])
        if set(have) - set(need) or (have != need and not run.get("versions_may_miss")):
            yield f"versions {got['available_backups']} for {run['versions']}"


def stored_run(admin, upload: Upload) -> dict[str, Any] | None:
    """Return the newest run of the job of an upload, from the external API."""
    answer = admin.get(f"/api/lastbackups/{quote(upload.server)}")
    runs = answer.get_json().get("latest_backups", []) if answer.status_code == 200 else []
    return next((run for run in runs if run["name"] == upload.wanted["job"]), None)


def test_recordings_are_complete():
    files = {path.name for path in REPORTS.iterdir()} - {"expected.json"}
    assert files == {f"{upload.name}.{upload.format}.json" for format in FORMATS for upload in uploads(format)}
    assert len(files) == 590 - sum(not wanted.get("form", True) for wanted in EXPECTED.values())


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_every_recorded_upload_is_stored_as_the_run_was(admin, format):
    found, dashboard = [], Dashboard(admin)
    for upload in uploads(format):
        recorded, before = upload.recorded, dashboard
        answer = admin.post("/api/upload", data=recorded["body"].encode(), content_type=recorded["content-type"])
        dashboard = Dashboard(admin)
        was, known = before.known(upload), dashboard.known(upload)
        found += [
            f"{upload.name}: {name} {was[name]} became {known[name]}"
            for name in sorted(missing_figures(upload))
            if was and was[name] != known[name]
        ]
        if (answer.status_code == 200) != upload.wanted["accepted"]:
            found.append(f"{upload.name}: answered {answer.status_code}")
        elif not upload.run:
            if dashboard.run_count != before.run_count:
                found.append(f"{upload.name}: another operation was stored as a run")
        elif (got := stored_run(admin, upload)) is None:
            found.append(f"{upload.name}: no run of the job")
        else:
            found += [f"{upload.name}: {each}" for each in differences(upload.run, got, format == "form")]
    assert found == []


def test_the_clock_of_the_tests_is_later_than_every_recording():
    begins = [upload.run["began"] for upload in uploads("json") if "began" in upload.run]
    assert max(map(second, begins)) < BEGAN_AT.timestamp()
