"""What the tab of the notification channels shows: what is installed, what is set up, and how it went."""

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from flask_login import current_user

from app import runtime
from app.accounts.models import ALL_SERVERS
from app.audit.log import Actor
from app.notifications import channel_settings, channels, delivery_history, test_messages
from app.notifications.channel_forms import (
    AlarmLimitsForm,
    ChannelForm,
    QuietHoursForm,
    alarm_limits_form,
    form_for,
    quiet_hours_form,
)
from app.notifications.delivery_history import PastDelivery
from app.notifications.models import Channel, DeliveryState
from app.notifications.test_messages import count_test
from app.plugin import AppError, Guard, NotificationChannel, guarded
from app.plugin.errors import NotFound
from app.registry import NOTIFICATION_CHANNELS, Broken
from app.runtime import registry
from app.web.forms import Confirmation, ask_confirmation
from app.web.pages import settings_bp
from app.web.plugin_texts import failure_text, kind_label, plugin_text
from app.web.request import actor, visible_server_ids

DELIVERIES_SHOWN = 20
EVENTS = {
    "success": lazy_gettext("Success"),
    "warning": lazy_gettext("Warning or error"),
    "overdueBackup": lazy_gettext("Overdue"),
    "overdueBackups": lazy_gettext("Multiple overdue"),
    "recovered": lazy_gettext("Recovered"),
    "silence": lazy_gettext("No reports"),
    "silenceOver": lazy_gettext("Reports resumed"),
    "channelFailing": lazy_gettext("Channel failing"),
    "channelWorks": lazy_gettext("Channel recovered"),
    "healthFailing": lazy_gettext("Problem with duplistatus"),
    "healthWorks": lazy_gettext("duplistatus recovered"),
    "unusualRun": lazy_gettext("Unusual run"),
    "destinationFull": lazy_gettext("Destination full"),
    "destinationsFull": lazy_gettext("Multiple destinations full"),
    "dailySummary": lazy_gettext("Daily summary"),
    "digest": lazy_gettext("Digest"),
    "test": lazy_gettext("Test"),
}
# Kinds whose standard channel has a tab of its own.
TABS = (channels.NTFY, channels.EMAIL)
UNFINISHED = (DeliveryState.QUEUED, DeliveryState.SENDING)


@dataclass(frozen=True, slots=True)
class Instance:
    """A channel that is set up, for the list; `trouble` is why its newest message did not get through."""

    row: Channel
    title: str
    summary: str
    is_complete: bool
    trouble: str = ""
    waiting_count: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of channel that is installed, with its instances and the distribution that brought it."""

    name: str
    label: str
    about: str
    source: str
    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """All there is: kinds, plugins that could not be loaded, and channels of kinds that are not installed."""

    kinds: tuple[Kind, ...]
    broken: tuple[Broken, ...]
    orphans: tuple[Channel, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """How a test went."""

    is_delivered: bool
    sentence: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ChannelPage:
    """One channel, existing or to be made; without a form when its kind is not installed."""

    kind_name: str
    kind: type[NotificationChannel] | None
    row: Channel | None = None
    form: ChannelForm | None = None
    deliveries: tuple[PastDelivery, ...] = ()
    has_older: bool = False
    before_id: int | None = None

    @property
    def title(self) -> str:
        """What the page is about."""
        if self.row is not None:
            return _title(self.row)
        label = kind_label(self.kind_name)
        return label if self.tab == self.kind_name else _("New %(kind)s channel", kind=label)

    @property
    def tab(self) -> str:
        """The tab that it belongs to."""
        name = self.row.name if self.row is not None else self.form.name.data if self.form else ""
        return self.kind_name if name == self.kind_name and self.kind_name in TABS else "channels"

    @property
    def about(self) -> str:
        """What kind of channel it is, where the title does not say that."""
        if self.row is None:
            return _about(self.kind) if self.kind else ""
        return "" if self.title == kind_label(self.kind_name) else kind_label(self.kind_name)

    @property
    def is_complete(self) -> bool:
        """Whether messages could go through it."""
        return self.row is not None and channels.is_complete(self.row)

    @property
    def lacks(self) -> str:
        """What the saved settings call for besides what is required, as the labels of the fields."""
        if self.row is None or self.form is None:
            return ""
        return ", ".join(self.form.label_of(name) for name in channels.lacks(self.row))

    @property
    def trouble(self) -> str:
        """Why its newest message did not get through; nothing while it works."""
        return _troubles().get(self.row.id, "") if self.row is not None else ""

    @property
    def has_code(self) -> bool:
        """Whether a phone can subscribe to it."""
        return self.row is not None and channels.subscription(self.row) is not None

    @property
    def waits(self) -> bool:
        """Whether the history is about to change."""
        return any(past.delivery.state in UNFINISHED for past in self.deliveries)

    def create(self, actor: Actor, now: datetime) -> int | None:
        """Set up what the form says; gives the id, or None when the form tells why not."""
        form = self._form()
        values, _ = form.values()
        name, is_enabled = form.name.data or "", bool(form.is_enabled.data)
        try:
            row = channel_settings.create_channel(
                self.kind_name, name, values, is_enabled=is_enabled, actor=actor, now=now
            )
        except AppError as refusal:
            form.take(refusal)
            return None
        return row.id

    def change(self, actor: Actor, now: datetime) -> int | None:
        """Store what the form says; gives the id, or None when the form tells why not."""
        form, row = self._form(), self.row
        if row is None:
            raise NotFound("Channel not found")
        values, emptied = form.values()
        is_enabled = bool(form.is_enabled.data)
        try:
            channel_settings.change_channel(
                row.id, values, cleared=emptied, is_enabled=is_enabled, actor=actor, now=now
            )
        except AppError as refusal:
            form.take(refusal)
            return None
        return row.id

    def _form(self) -> ChannelForm:
        if self.form is None:
            raise NotFound(f"No channel type {self.kind_name!r} is installed")
        return self.form


def build_board() -> Board:
    """All kinds with their instances, by their label; those of which none is set up come last."""
    found, troubles = registry(), {trouble.channel_id: trouble for trouble in channels.channel_troubles()}
    instances: dict[str, list[Instance]] = defaultdict(list)
    orphans = []
    for row in channels.list_channels():
        kind, trouble = found.channels.get(row.kind), troubles.get(row.id)
        if kind is None:
            orphans.append(row)
            continue
        told = (failure_text(row.kind, trouble.error), trouble.waiting) if trouble else ("", 0)
        instances[row.kind].append(Instance(row, _title(row), _summary(kind, row), channels.is_complete(row), *told))
    kinds = [
        Kind(
            name,
            kind_label(name),
            _about(kind),
            found.sources.get((NOTIFICATION_CHANNELS, name), ""),
            (*instances[name],),
        )
        for name, kind in found.channels.items()
    ]
    broken = tuple(plugin for plugin in found.broken if plugin.kind == NOTIFICATION_CHANNELS)
    return Board(
        tuple(sorted(kinds, key=lambda kind: (not kind.instances, kind.label.casefold()))), broken, tuple(orphans)
    )


def describe_new_channel(kind_name: str) -> ChannelPage:
    """The page for a channel that does not exist yet. Raises NotFound for a kind that is not installed."""
    kind = registry().channels.get(kind_name)
    if kind is None:
        raise NotFound(f"No channel type {kind_name!r} is installed")
    name = kind_name if channels.standard(kind_name) is None else ""
    return ChannelPage(kind_name, kind, form=form_for(kind)(name=name))


def edit_channel(
    channel_id: int, visible: frozenset[str] | None, *, is_sent: bool = True, before_id: int | None = None
) -> ChannelPage:
    """The page of a channel with its form, filled from what is stored, with `is_sent` from the request where it can.

    Raises NotFound.
    """
    page = find_channel(channel_id, visible, before_id=before_id)
    if page.kind is None or page.row is None:
        return page
    lost = channels.unreadable_settings(page.row)
    source = {} if is_sent else {"formdata": None}
    form = form_for(page.kind, channels.shown_settings(page.row), lost)(**source, is_enabled=page.row.is_enabled)
    return replace(page, form=form)


def find_channel(channel_id: int, visible: frozenset[str] | None, *, before_id: int | None = None) -> ChannelPage:
    """A channel with what went through it lately, or before a delivery, as far as this person may see the servers.

    Raises NotFound.
    """
    row = channels.find_channel(channel_id)
    found = delivery_history.find_deliveries(
        channel_id=channel_id, before_id=before_id, visible=visible, limit=DELIVERIES_SHOWN + 1, now=runtime.now()
    )
    return ChannelPage(
        row.kind,
        registry().channels.get(row.kind),
        row,
        deliveries=tuple(found[:DELIVERIES_SHOWN]),
        has_older=len(found) > DELIVERIES_SHOWN,
        before_id=before_id,
    )


def deletion_question(page: ChannelPage) -> Confirmation:
    """What to ask before a channel is deleted."""
    if page.row is None:
        raise NotFound("Channel not found")
    sentences = [
        _(
            "No more notifications will be sent through this channel. Its settings and "
            "delivery history will be permanently deleted."
        )
    ]
    if page.waits:
        sentences.append(_("Queued notifications will not be sent."))
    return Confirmation(
        title=_("Delete %(name)s?", name=page.title),
        sentences=sentences,
        button=_("Delete %(name)s", name=page.title),
        action=url_for("settings.delete_channel", channel_id=page.row.id),
        back=url_for("settings.show_channel", channel_id=page.row.id),
    )


def send_test(channel_id: int, actor: Actor, now: datetime) -> Trial:
    """Send a test message through a channel as it is stored, and say how it went. Raises NotFound."""
    try:
        test_messages.send_through(channel_id, actor=actor, now=now)
    except NotFound:
        raise
    except test_messages.NotificationTestFailed as failure:
        reason = failure_text(channels.find_channel(channel_id).kind, failure.reason)
        return Trial(False, _("Not delivered. %(reason)s", reason=reason), now)
    except AppError as refusal:
        return Trial(False, _("Not sent. %(reason)s", reason=refusal.message), now)
    return Trial(True, _("The test notification was delivered."), now)


def standard_id(kind_name: str) -> int | None:
    """The id of the standard channel of a kind, where there is one."""
    row = channels.standard(kind_name)
    return None if row is None else row.id


def standard_state(kind_name: str) -> str:
    """How the standard channel of a kind is: `incomplete`, `failing` or `complete`."""
    row = channels.standard(kind_name)
    if row is None or not channels.is_complete(row):
        return "incomplete"
    return "failing" if row.id in _troubles() else "complete"


def _troubles() -> dict[int, str]:
    return {trouble.channel_id: failure_text(trouble.kind, trouble.error) for trouble in channels.channel_troubles()}


def _title(row: Channel) -> str:
    return kind_label(row.kind) if row.name == row.kind else row.name


def _about(kind: type[NotificationChannel]) -> str:
    """What kind of channel it is, in a sentence."""
    return plugin_text(kind, kind.description)


def _summary(kind: type[NotificationChannel], row: Channel) -> str:
    """Where it leads: the settings that it needs, without those that are kept closed."""
    shown = (
        str(row.settings.get(name) or "").strip()
        for name, field in kind.Settings().fields.items()
        if field.required and not field.metadata.get("secret") and not field.metadata.get("encrypted")
    )
    return " · ".join(filter(None, shown))


# Views of the tab of notification channels.


def show_all() -> ResponseReturnValue:
    """Every kind of channel that is installed, with what is set up of it."""
    return _show_all(alarm_limits_form())


@settings_bp.post("/channels/limits")
@guarded(Guard.ADMIN)
def save_alarm_limits() -> ResponseReturnValue:
    """Choose which notifications are sent that do not follow from the status of a run."""
    form = alarm_limits_form(is_sent=True)
    if not form.attempt(actor(), runtime.now()):
        return _show_all(form), 400
    flash(_("Saved."), "success")
    return redirect(url_for("settings.index", tab="channels", _anchor="limits"), 303)


def show_standard(kind: str) -> ResponseReturnValue:
    """The standard channel of a kind, which has a tab of its own; the form for it where there is none."""
    channel_id = standard_id(kind)
    return _show(describe_new_channel(kind) if channel_id is None else edit_channel(channel_id, visible_server_ids()))


@settings_bp.get("/channels/new/<kind>")
@guarded(Guard.ADMIN)
def new_channel(kind: str) -> ResponseReturnValue:
    """The form for another channel."""
    return _show(describe_new_channel(kind))


@settings_bp.post("/channels/new/<kind>")
@guarded(Guard.ADMIN)
def create_channel(kind: str) -> ResponseReturnValue:
    """Set up a channel."""
    page = describe_new_channel(kind)
    return _after_saving(page, page.create(actor(), runtime.now()))


@settings_bp.get("/channels/<int:channel_id>")
def show_channel(channel_id: int) -> ResponseReturnValue:
    """A channel: its settings, a test, and what went through it.

    Accounts that may see chosen servers only see what went through it about these.
    """
    return _show(edit_channel(channel_id, visible_server_ids(), before_id=_before_id()))


@settings_bp.post("/channels/<int:channel_id>")
@guarded(Guard.ADMIN)
def save_channel(channel_id: int) -> ResponseReturnValue:
    """Change a channel."""
    page = edit_channel(channel_id, visible_server_ids())
    return _after_saving(page, page.change(actor(), runtime.now()))


@settings_bp.post("/channels/<int:channel_id>/quiet-hours")
@guarded(Guard.ADMIN)
def save_quiet_hours(channel_id: int) -> ResponseReturnValue:
    """Choose when a channel keeps still."""
    row = channels.find_channel(channel_id)
    form = quiet_hours_form(row, is_sent=True)
    if not form.attempt(row, actor(), runtime.now()):
        return _show(edit_channel(channel_id, visible_server_ids(), is_sent=False), form), 400
    flash(_("Saved."), "success")
    return redirect(url_for("settings.show_channel", channel_id=channel_id, _anchor="quiet"), 303)


@settings_bp.post("/channels/<int:channel_id>/switch")
@guarded(Guard.ADMIN)
def switch_channel(channel_id: int) -> ResponseReturnValue:
    """Switch a channel on or off."""
    is_enabled = request.form.get("is_enabled") == "1"
    channel_settings.switch_channel(channel_id, is_enabled=is_enabled, actor=actor(), now=runtime.now())
    return redirect(url_for("settings.index", tab="channels"), 303)


@settings_bp.post("/channels/<int:channel_id>/test")
@guarded(Guard.LOGIN, needs_all_servers=True)
def try_channel(channel_id: int) -> ResponseReturnValue:
    """Send a test message and say how it went: in place, or above the page where there is no script."""
    count_test(current_user, runtime.now())
    trial = send_test(channel_id, actor(), runtime.now())
    if "HX-Request" in request.headers:
        return render_template("notifications/trial.html", trial=trial)
    flash(trial.sentence, "success" if trial.is_delivered else "error")
    return redirect(url_for("settings.show_channel", channel_id=channel_id), 303)


@settings_bp.get("/channels/<int:channel_id>/delete")
@guarded(Guard.ADMIN)
def confirm_deletion(channel_id: int) -> ResponseReturnValue:
    """Ask whether a channel shall be deleted, in a dialog or on a page."""
    page = find_channel(channel_id, ALL_SERVERS)
    return ask_confirmation(deletion_question(page), tab=page.tab, label=_("Notification channels"))


@settings_bp.post("/channels/<int:channel_id>/delete")
@guarded(Guard.ADMIN)
def delete_channel(channel_id: int) -> ResponseReturnValue:
    """Delete a channel."""
    page = find_channel(channel_id, ALL_SERVERS)
    channel_settings.remove_channel(channel_id, actor=actor(), now=runtime.now())
    flash(_("%(name)s was deleted.", name=page.title), "success")
    return redirect(url_for("settings.index", tab="channels"), 303)


@settings_bp.get("/channels/<int:channel_id>/history")
def channel_history(channel_id: int) -> ResponseReturnValue:
    """What went through a channel, for the part of the page that keeps itself fresh."""
    page = find_channel(channel_id, visible_server_ids(), before_id=_before_id())
    return render_template("notifications/history.html", page=page, event_words=EVENTS)


@settings_bp.post("/channels/<int:channel_id>/deliveries/<int:delivery_id>/again")
@guarded(Guard.ADMIN)
def send_again(channel_id: int, delivery_id: int) -> ResponseReturnValue:
    """Try a message once more, at once."""
    delivery_history.retry_delivery(delivery_id, actor=actor(), now=runtime.now())
    return redirect(url_for("settings.show_channel", channel_id=channel_id, _anchor="history"), 303)


def _before_id() -> int | None:
    return request.args.get("before", type=int)


def _show_all(form: AlarmLimitsForm) -> str:
    return render_template("notifications/channels.html", tab="channels", board=build_board(), form=form)


def _show(page: ChannelPage, quiet_form: QuietHoursForm | None = None) -> str:
    if page.row is not None and quiet_form is None:
        quiet_form = quiet_hours_form(page.row)
    values = {"event_words": EVENTS, "zone": runtime.settings().timezone, "now": runtime.now()}
    return render_template("notifications/channel.html", tab=page.tab, page=page, quiet_form=quiet_form, **values)


def _after_saving(page: ChannelPage, channel_id: int | None) -> ResponseReturnValue:
    if channel_id is None:
        return _show(page), 400
    if request.form.get("then") == "test":
        trial = send_test(channel_id, actor(), runtime.now())
        flash(f"{_('Saved.')} {trial.sentence}", "success" if trial.is_delivered else "error")
    else:
        flash(_("Saved. Send a test to check delivery."), "success")
    return redirect(url_for("settings.show_channel", channel_id=channel_id), 303)
