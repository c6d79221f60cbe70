"""Settings tab of backup monitoring, dialog of the schedule of a job, and texts about it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

from babel import Locale
from babel.dates import format_time, get_day_names
from flask import Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString, get_locale, lazy_pgettext, ngettext
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from flask_login import current_user
from werkzeug.datastructures import MultiDict

from app import runtime
from app.accounts import preferences
from app.accounts.models import ALL_SERVERS
from app.audit.log import Actor
from app.backups import overview
from app.backups.job_pages import show_dialog
from app.backups.models import ALL_WEEKDAYS, Job, Server
from app.backups.overview import JobStatus
from app.backups.server_pages import find_job
from app.core.db.orm import writing
from app.core.errors import Refused
from app.core.settings import store as settings_store
from app.database import external_monitor
from app.database.health_alarms import KINDS
from app.database.monitoring_form import SelfMonitoringForm, self_monitoring_form
from app.notifications.default_templates import HEALTH_PROBLEMS
from app.plugin import Access, guarded
from app.schedules import job_settings, next_run, overdue_check
from app.schedules.intervals import read_zone, weekday_mask, weekdays_from_mask
from app.schedules.job_settings import JobChange, key_of
from app.schedules.learned import LearnedSchedule
from app.scheduling import control
from app.web.errors import refusal_text, stored_text
from app.web.formats import counted_text, every_text, interval_text, length_text
from app.web.http import actor, csv_line, local_address, pages_bp, settings_bp, visible_server_ids
from app.web.i18n import LOCALES, chosen_language, format_locale

WORKING_DAYS = (1, 2, 3, 4, 5)
SHORT_UNITS = "smh"


@dataclass(frozen=True, slots=True)
class ScheduleWords:
    """Texts on the current schedule, and the suggestion for an irregular job or ""."""

    text: str
    is_learned: bool
    offer: str = ""


def schedule_words(job: Any) -> ScheduleWords:
    """Return the texts on a job's schedule; `job` has the attributes of `Job`."""
    source, learned = next_run.source_of(job), next_run.learned_of(job)
    every = every_text(job.expected_interval)
    if source == "learned" and learned is not None:
        return ScheduleWords(_learned_text(learned), is_learned=True)
    interval = next_run.offered_interval(job)
    offer = (
        _("The runs are irregular. Expect at least one run every %(time)s?", time=interval_text(interval))
        if interval
        else ""
    )
    if source == "kept" and learned is not None:
        return ScheduleWords(_("%(when)s (learned, kept)", when=when_text(learned)), is_learned=False)
    if source == next_run.DUPLICATI and job.interval_source != next_run.DUPLICATI:
        return ScheduleWords(_("Reported by Duplicati with each run"), is_learned=False)
    if source == next_run.DUPLICATI:
        return ScheduleWords(_("%(every)s (from Duplicati)", every=every), is_learned=False)
    if source == next_run.PERSON and job.schedule_anchor_at is None:
        at_least = _("at least every %(time)s", time=interval_text(job.expected_interval))
        return ScheduleWords(_("%(every)s (set manually)", every=at_least), is_learned=False)
    if source == next_run.PERSON:
        return ScheduleWords(_("%(every)s (set manually)", every=every), is_learned=False)
    return ScheduleWords(_("%(every)s (default until four runs match)", every=every), is_learned=False, offer=offer)


def when_text(learned: LearnedSchedule) -> str:
    """Return when a job runs, as part of a sentence.

    Examples: `every day at 05:30`, `Mon, Wed, Fri at 05:30`.
    """
    if learned.interval[-1] in SHORT_UNITS:
        return every_text(learned.interval)
    at = learned.anchor_at.astimezone(read_zone(learned.zone))
    time = format_time(at, "short", locale=format_locale())
    if learned.zone != runtime.settings().zone.key:
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
    """Return the names of Monday to Sunday."""
    names = get_day_names(width, locale=locale)
    return tuple(names[day] for day in range(7))


# The form: interval, weekdays and grace period of each job

CUSTOM = ""
UNITS: Mapping[str, LazyString] = {
    CUSTOM: lazy("Custom"),
    "m": lazy("Minutes"),
    "h": lazy("Hours"),
    "D": lazy("Days"),
    "W": lazy("Weeks"),
    "M": lazy("Months"),
    "Y": lazy("Years"),
}
# From Sunday on, as stored.
WEEKDAYS = (
    (lazy("Sun"), lazy("Sunday")),
    (lazy("Mon"), lazy("Monday")),
    (lazy("Tue"), lazy("Tuesday")),
    (lazy("Wed"), lazy("Wednesday")),
    (lazy("Thu"), lazy("Thursday")),
    (lazy("Fri"), lazy("Friday")),
    (lazy("Sat"), lazy("Saturday")),
)
# The file is also for programs, so its texts are the same in all languages.
ENGLISH_WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
TOLERANCE_WORDS: Mapping[str, LazyString] = {
    "no_tolerance": lazy_pgettext("tolerance", "None"),
    "5min": lazy("5 minutes"),
    "15min": lazy("15 minutes"),
    "30min": lazy("30 minutes"),
    "1h": lazy("1 hour"),
    "2h": lazy("2 hours"),
    "4h": lazy("4 hours"),
    "6h": lazy("6 hours"),
    "12h": lazy("12 hours"),
    "1d": lazy("1 day"),
}
FREQUENCY_WORDS: Mapping[str, LazyString] = {
    "onetime": lazy("Once"),
    "every_day": lazy("Every day"),
    "every_week": lazy("Every week"),
    "every_month": lazy("Every month"),
}
PRESET_WORDS: Mapping[str, LazyString] = {
    "disabled": lazy("Disabled"),
    "1min": lazy("Every minute"),
    "5min": lazy("Every 5 minutes"),
    "10min": lazy("Every 10 minutes"),
    "15min": lazy("Every 15 minutes"),
    "20min": lazy("Every 20 minutes"),
    "30min": lazy("Every 30 minutes"),
    "1hour": lazy("Every hour"),
    "2hours": lazy("Every 2 hours"),
}
SORTS = ("server", "job", "next")
HEAD = (
    "generated at",
    "server name",
    "server id",
    "backup name",
    "last backup (settings)",
    "last backup weekday",
    "last backup (database)",
    "next run",
    "next run weekday",
    "needs attention",
    "monitoring enabled",
    "expected interval",
    "allowed weekdays",
    "grace period",
    "learned schedule",
)
NOT_AVAILABLE = "N/A"


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the form: switch, interval, weekdays (0 = Sunday), grace period.

    The interval is a number with a unit, or custom. `tolerance` is a name of `TOLERANCES`; "" for the global grace
    period.
    """

    is_on: bool
    count: str
    unit: str
    weekdays: tuple[int, ...]
    tolerance: str = ""

    @property
    def interval(self) -> str:
        """The interval as stored."""
        return f"{self.count}{self.unit}"

    @property
    def state(self) -> str:
        """The row as a string that the form returns.

        A save then changes only edited rows.
        """
        return f"{int(self.is_on)}|{self.interval}|{''.join(map(str, self.weekdays))}|{self.tolerance}"


@dataclass(frozen=True, slots=True)
class Row:
    """A job with its settings and state.

    `problem` is the error of the entered values.
    """

    server: Server
    job: Job
    entry: Entry
    status: JobStatus | None
    problem: str = ""

    @property
    def is_overdue(self) -> bool:
        """Whether it is overdue."""
        return self.status is not None and self.status.is_overdue

    @property
    def words(self) -> str:
        """The text that the filter searches."""
        server = self.server
        return f"{server.name} {server.alias} {server.note} {self.job.name}".casefold()


@dataclass(frozen=True, slots=True)
class MonitoringPage:
    """The jobs that the user may see, filtered and sorted, and the global settings."""

    rows: tuple[Row, ...]
    query: str
    sort: str
    tolerance: str
    preset: str
    frequency: str
    checked_at: datetime | None
    now: datetime

    @property
    def problem_count(self) -> int:
        """The number of rows with errors."""
        return sum(bool(row.problem) for row in self.rows)

    def aria_sort(self, column: str) -> str:
        """Return a column's state as `aria-sort`."""
        if self.sort.removeprefix("-") != column:
            return "none"
        return "descending" if self.sort.startswith("-") else "ascending"

    def next_sort(self, column: str) -> str:
        """Return the sorting after a click on a column."""
        return f"-{column}" if self.sort == column else column


def build_page(visible: frozenset[str] | None, arguments: Mapping[str, str], now: datetime) -> MonitoringPage:
    """Build the page: all jobs with their settings."""
    query, sort = arguments.get("q", "").strip()[:200], arguments.get("sort", "server")
    sort = sort if sort.removeprefix("-") in SORTS else "server"
    statuses = {job.job_id: job for job in overview.overview(now, visible).jobs}
    rows = [
        Row(server, job, entry_of(job), statuses.get(job.id))
        for server in job_settings.list_servers(visible)
        for job in server.jobs
    ]
    wanted = query.casefold()
    return MonitoringPage(
        tuple(_sorted([row for row in rows if wanted in row.words], sort)),
        query,
        sort,
        settings_store.get("overdue_tolerance"),
        control.chosen_preset(),
        settings_store.get("notification_frequency"),
        overdue_check.last_check_at(),
        now,
    )


def entry_of(job: Job | JobStatus) -> Entry:
    """Return the stored settings of a job as form values."""
    count, unit = _split(job.expected_interval)
    weekdays = weekdays_from_mask(job.allowed_weekdays)
    return Entry(job.is_overdue_check_enabled, count, unit, weekdays, job.overdue_tolerance or "")


def entry_that_holds(job: JobStatus) -> Entry:
    """Return a job's current schedule as form values: learned instead of default."""
    entry, learned = entry_of(job), next_run.learned_of(job)
    if learned is None:
        return entry
    count, unit = _split(learned.interval)
    return replace(entry, count=count, unit=unit, weekdays=weekdays_from_mask(learned.weekdays))


def read_entry(form: MultiDict[str, str], name: str) -> Entry:
    """Return the entered values for the job with an id."""
    unit = form.get(f"unit.{name}", "D")
    days = {int(day) for day in form.getlist(f"day.{name}") if day in "0123456"}
    count = "".join(form.get(f"count.{name}", "").split())
    tolerance = form.get(f"tolerance.{name}", "")
    return Entry(
        f"on.{name}" in form,
        count,
        unit if unit in UNITS else CUSTOM,
        tuple(sorted(days)),
        tolerance,
    )


def read_change(entry: Entry, was: str, *, is_explicit: bool = False) -> JobChange:
    """Return what differs between an entry and what the form was drawn with. Raises Refused."""
    if not entry.weekdays:
        raise Refused("weekday_missing", "allowed_weekdays")
    if entry.unit != CUSTOM and not (entry.count.isascii() and entry.count.isdigit() and entry.count.strip("0")):
        raise Refused("interval_zero", "expected_interval")
    if not entry.interval.strip("0"):  # the API keeps zero, as the original does, but no run can be expected by it
        raise Refused("interval_invalid", "expected_interval", reason="The interval is empty or zero")
    # Checked also where it did not change, so that what the row shows can be stored.
    JobChange({"expected_interval": entry.interval, "overdue_tolerance": entry.tolerance or None})
    return JobChange(_differences(entry, was), is_explicit=is_explicit)


def save_rows(form: MultiDict[str, str], *, actor: Actor, now: datetime) -> Mapping[int, tuple[Entry, str]]:
    """Store the rows that the user changed, all or none.

    Returns the rejected rows: by the id of the job the entered values and the error.
    """
    jobs = {str(job.id): job for server in job_settings.list_servers(ALL_SERVERS) for job in server.jobs}
    changes: dict[str, JobChange] = {}
    refused: dict[int, tuple[Entry, str]] = {}
    for name in form.getlist("row"):
        if name not in jobs:
            continue
        entry, was = read_entry(form, name), form.get(f"was.{name}", "")
        if entry.state == was:
            continue
        try:
            changes[key_of(jobs[name].server_id, jobs[name].name)] = read_change(entry, was)
        except Refused as refusal:
            refused[jobs[name].id] = (entry, refusal_text(refusal))
    if changes and not refused:
        job_settings.save(changes, actor=actor, now=now)
    return refused


def save_job(server_id: str, job_name: str, form: MultiDict[str, str], *, actor: Actor, now: datetime) -> None:
    """Store the changed values of one job. Raise Refused with the error."""
    entry, was = read_entry(form, "job"), form.get("was", "")
    change = read_change(entry, was, is_explicit=True)
    if change.columns and job_settings.save({key_of(server_id, job_name): change}, actor=actor, now=now):
        raise Refused("job_not_found")


def weekdays() -> list[tuple[int, LazyString, LazyString]]:
    """Return the weekdays (0 = Sunday) with short and long names.

    The first one is the first day of the week of the user's language.
    """
    first = first_weekday()
    return [(day % 7, *WEEKDAYS[day % 7]) for day in range(first, first + 7)]


def first_weekday() -> int:
    """Return the first day of the user's week, counted from Sunday."""
    return (preferences.of(current_user).first_weekday(str(get_locale())) + 1) % 7


def with_rejected(page: MonitoringPage, refused: Mapping[int, tuple[Entry, str]]) -> MonitoringPage:
    """Return the page with rejected values and errors in its rows."""
    rows = [
        replace(row, entry=refused[row.job.id][0], problem=refused[row.job.id][1]) if row.job.id in refused else row
        for row in page.rows
    ]
    return replace(page, rows=tuple(rows))


def csv_file(page: MonitoringPage, first_weekday: int) -> Iterator[str]:
    """Yield the filtered and sorted rows as CSV; `first_weekday` counts from Sunday."""
    yield csv_line(HEAD) + "\r\n"
    for row in page.rows:
        job, order = row.job, [(first_weekday + offset) % 7 for offset in range(7)]
        allowed = weekdays_from_mask(job.allowed_weekdays)
        yield (
            csv_line(
                (
                    _iso(page.now),
                    row.server.display_name,
                    row.server.id,
                    job.name,
                    _iso(job.last_began_at),
                    _weekday(job.last_began_at),
                    _iso(row.status.last_began_at if row.status else None),
                    _iso(job.next_expected_at),
                    _weekday(job.next_expected_at),
                    "Yes" if row.is_overdue else "No",
                    "Yes" if job.is_overdue_check_enabled else "No",
                    job.expected_interval,
                    "; ".join(ENGLISH_WEEKDAYS[day] for day in order if day in allowed),
                    job.overdue_tolerance or "",
                    learned.interval if (learned := next_run.learned_of(job)) else "",
                )
            )
            + "\r\n"
        )


def _split(interval: str) -> tuple[str, str]:
    """Return an interval as number and unit; compound ones and seconds are custom."""
    count, unit = interval[:-1], interval[-1:]
    is_simple = unit in UNITS and unit != CUSTOM and count.isascii() and count.isdigit()
    return (count, unit) if is_simple else (interval, CUSTOM)


def _differences(entry: Entry, was: str) -> dict[str, Any]:
    was_on, was_interval, was_days, was_tolerance = (*was.split("|"), "", "", "", "")[:4]
    columns: dict[str, Any] = {}
    if str(int(entry.is_on)) != was_on:
        columns["is_overdue_check_enabled"] = entry.is_on
    if entry.interval != was_interval:
        columns["expected_interval"] = entry.interval
    if "".join(map(str, entry.weekdays)) != was_days:
        columns["allowed_weekdays"] = weekday_mask(entry.weekdays)
    if entry.tolerance != was_tolerance:
        columns["overdue_tolerance"] = entry.tolerance or None
    return columns


def _sorted(rows: list[Row], sort: str) -> list[Row]:
    keys = {
        "server": lambda row: (row.server.display_name.casefold(), row.job.name.casefold()),
        "job": lambda row: (row.job.name.casefold(), row.server.display_name.casefold()),
        "next": lambda row: row.job.next_expected_at or datetime.max.replace(tzinfo=UTC),
    }
    return sorted(rows, key=keys[sort.removeprefix("-")], reverse=sort.startswith("-"))


def _iso(at: datetime | None) -> str:
    return NOT_AVAILABLE if at is None else at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _weekday(at: datetime | None) -> str:
    return NOT_AVAILABLE if at is None else ENGLISH_WEEKDAYS[at.astimezone(UTC).isoweekday() % 7]


# Views

TAB = "monitoring"


def show() -> ResponseReturnValue:
    """Show the monitoring settings of all jobs."""
    return _show(build_page(visible_server_ids(), request.args, runtime.now()))


@settings_bp.post("/monitoring")
@guarded(Access.ADMIN)
def save_monitoring() -> ResponseReturnValue:
    """Store the changed rows, and check for overdue jobs."""
    refused = save_rows(request.form, actor=actor(), now=runtime.now())
    if refused:
        page = build_page(visible_server_ids(), request.form, runtime.now())
        return _show(with_rejected(page, refused)), 400
    flash(_("Saved."), "success")
    _check()
    return _back()


@settings_bp.post("/monitoring/rules")
@guarded(Access.ADMIN)
def save_rules() -> ResponseReturnValue:
    """Store the global settings: grace period, check interval, repeated alerts."""
    form, who, now = request.form, actor(), runtime.now()
    try:
        with writing():
            if "tolerance" in form:
                overdue_check.save_tolerance(form["tolerance"], actor=who, now=now)
            if "frequency" in form:
                overdue_check.save_frequency(form["frequency"], actor=who, now=now)
            if "interval" in form:
                control.choose_interval(form["interval"], actor=who, now=now)
    except Refused as refusal:
        flash(_("Nothing was saved. %(reason)s", reason=refusal_text(refusal)), "error")
        return _show(build_page(visible_server_ids(), {}, now)), 400
    if "interval" in form:
        control.apply_settings()
    flash(_("Saved."), "success")
    return _back()


@settings_bp.post("/monitoring/check")
def check_now() -> ResponseReturnValue:
    """Check for overdue jobs now."""
    _check()
    return _back()


@settings_bp.post("/monitoring/reset")
def clear_notification_times() -> ResponseReturnValue:
    """Reset the overdue alerts."""
    overdue_check.clear_notification_times(visible_server_ids(), actor=actor(), now=runtime.now())
    flash(_("The next check will alert again for every overdue job."), "success")
    return _back()


@settings_bp.get("/monitoring.csv")
def monitoring_file() -> ResponseReturnValue:
    """Download the filtered and sorted table."""
    now = runtime.now()
    lines = csv_file(build_page(visible_server_ids(), request.args, now), first_weekday())
    name = f"backup-monitoring-{now:%Y-%m-%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response("".join(lines), mimetype="text/csv", headers=headers)


def _check() -> None:
    found = overdue_check.check_now(visible_server_ids(), actor=actor(), now=runtime.now())
    late = ngettext("%(num)s job overdue", "%(num)s jobs overdue", found.overdue_count)
    notified = ngettext("%(num)s new alert", "%(num)s new alerts", found.notified_count)
    checked = ngettext("%(num)s job checked", "%(num)s jobs checked", found.checked_count)
    flash(f"{checked}; {late}; {notified}.", "success")


@settings_bp.post("/monitoring/self")
@guarded(Access.ADMIN)
def save_self_monitoring() -> ResponseReturnValue:
    """Store the limit for free disk space and the external monitor.

    `then=ping` also pings.
    """
    form = self_monitoring_form(is_sent=True)
    is_dropped = form.attempt(actor(), runtime.now())
    if is_dropped is None:
        return _show(build_page(visible_server_ids(), {}, runtime.now()), form), 400
    flash(_("Saved."), "success")
    if is_dropped:
        flash(_("The stored token was removed because the URL points to another host. Enter it again."), "warning")
    if request.form.get("then") == "ping":
        _ping()
    return redirect(url_for("settings.index", tab=TAB, _anchor="self-monitoring"), 303)


def health_text(code: str) -> str:
    """Return a health problem in the language of the page; an unknown code is unchanged."""
    return _(HEALTH_PROBLEMS[KINDS[code]]) if code in KINDS else code


def _ping() -> None:
    try:
        result = external_monitor.ping_now(runtime.now())
    except Refused as refusal:
        flash(refusal_text(refusal), "error")
        return
    if result.error:
        flash(_("The ping failed: %(reason)s", reason=stored_text(result.error_details, result.error)), "error")
    elif result.reason:
        reason = health_text(result.reason)
        flash(_("duplistatus has a problem, so no success was reported: %(reason)s", reason=reason), "warning")
    else:
        flash(_("The ping succeeded."), "success")


def _show(page: MonitoringPage, form: SelfMonitoringForm | None = None) -> str:
    # The URL allows sending pings: only administrators may see it.
    is_admin = bool(current_user.is_admin)
    own = (
        {"form": form or self_monitoring_form(), "last_ping": external_monitor.last_ping(), "health_text": health_text}
        if is_admin
        else {}
    )
    words: Mapping[str, object] = {
        "units": UNITS,
        "weekdays": weekdays(),
        "tolerances": TOLERANCE_WORDS,
        "presets": PRESET_WORDS,
        "frequencies": FREQUENCY_WORDS,
        **own,
    }
    return render_template("schedules/monitoring.html", tab=TAB, page=page, **words)


def _back() -> ResponseReturnValue:
    query, sort = request.form.get("q") or None, request.form.get("sort") or None
    return redirect(url_for("settings.index", tab=TAB, q=query, sort=sort), 303)


# Dialog of the schedule of one job


@pages_bp.get("/detail/<server_id>/schedule")
@guarded(Access.ADMIN)
def schedule_form(server_id: str) -> ResponseReturnValue:
    """Show the schedule of a job, with the one learned from its runs, and a form."""
    return _show_schedule(server_id)


@pages_bp.post("/detail/<server_id>/schedule")
@guarded(Access.ADMIN)
def save_schedule(server_id: str) -> ResponseReturnValue:
    """Accept or relearn the learned schedule, or store the entered one; then return."""
    form, now, job_name = request.form, runtime.now(), request.form.get("backup", "")
    try:
        if form.get("do") == "keep":
            job_settings.keep_schedule(server_id, job_name, actor=actor(), now=now)
        elif form.get("do") == "learn":
            job_settings.learn_schedule(server_id, job_name, actor=actor(), now=now)
        else:
            save_job(server_id, job_name, form, actor=actor(), now=now)
    except Refused as refusal:
        return _show_schedule(server_id, problem=refusal_text(refusal)), refusal.status
    flash(_("Saved."), "success")
    return redirect(local_address(form.get("back")), 303)


def _show_schedule(server_id: str, **values: object) -> str:
    job = find_job(server_id, request.values.get("backup", ""), runtime.now(), visible_server_ids())["job"]
    entry = read_entry(request.form, "job") if "was" in request.form else entry_that_holds(job)
    is_chosen = next_run.source_of(job) in (next_run.PERSON, "kept")
    words = {
        "units": UNITS,
        "tolerances": TOLERANCE_WORDS,
        "weekdays": weekdays(),
    }
    default = settings_store.get("overdue_tolerance")
    return show_dialog(
        "schedule", server_id, entry=entry, is_chosen=is_chosen, default_tolerance=default, **words, **values
    )
