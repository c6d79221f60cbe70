"""Settings pages of metrics, badges and the public status page."""

from dataclasses import asdict, dataclass
from datetime import datetime
from html import escape
from typing import Any

import orjson
from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from wtforms import SelectField, StringField
from wtforms.fields.choices import SelectChoice

from app import runtime
from app.accounts.models import ALL_SERVERS
from app.audit.log import Actor, read_group
from app.backups import overview
from app.core.errors import Refused
from app.plugin import Access, guarded
from app.reports import pages as reports_pages
from app.reports.pages import own_address
from app.sharing import badges, metrics, status_page
from app.sharing.badges import LONGEST_LABEL, MOST_BADGES, Badge
from app.sharing.metrics import METRICS, METRICS_ENABLED, METRICS_NEED_KEY
from app.sharing.status_page import IS_ENABLED, SHOWS_NAMES, TITLE
from app.web.errors import refusal_text
from app.web.forms import (
    Confirmation,
    GroupForm,
    SettingsForm,
    ask_confirmation,
    form_field,
    form_values,
    with_settings,
)
from app.web.http import actor, settings_bp


@dataclass(frozen=True, slots=True)
class ShownBadge:
    """A badge with its title and its public URL."""

    badge: Badge
    about: str
    address: str

    @property
    def markdown(self) -> str:
        """Return the Markdown that embeds the badge."""
        label = "".join(f"\\{char}" if char in "\\[]" else char for char in self.badge.label)
        return f"[![{label}]({self.address})]({own_address()})"

    @property
    def html(self) -> str:
        """Return the HTML that embeds the badge."""
        address, label = escape(self.address), escape(self.badge.label)
        return f'<a href="{escape(own_address())}"><img src="{address}" alt="{label}"></a>'


class BadgeForm(SettingsForm):
    """A badge to create."""

    shows = SelectField(lazy_gettext("Server or job"), validate_choice=False)
    label = StringField(
        lazy_gettext("Label"),
        description=lazy_gettext("Text on the left side. Leave blank to use the name of the server or job."),
        render_kw={"maxlength": LONGEST_LABEL, "autocomplete": "off"},
    )
    slug = StringField(
        lazy_gettext("Name in the URL"),
        description=lazy_gettext("Leave blank for a random name. Anyone who knows the URL can see the badge."),
        render_kw={"maxlength": 64, "autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"},
    )

    def offer(self, now: datetime) -> None:
        """Fill in the servers and jobs."""
        choices = [SelectChoice(_pack(None, None), _("All servers"))]
        for server in overview.overview(now, ALL_SERVERS).servers:
            name = server.display_name
            choices.append(SelectChoice(_pack(server.id, None), _("%(server)s, all jobs", server=name), optgroup=name))
            jobs = (job for job in server.jobs)
            choices += [SelectChoice(_pack(server.id, job.name), job.name, optgroup=name) for job in jobs]
        self.shows.choices = choices

    def attempt(self, actor: Actor, now: datetime) -> bool:
        """Create the badge; False if the form has errors."""
        slug, label = (self.slug.data or "").strip() or None, (self.label.data or "").strip() or None
        server_id, job_name = _unpack(self.shows.data)
        try:
            badges.create_badge(slug=slug, label=label, server_id=server_id, job_name=job_name, actor=actor, now=now)
        except Refused as refusal:
            self.add_refusal(refusal)
            return False
        return True


def shown_badges(now: datetime) -> list[ShownBadge]:
    """Return all badges, oldest first."""
    names = {server.id: server.display_name for server in overview.overview(now, ALL_SERVERS).servers}
    return [
        ShownBadge(badge, _about(badge, names), f"{own_address()}/badge/{badge.slug}.svg")
        for badge in badges.list_badges()
    ]


def _about(badge: Badge, names: dict[str, str]) -> str:
    if badge.server_id is None:
        return _("All servers")
    server = names.get(badge.server_id, badge.server_id)
    return _("%(server)s, all jobs", server=server) if badge.job_name is None else f"{server} / {badge.job_name}"


def _pack(server_id: str | None, job_name: str | None) -> str:
    return orjson.dumps([server_id, job_name]).decode()


def _unpack(text: Any) -> tuple[str | None, str | None]:
    """Return the server and job of a choice.

    An invalid choice returns an unknown server.
    """
    try:
        found = orjson.loads(text or _pack(None, None))
    except orjson.JSONDecodeError:
        found = None
    if isinstance(found, list) and len(found) == 2 and all(part is None or isinstance(part, str) for part in found):
        return found[0], found[1]
    return "", None


# Settings of the public status page: switch, link and content

TAB = "publishing"


@with_settings((IS_ENABLED, TITLE, SHOWS_NAMES))
class StatusPageForm(GroupForm):
    """Switch and title of the page, and whether it shows names."""

    is_enabled = form_field(IS_ENABLED, id="status-enabled")
    title = form_field(
        TITLE, id="status-title", render_kw={"placeholder": lazy_gettext("Backups"), "autocomplete": "off"}
    )
    shows_names = form_field(SHOWS_NAMES, id="status-names")


def section_values() -> dict[str, Any]:
    """Return the values of `settings/status_page.html`."""
    page = status_page.current()
    link = url_for("status_page.show", slug=page.slug, _external=True) if page.slug else ""
    return {
        "status_page": page,
        "status_form": StatusPageForm(formdata=None, data=asdict(page)),
        "status_link": link,
        "status_servers": overview.overview(runtime.now(), ALL_SERVERS).servers,
    }


@settings_bp.post("/status-page")
@guarded(Access.ADMIN)
def save_status_page() -> ResponseReturnValue:
    """Store the settings of the page."""
    sent, form = request.form, StatusPageForm()
    try:
        page = status_page.save(
            is_enabled=form.is_enabled.data,
            title=form.title.data or "",
            shows_names=form.shows_names.data,
            shows_all=sent.get("scope") != "chosen",
            server_ids=sent.getlist("server"),
            job_ids=[int(text) for text in sent.getlist("job") if text.isascii() and text.isdigit()],
            actor=actor(),
            now=runtime.now(),
        )
    except Refused as refusal:
        flash(refusal_text(refusal), "error")
    else:
        flash(_("Status page enabled.") if page.is_enabled else _("Status page disabled."), "success")
    return _back()


@settings_bp.get("/status-page/new-link")
@guarded(Access.ADMIN)
def ask_new_status_link() -> ResponseReturnValue:
    """Ask for confirmation before the link is replaced."""
    question = Confirmation(
        title=_("Create a new link?"),
        sentences=[_("The old link stops working immediately. Everyone who should see the page needs the new one.")],
        button=_("Create new link"),
        action=url_for("settings.renew_status_link"),
        back=url_for("settings.index", tab=TAB),
    )
    return ask_confirmation(question, tab=TAB, label=_("Publishing"))


@settings_bp.post("/status-page/new-link")
@guarded(Access.ADMIN)
def renew_status_link() -> ResponseReturnValue:
    """Replace the link."""
    status_page.renew_link(actor=actor(), now=runtime.now())
    flash(_("New link created. The old link no longer works."), "success")
    return _back()


def _back() -> ResponseReturnValue:
    return redirect(url_for("settings.index", tab=TAB, _anchor="status-page"), 303)


# Views of the tab, for administrators: metrics, badges and the status page


@with_settings(METRICS)
class MetricsForm(GroupForm):
    """Whether metrics are enabled, and whether they require a key."""

    is_enabled = form_field(METRICS_ENABLED, id="metrics-enabled")
    needs_key = form_field(METRICS_NEED_KEY, id="metrics-key")


def show() -> ResponseReturnValue:
    """Show the tab."""
    return _show(BadgeForm(formdata=None))


@settings_bp.post("/publishing/metrics")
@guarded(Access.ADMIN)
def save_metrics() -> ResponseReturnValue:
    """Set whether metrics are enabled, and whether they require a key."""
    chosen = MetricsForm().read_settings()
    metrics.configure(**chosen, actor=actor(), now=runtime.now())
    flash(_("Metrics endpoint enabled.") if chosen["is_enabled"] else _("Metrics endpoint disabled."), "success")
    return redirect(url_for("settings.index", tab=TAB), 303)


@settings_bp.post("/publishing/badges")
@guarded(Access.ADMIN)
def create_badge() -> ResponseReturnValue:
    """Create a badge."""
    form = BadgeForm()
    if not form.attempt(actor(), runtime.now()):
        return _show(form), 400
    flash(_("Badge created. Copy the embed code into your page."), "success")
    return redirect(url_for("settings.index", tab=TAB, _anchor="badges"), 303)


@settings_bp.get("/publishing/badges/<slug>/delete")
@guarded(Access.ADMIN)
def confirm_badge_deletion(slug: str) -> ResponseReturnValue:
    """Ask for confirmation before a badge is deleted."""
    badge = next((badge for badge in badges.list_badges() if badge.slug == slug), None)
    if badge is None:
        raise Refused("badge_not_found")
    question = Confirmation(
        title=_("Delete badge %(name)s?", name=badge.label),
        sentences=[_("Pages that embed it will show a grey badge.")],
        button=_("Delete badge"),
        action=url_for("settings.delete_badge", slug=slug),
        back=url_for("settings.index", tab=TAB),
    )
    return ask_confirmation(question, tab=TAB, label=_("Publishing"))


@settings_bp.post("/publishing/badges/<slug>/delete")
@guarded(Access.ADMIN)
def delete_badge(slug: str) -> ResponseReturnValue:
    """Delete a badge."""
    badges.delete_badge(slug, actor=actor(), now=runtime.now())
    flash(_("The badge was deleted."), "success")
    return redirect(url_for("settings.index", tab=TAB, _anchor="badges"), 303)


def _show(form: BadgeForm) -> str:
    form.offer(runtime.now())
    values = {"badges": shown_badges(runtime.now()), "most_badges": MOST_BADGES}
    metrics_form = MetricsForm(formdata=None, data=form_values(METRICS, read_group(METRICS)))
    address = f"{reports_pages.own_address()}/metrics"
    return render_template(
        "sharing/publishing.html",
        tab=TAB,
        form=form,
        metrics_form=metrics_form,
        metrics_address=address,
        **values,
        **section_values(),
    )
