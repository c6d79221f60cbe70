"""Page of summaries: the daily summary, and the weekly or monthly digest."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString, ngettext
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from werkzeug.datastructures import MultiDict

from app import runtime
from app.audit.log import Actor
from app.core.errors import Refused
from app.core.instants import MONTHLY, WEEKLY
from app.notifications import channels, digests, messages, summaries, summary_settings
from app.notifications.models import Channel
from app.notifications.summary_settings import DIGEST, OFF, SUMMARY, SummaryPlan
from app.plugin import Access, guarded
from app.schedules.monitoring_pages import WEEKDAYS
from app.scheduling import control
from app.web.errors import refusal_text
from app.web.http import actor, settings_bp
from app.web.plugin_texts import kind_label

# What has a place for an error on the page; others are shown above.
SHOWN_FIELDS = frozenset({"time", "recipients", "channels"})
PERIOD_WORDS: Mapping[str, LazyString] = {OFF: lazy("Never"), WEEKLY: lazy("Every week"), MONTHLY: lazy("Every month")}


@dataclass(frozen=True, slots=True)
class DigestChannel:
    """A channel that can send a digest."""

    row: Channel
    label: str
    is_usable: bool


@dataclass(frozen=True, slots=True)
class SummaryPage:
    """Both plans as stored or as entered; `problem` is the error and its field."""

    summary: Mapping[str, Any]
    digest: Mapping[str, Any]
    digest_channels: tuple[DigestChannel, ...]
    has_mail: bool
    link: str | None
    problem: Mapping[str, str] = field(default_factory=dict)


def build_page(*, name: str = "", entered: dict[str, Any] | None = None, refusal: Refused | None = None) -> SummaryPage:
    """Return the page; for one of the plans with the entered values and errors."""
    plans = {SUMMARY: _shown(summary_settings.daily_summary()), DIGEST: _shown(summary_settings.digest())}
    if entered is not None:
        plans[name] = entered
    usable = {row.id for row in channels.usable()}
    standard = channels.standard(channels.EMAIL)
    digest_channels = [DigestChannel(row, _label(row), row.id in usable) for row in channels.list_channels()]
    problem = {f"{name}.{refusal.field or ''}": refusal_text(refusal)} if refusal else {}
    has_mail = standard is not None and standard.id in usable
    return SummaryPage(plans[SUMMARY], plans[DIGEST], tuple(digest_channels), has_mail, messages.own_address(), problem)


def save_summary(form: MultiDict[str, str], *, actor: Actor, now: datetime) -> SummaryPage | None:
    """Save the plan of the daily summary.

    Returns the page to show instead if it is invalid.
    """
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


def store_digest(form: MultiDict[str, str], *, actor: Actor, now: datetime) -> SummaryPage | None:
    """Save the plan of the digest; return the page to show instead if it is invalid."""
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


def _saved(name: str, entered: dict[str, Any], save: Callable[[], None]) -> SummaryPage | None:
    try:
        save()
    except Refused as refusal:
        if refusal.field not in SHOWN_FIELDS:
            flash(refusal_text(refusal), "error")
        return build_page(name=name, entered=entered, refusal=refusal)
    control.apply_settings()
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
    label = kind_label(row.kind)
    return label if row.name == row.kind else f"{row.name} ({label})"


# Views

TAB = "summary"
SENDERS = {"daily": summaries.send_now, "digest": digests.send_now}


def show() -> ResponseReturnValue:
    """Show the daily summary and the digest."""
    return _show(build_page())


@settings_bp.post("/summary/daily")
@guarded(Access.ADMIN)
def save_daily_summary() -> ResponseReturnValue:
    """Save the plan of the daily summary."""
    return _after_saving(save_summary(request.form, actor=actor(), now=runtime.now()))


@settings_bp.post("/summary/digest")
@guarded(Access.ADMIN)
def save_digest() -> ResponseReturnValue:
    """Save the plan of the digest."""
    return _after_saving(store_digest(request.form, actor=actor(), now=runtime.now()))


@settings_bp.post("/summary/<any(daily, digest):name>/send")
@guarded(Access.ADMIN)
def send_summary(name: str) -> ResponseReturnValue:
    """Send a summary or digest now, by its saved settings."""
    try:
        count = SENDERS[name](actor=actor(), now=runtime.now())
        flash(ngettext("%(num)s notification queued.", "%(num)s notifications queued.", count), "success")
    except Refused as refusal:
        flash(refusal_text(refusal), "error")
    return redirect(url_for("settings.index", tab=TAB), 303)


def _show(page: SummaryPage) -> str:
    weekdays = [(day % 7, WEEKDAYS[day % 7][1]) for day in range(1, 8)]
    next_runs = control.next_runs()
    return render_template(
        "notifications/summary.html",
        tab=TAB,
        page=page,
        periods=PERIOD_WORDS,
        weekdays=weekdays,
        next_runs=next_runs,
        now=runtime.now(),
    )


def _after_saving(refused: SummaryPage | None) -> ResponseReturnValue:
    if refused is not None:
        return _show(refused), 400
    flash(_("Saved."), "success")
    return redirect(url_for("settings.index", tab=TAB), 303)
