"""Page of backup notifications.

For each job its event, channels and additional destinations.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString, ngettext
from flask_babel import gettext as _
from flask_babel import lazy_gettext as lazy
from flask_login import current_user
from werkzeug.datastructures import MultiDict

from app import runtime
from app.accounts.models import ALL_SERVERS, is_limited
from app.audit.log import Actor
from app.backups.models import Job, Server
from app.core.errors import Refused
from app.notifications import channels, test_messages
from app.notifications.channels import email_addresses
from app.notifications.outbox import ALL, ERRORS, EVENTS, OFF, WARNINGS, inherited, is_channel_on
from app.notifications.test_messages import count_test
from app.plugin import Access, guarded
from app.runtime import registry
from app.schedules import job_settings, monitoring_pages
from app.schedules.job_settings import DEFAULTS_NAME, JobChange, key_of
from app.schedules.overdue import TOLERANCES
from app.web.errors import refusal_text
from app.web.http import actor, settings_bp, visible_server_ids
from app.web.plugin_texts import kind_label

EVENT_WORDS: Mapping[str, LazyString] = {
    ALL: lazy("Every run"),
    WARNINGS: lazy("Warnings and errors"),
    ERRORS: lazy("Errors only"),
    OFF: lazy("Never"),
}
INHERIT, LEAVE = "inherit", "leave"
TOPIC_LENGTH = 64
# Maximum length of an address in mail systems.
ADDRESS_LENGTH = 254


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of channel that jobs can use.

    One that is incomplete or disabled is shown but cannot be selected.
    """

    name: str
    label: str
    is_usable: bool


@dataclass(frozen=True, slots=True)
class Row:
    """A job in the table."""

    job: Job
    kinds: tuple[Kind, ...]

    @property
    def on(self) -> frozenset[str]:
        """Return the kinds of channels that its notifications use."""
        return frozenset(kind.name for kind in self.kinds if is_channel_on(self.job, kind.name))

    @property
    def state(self) -> str:
        """Return the state of the row as text.

        Returned with the form, so that saving changes only what the user changed.
        """
        return row_state(self.job.notification_event, self.on)

    @property
    def has_own(self) -> bool:
        """Whether it has additional destinations of its own."""
        return any(getattr(self.job, name) is not None for name in job_settings.ADDITIONAL)


@dataclass(frozen=True, slots=True)
class Group:
    """A server with its jobs."""

    server: Server
    rows: tuple[Row, ...]

    @property
    def has_defaults(self) -> bool:
        """Whether its jobs inherit an additional destination."""
        return any(getattr(self.server, name) for name in job_settings.ADDITIONAL)


@dataclass(frozen=True, slots=True)
class JobsPage:
    """The page: visible jobs that match the filter, by server."""

    groups: tuple[Group, ...]
    kinds: tuple[Kind, ...]
    query: str
    is_descending: bool

    @property
    def row_count(self) -> int:
        """Return the number of shown jobs."""
        return sum(len(group.rows) for group in self.groups)


@dataclass(frozen=True, slots=True)
class Additional:
    """Form of the additional destinations of a job or of the defaults of a server.

    `values` are its own (None means inherited); `from_server` are the inherited ones. `problems` by field.
    """

    server: Server
    job: Job | None
    values: Mapping[str, str | None]
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Return the name of the job or server."""
        return self.job.name if self.job else self.server.display_name

    @property
    def from_server(self) -> dict[str, str]:
        """Return what a job inherits where it sets nothing itself."""
        event = inherited(None, self.server.additional_event, self.job.notification_event if self.job else "")
        texts = {name: getattr(self.server, name) or "" for name in ("additional_emails", "additional_ntfy_topic")}
        return {"additional_event": event, **texts}

    @property
    def effective(self) -> dict[str, str]:
        """Return the effective values."""
        from_server = self.from_server
        return {name: inherited(self.values[name], None, from_server[name]) for name in job_settings.ADDITIONAL}


def build_page(visible: frozenset[str] | None, query: str = "", *, is_descending: bool = False) -> JobsPage:
    """Return all jobs by server; `query` is part of a server, alias or job name."""
    kinds, wanted = _kinds(), query.strip().casefold()
    groups = []
    for server in job_settings.list_servers(visible):
        is_whole = wanted in f"{server.name}\n{server.alias}".casefold()
        jobs = [job for job in server.jobs if is_whole or wanted in job.name.casefold()]
        if jobs:
            groups.append(Group(server, tuple(Row(job, kinds) for job in jobs)))
    return JobsPage(tuple(groups[::-1] if is_descending else groups), kinds, query.strip(), is_descending)


def row_state(event: str, on: frozenset[str]) -> str:
    """Return the state of a row as one word."""
    return f"{event}|{','.join(sorted(on))}"


def save_rows(form: MultiDict[str, str], *, actor: Actor, now: datetime) -> dict[str, str]:
    """Save the differences between a form and the state it was rendered with.

    Returns the new states by job id. Raises Refused for an unknown event.
    """
    usable = {kind.name for kind in _kinds() if kind.is_usable}
    jobs = {str(job.id): job for server in job_settings.list_servers(ALL_SERVERS) for job in server.jobs}
    changes, states = {}, {}
    for name in form.getlist("row"):
        if name not in jobs:
            continue
        was_event, _bar, was_kinds = form.get(f"was.{name}", "|").partition("|")
        event, on = form.get(f"event.{name}", was_event), set(form.getlist(f"on.{name}"))
        was_on = set(filter(None, was_kinds.split(",")))
        switches = {kind: kind in on for kind in sorted(usable) if (kind in on) != (kind in was_on)}
        columns = {} if event == was_event else {"notification_event": event}
        if columns or switches:
            changes[key_of(jobs[name].server_id, jobs[name].name)] = JobChange(columns, switches)
        states[name] = row_state(event, frozenset(on & usable | was_on - usable))
    if changes:
        job_settings.save(changes, actor=actor, now=now)
    return states


def find_additional(key: str, visible: frozenset[str] | None) -> Additional:
    """Return the additional destinations of a key such as `job-12` or `server-<id>`.

    Raises Refused (404).
    """
    kind, _dash, name = key.partition("-")
    for server in job_settings.list_servers(visible):
        if kind == "server" and server.id == name:
            return Additional(server, None, _own_values(server))
        for job in server.jobs:
            if kind == "job" and str(job.id) == name:
                return Additional(server, job, _own_values(job))
    raise Refused("job_or_server_not_found")


def read_additional(page: Additional, form: Mapping[str, str]) -> Additional:
    """Return the page with the values and errors of a form."""
    values, problems = read_destinations(form, inherits=page.job is not None)
    return Additional(page.server, page.job, {**page.values, **values}, problems)


def store_additional(page: Additional, *, actor: Actor, now: datetime) -> None:
    """Save the additional destinations of a job or server."""
    name = page.job.name if page.job else DEFAULTS_NAME
    job_settings.save({key_of(page.server.id, name): JobChange(page.values)}, actor=actor, now=now)


def read_destinations(form: Mapping[str, str], *, inherits: bool) -> tuple[dict[str, str | None], dict[str, str]]:
    """Return the additional destinations in a form, and the errors, both by column."""
    values: dict[str, str | None] = {}
    problems: dict[str, str] = {}
    event = form.get("event", LEAVE)
    if event in EVENTS or event == INHERIT:
        values["additional_event"] = None if event == INHERIT else event
    for name in ("emails", "topic"):
        choice = form.get(f"{name}_choice", "own" if not inherits else LEAVE)
        column = {"emails": "additional_emails", "topic": "additional_ntfy_topic"}[name]
        text = " ".join(form.get(name, "").split())
        if choice == INHERIT:
            values[column] = None
        elif choice == "own":
            values[column] = text if inherits or text else None
            if problem := {"emails": _email_problem, "topic": _topic_problem}[name](text):
                problems[column] = problem
    return values, problems


def apply_changes(form: MultiDict[str, str], *, actor: Actor, now: datetime) -> str:
    """Apply a form to all selected jobs and return the result as text.

    Raises Refused for invalid values.
    """
    job_ids = chosen_ids(form)
    values, problems = read_destinations(form, inherits=True)
    if problems:
        raise Refused("destinations_invalid", reason=" ".join(problems.values()))
    columns: dict[str, str | None] = {}
    if form.get("main_event") in EVENTS:
        columns["notification_event"] = form["main_event"]
    if form.get("tolerance") in (*TOLERANCES, "default"):
        columns["overdue_tolerance"] = form["tolerance"] if form["tolerance"] in TOLERANCES else None
    switches = {
        kind.name: form[f"switch.{kind.name}"] == "on"
        for kind in _kinds()
        if kind.is_usable and form.get(f"switch.{kind.name}") in ("on", "off")
    }
    if not job_ids or not (values or columns or switches):
        raise Refused("nothing_to_change")
    if columns or switches:
        jobs = [job for server in job_settings.list_servers(ALL_SERVERS) for job in server.jobs if job.id in job_ids]
        changes = {key_of(job.server_id, job.name): JobChange(columns, switches) for job in jobs}
        job_settings.save(changes, actor=actor, now=now)
    text = ngettext("%(num)s job was changed.", "%(num)s jobs were changed.", len(job_ids))
    if values:
        saved = job_settings.set_additional(job_ids, values, actor=actor, now=now)
        if saved.server_count:
            text += " " + ngettext(
                "The additional destinations were saved as defaults of %(num)s server; %(jobs)s jobs inherit them.",
                "The additional destinations were saved as defaults of %(num)s servers; %(jobs)s jobs inherit them.",
                saved.server_count,
                jobs=saved.inheriting_count,
            )
    return text


def clear_many(form: MultiDict[str, str], *, actor: Actor, now: datetime) -> str:
    """Remove the additional destinations of all selected jobs and return the result as text."""
    saved = job_settings.clear_additional(chosen_ids(form), actor=actor, now=now)
    return _(
        "Additional destinations removed from %(jobs)s jobs and the defaults of %(servers)s servers.",
        jobs=saved.job_count,
        servers=saved.server_count,
    )


def chosen_ids(form: MultiDict[str, str]) -> frozenset[int]:
    """Return the ids of the selected jobs."""
    return frozenset(int(name) for name in form.getlist("pick") if name.isascii() and name.isdigit() and len(name) < 19)


def send_destination_test(page: Additional, what: str, *, actor: Actor, now: datetime) -> str:
    """Send a test to the additional addresses or topic and return the result as text.

    Raises Refused.
    """
    effective = page.effective
    if what == "emails":
        addresses = email_addresses(effective["additional_emails"])
        if not addresses:
            raise Refused("no_address_to_test")
        for address in addresses:
            test_messages.send_email(address, actor=actor, now=now)
        return _("A test email was sent to %(addresses)s.", addresses=", ".join(addresses))
    standard = channels.standard(channels.NTFY)
    topic = effective["additional_ntfy_topic"]
    if standard is None or not topic:
        raise Refused("no_topic_to_test")
    channel = test_messages.open_ntfy(str(standard.settings.get("url", "")), topic, None)
    test_messages.send_simple(channel, actor=actor, now=now)
    return _("A test notification was sent to the topic %(topic)s.", topic=topic)


def _kinds() -> tuple[Kind, ...]:
    """Return the two standard kinds, and all others with a configured channel, by label."""
    installed = registry().channels
    rows = channels.list_channels()
    usable = {row.kind for row in rows if row.is_enabled and channels.is_complete(row)}
    names = ({channels.NTFY, channels.EMAIL} | {row.kind for row in rows}) & installed.keys()
    kinds = [Kind(name, kind_label(name), name in usable) for name in names]
    return tuple(sorted(kinds, key=lambda kind: (kind.name not in (channels.NTFY, channels.EMAIL), kind.label)))


def _own_values(row: Job | Server) -> dict[str, Any]:
    return {name: getattr(row, name) for name in job_settings.ADDITIONAL}


def _email_problem(text: str) -> str:
    for part in filter(None, (part.strip() for part in text.split(","))):
        local, _at, host = part.rpartition("@")
        if (
            not local
            or not host
            or len(part.split()) > 1
            or not part.isprintable()
            or "@" in local
            or len(part) > ADDRESS_LENGTH
        ):
            return _("“%(part)s” is not a valid email address.", part=part)
    return ""


def _topic_problem(text: str) -> str:
    is_fine = len(text) <= TOPIC_LENGTH and text.isascii() and text.replace("-", "").replace("_", "a").isalnum()
    return "" if not text or is_fine else _("Enter a topic of up to 64 letters, digits, _ and -.")


# Views

TAB = "notifications"


def show() -> ResponseReturnValue:
    """Show event and channels of each job."""
    query, is_descending = request.args.get("q", "")[:200], request.args.get("sort") == "-server"
    page = build_page(visible_server_ids(), query, is_descending=is_descending)
    return render_template("notifications/notifications.html", tab=TAB, page=page, **_words())


@settings_bp.post("/notifications")
@guarded(Access.ADMIN)
def save_notifications() -> ResponseReturnValue:
    """Save the submitted rows; a script gets their new states."""
    wants_json = request.accept_mimetypes.best == "application/json"
    try:
        states = save_rows(request.form, actor=actor(), now=runtime.now())
    except Refused as refusal:
        if wants_json:
            return {"error": refusal_text(refusal)}, 400
        flash(refusal_text(refusal), "error")
        return _back()
    if wants_json:
        return {"states": states}
    flash(_("Saved."), "success")
    return _back()


@settings_bp.post("/notifications/many")
@guarded(Access.ADMIN)
def change_many() -> ResponseReturnValue:
    """Change all selected jobs; removals are confirmed first."""
    is_clearing = request.form.get("do") == "clear"
    if is_clearing and "confirmed" not in request.form:
        return _ask_about_clearing()
    work = clear_many if is_clearing else apply_changes
    try:
        flash(work(request.form, actor=actor(), now=runtime.now()), "success")
    except Refused as refusal:
        flash(refusal_text(refusal), "error")
    return _back()


@settings_bp.get("/notifications/additional/<path:key>")
def show_additional(key: str) -> ResponseReturnValue:
    """Show the additional destinations of a job or server, in a dialog or on a page."""
    return _show_additional(_find_additional(key), key)


@settings_bp.post("/notifications/additional/<path:key>")
@guarded(Access.ADMIN)
def save_additional(key: str) -> ResponseReturnValue:
    """Save the additional destinations of a job or server."""
    page = read_additional(find_additional(key, visible_server_ids()), request.form)
    if page.problems:
        return _show_additional(page, key), 400
    store_additional(page, actor=actor(), now=runtime.now())
    flash(_("The additional destinations of %(name)s were saved.", name=page.title), "success")
    return redirect(url_for("settings.index", tab=TAB, _anchor=key), 303)


@settings_bp.post("/notifications/additional/<path:key>/test/<any(emails, topic):what>")
def send_additional_test(key: str, what: str) -> ResponseReturnValue:
    """Send a test to the stored additional addresses or topic."""
    page = _find_additional(key)
    count_test(current_user, runtime.now())
    try:
        flash(send_destination_test(page, what, actor=actor(), now=runtime.now()), "success")
    except Refused as refusal:
        flash(refusal_text(refusal), "error")
    return redirect(url_for("settings.show_additional", key=key), 303)


@settings_bp.post("/notifications/servers/<path:server_id>")
@guarded(Access.ADMIN)
def inherit_all(server_id: str) -> ResponseReturnValue:
    """Let all jobs of a server inherit its defaults, or remove all additional destinations."""
    clears = request.form.get("do") == "clear"
    job_settings.inherit_all(server_id, clears_defaults=clears, actor=actor(), now=runtime.now())
    flash(_("All additional destinations were removed.") if clears else _("All jobs inherit the defaults."), "success")
    return redirect(url_for("settings.index", tab=TAB, _anchor=f"server-{server_id}"), 303)


def _find_additional(key: str) -> Additional:
    """Return the additional destinations of a key.

    Raises Refused (404), and Refused (403), since other servers may use them too.
    """
    page = find_additional(key, visible_server_ids())
    if is_limited(current_user):
        raise Refused("selected_servers_only")
    return page


def _show_additional(page: Additional, key: str) -> str:
    part = "additional_form" if "HX-Request" in request.headers else "additional"
    return render_template(f"notifications/{part}.html", tab=TAB, page=page, key=key, **_words())


def _ask_about_clearing() -> str:
    job_ids = chosen_ids(request.form)
    page = build_page(visible_server_ids())
    groups = [group for group in page.groups if any(row.job.id in job_ids for row in group.rows)]
    return render_template("notifications/clear_additional.html", tab=TAB, job_ids=sorted(job_ids), groups=groups)


def _words() -> dict[str, object]:
    events = {event: EVENT_WORDS[event] for event in EVENTS}
    return {"events": events, "tolerances": monitoring_pages.TOLERANCE_WORDS}


def _back() -> ResponseReturnValue:
    return redirect(url_for("settings.index", tab=TAB, q=request.form.get("q") or None), 303)
