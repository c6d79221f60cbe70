#!/usr/bin/env python
"""Manages the catalogues of texts: update, list missing, fill in, and compile.

    translations.py update               read all texts from the sources and update every catalogue
    translations.py missing LANGUAGE     print what is not translated yet, as JSON: [{"domain", "text", "plural",
                                         "context"}]
    translations.py fill LANGUAGE FILE   enter translations from JSON: [{"domain", "text", "context",
                                         "translation"}], `translation` being a list for texts with a plural; rejects
                                         lost placeholders
    translations.py compile              write the binary form that the application reads

LANGUAGE is a locale such as pt_BR. The domain `messages` has the texts of pages and messages; each plugin in
`plugins/` with a folder `translations` has a domain of its own, named for its package. Run it with the virtual
environment's Python; both forms are committed.
"""

import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from babel.messages import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
MAIN = "messages"
METHODS = [("**.py", "python"), ("**.html", "jinja2")]
OPTIONS = {"**.html": {"trimmed": "true", "silent": "false"}}
KEYWORDS = {
    "_": None,
    "N_": None,
    "NC_": ((1, "c"), 2),
    "NP_": (1, 2),
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
# A catalogue contains no dates, so that the same texts produce the same files.
NO_DATE = datetime(2000, 1, 1, tzinfo=UTC)
DATES = re.compile(rb'^"(POT-Creation-Date|PO-Revision-Date):.*\n', re.MULTILINE)


@dataclass(frozen=True)
class Domain:
    """A set of catalogues, one per language, for the texts of the files in `sources`."""

    name: str
    sources: Path
    folder: Path

    @property
    def languages(self) -> list[str]:
        """Return the locales to translate into, which are all but English."""
        return [
            language.locale
            for code, language in known_languages().items()
            if code != "en-GB" and (language.base is None or self.name == MAIN)
        ]

    def texts(self) -> Catalog:
        """Return every text of the sources."""
        catalog = Catalog(project="duplistatus", charset="utf-8")
        found = extract_from_dir(str(self.sources), METHODS, OPTIONS, keywords=KEYWORDS)
        for _file, _line, text, _comments, context in found:
            catalog.add(text, context=context)
        return catalog

    def path(self, language: str, suffix: str) -> Path:
        """Return the path of a catalogue."""
        return self.folder / language / "LC_MESSAGES" / f"{self.name}.{suffix}"

    def read(self, language: str) -> Catalog:
        """Return the catalogue of a language, empty if there is none yet."""
        path = self.path(language, "po")
        if not path.exists():
            return Catalog(locale=language, project="duplistatus", charset="utf-8")
        with path.open("rb") as file:
            return read_po(file, locale=language)

    def write(self, language: str, catalog: Catalog) -> None:
        """Store a catalogue sorted by text, so that a change of one is a change of a line.

        And its binary form.
        """
        if is_variant(language):
            for message in list(catalog):
                if message.id and not is_translated(message):
                    catalog.delete(message.id, message.context)
        path = self.path(language, "po")
        path.parent.mkdir(parents=True, exist_ok=True)
        written = io.BytesIO()
        write_po(written, catalog, width=10_000, no_location=True, sort_output=True, ignore_obsolete=True)
        path.write_bytes(DATES.sub(b"", written.getvalue()))
        self.path(language, "mo").write_bytes(self.compiled(language))

    def compiled(self, language: str) -> bytes:
        """Return the binary form of a stored catalogue."""
        catalog, written = self.read(language), io.BytesIO()
        catalog.creation_date = catalog.revision_date = NO_DATE
        write_mo(written, catalog)
        return written.getvalue()

    def updated(self, language: str) -> Catalog:
        """Return the stored catalogue, updated by the texts of the sources."""
        catalog = self.read(language)
        catalog.update(self.texts(), no_fuzzy_matching=True)
        catalog.obsolete.clear()
        return catalog


def known_languages() -> Mapping:
    """Return the languages by their code."""
    from app.core.languages import LANGUAGES

    return LANGUAGES


def is_variant(language: str) -> bool:
    """Whether a locale uses another language for what it does not translate itself."""
    return any(known.locale == language and known.base for known in known_languages().values())


def domains() -> Iterator[Domain]:
    """Yield the main domain and those of the plugins."""
    from app.core.languages import FOLDER

    yield Domain(MAIN, ROOT / "app", FOLDER)
    for folder in sorted(ROOT.glob("plugins/*/translations")):
        yield Domain(f"plugins.{folder.parent.name}", folder.parent, folder)


def domains_of(language: str) -> list[Domain]:
    """Return the domains that are translated into a language."""
    return [domain for domain in domains() if language in domain.languages]


def update() -> None:
    """Update all catalogues with the texts of the sources; obsolete texts are removed."""
    for domain in domains():
        for language in domain.languages:
            domain.write(language, domain.updated(language))


def missing(language: str) -> list[dict[str, object]]:
    """Return the untranslated texts of a language; none for a variant."""
    return [
        {"domain": domain.name, "text": singular(message), "plural": plural(message), "context": message.context}
        for domain in domains_of(language)
        for message in domain.read(language)
        if message.id and not is_translated(message)
    ]


def fill(language: str, translations: Iterable[dict]) -> list[str]:
    """Enter translations; return a sentence for each that was rejected."""
    catalogs = {domain.name: (domain, domain.updated(language)) for domain in domains_of(language)}
    rejected = []
    for given in translations:
        _, catalog = catalogs[given.get("domain", MAIN)]
        problem = enter(catalog, given)
        if problem:
            rejected.append(f"{problem}: {given['text']!r} -> {given['translation']!r}")
    for domain, catalog in catalogs.values():
        domain.write(language, catalog)
    return rejected


def enter(catalog: Catalog, given: dict) -> str:
    """Enter one translation into a catalogue; return what is wrong with it, or ""."""
    message = catalog.get(given["text"], given.get("context"))
    if message is None:
        return "no such text"
    new = given["translation"]
    texts = new if isinstance(new, list) else [new]
    if plural(message) and len(texts) == 1:
        texts = texts * catalog.num_plurals
    problem = find_problem(message, texts, catalog.num_plurals)
    if not problem:
        message.string = tuple(texts) if plural(message) else texts[0]
    return problem


def find_problem(message: Message, texts: list[str], num_plurals: int) -> str:
    """Return what is wrong with a translation, or "".

    Empty, a lost placeholder or tag, wrong number of plurals.
    """
    if not all(texts):
        return "empty"
    if len(texts) != (num_plurals if plural(message) else 1):
        return f"needs {num_plurals if plural(message) else 1} forms"
    wanted = placeholders(plural(message) or singular(message))
    for text in texts:
        # The singular may contain its number as a word.
        if placeholders(text) != wanted and placeholders(text) | (wanted & COUNTS) != wanted:
            return f"placeholders {sorted(placeholders(text))} instead of {sorted(wanted)}"
    return ""


def placeholders(text: str) -> set[str]:
    """Return what a translation must keep: `%(name)s`, `{name}` and tags."""
    return set(PERCENT.findall(text)) | set(BRACED.findall(text)) | set(TAG.findall(text))


def is_translated(message: Message) -> bool:
    """Whether every form of a text has a translation."""
    return all(message.string) if isinstance(message.string, tuple | list) else bool(message.string)


def singular(message: Message) -> str:
    """Return the text, or the first form of one with a plural."""
    return message.id[0] if isinstance(message.id, tuple | list) else message.id


def plural(message: Message) -> str | None:
    """Return the second form of a text with a plural."""
    return message.id[1] if isinstance(message.id, tuple | list) else None


def main(arguments: list[str]) -> int:
    """Run the command of the command line."""
    match arguments:
        case ["update"]:
            update()
        case ["missing", language]:
            print(json.dumps(missing(language), ensure_ascii=False, indent=1))
        case ["fill", language, file]:
            rejected = fill(language, json.loads(Path(file).read_text()))
            print("\n".join(rejected))
            return 1 if rejected else 0
        case ["compile"]:
            for domain in domains():
                for language in domain.languages:
                    domain.path(language, "mo").write_bytes(domain.compiled(language))
        case _:
            print(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))
