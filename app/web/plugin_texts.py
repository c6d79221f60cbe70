"""Translation of plugins' labels, errors of settings, and delivery failures.

Plugins use English, which is also what is stored; see `docs/plugins/translations.md`.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from babel.messages import Message
from babel.messages.mofile import read_mo
from flask_babel import pgettext

from app.core.languages import DOMAIN, FOLDER, LANGUAGES
from app.plugin import NC_
from app.runtime import registry
from app.web.i18n import chosen_language

# Contexts of the texts that plugins share; they are in the main catalogue.
SHARED_CONTEXTS = ("validation", "failure")
# Longer texts are not translated: they contain text of others.
LONGEST_SENTENCE = 1000
_FIELD = re.compile(r"\{(\w+)\}")
# marshmallow's messages about wrong settings. A test compares them with the installed version.
MARSHMALLOW_TEXTS = (
    NC_("validation", "Missing data for required field."),
    NC_("validation", "Field may not be null."),
    NC_("validation", "Invalid value."),
    NC_("validation", "Invalid input type."),
    NC_("validation", "Unknown field."),
    NC_("validation", "Not a valid string."),
    NC_("validation", "Not a valid integer."),
    NC_("validation", "Not a valid number."),
    NC_("validation", "Not a valid boolean."),
    NC_("validation", "Not a valid list."),
    NC_("validation", "Not a valid URL."),
    NC_("validation", "Not a valid email address."),
    NC_("validation", "Number too large."),
    NC_("validation", "Must be one of: {choices}."),
    NC_("validation", "Must be greater than or equal to {min}."),
    NC_("validation", "Must be less than or equal to {max}."),
    NC_("validation", "Must be greater than or equal to {min} and less than or equal to {max}."),
    NC_("validation", "Shorter than minimum length {min}."),
    NC_("validation", "Longer than maximum length {max}."),
    NC_("validation", "Length must be between {min} and {max}."),
    NC_("validation", "Length must be {equal}."),
    NC_("validation", "String does not match expected pattern."),
)


def plugin_text(plugin: type, text: str) -> str:
    """Return a text of a plugin in the language of the page.

    In English if it is not translated.
    """
    return translate_plugin_text(plugin, text, chosen_language())


def kind_label(kind: str) -> str:
    """Return the label of a kind of channel; its name if it is not installed."""
    plugin = registry().channels.get(kind)
    return plugin_text(plugin, plugin.label) if plugin else kind


def channel_title(kind: str, name: str) -> str:
    """Return the title of a channel.

    The label of its kind and, if there are several, its own name.
    """
    label = kind_label(kind)
    return label if name == kind else f"{label} {name}"


def failure_text(kind: str, error: str) -> str:
    """Return the translated reason of a failed delivery.

    The stored sentence is English: `ntfy: no connection to the server`.
    """
    plugin = registry().channels.get(kind)
    if plugin is None:
        return error
    head, separator, reason = error.partition(": ")
    if not separator or not head.startswith(plugin.label):
        return plugin_text(plugin, error)
    channel = plugin_text(plugin, plugin.label) + head.removeprefix(plugin.label)
    frame = pgettext("failure of a channel", "{channel}: {reason}")
    return frame.format(channel=channel, reason=plugin_text(plugin, reason))


def translate_plugin_text(plugin: type, text: str, code: str) -> str:
    """Translate a text of a plugin by the plugin's catalogue.

    Unchanged if there is no translation. The text may be a sentence with values filled in, such as an error. Texts
    that plugins share, the errors of validators and of HTTP channels, are in the main catalogue.
    """
    if code not in LANGUAGES or len(text) > LONGEST_SENTENCE:
        return text
    package = sys.modules[plugin.__module__].__package__ or plugin.__module__
    return _sentences(package, code).translate(text) or text


@dataclass(frozen=True, slots=True)
class _Sentences:
    """Translations by English text.

    Texts with placeholders by patterns, the longest first.
    """

    texts: Mapping[str, str]
    patterns: tuple[tuple[re.Pattern[str], str], ...]

    def translate(self, sentence: str) -> str | None:
        """Translate a text, and the values in it that are texts themselves."""
        if sentence in self.texts:
            return self.texts[sentence]
        for pattern, translation in self.patterns:
            if found := pattern.fullmatch(sentence):
                values = {name: self.translate(value) or value for name, value in found.groupdict().items()}
                return _filled(translation, values)
        return None


@cache
def _sentences(package: str, code: str) -> _Sentences:
    folder = Path(sys.modules[package].__file__ or "").parent / "translations"
    texts = _read(FOLDER, code, DOMAIN, SHARED_CONTEXTS) | _read(folder, code, package)
    longest_first = sorted(filter(_has_placeholders, texts), key=len, reverse=True)
    return _Sentences(texts, tuple((_pattern(text), texts[text]) for text in longest_first))


def _has_placeholders(text: str) -> bool:
    names = _FIELD.findall(text)
    return bool(names) and len(names) == len(set(names))


def _pattern(text: str) -> re.Pattern[str]:
    """Return the pattern that matches a text with its placeholders filled in.

    Each may occur once.
    """
    parts = _FIELD.split(text)
    parts[::2] = map(re.escape, parts[::2])
    parts[1::2] = (f"(?P<{name}>.*)" for name in parts[1::2])
    return re.compile("".join(parts), re.DOTALL)


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _FIELD.sub(lambda field: values.get(field[1], field[0]), text)


def _read(folder: Path, code: str, domain: str, contexts: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the texts of a catalogue that have one of the contexts, or all.

    Empty if there is no catalogue.
    """
    path = folder / LANGUAGES[code].locale / "LC_MESSAGES" / f"{domain}.mo"
    if not path.exists():
        return {}
    with path.open("rb") as file:
        found = read_mo(file)
    return {
        message.id: str(message.string)
        for message in found
        if isinstance(message.id, str) and message.id and (not contexts or _context(message) in contexts)
    }


def _context(message: Message) -> str | None:
    # Babel 2.18 returns bytes from a binary catalogue.
    return message.context.decode() if isinstance(message.context, bytes) else message.context
