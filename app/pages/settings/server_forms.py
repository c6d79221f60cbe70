"""Forms of a server: what people call it and where it is, how it is asked, and its password."""

from collections.abc import Callable
from datetime import datetime

from flask_babel import gettext as _
from flask_babel import lazy_gettext
from wtforms import BooleanField, PasswordField, SelectField, StringField, TextAreaField, URLField
from wtforms.fields.choices import SelectChoice

from app.contracts import AppError
from app.domain.pulls import CHOICES
from app.domain.request_headers import BadHeader, read_lines
from app.pages.formats import every_text
from app.pages.request_headers import header_words
from app.pages.settings.forms import SettingsForm
from app.services import servers
from app.services.audit import Actor
from app.services.collect import pulling
from app.services.servers import ServerChange
from app.services.transaction import writing

NAME_LENGTH, NOTE_LENGTH = 255, 2000


class ServerForm(SettingsForm):
    """A server as people keep it."""

    alias = StringField(
        lazy_gettext("Alias"),
        description=lazy_gettext("Shown in place of its own name."),
        render_kw={"maxlength": NAME_LENGTH, "autocomplete": "off"},
    )
    note = StringField(lazy_gettext("Note"), render_kw={"maxlength": NOTE_LENGTH, "autocomplete": "off"})
    url = URLField(
        lazy_gettext("Address of its Duplicati"),
        description=lazy_gettext(
            "To open it and to collect from it. A change of the host removes the stored password and headers."
        ),
        render_kw={"placeholder": "https://nas.example:8200", "autocomplete": "off", "spellcheck": "false"},
    )
    verifies_certificate = BooleanField(
        lazy_gettext("Check its certificate"),
        description=lazy_gettext("Switch this off only for a certificate that the server made itself."),
    )
    collect_interval = SelectField(
        lazy_gettext("Collect by itself"),
        description=lazy_gettext("For machines that cannot report here. It needs the address and the password."),
        validate_choice=False,
    )

    def offer_intervals(self) -> None:
        """Fill in how often a server may be asked."""
        self.collect_interval.choices = [
            SelectChoice("", _("Never")),
            *(SelectChoice(text, _begun(every_text(text))) for text in CHOICES),
        ]

    def attempt(self, server_id: str, actor: Actor, now: datetime) -> str | None:
        """Save all of it or nothing; gives a sentence about it, None when the form tells why not. Raises NotFound."""
        change = ServerChange(self.url.data or "", self.alias.data or "", self.note.data or "")
        try:
            with writing():
                changed = servers.change_server(server_id, change, actor=actor, now=now)
                pulling.choose(
                    server_id,
                    interval=self.collect_interval.data or "",
                    verifies_certificate=bool(self.verifies_certificate.data),
                    actor=actor,
                    now=now,
                )
        except AppError as refusal:
            if refusal.status == 404:
                raise
            self._take(refusal)
            return None
        if changed.lost_headers:
            return _("Saved. What was stored for the sign-in was removed, since the address leads to another host.")
        if changed.lost_password:
            return _("Saved. The stored password was removed, since the address leads to another host.")
        return _("Saved.")

    def _take(self, refusal: AppError) -> None:
        words: dict[str, tuple[str, Callable[[], str]]] = {
            "Invalid URL format": ("url", lambda: _("This is no address. It begins with https:// or http://.")),
            "URL must use": ("url", lambda: _("The address has to begin with https:// or http://.")),
            "This is not one": ("collect_interval", lambda: _("Choose one of the intervals.")),
        }
        for beginning, (name, sentence) in words.items():
            if refusal.message.startswith(beginning):
                return self.refuse(name, sentence())
        return self.refuse("url" if "never called" in refusal.message else "", refusal.message)


class PasswordForm(SettingsForm):
    """The password of a server's Duplicati, twice; or that it has none."""

    password = PasswordField(lazy_gettext("Password"), render_kw={"autocomplete": "new-password", "maxlength": 1000})
    again = PasswordField(lazy_gettext("Once more"), render_kw={"autocomplete": "new-password", "maxlength": 1000})
    is_empty = BooleanField(lazy_gettext("This Duplicati 2.0 has no password"))

    def attempt(self, server_id: str, actor: Actor, now: datetime) -> bool:
        """Store the password; False when the form tells why not. Raises NotFound."""
        if self.is_empty.data and not (self.password.data or self.again.data):
            servers.change_password(server_id, "", is_empty=True, actor=actor, now=now)
            return True
        if not (self.password.data or "").strip():
            self.refuse("password", _("Enter the password."))
        elif self.password.data != self.again.data:
            self.refuse("again", _("Both entries have to be the same."))
        if self.wrong_fields:
            return False
        servers.change_password(server_id, self.password.data, actor=actor, now=now)
        return True


class HeadersForm(SettingsForm):
    """The extra request headers of a server, which are never shown again."""

    headers = TextAreaField(
        lazy_gettext("Headers"),
        description=lazy_gettext(
            "One on each line, as in CF-Access-Client-Id: abc. They replace those that are stored."
        ),
        render_kw={"rows": 5, "required": True, "autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"},
    )

    def attempt(self, server_id: str, actor: Actor, now: datetime) -> bool:
        """Store the headers; False when the form tells why not. Raises NotFound."""
        try:
            headers = read_lines(self.headers.data or "")
        except BadHeader as wrong:
            self.refuse("headers", header_words(wrong))
            return False
        if not headers:
            self.refuse("headers", _("Enter a header."))
            return False
        servers.change_headers(server_id, headers, actor=actor, now=now)
        return True


def _begun(text: str) -> str:
    """A text as it begins a line."""
    return text[:1].upper() + text[1:]
