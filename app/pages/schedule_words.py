"""The schedule of a job in words: where it comes from, and what its runs show."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from babel import Locale
from babel.dates import format_time, get_day_names
from flask_babel import gettext as _
from flask_babel import ngettext

from app.domain.learned_schedules import LearnedSchedule
from app.domain.schedules import read_zone, weekdays_from_mask
from app.models.jobs import ALL_WEEKDAYS
from app.pages.formats import counted_text, every_text, interval_text, length_text
from app.pages.languages import LOCALES, chosen_language, format_locale
from app.services import deployment, planning

WORKING_DAYS = (1, 2, 3, 4, 5)
SHORT_UNITS = "smh"


@dataclass(frozen=True, slots=True)
class ScheduleWords:
    """A sentence about the schedule that holds, and the offer for an irregular job, empty without one."""

    text: str
    is_learned: bool
    offer: str = ""


def schedule_words(job: Any) -> ScheduleWords:
    """The schedule of a job in words; `job` has the attributes of `Job`."""
    source, learned = planning.source_of(job), planning.learned_of(job)
    every = every_text(job.expected_interval)
    if source == "learned" and learned is not None:
        return ScheduleWords(_learned_text(learned), is_learned=True)
    interval = planning.offered_interval(job)
    offer = (
        _("The runs are irregular. Expect one at least every %(time)s?", time=interval_text(interval))
        if interval
        else ""
    )
    if source == "kept" and learned is not None:
        return ScheduleWords(_("%(when)s (learned, kept)", when=when_text(learned)), is_learned=False)
    if source == planning.DUPLICATI and job.interval_source != planning.DUPLICATI:
        return ScheduleWords(_("Announced by Duplicati with each run"), is_learned=False)
    if source == planning.DUPLICATI:
        return ScheduleWords(_("%(every)s (from Duplicati)", every=every), is_learned=False)
    if source == planning.PERSON and job.schedule_anchor_at is None:
        at_least = _("at least every %(time)s", time=interval_text(job.expected_interval))
        return ScheduleWords(_("%(every)s (chosen)", every=at_least), is_learned=False)
    if source == planning.PERSON:
        return ScheduleWords(_("%(every)s (chosen)", every=every), is_learned=False)
    return ScheduleWords(_("%(every)s (default, until four runs agree)", every=every), is_learned=False, offer=offer)


def when_text(learned: LearnedSchedule) -> str:
    """When a job runs, as part of a sentence: `every day at 05:30`, `Mon, Wed, Fri at 05:30`."""
    if learned.interval[-1] in SHORT_UNITS:
        return every_text(learned.interval)
    at = learned.anchor_at.astimezone(read_zone(learned.zone))
    time = format_time(at, "short", locale=format_locale())
    if learned.zone != deployment.settings().zone.key:
        time = f"{time} ({learned.zone if '/' in learned.zone else f'UTC{learned.zone}'})"
    weekdays = weekdays_from_mask(learned.weekdays)
    if weekdays == WORKING_DAYS:
        names = _day_names("wide", LOCALES[chosen_language()])
        return _("%(first)s to %(last)s at %(time)s", first=names[0], last=names[4], time=time)
    if learned.weekdays != ALL_WEEKDAYS:
        names = _day_names("abbreviated", LOCALES[chosen_language()])
        days = ", ".join(names[(day - 1) % 7] for day in sorted(weekdays, key=lambda day: (day - 1) % 7))
        return _("%(days)s at %(time)s", days=days, time=time)
    every = every_text(learned.interval)
    if learned.interval[-1] == "W":
        day = _day_names("wide", LOCALES[chosen_language()])[at.weekday()]
        return _("%(every)s, %(day)s at %(time)s", every=every, day=day, time=time)
    if learned.interval[-1] in "MY":
        return _("%(every)s on day %(day)s at %(time)s", every=every, day=at.day, time=time)
    return _("%(every)s at %(time)s", every=every, time=time)


def _learned_text(learned: LearnedSchedule) -> str:
    spread = length_text(learned.spread_s) if learned.spread_s >= 60 else counted_text(1, "minute")
    return ngettext(
        "Learned from the last run: %(when)s (spread %(spread)s)",
        "Learned from the last %(num)s runs: %(when)s (spread %(spread)s)",
        learned.run_count,
        when=when_text(learned),
        spread=spread,
    )


@lru_cache
def _day_names(width: Literal["abbreviated", "wide"], locale: Locale) -> tuple[str, ...]:
    """Monday to Sunday."""
    names = get_day_names(width, locale=locale)
    return tuple(names[day] for day in range(7))
