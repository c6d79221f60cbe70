"""Reports of about 20 KB, like those of Duplicati, each with another time."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

from app.demo import JobSpec, ServerSpec, invent_log, invent_runs


def make_reports(servers: list[ServerSpec], count: int, log_bytes: int = 18_000) -> Iterator[bytes]:
    """Yield reports for the jobs of some servers in turn.

    Each run begins a second after the previous one.
    """
    rng = Random(3)
    jobs = [(server, job) for server in servers for job in server.jobs]
    base = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
    templates = [_template(job, base, rng, log_bytes) for job in (jobs[0][1], jobs[-1][1])]
    for number in range(count):
        server, job = jobs[number % len(jobs)]
        report = templates[number % len(templates)]
        began_at = base + timedelta(milliseconds=number * 100)
        report["Data"]["BeginTime"] = began_at.isoformat().replace("+00:00", "Z")
        report["Data"]["EndTime"] = (began_at + timedelta(seconds=90)).isoformat().replace("+00:00", "Z")
        report["Extra"] = {
            "OperationName": "Backup",
            "machine-id": server.id,
            "machine-name": server.name,
            "backup-name": job.name,
            "backup-id": "DB-1",
        }
        yield json.dumps(report).encode()


def _template(job: JobSpec, base: datetime, rng: Random, log_bytes: int) -> dict:
    run = next(invent_runs(job, base - timedelta(days=2), base, rng))
    run |= {"warning_count": 0, "error_count": 0}
    messages, _, _ = invent_log(run, rng, least_bytes=log_bytes)
    return {
        "Data": {
            "MainOperation": "Backup",
            "ParsedResult": "Success",
            "Version": run["duplicati_version"],
            "Duration": "00:01:30.1234567",
            "ExaminedFiles": run["examined_files"],
            "SizeOfExaminedFiles": run["examined_bytes"],
            "AddedFiles": run["added_files"],
            "ModifiedFiles": run["modified_files"],
            "DeletedFiles": run["deleted_files"],
            "MessagesActualLength": len(messages),
            "WarningsActualLength": 0,
            "ErrorsActualLength": 0,
            "BackendStatistics": {
                "BytesUploaded": run["uploaded_bytes"],
                "KnownFileSize": run["storage_bytes"],
                "BackupListCount": run["version_count"],
            },
        },
        "LogLines": messages,
    }
