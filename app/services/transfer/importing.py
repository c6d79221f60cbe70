"""The import as a whole: everything of an old installation, in the order in which later parts need earlier ones.

Each step stands in transactions of its own and finds what is here already. So an import that was killed goes on from
there when it is started again, and one that is done changes nothing.
"""

import logging
from datetime import datetime
from pathlib import Path

from app.services.audit import SYSTEM, Actor, record_entry
from app.services.database_backup import temporary_folder
from app.services.deployment import settings
from app.services.transfer.accounts import import_accounts
from app.services.transfer.audit_entries import import_audit_entries
from app.services.transfer.choices import import_channels, import_settings
from app.services.transfer.jobs import complete_jobs
from app.services.transfer.old_secrets import OldSecrets, find_key
from app.services.transfer.reports import ImportReport
from app.services.transfer.runs import Progress, import_runs
from app.services.transfer.servers import complete_servers, read_servers, server_keys
from app.services.transfer.source import OldDatabase, find_file, opened

log = logging.getLogger(__name__)


def import_database(
    path: Path,
    *,
    key_path: Path | None = None,
    now: datetime,
    progress: Progress = lambda done, total: None,
    actor: Actor = SYSTEM,
) -> ImportReport:
    """Take over an old installation: a database file of any schema version, or the data folder that holds it.

    The old key file is `key_path`, else one beside the file. `progress` hears after each batch how many of the runs
    are done. Nothing of the old file is modified. Raises NotImportable for a file that is not taken, before anything
    has changed.
    """
    file = find_file(path)
    key = find_key(file, key_path)
    with opened(file, temporary_folder()) as old:
        report = _import(old, key, now, progress)
        if report.taken_count:
            details = {
                "filename": file.name,
                "schema_version": old.version_text,
                "taken": {kind: count.taken for kind, count in report.counts.items() if count.taken},
            }
            record_entry("database_import", "system", now=now, actor=actor, details=details)
    log.info("imported %s of schema version %s: %d things taken", file.name, old.version_text, report.taken_count)
    return report


def _import(old: OldDatabase, key: bytes | None, now: datetime, progress: Progress) -> ImportReport:
    report = ImportReport(old.version_text)
    stored = old.settings()
    old_secrets = OldSecrets(key, stored.get("master_key_fingerprint"), report)
    servers = read_servers(old, report, now=now)
    import_settings(stored, report, now=now)
    import_channels(stored, old_secrets, report, now=now)
    user_ids = import_accounts(old, report, now=now)
    seen = import_runs(old, servers, report, zone=settings().zone, progress=progress)
    complete_servers(old, servers, {server_id for server_id, _name in seen.keys}, old_secrets, report)
    complete_jobs(stored, server_keys(old, servers), seen, report)
    import_audit_entries(old, user_ids, report)
    for table in old.untaken_tables():
        report.remark(f"The table {table[:60]} was left: this program has no place for it")
    return report
