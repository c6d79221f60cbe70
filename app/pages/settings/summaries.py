"""What the tab of summaries shows and takes: the daily summary, and the weekly or monthly digest."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask_babel import LazyString
from flask_babel import lazy_gettext as lazy
from werkzeug.datastructures import MultiDict

from app.contracts import AppError
from app.domain.occurrences import MONTHLY, WEEKLY
from app.models import Channel
from app.services import channels, page_links, summary_settings, task_schedule
from app.services.audit import Actor
from app.services.deployment import registry
from app.services.summary_settings import DIGEST, OFF, SUMMARY, SummaryPlan

PERIOD_WORDS: Mapping[str, LazyString] = {OFF: lazy("Never"), WEEKLY: lazy("Every week"), MONTHLY: lazy("Every month")}


@dataclass(frozen=True, slots=True)
class Way:
    """A channel that a digest may go through."""

    row: Channel
    label: str
    is_usable: bool


@dataclass(frozen=True, slots=True)
class Board:
    """Both plans as they are stored or as they were entered; `problem` is what was refused at which field."""

    summary: Mapping[str, Any]
    digest: Mapping[str, Any]
    ways: tuple[Way, ...]
    has_mail: bool
    link: str | None
    problem: Mapping[str, str] = field(default_factory=dict)


def build_board(*, name: str = "", entered: dict[str, Any] | None = None, refusal: AppError | None = None) -> Board:
    """What is stored; for one of the two what was entered, with what was wrong."""
    shown = {SUMMARY: _shown(summary_settings.daily_summary()), DIGEST: _shown(summary_settings.digest())}
    if entered is not None:
        shown[name] = entered
    usable = {row.id for row in channels.usable()}
    standard = channels.standard(channels.EMAIL)
    ways = [Way(row, _label(row), row.id in usable) for row in channels.list_channels()]
    problem = {f"{name}.{refusal.extra.get('field', '')}": refusal.message} if refusal else {}
    has_mail = standard is not None and standard.id in usable
    return Board(shown[SUMMARY], shown[DIGEST], tuple(ways), has_mail, page_links.own_address(), problem)


def save_summary(form: MultiDict[str, str], *, actor: Actor, now: datetime) -> Board | None:
    """Store the plan of the daily summary; gives the page to show instead where that is refused."""
    entered: dict[str, Any] = {
        "is_on": "is_on" in form,
        "time": form.get("time", ""),
        "recipients": form.get("recipients", ""),
    }

    def save() -> None:
        summary_settings.save_daily_summary(
            is_enabled=entered["is_on"],
            time=entered["time"],
            recipients=entered["recipients"],
            actor=actor,
            now=now,
        )

    return _saved(SUMMARY, entered, save)


def save_digest(form: MultiDict[str, str], *, actor: Actor, now: datetime) -> Board | None:
    """Store the plan of the digest; gives the page to show instead where that is refused."""
    weekday = form.get("weekday", "")
    entered: dict[str, Any] = {
        "period": form.get("period", OFF),
        "time": form.get("time", ""),
        "recipients": form.get("recipients", ""),
        "weekday": int(weekday) if weekday in set("0123456") else -1,
        "channel_ids": tuple(int(text) for text in form.getlist("channel") if text.isdecimal() and len(text) < 19),
    }

    def save() -> None:
        summary_settings.save_digest(**entered, actor=actor, now=now)

    return _saved(DIGEST, entered, save)


def _saved(name: str, entered: dict[str, Any], save: Callable[[], None]) -> Board | None:
    try:
        save()
    except AppError as refusal:
        return build_board(name=name, entered=entered, refusal=refusal)
    task_schedule.take_over()
    return None


def _shown(plan: SummaryPlan) -> dict[str, Any]:
    return {
        "is_on": plan.is_on,
        "period": plan.period,
        "time": plan.time,
        "weekday": plan.weekday,
        "recipients": ", ".join(plan.recipients),
        "channel_ids": plan.channel_ids,
    }


def _label(row: Channel) -> str:
    kind = registry().channels.get(row.kind)
    label = kind.label if kind else row.kind
    return label if row.name == row.kind else f"{row.name} ({label})"
