"""What the tab of publishing shows: the metrics, and badges with what to copy into other pages."""

from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

import orjson
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from wtforms import SelectField, StringField
from wtforms.fields.choices import SelectChoice

from app.contracts import AppError
from app.domain.badges import LONGEST_LABEL
from app.pages.first_steps import own_address
from app.pages.settings.forms import SettingsForm
from app.services import badges, history
from app.services.audit import Actor
from app.services.badges import Badge
from app.services.declarations import SLUG
from app.services.visibility import ALL_SERVERS


@dataclass(frozen=True, slots=True)
class ShownBadge:
    """A badge with what it is about, and its address as other pages have to name it."""

    badge: Badge
    about: str
    address: str

    @property
    def markdown(self) -> str:
        """What to copy into a page of Markdown."""
        label = "".join(f"\\{sign}" if sign in "\\[]" else sign for sign in self.badge.label)
        return f"[![{label}]({self.address})]({own_address()})"

    @property
    def html(self) -> str:
        """What to copy into a page of HTML."""
        address, label = escape(self.address), escape(self.badge.label)
        return f'<a href="{escape(own_address())}"><img src="{address}" alt="{label}"></a>'


class BadgeForm(SettingsForm):
    """A badge to make."""

    shows = SelectField(lazy_gettext("What it shows"), validate_choice=False)
    label = StringField(
        lazy_gettext("Label"),
        description=lazy_gettext("The word on its left. Left empty, the name of what it shows."),
        render_kw={"maxlength": LONGEST_LABEL, "autocomplete": "off"},
    )
    slug = StringField(
        lazy_gettext("Word in its address"),
        description=lazy_gettext("Left empty, one that nobody guesses: whoever knows the address sees the badge."),
        render_kw={"maxlength": 64, "autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"},
    )

    def offer(self, now: datetime) -> None:
        """Fill in what there is to show."""
        choices = [SelectChoice(_pack(None, None), _("All servers"))]
        for server in history.overview(now, ALL_SERVERS).servers:
            name = server.display_name
            choices.append(SelectChoice(_pack(server.id, None), _("%(server)s, all jobs", server=name), optgroup=name))
            jobs = (job for job in server.jobs)
            choices += [SelectChoice(_pack(server.id, job.name), job.name, optgroup=name) for job in jobs]
        self.shows.choices = choices

    def attempt(self, actor: Actor, now: datetime) -> bool:
        """Make the badge; False when the form tells why not."""
        slug, label = (self.slug.data or "").strip() or None, (self.label.data or "").strip() or None
        server_id, job_name = _unpack(self.shows.data)
        if slug is not None and not SLUG.fullmatch(slug):
            self.refuse("slug", _("2 to 64 letters, digits, - and _, beginning with a letter or a digit."))
            return False
        try:
            badges.create_badge(slug=slug, label=label, server_id=server_id, job_name=job_name, actor=actor, now=now)
        except AppError as refusal:
            if refusal.status == 409:
                self.refuse("slug", _("Another badge has this one."))
            elif refusal.status == 404:
                self.refuse("shows", _("This is gone. Choose something else."))
            else:
                self.take(refusal)
            return False
        return True


def shown_badges(now: datetime) -> list[ShownBadge]:
    """All badges, oldest first."""
    names = {server.id: server.display_name for server in history.overview(now, ALL_SERVERS).servers}
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
    """The server and job that a choice means; what was made up means a server that there is not."""
    try:
        found = orjson.loads(text or _pack(None, None))
    except orjson.JSONDecodeError:
        found = None
    if isinstance(found, list) and len(found) == 2 and all(part is None or isinstance(part, str) for part in found):
        return found[0], found[1]
    return "", None
