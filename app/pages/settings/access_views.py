"""Views of the tab of network access, which is for administrators: the two allow lists."""

from datetime import datetime

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from wtforms import BooleanField, TextAreaField

from app.api.client import actor, client_address
from app.contracts import AppError, Guard, guarded
from app.pages.settings.blueprint import bp
from app.pages.settings.forms import SettingsForm
from app.services import clock, network_access, untrusted_proxies
from app.services.audit import Actor
from app.services.declarations import MOST_NETWORKS
from app.services.network_access import ListState, Zone

TAB = "access"
PROXY_NOT_TRUSTED = lazy_gettext(
    "You connect through an untrusted proxy on the host of duplistatus, so your address is unknown and no allow list"
    " accepts it. Set IP_TRUSTED_PROXIES to the address from which the proxy connects, for example 127.0.0.1, and"
    " restart duplistatus."
)


class AllowListForm(SettingsForm):
    """One allow list. What the environment fixes is left out of what is saved."""

    is_enabled = BooleanField(lazy_gettext("Only these may come in"))
    networks = TextAreaField(
        lazy_gettext("Addresses and networks"),
        description=lazy_gettext("One in a line: 192.0.2.7, 192.168.1.0/24, fd00::/8. This machine itself is in."),
        render_kw={"rows": 5, "spellcheck": "false", "autocomplete": "off"},
    )

    def attempt(self, state: ListState, own_address: str, actor: Actor, now: datetime) -> bool:
        """Store the list; False when the form tells why not."""
        networks = (self.networks.data or "").replace(",", " ").split()
        if len(networks) > MOST_NETWORKS:
            self.refuse("networks", _("These are more than %(most)s.", most=MOST_NETWORKS))
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
        except AppError as refusal:
            if refusal.extra.get("errorCode") == "PROXY_NOT_TRUSTED":
                self.refuse("", PROXY_NOT_TRUSTED)
            elif refusal.message.startswith("Your own address"):
                sentence = _(
                    "Your own address %(address)s is not in it. You would lock yourself out.", address=own_address
                )
                self.refuse("networks", sentence)
            else:
                self.take(refusal)
            return False
        return True


def show() -> ResponseReturnValue:
    """Both lists, and the address that asks."""
    return _show()


@bp.post("/access/<any(admin, external):zone>")
@guarded(Guard.ADMIN)
def save_allow_list(zone: str) -> ResponseReturnValue:
    """Store one of the lists, which is in force at once."""
    state = next(state for state in network_access.describe_lists() if state.zone == zone)
    form = _form(state, is_sent=True)
    if not form.attempt(state, client_address(), actor(), clock.now()):
        return _show({zone: form}), 400
    flash(_("The list is saved and in force."), "success")
    return redirect(url_for("settings.index", tab=TAB), 303)


def _show(sent: dict[str, AllowListForm] | None = None) -> str:
    states = network_access.describe_lists()
    lists = [(state, (sent or {}).get(state.zone) or _form(state)) for state in states]
    values = {"own_address": client_address(), "untrusted_proxy_at": untrusted_proxies.last_seen_at(clock.now())}
    return render_template("settings/access.html", tab=TAB, lists=lists, now=clock.now(), **values)


def _form(state: ListState, *, is_sent: bool = False) -> AllowListForm:
    source = {} if is_sent else {"formdata": None}
    stored = {"is_enabled": state.is_enabled, "networks": "\n".join(state.networks)}
    return AllowListForm(prefix=f"{state.zone}-", **source, **stored)
