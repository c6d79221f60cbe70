"""Views of the tab of notification channels."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from app.api.client import actor, visible_server_ids
from app.api.trial_rates import count_trial
from app.contracts import Guard, guarded
from app.pages.settings import channels as layout
from app.pages.settings.blueprint import bp
from app.pages.settings.channel_alarms import (
    AlarmLimitsForm,
    QuietHoursForm,
    alarm_limits_form,
    quiet_hours_form,
)
from app.pages.settings.questions import ask
from app.services import channel_changes, channels, clock, delivery_history, deployment
from app.services.visibility import ALL_SERVERS


def show_all() -> ResponseReturnValue:
    """Every kind of channel that is installed, with what is set up of it."""
    return _show_all(alarm_limits_form())


@bp.post("/channels/limits")
@guarded(Guard.ADMIN)
def save_alarm_limits() -> ResponseReturnValue:
    """Choose which notifications are sent that do not follow from the status of a run."""
    form = alarm_limits_form(is_sent=True)
    if not form.attempt(actor(), clock.now()):
        return _show_all(form), 400
    flash(_("Saved."), "success")
    return redirect(url_for("settings.index", tab="channels", _anchor="limits"), 303)


def show_standard(kind: str) -> ResponseReturnValue:
    """The standard channel of a kind, which has a tab of its own; the form for it where there is none."""
    channel_id = layout.standard_id(kind)
    return _show(
        layout.new_channel(kind) if channel_id is None else layout.edit_channel(channel_id, visible_server_ids())
    )


@bp.get("/channels/new/<kind>")
@guarded(Guard.ADMIN)
def new_channel(kind: str) -> ResponseReturnValue:
    """The form for another channel."""
    return _show(layout.new_channel(kind))


@bp.post("/channels/new/<kind>")
@guarded(Guard.ADMIN)
def create_channel(kind: str) -> ResponseReturnValue:
    """Set up a channel."""
    page = layout.new_channel(kind)
    return _after_saving(page, page.create(actor(), clock.now()))


@bp.get("/channels/<int:channel_id>")
def show_channel(channel_id: int) -> ResponseReturnValue:
    """A channel: its settings, a test, and what went through it.

    Accounts that may see chosen servers only see what went through it about these.
    """
    return _show(layout.edit_channel(channel_id, visible_server_ids(), before_id=_before_id()))


@bp.post("/channels/<int:channel_id>")
@guarded(Guard.ADMIN)
def save_channel(channel_id: int) -> ResponseReturnValue:
    """Change a channel."""
    page = layout.edit_channel(channel_id, visible_server_ids())
    return _after_saving(page, page.change(actor(), clock.now()))


@bp.post("/channels/<int:channel_id>/quiet-hours")
@guarded(Guard.ADMIN)
def save_quiet_hours(channel_id: int) -> ResponseReturnValue:
    """Choose when a channel keeps still."""
    row = channels.find_channel(channel_id)
    form = quiet_hours_form(row, is_sent=True)
    if not form.attempt(row, actor(), clock.now()):
        return _show(layout.edit_channel(channel_id, visible_server_ids(), is_sent=False), form), 400
    flash(_("Saved."), "success")
    return redirect(url_for("settings.show_channel", channel_id=channel_id, _anchor="quiet"), 303)


@bp.post("/channels/<int:channel_id>/switch")
@guarded(Guard.ADMIN)
def switch_channel(channel_id: int) -> ResponseReturnValue:
    """Switch a channel on or off."""
    is_enabled = request.form.get("is_enabled") == "1"
    channel_changes.switch_channel(channel_id, is_enabled=is_enabled, actor=actor(), now=clock.now())
    return redirect(url_for("settings.index", tab="channels"), 303)


@bp.post("/channels/<int:channel_id>/test")
@guarded(Guard.LOGIN, needs_all_servers=True)
def try_channel(channel_id: int) -> ResponseReturnValue:
    """Send a test message and say how it went: in place, or above the page where there is no script."""
    count_trial()
    trial = layout.try_channel(channel_id, actor(), clock.now())
    if "HX-Request" in request.headers:
        return render_template("settings/trial.html", trial=trial)
    flash(trial.sentence, "success" if trial.is_delivered else "error")
    return redirect(url_for("settings.show_channel", channel_id=channel_id), 303)


@bp.get("/channels/<int:channel_id>/delete")
@guarded(Guard.ADMIN)
def confirm_deletion(channel_id: int) -> ResponseReturnValue:
    """Ask whether a channel shall be deleted, in a dialog or on a page."""
    page = layout.find_channel(channel_id, ALL_SERVERS)
    return ask(layout.deletion_question(page), tab=page.tab, label=_("Notification channels"))


@bp.post("/channels/<int:channel_id>/delete")
@guarded(Guard.ADMIN)
def delete_channel(channel_id: int) -> ResponseReturnValue:
    """Delete a channel."""
    page = layout.find_channel(channel_id, ALL_SERVERS)
    channel_changes.remove_channel(channel_id, actor=actor(), now=clock.now())
    flash(_("%(name)s was deleted.", name=page.title), "success")
    return redirect(url_for("settings.index", tab="channels"), 303)


@bp.get("/channels/<int:channel_id>/history")
def channel_history(channel_id: int) -> ResponseReturnValue:
    """What went through a channel, for the part of the page that keeps itself fresh."""
    page = layout.find_channel(channel_id, visible_server_ids(), before_id=_before_id())
    return render_template("settings/history.html", page=page, event_words=layout.EVENTS)


@bp.post("/channels/<int:channel_id>/deliveries/<int:delivery_id>/again")
@guarded(Guard.ADMIN)
def send_again(channel_id: int, delivery_id: int) -> ResponseReturnValue:
    """Try a message once more, at once."""
    delivery_history.retry_delivery(delivery_id, actor=actor(), now=clock.now())
    return redirect(url_for("settings.show_channel", channel_id=channel_id, _anchor="history"), 303)


def _before_id() -> int | None:
    return request.args.get("before", type=int)


def _show_all(form: AlarmLimitsForm) -> str:
    return render_template("settings/channels.html", tab="channels", board=layout.build_board(), form=form)


def _show(page: layout.ChannelPage, quiet_form: QuietHoursForm | None = None) -> str:
    if page.row is not None and quiet_form is None:
        quiet_form = quiet_hours_form(page.row)
    values = {"event_words": layout.EVENTS, "zone": deployment.settings().timezone, "now": clock.now()}
    return render_template("settings/channel.html", tab=page.tab, page=page, quiet_form=quiet_form, **values)


def _after_saving(page: layout.ChannelPage, channel_id: int | None) -> ResponseReturnValue:
    if channel_id is None:
        return _show(page), 400
    if request.form.get("then") == "test":
        trial = layout.try_channel(channel_id, actor(), clock.now())
        flash(f"{_('Saved.')} {trial.sentence}", "success" if trial.is_delivered else "error")
    else:
        flash(_("Saved. Send a test to see whether it arrives."), "success")
    return redirect(url_for("settings.show_channel", channel_id=channel_id), 303)
