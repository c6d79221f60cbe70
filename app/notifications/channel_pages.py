"""Pages of notification channels: list, settings, tests and deliveries."""

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
from app.core.errors import Refused
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
from app.plugin import Access, NotificationChannel, guarded
from app.registry import NOTIFICATION_CHANNELS, Broken
from app.runtime import registry
from app.web.errors import refusal_text
from app.web.forms import Confirmation, ask_confirmation
from app.web.http import actor, settings_bp, visible_server_ids
from app.web.plugin_texts import failure_text, kind_label, plugin_text

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
class ChannelSummary:
    """A configured channel in the list.

    `delivery_error` is the error of its latest delivery.
    """

    row: Channel
    title: str
    summary: str
    is_complete: bool
    delivery_error: str = ""
    waiting_count: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """An installed kind of channel with its channels and the distribution that provides it."""

    name: str
    label: str
    about: str
    source: str
    instances: tuple[ChannelSummary, ...]


@dataclass(frozen=True, slots=True)
class ChannelsPage:
    """The channels page.

    Kinds, plugins that failed to load, and channels of kinds that are not installed.
    """

    kinds: tuple[Kind, ...]
    broken: tuple[Broken, ...]
    orphans: tuple[Channel, ...]


@dataclass(frozen=True, slots=True)
class ChannelTest:
    """Result of a test message."""

    is_delivered: bool
    sentence: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ChannelPage:
    """Page of one channel, existing or new.

    Without a form if its kind is not installed.
    """

    kind_name: str
    kind: type[NotificationChannel] | None
    row: Channel | None = None
    form: ChannelForm | None = None
    deliveries: tuple[PastDelivery, ...] = ()
    has_older: bool = False
    before_id: int | None = None

    @property
    def title(self) -> str:
        """Return the title of the page."""
        if self.row is not None:
            return _title(self.row)
        label = kind_label(self.kind_name)
        return label if self.tab == self.kind_name else _("New %(kind)s channel", kind=label)

    @property
    def tab(self) -> str:
        """Return the tab that the page belongs to."""
        name = self.row.name if self.row is not None else self.form.name.data if self.form else ""
        return self.kind_name if name == self.kind_name and self.kind_name in TABS else "channels"

    @property
    def about(self) -> str:
        """Return the description of the kind, unless the title shows it."""
        if self.row is None:
            return _about(self.kind) if self.kind else ""
        return "" if self.title == kind_label(self.kind_name) else kind_label(self.kind_name)

    @property
    def is_complete(self) -> bool:
        """Whether all settings needed for sending are present."""
        return self.row is not None and channels.is_complete(self.row)

    @property
    def missing_settings(self) -> str:
        """Return the labels of optional settings that the saved settings require."""
        if self.row is None or self.form is None:
            return ""
        return ", ".join(self.form.label_of(name) for name in channels.missing_settings(self.row))

    @property
    def delivery_error(self) -> str:
        """Return the error of the latest delivery; empty while it works."""
        return _delivery_errors().get(self.row.id, "") if self.row is not None else ""

    @property
    def has_code(self) -> bool:
        """Whether a phone can subscribe to it."""
        return self.row is not None and channels.subscribe_url(self.row) is not None

    @property
    def waits(self) -> bool:
        """Whether a delivery is pending, so that the history is refreshed."""
        return any(past.delivery.state in UNFINISHED for past in self.deliveries)

    def create(self, actor: Actor, now: datetime) -> int | None:
        """Create the channel; return its id, or None if the form has errors."""
        form = self._form()
        values, _ = form.values()
        name, is_enabled = form.name.data or "", bool(form.is_enabled.data)
        try:
            row = channel_settings.create_channel(
                self.kind_name, name, values, is_enabled=is_enabled, actor=actor, now=now
            )
        except Refused as refusal:
            form.add_refusal(refusal)
            return None
        return row.id

    def change(self, actor: Actor, now: datetime) -> int | None:
        """Save the channel; return its id, or None if the form has errors."""
        form, row = self._form(), self.row
        if row is None:
            raise Refused("channel_not_found")
        values, cleared = form.values()
        is_enabled = bool(form.is_enabled.data)
        try:
            channel_settings.change_channel(
                row.id, values, cleared=cleared, is_enabled=is_enabled, actor=actor, now=now
            )
        except Refused as refusal:
            form.add_refusal(refusal)
            return None
        return row.id

    def _form(self) -> ChannelForm:
        if self.form is None:
            raise Refused("channel_type_unknown", name=self.kind_name)
        return self.form


def build_page() -> ChannelsPage:
    """Return all kinds with their channels, by label.

    Kinds without channels come last.
    """
    found, failing_by_id = registry(), {failing.channel_id: failing for failing in channels.failing_channels()}
    instances: dict[str, list[ChannelSummary]] = defaultdict(list)
    orphans = []
    for row in channels.list_channels():
        kind, failing = found.channels.get(row.kind), failing_by_id.get(row.id)
        if kind is None:
            orphans.append(row)
            continue
        error = (failure_text(row.kind, failing.error), failing.waiting) if failing else ("", 0)
        instances[row.kind].append(
            ChannelSummary(row, _title(row), _summary(kind, row), channels.is_complete(row), *error)
        )
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
    return ChannelsPage(
        tuple(sorted(kinds, key=lambda kind: (not kind.instances, kind.label.casefold()))), broken, tuple(orphans)
    )


def describe_new_channel(kind_name: str) -> ChannelPage:
    """Return the page of a new channel.

    Raises Refused (404) for a kind that is not installed.
    """
    kind = registry().channels.get(kind_name)
    if kind is None:
        raise Refused("channel_type_unknown", name=kind_name)
    name = kind_name if channels.standard(kind_name) is None else ""
    return ChannelPage(kind_name, kind, form=form_for(kind)(name=name))


def edit_channel(
    channel_id: int, visible: frozenset[str] | None, *, is_sent: bool = True, before_id: int | None = None
) -> ChannelPage:
    """Return the page of a channel with its form.

    Filled from the stored settings; with `is_sent` from the request where possible. Raises Refused (404).
    """
    page = find_channel(channel_id, visible, before_id=before_id)
    if page.kind is None or page.row is None:
        return page
    lost = channels.unreadable_settings(page.row)
    source = {} if is_sent else {"formdata": None}
    form = form_for(page.kind, channels.visible_settings(page.row), lost)(**source, is_enabled=page.row.is_enabled)
    return replace(page, form=form)


def find_channel(channel_id: int, visible: frozenset[str] | None, *, before_id: int | None = None) -> ChannelPage:
    """Return a channel with its recent deliveries, or those before a delivery.

    Only deliveries about servers visible to the user. Raises Refused (404).
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
    """Return the confirmation for deleting a channel."""
    if page.row is None:
        raise Refused("channel_not_found")
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


def send_test(channel_id: int, actor: Actor, now: datetime) -> ChannelTest:
    """Send a test message through a stored channel and return the result.

    Raises Refused (404).
    """
    try:
        test_messages.send_through(channel_id, actor=actor, now=now)
    except test_messages.NotificationTestFailed as failure:
        reason = failure_text(channels.find_channel(channel_id).kind, failure.reason)
        return ChannelTest(False, _("Not delivered. %(reason)s", reason=reason), now)
    except Refused as refusal:
        if refusal.status == 404:
            raise
        return ChannelTest(False, _("Not sent. %(reason)s", reason=refusal_text(refusal)), now)
    return ChannelTest(True, _("The test notification was delivered."), now)


def standard_id(kind_name: str) -> int | None:
    """Return the id of the standard channel of a kind, or None."""
    row = channels.standard(kind_name)
    return None if row is None else row.id


def standard_state(kind_name: str) -> str:
    """Return the state of the standard channel of a kind.

    `incomplete`, `failing` or `complete`.
    """
    row = channels.standard(kind_name)
    if row is None or not channels.is_complete(row):
        return "incomplete"
    return "failing" if row.id in _delivery_errors() else "complete"


def _delivery_errors() -> dict[int, str]:
    return {failing.channel_id: failure_text(failing.kind, failing.error) for failing in channels.failing_channels()}


def _title(row: Channel) -> str:
    return kind_label(row.kind) if row.name == row.kind else row.name


def _about(kind: type[NotificationChannel]) -> str:
    """Return the description of a kind in one sentence."""
    return plugin_text(kind, kind.description)


def _summary(kind: type[NotificationChannel], row: Channel) -> str:
    """Return the required settings as text, without secrets."""
    shown = (
        str(row.settings.get(name) or "").strip()
        for name, field in kind.Settings().fields.items()
        if field.required and not field.metadata.get("secret") and not field.metadata.get("encrypted")
    )
    return " · ".join(filter(None, shown))


# Views


def show_all() -> ResponseReturnValue:
    """Show all installed kinds of channels with their channels."""
    return _show_all(alarm_limits_form())


@settings_bp.post("/channels/limits")
@guarded(Access.ADMIN)
def save_alarm_limits() -> ResponseReturnValue:
    """Save which alerts that do not depend on the status of a run are sent."""
    form = alarm_limits_form(is_sent=True)
    if not form.attempt(actor(), runtime.now()):
        return _show_all(form), 400
    flash(_("Saved."), "success")
    return redirect(url_for("settings.index", tab="channels", _anchor="limits"), 303)


def show_standard(kind: str) -> ResponseReturnValue:
    """Show the standard channel of a kind, or the form for creating it."""
    channel_id = standard_id(kind)
    return _show(describe_new_channel(kind) if channel_id is None else edit_channel(channel_id, visible_server_ids()))


@settings_bp.get("/channels/new/<kind>")
@guarded(Access.ADMIN)
def new_channel(kind: str) -> ResponseReturnValue:
    """Show the form for another channel."""
    return _show(describe_new_channel(kind))


@settings_bp.post("/channels/new/<kind>")
@guarded(Access.ADMIN)
def create_channel(kind: str) -> ResponseReturnValue:
    """Create a channel."""
    page = describe_new_channel(kind)
    return _after_saving(page, page.create(actor(), runtime.now()))


@settings_bp.get("/channels/<int:channel_id>")
def show_channel(channel_id: int) -> ResponseReturnValue:
    """Show a channel: settings, test and recent deliveries.

    Accounts that can see selected servers only see the deliveries about these.
    """
    return _show(edit_channel(channel_id, visible_server_ids(), before_id=_before_id()))


@settings_bp.post("/channels/<int:channel_id>")
@guarded(Access.ADMIN)
def save_channel(channel_id: int) -> ResponseReturnValue:
    """Save a channel."""
    page = edit_channel(channel_id, visible_server_ids())
    return _after_saving(page, page.change(actor(), runtime.now()))


@settings_bp.post("/channels/<int:channel_id>/quiet-hours")
@guarded(Access.ADMIN)
def save_quiet_hours(channel_id: int) -> ResponseReturnValue:
    """Save the quiet hours of a channel."""
    row = channels.find_channel(channel_id)
    form = quiet_hours_form(row, is_sent=True)
    if not form.attempt(row, actor(), runtime.now()):
        return _show(edit_channel(channel_id, visible_server_ids(), is_sent=False), form), 400
    flash(_("Saved."), "success")
    return redirect(url_for("settings.show_channel", channel_id=channel_id, _anchor="quiet"), 303)


@settings_bp.post("/channels/<int:channel_id>/switch")
@guarded(Access.ADMIN)
def switch_channel(channel_id: int) -> ResponseReturnValue:
    """Enable or disable a channel."""
    is_enabled = request.form.get("is_enabled") == "1"
    channel_settings.switch_channel(channel_id, is_enabled=is_enabled, actor=actor(), now=runtime.now())
    return redirect(url_for("settings.index", tab="channels"), 303)


@settings_bp.post("/channels/<int:channel_id>/test")
@guarded(Access.USER, needs_all_servers=True)
def send_channel_test(channel_id: int) -> ResponseReturnValue:
    """Send a test message and show the result: in place, or above the page without JavaScript."""
    count_test(current_user, runtime.now())
    result = send_test(channel_id, actor(), runtime.now())
    if "HX-Request" in request.headers:
        return render_template("notifications/test_message.html", result=result)
    flash(result.sentence, "success" if result.is_delivered else "error")
    return redirect(url_for("settings.show_channel", channel_id=channel_id), 303)


@settings_bp.get("/channels/<int:channel_id>/delete")
@guarded(Access.ADMIN)
def confirm_deletion(channel_id: int) -> ResponseReturnValue:
    """Ask for confirmation before deleting a channel, in a dialog or on a page."""
    page = find_channel(channel_id, ALL_SERVERS)
    return ask_confirmation(deletion_question(page), tab=page.tab, label=_("Notification channels"))


@settings_bp.post("/channels/<int:channel_id>/delete")
@guarded(Access.ADMIN)
def delete_channel(channel_id: int) -> ResponseReturnValue:
    """Delete a channel."""
    page = find_channel(channel_id, ALL_SERVERS)
    channel_settings.remove_channel(channel_id, actor=actor(), now=runtime.now())
    flash(_("%(name)s was deleted.", name=page.title), "success")
    return redirect(url_for("settings.index", tab="channels"), 303)


@settings_bp.get("/channels/<int:channel_id>/history")
def channel_history(channel_id: int) -> ResponseReturnValue:
    """Show the deliveries of a channel: the part of the page that refreshes itself."""
    page = find_channel(channel_id, visible_server_ids(), before_id=_before_id())
    return render_template("notifications/history.html", page=page, event_words=EVENTS)


@settings_bp.post("/channels/<int:channel_id>/deliveries/<int:delivery_id>/again")
@guarded(Access.ADMIN)
def send_again(channel_id: int, delivery_id: int) -> ResponseReturnValue:
    """Retry a delivery now."""
    delivery_history.retry_delivery(delivery_id, actor=actor(), now=runtime.now())
    return redirect(url_for("settings.show_channel", channel_id=channel_id, _anchor="history"), 303)


def _before_id() -> int | None:
    return request.args.get("before", type=int)


def _show_all(form: AlarmLimitsForm) -> str:
    return render_template("notifications/channels.html", tab="channels", page=build_page(), form=form)


def _show(page: ChannelPage, quiet_form: QuietHoursForm | None = None) -> str:
    if page.row is not None and quiet_form is None:
        quiet_form = quiet_hours_form(page.row)
    values = {"event_words": EVENTS, "zone": runtime.settings().timezone, "now": runtime.now()}
    return render_template("notifications/channel.html", tab=page.tab, page=page, quiet_form=quiet_form, **values)


def _after_saving(page: ChannelPage, channel_id: int | None) -> ResponseReturnValue:
    if channel_id is None:
        return _show(page), 400
    if request.form.get("then") == "test":
        result = send_test(channel_id, actor(), runtime.now())
        flash(f"{_('Saved.')} {result.sentence}", "success" if result.is_delivered else "error")
    else:
        flash(_("Saved. Send a test to check delivery."), "success")
    return redirect(url_for("settings.show_channel", channel_id=channel_id), 303)
