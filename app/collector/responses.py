"""Parse responses of a Duplicati server: system, jobs, schedules, logs, metadata.

Besides the logs this is the last synchronisation, the last error and the settings of a job. Times in `Metadata` are
whole seconds in UTC (`20261130T222428Z`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from app.core.errors import Refused
from app.core.instants import iso
from app.reports.decoding import (
    BACKUP,
    SYNC,
    InvalidReport,
    clean_text,
    parse_duration,
    read_instant,
    read_instant_or_none,
    read_json,
    shorten_identity,
)
from app.reports.parser import NO_FIGURES, Format, Report, read_report
from app.schedules.intervals import weekday_mask

LONGEST_ERROR = 4_000
# More versions than a job has; a longer list is ignored.
MOST_VERSIONS = 10_000


@dataclass(frozen=True, slots=True)
class LastSync:
    """The last successful synchronisation."""

    began_at: datetime
    ended_at: datetime
    duration_s: float


@dataclass(frozen=True, slots=True)
class LastError:
    """The newest error that Duplicati recorded for a job, with the time of its end."""

    at: datetime
    message: str


def read_last_sync(metadata: Any) -> LastSync | None:
    """Return the last synchronisation; None if there was none or it is invalid."""
    values = metadata if isinstance(metadata, Mapping) else {}
    began_at, ended_at = _read_time(values.get("LastSyncStarted")), _read_time(values.get("LastSyncFinished"))
    if began_at is None or ended_at is None or ended_at < began_at:
        return None
    try:
        duration_s = max(0.0, parse_duration(str(values.get("LastSyncDuration"))))
    except (ValueError, OverflowError):
        duration_s = (ended_at - began_at).total_seconds()
    return LastSync(began_at, ended_at, duration_s)


def read_last_error(metadata: Any) -> LastError | None:
    """Return the newest error; None if there was none."""
    values = metadata if isinstance(metadata, Mapping) else {}
    at, message = _read_time(values.get("LastErrorDate")), values.get("LastErrorMessage")
    if at is None or not isinstance(message, str) or not message.strip():
        return None
    return LastError(at, clean_text(message).strip()[:LONGEST_ERROR])


def read_settings(backup: Any) -> dict[str, str] | None:
    """Return the settings of a job by their names without dashes; unset ones are "".

    None if it is not a job. Duplicati 2.0 returns it as `data`, beside `success`.
    """
    outer = backup.get("data", backup) if isinstance(backup, Mapping) else None
    inner = outer.get("Backup") if isinstance(outer, Mapping) else None
    if not isinstance(inner, Mapping):
        return None
    settings = inner.get("Settings")
    named = (item for item in settings if isinstance(item, Mapping)) if isinstance(settings, list) else ()
    return named_settings({str(item.get("Name")): item.get("Value") for item in named})


def named_settings(settings: Any) -> dict[str, str]:
    """Return user settings by their names without dashes.

    Duplicati's own settings have names without dashes and are excluded.
    """
    pairs = settings.items() if isinstance(settings, Mapping) else ()
    return {
        str(name).lstrip("-").lower(): clean_text(str(value)).strip()
        for name, value in pairs
        if str(name).startswith("--") and isinstance(value, str | int)
    }


def read_versions(file_sets: Any, zone: ZoneInfo) -> tuple[str, ...] | None:
    """Return the times of a job's versions, newest first.

    None if not a list of versions.
    """
    if not isinstance(file_sets, list) or len(file_sets) > MOST_VERSIONS:
        return None
    try:
        found = {read_instant(item["Time"], zone).replace(microsecond=0) for item in file_sets}
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return tuple(iso(at) for at in sorted(found, reverse=True))


def find_active_task(server_state: Any, job_id: str) -> int | None:
    """Return the id of the task that is running for a job; None if there is none."""
    active = server_state.get("ActiveTask") if isinstance(server_state, Mapping) else None
    if not isinstance(active, Mapping) or str(active.get("Item2")) != job_id:
        return None
    number = active.get("Item1")
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def read_task_start(task: Any, zone: ZoneInfo) -> datetime | None:
    """Return when a task began; None if it has not begun."""
    return read_instant_or_none(task.get("TaskStarted"), zone) if isinstance(task, Mapping) else None


def _read_time(value: Any) -> datetime | None:
    try:
        at = datetime.strptime(value, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) if isinstance(value, str) else None
    except ValueError:
        return None
    return at if at is not None and at - datetime(1970, 1, 1, tzinfo=UTC) > timedelta() else None


# System, jobs, schedules and logs
#
# Pure functions; the requests are in `app.collector.collecting`. A log entry holds the `Data` of a report, so runs are
# parsed by `app.reports.parser`.

MACHINE_ID, MACHINE_NAME = "machine-id", "machine-name"
LONGEST_NAME = 255
LONGEST_INTERVAL = 200
WEEKDAYS_MARK = "AllowedWeekDays="
WEEKDAYS = {
    name: number
    for number, long in enumerate(("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"))
    for name in (long, long[:3].lower())
}
# Capabilities of a Duplicati, which are irrelevant for its backups.
LEFT_OUT_OF_SYSTEM = frozenset(
    {
        "CompressionModules",
        "EncryptionModules",
        "BackendModules",
        "GenericModules",
        "WebModules",
        "ConnectionModules",
        "SecretProviderModules",
        "SourceProviderModules",
        "RestoreDestinationProviderModules",
        "ServerModules",
        "ServerOnlyOptions",
        "PowerModeProviders",
        "TimeZones",
        "LogLevels",
        "SupportedLocales",
    }
)
REDACTED = "***--REDACTED--***"
SECRET_SETTING = re.compile(r"pass|secret|key|token|auth|url", re.IGNORECASE)


class UnusableResponse(Refused):
    """A Duplicati server returned an unusable response."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The identity of a Duplicati server in its reports: id and name.

    The id is empty if it was configured as empty: then reports have only the name.
    """

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class JobSchedule:
    """The automatic schedule of a job; without `anchor_at` the time is not known."""

    interval: str
    weekdays: int
    anchor_at: datetime | None


@dataclass(frozen=True, slots=True)
class CollectedJob:
    """A backup job in Duplicati's list."""

    duplicati_id: str
    name: str
    schedule: JobSchedule | None
    operation: str = BACKUP
    last_sync: LastSync | None = None
    last_error: LastError | None = None


@dataclass(frozen=True, slots=True)
class CollectedLog:
    """The runs in a job's log, oldest first, and an error for each unusable entry."""

    reports: tuple[Report, ...]
    problems: tuple[Refused, ...]


def read_machine(system_info: Any, settings: Any = None, *, needs_id: bool = True) -> Machine:
    """Return a server's identity in its reports.

    Raise UnreadableAnswer if incomplete.

    Configured values take precedence over those of the installation. An empty configured name leaves the id. A new
    installation has no id yet; without `needs_id` its name is sufficient.
    """
    if not isinstance(system_info, Mapping):
        raise UnusableResponse("answer_without_system_info")
    own = named_settings(settings)
    machine_id = own.get(MACHINE_ID, _option(system_info, MACHINE_ID) or _machine_id_of_newer(settings))
    if not machine_id and not isinstance(system_info.get("Options"), list):
        raise UnusableResponse("answer_without_options")
    if not machine_id and MACHINE_ID not in own and needs_id:
        raise UnusableResponse("answer_without_machine_id")
    usual_name = _option(system_info, MACHINE_NAME) or _text(system_info.get("MachineName"))
    name = own.get(MACHINE_NAME, usual_name) or machine_id or usual_name
    if not name or (MACHINE_NAME not in own and not usual_name):
        raise UnusableResponse("answer_without_machine_name")
    return _checked(Machine(machine_id, name))


def machine_of_job(machine: Machine, job_settings: Mapping[str, str]) -> Machine:
    """Return a server's identity in the reports of a job with its own settings.

    Raises UnreadableAnswer for a name that is too long.
    """
    machine_id = job_settings.get(MACHINE_ID, machine.id)
    name = job_settings.get(MACHINE_NAME, machine.name) or machine_id or machine.name
    return _checked(Machine(machine_id, name))


def sync_reports(job: CollectedJob, machine: Machine) -> tuple[Report, ...]:
    """Return the runs of a synchronisation job, whose log cannot be read.

    They come from its metadata: the last success and the newest error.
    """
    last, error = job.last_sync, job.last_error
    reports = []
    if last is not None:
        reports.append(_sync_report(job, machine, last.began_at, last.ended_at, "Success"))
        reports[0] = replace(reports[0], duration_s=last.duration_s)
    if error is not None and (last is None or error.at > last.ended_at):
        failure = _sync_report(job, machine, error.at, error.at, "Fatal")
        reports.append(replace(failure, error_count=1, errors=(error.message,)))
    return tuple(reports)


def _sync_report(job: CollectedJob, machine: Machine, began_at: datetime, ended_at: datetime, status: str) -> Report:
    return Report(
        server_id=machine.id,
        server_name=machine.name,
        job_name=job.name,
        duplicati_id=job.duplicati_id,
        main_operation=SYNC,
        began_at=began_at,
        ended_at=ended_at,
        duration_s=0.0,
        status=status,
        parsed_result=status,
        not_told=NO_FIGURES,
        format=Format.METADATA,
    )


def _option(system_info: Mapping[str, Any], name: str) -> str:
    """Return the default of one of the options that a server lists, or ""."""
    options = system_info.get("Options")
    for option in options if isinstance(options, list) else ():
        if isinstance(option, Mapping) and option.get("Name") == name:
            return _text(option.get("DefaultValue"))
    return ""


def _machine_id_of_newer(settings: Any) -> str:
    """Return the machine id from Duplicati's own settings, where 2.4 has it."""
    return _text(settings.get(MACHINE_ID)) if isinstance(settings, Mapping) else ""


def _checked(machine: Machine) -> Machine:
    if len(machine.id) > LONGEST_NAME or len(machine.name) > LONGEST_NAME:
        raise UnusableResponse("answer_name_too_long", most=LONGEST_NAME)
    return machine


def read_jobs(backups: Any, zone: ZoneInfo) -> tuple[list[CollectedJob], list[Refused]]:
    """Return the jobs of a server, and an error for each invalid entry.

    Raise UnreadableAnswer.
    """
    if not isinstance(backups, list):
        raise UnusableResponse("answer_without_jobs")
    jobs: list[CollectedJob] = []
    problems: list[Refused] = []
    for number, entry in enumerate(backups, 1):
        backup = entry.get("Backup") if isinstance(entry, Mapping) else None
        name = shorten_identity(_text(backup.get("Name"))) if isinstance(backup, Mapping) else ""
        if not isinstance(backup, Mapping) or not name:
            problems.append(Refused("job_without_name", number=number))
        else:
            schedule = _read_schedule(entry.get("Schedule"), zone)
            metadata = backup.get("Metadata")
            jobs.append(
                CollectedJob(
                    _text(backup.get("ID")),
                    name,
                    schedule,
                    SYNC if backup.get("OperationType") == SYNC else BACKUP,
                    read_last_sync(metadata),
                    read_last_error(metadata),
                )
            )
    return jobs, problems


def read_weekdays(rule: Any) -> int:
    """Return the allowed weekdays of a schedule's rule as seven bits.

    All if none named.
    """
    named = rule.partition(WEEKDAYS_MARK)[2].split(",") if isinstance(rule, str) else []
    return weekday_mask({WEEKDAYS[name.strip()] for name in named if name.strip() in WEEKDAYS})


def backup_messages(log: Any) -> Iterable[dict[str, Any]]:
    """Yield the results of backups in the log of a job; other entries are skipped."""
    if not isinstance(log, list):
        raise UnusableResponse("answer_log_unreadable")
    for entry in log:
        message = _message(entry)
        if message is not None:
            yield message


def read_log(log: Any, machine: Machine, job: CollectedJob, *, received_at: datetime, zone: ZoneInfo) -> CollectedLog:
    """Return the runs in the log of a job. Raise UnreadableAnswer.

    `zone` is for dates without an offset.
    """
    reports, problems = [], []
    extra = {
        "machine-id": machine.id,
        "machine-name": machine.name,
        "backup-name": job.name,
        "backup-id": job.duplicati_id,
    }
    for message in backup_messages(log):
        # wire: only the list of errors counts; for a report by HTTP the exception is one more.
        data = {**message, "Exception": None} if isinstance(message.get("Errors"), list) else message
        try:
            report = read_report(
                {"Data": data, "Extra": extra}, sent_as=Format.COLLECTED, received_at=received_at, zone=zone
            )
        except InvalidReport as error:
            problems.append(error)
        else:
            if isinstance(report, Report):
                reports.append(report)
    return CollectedLog(tuple(sorted(reports, key=lambda report: report.began_at)), tuple(problems))


def document_of(system_info: Any, backups: Any, logs: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
    """Return all collected data for download.

    URLs and settings with secrets are masked.

    `logs` has the log of each job by Duplicati's id and name.
    """
    system = {name: value for name, value in system_info.items() if name not in LEFT_OUT_OF_SYSTEM}
    options = system.get("Options")
    if isinstance(options, list):
        system["Options"] = [
            option for option in options if isinstance(option, Mapping) and option.get("Name") == MACHINE_ID
        ]
    return {
        "system_info": system,
        "backups": _masked(backups),
        "backup_logs": [
            {"backupId": job_id, "backupName": name, "messages": _kept_entries(log)}
            for (job_id, name), log in logs.items()
        ],
    }


def _kept_entries(log: Any) -> list[dict[str, Any]]:
    entries = ((entry, _message(entry)) for entry in log) if isinstance(log, list) else ()
    return [{**entry, "Message": message} for entry, message in entries if message is not None]


def _message(entry: Any) -> dict[str, Any] | None:
    """Return the message of a log entry about a backup; it is JSON within a string."""
    text = entry.get("Message") if isinstance(entry, Mapping) else None
    if not isinstance(text, str):
        return None
    try:
        message = read_json(text)
    except ValueError:
        return None
    return message if isinstance(message, dict) and message.get("MainOperation") == BACKUP else None


def _read_schedule(schedule: Any, zone: ZoneInfo) -> JobSchedule | None:
    if not isinstance(schedule, Mapping) or not schedule:
        return None
    interval = _text(schedule.get("Repeat"))[:LONGEST_INTERVAL]
    # A schedule that was never configured has year 1, which is not a valid instant.
    return JobSchedule(interval, read_weekdays(schedule.get("Rule")), read_instant_or_none(schedule.get("Time"), zone))


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return clean_text(str(value)).strip()


def _masked(value: Any) -> Any:
    """Return the list of jobs with URLs and secrets masked at any depth."""
    if isinstance(value, list):
        return [_masked(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    masked = {name: _masked_member(str(name), member) for name, member in value.items()}
    if isinstance(masked.get("Name"), str) and "Value" in masked and SECRET_SETTING.search(masked["Name"]):
        masked["Value"] = REDACTED
    return masked


def _masked_member(name: str, value: Any) -> Any:
    if isinstance(value, str) and name.lower().endswith("url"):
        return f"{value.partition(':')[0]}:{REDACTED}" if value else value
    return _masked(value)
