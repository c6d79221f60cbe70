"""The audit log of an old installation, entry by entry.

Our entries have no room for the old numbers, so what is here already is told by its content: of entries of the same
second with the same content just as many are added as are missing.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson
from sqlalchemy import select

from app.domain.old_settings import read_time
from app.domain.reported_values import clean_text
from app.extensions import db
from app.models import AuditEntry
from app.services.audit import redact
from app.services.transaction import writing
from app.services.transfer.reports import ImportReport
from app.services.transfer.source import OldDatabase, OldRow, read_json

AUDIT = AuditEntry.__table__
KIND = "audit entries"
ENTRIES_A_BATCH = 500
# A batch ends only between two seconds; that many in one second no real installation has.
MOST_A_BATCH = 20_000
LIMITS = {
    "action": 64,
    "category": 32,
    "status": 16,
    "username": 255,
    "target_type": 64,
    "target_id": 2_000,
    "ip_address": 64,
    "user_agent": 2_000,
    "error_message": 20_000,
}
NEEDED = ("action", "category", "status")
CONTENT = (AUDIT.c.at, AUDIT.c.details, *(AUDIT.c[name] for name in LIMITS))


def import_audit_entries(old: OldDatabase, user_ids: Mapping[str, str], report: ImportReport) -> None:
    """Take the entries that are not here; `user_ids` are our ids of accounts by theirs."""
    count = report.count(KIND)
    for batch in _batches(_entries(old.audit_entries(), user_ids, report)):
        with writing() as session:
            missing = _missing(batch)
            if missing:
                session.connection().execute(AUDIT.insert(), missing)
        count.taken += len(missing)
        count.known += len(batch) - len(missing)


def _entries(rows: Iterable[OldRow], user_ids: Mapping[str, str], report: ImportReport) -> Iterator[dict[str, Any]]:
    for row in rows:
        report.count(KIND).found += 1
        at = read_time(row["timestamp"])
        texts = {name: _text(row.get(name), longest) for name, longest in LIMITS.items()}
        if at is None or not all(texts[name] for name in NEEDED):
            report.leave(KIND, "An audit entry without time or action was left")
            continue
        user_id = row.get("user_id")
        known_id = user_ids.get(user_id) if isinstance(user_id, str) else None
        yield {"at": at, "user_id": known_id, "details": _details(row.get("details")), **texts}


def _batches(entries: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Entries in batches of whole seconds."""
    batch: list[dict[str, Any]] = []
    for entry in entries:
        is_full = len(batch) >= ENTRIES_A_BATCH and entry["at"] != batch[-1]["at"]
        if is_full or len(batch) >= MOST_A_BATCH:
            yield batch
            batch = []
        batch.append(entry)
    if batch:
        yield batch


def _missing(batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries of a batch of which we have fewer than the old file."""
    times = [entry["at"] for entry in batch]
    here = db.session.execute(select(*CONTENT).where(AUDIT.c.at.between(min(times), max(times))))
    known = Counter(_content(row._mapping) for row in here)
    missing = []
    for entry in batch:
        content = _content(entry)
        if known[content]:
            known[content] -= 1
        else:
            missing.append(entry)
    return missing


def _content(entry: Mapping[Any, Any]) -> tuple[Any, ...]:
    details = orjson.dumps(entry["details"], option=orjson.OPT_SORT_KEYS)
    return (entry["at"], details, *(entry[name] for name in LIMITS))


def _text(value: object, longest: int) -> str | None:
    return clean_text(value)[:longest] if isinstance(value, str) else None


def _details(text: object) -> dict[str, Any] | None:
    """What was noted of a deed, with secrets masked as we mask them; a text that is no object is kept under `text`."""
    if not isinstance(text, str) or not text:
        return None
    value = read_json(clean_text(text))
    masked: dict[str, Any] = redact(value if isinstance(value, dict) else {"text": clean_text(text)})
    return masked
