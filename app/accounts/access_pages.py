"""Settings pages of API keys and of network access."""

from datetime import datetime
from zoneinfo import ZoneInfo

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from wtforms import DateField, RadioField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice

from app import runtime
from app.accounts import api_keys, network_access
from app.accounts.api_keys import LONGEST_NAME, NewKey
from app.accounts.network_access import ADMIN_ALLOWLIST, MOST_NETWORKS, ListState, Zone
from app.audit.log import Actor
from app.core.errors import Refused
from app.plugin import Access, guarded
from app.runtime import settings
from app.web.errors import refusal_text
from app.web.forms import Confirmation, GroupForm, SettingsForm, ask_confirmation, form_field, with_settings
from app.web.http import actor, client_address, settings_bp

SCOPES = {
    "upload": lazy_gettext("Send reports"),
    "read": lazy_gettext("Read summaries and metrics"),
    "admin": lazy_gettext("Full administration"),
}


class KeyForm(SettingsForm):
    """A key to create."""

    name = StringField(
        lazy_gettext("Name"),
        description=lazy_gettext("Describes who uses the key, for example a server, a script or a dashboard."),
        render_kw={"required": True, "maxlength": LONGEST_NAME, "autocomplete": "off"},
    )
    scope = RadioField(
        lazy_gettext("Permission"),
        choices=[SelectChoice(name, label) for name, label in SCOPES.items()],
        default="upload",
    )
    last_valid_day = DateField(
        lazy_gettext("Expires"), description=lazy_gettext("Valid until the end of this day. Leave blank for no expiry.")
    )

    def attempt(self, actor: Actor, zone: ZoneInfo, now: datetime) -> NewKey | None:
        """Create the key; None if the form has errors."""
        name, day = (self.name.data or "").strip(), self.last_valid_day
        if not name:
            self.add_error("name", _("Enter a name that describes who uses the key."))
        if day.data is None and any(day.raw_data or ()):
            self.add_error("last_valid_day", _("Enter a valid date."))
        if self.wrong_fields:
            return None
        try:
            expires_at = None if day.data is None else api_keys.end_of(day.data, zone, now)
            return api_keys.create_key(name, self.scope.data or "", expires_at=expires_at, now=now, actor=actor)
        except Refused as refusal:
            self.add_refusal(refusal)
            return None


# Views of the tab "API keys", for administrators

KEYS_TAB = "keys"


def show_keys() -> ResponseReturnValue:
    """Show all keys and the form for a new one."""
    return _show_keys(KeyForm(formdata=None))


@settings_bp.post("/keys")
@guarded(Access.ADMIN)
def create_key() -> ResponseReturnValue:
    """Create a key. Its secret is shown in this response only."""
    form = KeyForm()
    made = form.attempt(actor(), settings().zone, runtime.now())
    if made is None:
        return _show_keys(form), 400
    return _show_keys(KeyForm(formdata=None), made)


@settings_bp.post("/keys/<int:key_id>/switch")
@guarded(Access.ADMIN)
def switch_key(key_id: int) -> ResponseReturnValue:
    """Enable or disable a key; an expired key stays disabled."""
    is_enabled = request.form.get("is_enabled") == "1"
    try:
        api_keys.set_enabled(key_id, is_enabled, now=runtime.now(), actor=actor())
    except Refused as refusal:
        if refusal.status == 404:
            raise
        flash(refusal_text(refusal), "error")
    return redirect(url_for("settings.index", tab=KEYS_TAB), 303)


@settings_bp.get("/keys/<int:key_id>/delete")
@guarded(Access.ADMIN)
def confirm_key_deletion(key_id: int) -> ResponseReturnValue:
    """Ask for confirmation before a key is deleted."""
    key = api_keys.find_key(key_id)
    question = Confirmation(
        title=_("Delete key %(name)s?", name=key.name),
        sentences=[
            _("Clients using this key will stop working immediately where keys are required. This cannot be undone.")
        ],
        button=_("Delete %(name)s", name=key.name),
        action=url_for("settings.delete_key", key_id=key_id),
        back=url_for("settings.index", tab=KEYS_TAB),
    )
    return ask_confirmation(question, tab=KEYS_TAB, label=_("API keys"))


@settings_bp.post("/keys/<int:key_id>/delete")
@guarded(Access.ADMIN)
def delete_key(key_id: int) -> ResponseReturnValue:
    """Delete a key."""
    key = api_keys.find_key(key_id)
    api_keys.delete_key(key_id, now=runtime.now(), actor=actor())
    flash(_("%(name)s was deleted.", name=key.name), "success")
    return redirect(url_for("settings.index", tab=KEYS_TAB), 303)


@settings_bp.post("/keys/requirement")
@guarded(Access.ADMIN)
def require_keys() -> ResponseReturnValue:
    """Set whether API keys are required for sending reports and reading."""
    is_required = request.form.get("is_required") == "1"
    api_keys.require(is_required, now=runtime.now(), actor=actor())
    flash(_("API keys are now required.") if is_required else _("API keys are no longer required."), "success")
    return redirect(url_for("settings.index", tab=KEYS_TAB), 303)


def _show_keys(form: KeyForm, made: NewKey | None = None) -> str:
    values = {
        "keys": api_keys.list_keys(),
        "is_required": api_keys.are_required(),
        "scopes": SCOPES,
        "now": runtime.now(),
    }
    return render_template("accounts/keys.html", tab=KEYS_TAB, form=form, made=made, **values)


# The tab "Network access" with the two allow lists, for administrators

ACCESS_TAB = "access"


@with_settings(ADMIN_ALLOWLIST)
class AllowListForm(GroupForm):
    """One allow list, of either zone. Values fixed by the environment are not saved."""

    networks = form_field(
        ADMIN_ALLOWLIST.settings[1],
        kind=TextAreaField,
        render_kw={"rows": 5, "spellcheck": "false", "autocomplete": "off"},
    )

    def attempt(self, state: ListState, own_address: str, actor: Actor, now: datetime) -> bool:
        """Store the list; False if the form has errors."""
        networks = (self.networks.data or "").replace(",", " ").split()
        if len(networks) > MOST_NETWORKS:
            self.add_error("networks", _("Enter at most %(most)s addresses and networks.", most=MOST_NETWORKS))
            return False
        try:
            network_access.change_list(
                Zone(state.zone),
                is_enabled=None if state.is_switch_fixed else bool(self.is_enabled.data),
                networks=None if state.are_networks_fixed else networks,
                own_address=own_address,
                actor=actor,
                now=now,
            )
        except Refused as refusal:
            self.add_refusal(refusal)
            return False
        return True


def show_access() -> ResponseReturnValue:
    """Show both lists and the address of the client."""
    return _show_access()


@settings_bp.post("/access/<any(admin, external):zone>")
@guarded(Access.ADMIN)
def save_allow_list(zone: str) -> ResponseReturnValue:
    """Store one of the lists; it applies immediately."""
    state = next(state for state in network_access.describe_lists() if state.zone == zone)
    form = _form(state, is_sent=True)
    if not form.attempt(state, client_address(), actor(), runtime.now()):
        return _show_access({zone: form}), 400
    flash(_("Saved. The list is in effect."), "success")
    return redirect(url_for("settings.index", tab=ACCESS_TAB), 303)


def _show_access(sent: dict[str, AllowListForm] | None = None) -> str:
    states = network_access.describe_lists()
    lists = [(state, (sent or {}).get(state.zone) or _form(state)) for state in states]
    values = {"own_address": client_address(), "untrusted_proxy_at": network_access.untrusted_seen_at(runtime.now())}
    return render_template("accounts/access.html", tab=ACCESS_TAB, lists=lists, now=runtime.now(), **values)


def _form(state: ListState, *, is_sent: bool = False) -> AllowListForm:
    source = {} if is_sent else {"formdata": None}
    stored = {"is_enabled": state.is_enabled, "networks": "\n".join(state.networks)}
    return AllowListForm(prefix=f"{state.zone}-", **source, **stored)
