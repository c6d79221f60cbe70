"""Notifies people of unusual runs: once when a figure becomes unusual, and not again while it stays so."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.contracts import Severity
from app.domain.alarm_words import figure_line
from app.domain.anomalies import DURATION, SIZE, UPLOAD, Anomaly
from app.domain.durations import human_duration
from app.models import Job, Server
from app.services import insight, messages, outbox, page_links
from app.services.wording import count_text, date_text, size_text


def has_to_notify(job: Any, run_id: str) -> bool:
    """Say whether people are to be notified of a run that was just stored, as far as its job tells.

    It has to be the newest run, and one of its figures unusual of which nobody was notified yet. `job` may be any
    object with the attributes of `Job`.
    """
    is_new = any(not anomaly.get("is_notified") for anomaly in job.anomalies)
    return is_new and job.state_run_id == run_id and insight.limits().tells


def queue_message(session: Session, server: Server, job: Job, run_id: str, now: datetime) -> int:
    """Queue the message about an unusual run, in the transaction that stores it; returns the number of messages.

    It goes where a message about a warning of the job goes.
    """
    if not has_to_notify(job, run_id) or outbox.is_held_back(server, job, now):
        return 0
    destinations = outbox.warning_destinations(server, job)
    if not destinations:
        return 0
    anomalies = [Anomaly(**stored) for stored in job.anomalies]
    job.anomalies = [replace(anomaly, is_notified=True).stored() for anomaly in anomalies]
    audit = {"type": "unusual", "serverId": server.id, "serverName": server.name, "backupName": job.name}
    notice = _render(server, job, run_id, [anomaly for anomaly in anomalies if not anomaly.is_past])
    return outbox.queue_notice(session, notice, destinations, f"unusual:{run_id}", now, job_id=job.id, audit=audit)


def _render(server: Server, job: Job, run_id: str, anomalies: Iterable[Anomaly]) -> messages.Notice:
    code = messages.language()
    values = messages.server_values(server, job) | {
        "details_link": page_links.run_link(server.id, run_id) or "",
        "backup_date": date_text(job.state_began_at, code),
        "figures": "\n".join(_line(anomaly, code) for anomaly in anomalies),
    }
    return messages.render_alarm("unusualRun", Severity.WARNING, values)


def _line(anomaly: Anomaly, language: str) -> str:
    value, usual = (_amount(anomaly.figure, amount, language) for amount in (anomaly.value, anomaly.usual))
    return f"• {figure_line(anomaly.figure, value, usual, messages.alarm_language(language))}"


def _amount(figure: str, value: float, language: str) -> str:
    if figure == DURATION:
        return human_duration(value)
    return size_text(round(value), language) if figure in (SIZE, UPLOAD) else count_text(round(value), language)
