#!/usr/bin/env python
"""Keeps the catalogues of the pages' texts: which there are, which are missing, and their compiled form.

    translations.py update               read all texts from the sources and bring them into every catalogue
    translations.py missing LANGUAGE     print what is not translated yet, as JSON: [{"text", "plural", "context"}]
    translations.py fill LANGUAGE FILE   take translations over from JSON: [{"text", "context", "translation"}],
                                         `translation` being a list for texts with a plural; refuses lost placeholders
    translations.py compile              write the binary form that the application reads

Run by people who change texts, with the virtual environment's Python; both forms are committed.
"""

import io
import json
import re
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "app" / "translations"
METHODS = [("**.py", "python"), ("**.html", "jinja2")]
OPTIONS = {"**.html": {"trimmed": "true", "silent": "false"}}
KEYWORDS = {
    "_": None,
    "lazy": None,
    "gettext": None,
    "lazy_gettext": None,
    "ngettext": (1, 2),
    "lazy_ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "lazy_pgettext": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
COUNTS = {"%(num)d", "%(num)s"}
PERCENT, BRACED, TAG = re.compile(r"%\(\w+\)[sd]"), re.compile(r"\{\w+\}"), re.compile(r"</?\w+")
# A catalogue says no dates, so that the same texts give the same files.
NO_DATE = datetime(2000, 1, 1, tzinfo=UTC)
DATES = re.compile(rb'^"(POT-Creation-Date|PO-Revision-Date):.*\n', re.MULTILINE)


def languages() -> list[str]:
    """The languages to translate into: all but English, which the sources speak."""
    from app.web.i18n import LOCALES

    return [code for code in LOCALES.values() if code != "en_GB"]


def source_texts() -> Catalog:
    """Every text of the pages, and what the bundled plugins say of themselves and their settings."""
    catalog = Catalog(project="duplistatus", charset="utf-8")
    for folder in (ROOT / "app",):
        for _file, _line, text, _comments, context in extract_from_dir(
            str(folder), METHODS, OPTIONS, keywords=KEYWORDS
        ):
            catalog.add(text, context=context)
    for said in plugin_texts():
        catalog.add(said)
    return catalog


def plugin_texts() -> Iterator[str]:
    """The labels, hints and choices of our own channels and charts; guests bring no texts into our catalogues."""
    from app.registry import discover

    registry = discover()
    for channel in registry.channels.values():
        if channel.__module__.startswith("plugins."):
            yield channel.label
            for field in channel.Settings().fields.values():
                yield from texts_of_field(field)
    yield from (provider.label for provider in registry.chart_providers.values())


def texts_of_field(field) -> Iterator[str]:
    """What a form shows of one setting of a plugin."""
    for name in ("label", "help"):
        if said := field.metadata.get(name):
            yield str(said)
    validators = field.validate if isinstance(field.validate, list | tuple) else [field.validate]
    for validator in validators:
        for label in getattr(validator, "labels", None) or ():
            yield str(label)


def update() -> None:
    """Bring all texts of the sources into the catalogues; what nobody says any more goes."""
    texts = source_texts()
    for language in languages():
        catalog = read(language)
        catalog.update(texts, no_fuzzy_matching=True)
        catalog.obsolete.clear()
        write(language, catalog)


def missing(language: str) -> list[dict[str, object]]:
    """The texts of a catalogue without a translation."""
    return [
        {"text": singular(message), "plural": plural(message), "context": message.context}
        for message in read(language)
        if message.id and not is_translated(message)
    ]


def fill(language: str, translations: Iterable[dict]) -> list[str]:
    """Take translations over; gives a sentence for each that was refused."""
    catalog, refused = read(language), []
    for given in translations:
        message = catalog.get(given["text"], given.get("context"))
        if message is None:
            refused.append(f"no such text: {given['text']!r}")
            continue
        new = given["translation"]
        texts = new if isinstance(new, list) else [new]
        if plural(message) and len(texts) == 1:
            texts = texts * catalog.num_plurals
        problem = find_problem(message, texts, catalog.num_plurals)
        if problem:
            refused.append(f"{problem}: {given['text']!r} -> {new!r}")
            continue
        message.string = tuple(texts) if plural(message) else texts[0]
    write(language, catalog)
    return refused


def find_problem(message: Message, texts: list[str], num_plurals: int) -> str:
    """What is wrong with a translation: nothing said, a placeholder or a tag lost, the wrong number of plurals."""
    if not all(texts):
        return "empty"
    if len(texts) != (num_plurals if plural(message) else 1):
        return f"needs {num_plurals if plural(message) else 1} forms"
    wanted = placeholders(plural(message) or singular(message))
    for text in texts:
        # The singular may say its number in a word.
        if placeholders(text) != wanted and placeholders(text) | (wanted & COUNTS) != wanted:
            return f"placeholders {sorted(placeholders(text))} instead of {sorted(wanted)}"
    return ""


def placeholders(text: str) -> set[str]:
    """What a translation has to keep: `%(name)s`, `{name}` and tags."""
    return set(PERCENT.findall(text)) | set(BRACED.findall(text)) | set(TAG.findall(text))


def is_translated(message: Message) -> bool:
    """Whether every form of a text has a translation."""
    return all(message.string) if isinstance(message.string, tuple | list) else bool(message.string)


def singular(message: Message) -> str:
    """The text, or the first form of one with a plural."""
    return message.id[0] if isinstance(message.id, tuple | list) else message.id


def plural(message: Message) -> str | None:
    """The second form of a text with a plural."""
    return message.id[1] if isinstance(message.id, tuple | list) else None


def path_of(language: str, suffix: str) -> Path:
    """Where a catalogue lies."""
    return FOLDER / language / "LC_MESSAGES" / f"messages.{suffix}"


def read(language: str) -> Catalog:
    """The catalogue of a language, empty when there is none yet."""
    path = path_of(language, "po")
    if not path.exists():
        return Catalog(locale=language, project="duplistatus", charset="utf-8")
    with path.open("rb") as file:
        return read_po(file, locale=language)


def write(language: str, catalog: Catalog) -> None:
    """Store a catalogue by its texts, so that a change of one is a change of a line; and its binary form."""
    path = path_of(language, "po")
    path.parent.mkdir(parents=True, exist_ok=True)
    said = io.BytesIO()
    write_po(said, catalog, width=10_000, no_location=True, sort_output=True, ignore_obsolete=True)
    path.write_bytes(DATES.sub(b"", said.getvalue()))
    path_of(language, "mo").write_bytes(compiled(language))


def compiled(language: str) -> bytes:
    """The binary form of a stored catalogue."""
    catalog, made = read(language), io.BytesIO()
    catalog.creation_date = catalog.revision_date = NO_DATE
    write_mo(made, catalog)
    return made.getvalue()


def main(arguments: list[str]) -> int:
    """Do what the command line asks for."""
    match arguments:
        case ["update"]:
            update()
        case ["missing", language]:
            print(json.dumps(missing(language), ensure_ascii=False, indent=1))
        case ["fill", language, file]:
            refused = fill(language, json.loads(Path(file).read_text()))
            print("\n".join(refused))
            return 1 if refused else 0
        case ["compile"]:
            for language in languages():
                path_of(language, "mo").write_bytes(compiled(language))
        case _:
            print(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))
