"""Pages show the texts of plugins in the language of the account: settings, errors and failures."""

import html
import re

import pytest
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from app.core.languages import DEFAULT_LANGUAGE, PAGE_LANGUAGES
from app.notifications import channels
from app.web.plugin_texts import LONGEST_SENTENCE, failure_text, translate_plugin_text
from plugins.email import EmailChannel
from plugins.ntfy import NtfyChannel

OTHERS = [code for code in PAGE_LANGUAGES if code != DEFAULT_LANGUAGE]
NTFY = {"url": "https://ntfy.example", "topic": "alarms"}
# Kind -> invalid values.
WRONG = {
    "webhook": {"url": "nowhere", "headers": "a line without a colon"},
    "ntfy": {"url": "nowhere", "topic": "two words"},
    "email": {"host": "a\x01b", "port": "0", "mailto": "nobody", "connection_type": "pigeon"},
    "apprise": {"urls": "nonsense"},
}
# Words and names that some languages have in common with English.
SAME = {"ntfy", "Apprise", "Webhook", "Port", "Email", "Server", "STARTTLS", "TLS (SMTPS)"}


def texts_of(schema: Schema):
    for field in schema.fields.values():
        yield from (str(field.metadata[name]) for name in ("label", "help") if field.metadata.get(name))
        for validator in field.validators:
            if isinstance(validator, validate.OneOf):
                yield from map(str, validator.labels)


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_of_our_channels_and_charts_is_translated(installed, language):
    untranslated = []
    for plugin in (*installed.channels.values(), *installed.chart_providers.values()):
        if plugin.__module__ == "plugins.weekday_chart":  # an example, which has no catalogues
            continue
        texts = {plugin.label, getattr(plugin, "description", plugin.label)}
        texts |= set(texts_of(plugin.Settings())) if hasattr(plugin, "Settings") else set()
        untranslated += [text for text in texts - SAME if translate_plugin_text(plugin, text, language) == text]
    assert untranslated == []


@pytest.fixture
def german(admin):
    admin.send("POST", "/language", data={"language": "de"})
    return admin


@pytest.mark.parametrize("kind", WRONG)
def test_invalid_settings_are_explained_in_german(german, db, installed, kind):
    entries = {f"setting_{name}": value for name, value in WRONG[kind].items()}
    page = german.send("POST", f"/settings/channels/new/{kind}", data={"name": "x", "is_enabled": "y", **entries}).text
    errors = {
        name: html.unescape(re.sub(r"<[^>]+>", "", text)).strip()
        for name, text in re.findall(r'id="setting_(\w+)-error">(.*?)</p>', page, re.DOTALL)
    }
    assert errors.keys() >= WRONG[kind].keys()
    english = english_errors(installed.channels[kind].Settings(unknown=EXCLUDE), WRONG[kind])
    assert not {name for name in errors if errors[name] in english.get(name, ())}
    plugin = installed.channels[kind]
    labels = {str(field.metadata["label"]) for field in plugin.Settings().fields.values()} - SAME
    shown = set(map(html.unescape, re.findall(r'class="entry-label"[^>]*>\s*([^<]+?)\s*<', page)))
    assert not labels & shown


def english_errors(schema: Schema, entries) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as raised:
        schema.load(entries)
    return raised.value.normalized_messages()


def test_the_list_describes_kinds_in_german(german):
    page = german.get("/settings?tab=channels").text
    assert "Push-Benachrichtigungen \u00fcber ntfy" in page
    assert "Push notifications through ntfy.sh or your own ntfy server." not in page


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ("ntfy: the server did not answer in time", "ntfy: der Server hat nicht rechtzeitig geantwortet"),
        ("ntfy phone: sending did not end within 120 s", "ntfy phone: das Senden war nach 120 s nicht beendet"),
        (
            "The channel cannot be used as it is set up (KeyError)",
            "Der Kanal ist so, wie er eingerichtet ist, nicht benutzbar (KeyError)",
        ),
        ("something: unknown", "something: unknown"),
    ],
)
def test_failures_are_translated(app, error, shown):
    with app.test_request_context(headers={"Accept-Language": "de"}):
        assert failure_text("ntfy", error) == shown
        assert failure_text("gone", error) == error


def test_a_failed_test_reports_the_reason_in_german(german, db, clock):
    row = channels.save_settings("ntfy", "ntfy", {**NTFY, "url": "http://127.0.0.1:9"}, now=clock())
    page = german.get(german.send("POST", f"/settings/channels/{row.id}/test").location).text
    assert "ntfy: keine Verbindung zum Server (ConnectionError)" in page


class Everything(Schema):
    """Settings of every kind, with the validators that plugins use."""

    required = fields.String(required=True)
    null = fields.String()
    text = fields.String()
    whole = fields.Integer(strict=True)
    number = fields.Float()
    flag = fields.Boolean()
    items = fields.List(fields.String())
    url = fields.Url()
    mail = fields.Email()
    choice = fields.String(validate=validate.OneOf(["a", "b"]))
    both = fields.Integer(validate=validate.Range(1, 9))
    least = fields.Integer(validate=validate.Range(min=1))
    most = fields.Integer(validate=validate.Range(max=9))
    short = fields.String(validate=validate.Length(min=2))
    long = fields.String(validate=validate.Length(max=2))
    between = fields.String(validate=validate.Length(2, 3))
    exact = fields.String(validate=validate.Length(equal=2))
    pattern = fields.String(validate=validate.Regexp("a"))


ALL_WRONG = {
    "null": None,
    "text": 1,
    "whole": "many",
    "number": "many",
    "flag": "perhaps",
    "items": 1,
    "url": "nowhere",
    "mail": "nobody",
    "choice": "c",
    "both": 10,
    "least": 0,
    "most": 10,
    "short": "x",
    "long": "xxx",
    "between": "x",
    "exact": "x",
    "pattern": "x",
    "strange": "x",
}


@pytest.mark.parametrize("language", OTHERS)
def test_messages_of_marshmallow_are_translated(language):
    with pytest.raises(ValidationError) as raised:
        Everything().load(ALL_WRONG)
    messages = [sentence for sentences in raised.value.normalized_messages().values() for sentence in sentences]
    assert len(messages) == len(ALL_WRONG) + 1
    assert [
        sentence for sentence in messages if translate_plugin_text(Everything, sentence, language) == sentence
    ] == []


@pytest.mark.parametrize(
    ("plugin", "text", "translated"),
    [
        (NtfyChannel, "Access token", "Zugriffstoken"),  # of the plugin
        (NtfyChannel, "the URL is not valid", "die URL ist nicht g\u00fcltig"),  # of all
        (NtfyChannel, "the server answered 404 Not Found", "Antwort des Servers: 404 Not Found"),
        (
            NtfyChannel,
            "the server answered that too many notifications were sent (rate limit)",
            "Antwort des Servers: zu viele Benachrichtigungen gesendet (Ratenbegrenzung)",
        ),
        (
            EmailChannel,
            "mail.example:25 rejected the message (550 no {code} (really))",
            "mail.example:25 hat die Nachricht abgelehnt (550 no {code} (really))",
        ),
        (EmailChannel, "Enter up to 64 letters, digits, - and _.", None),  # of another plugin
        (EmailChannel, "Something else", None),
        (EmailChannel, "", None),
        (NtfyChannel, "the server answered " + "x" * LONGEST_SENTENCE, None),
    ],
)
def test_texts_of_plugins_are_translated_with_parameters(plugin, text, translated):
    assert translate_plugin_text(plugin, text, "de") == (translated or text)
    assert translate_plugin_text(plugin, text, DEFAULT_LANGUAGE) == text


def test_a_class_without_catalogues_keeps_its_texts():
    class Other:
        pass

    assert translate_plugin_text(Other, "Access token", "de") == "Access token"
