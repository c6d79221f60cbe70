"""Every text of the pages is translated into every language, with the same placeholders."""

import importlib.util
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from app.core.languages import DEFAULT_LANGUAGE
from app.core.languages import LANGUAGES as KNOWN

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "app" / "templates"
LANGUAGES = [language.locale for code, language in KNOWN.items() if code != DEFAULT_LANGUAGE]


@pytest.fixture(scope="module")
def translations():
    """The program that maintains the catalogues."""
    spec = importlib.util.spec_from_file_location("translations", ROOT / "scripts" / "translations.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def texts(translations):
    """Return all current texts of the sources, by their domain."""
    return {
        domain.name: {(translations.singular(message), message.context) for message in domain.texts() if message.id}
        for domain in translations.domains()
    }


@pytest.mark.parametrize("language", LANGUAGES)
class TestCatalogues:
    def test_catalogues_contain_the_texts_of_the_sources(self, translations, texts, language):
        for domain in translations.domains_of(language):
            held = {(translations.singular(each), each.context) for each in domain.read(language) if each.id}
            gone, new = held - texts[domain.name], texts[domain.name] - held
            assert not gone, "run scripts/translations.py update"
            assert not new or translations.is_variant(language), "run scripts/translations.py update"

    def test_catalogues_translate_every_text(self, translations, language):
        assert translations.missing(language) == []

    def test_catalogues_keep_placeholders_and_tags(self, translations, language):
        for domain in translations.domains_of(language):
            catalog = domain.read(language)
            for message in catalog:
                if message.id:
                    strings = message.string if isinstance(message.string, tuple) else [message.string]
                    assert translations.find_problem(message, list(strings), catalog.num_plurals) == "", message.id

    def test_binary_form_equals_the_catalogue(self, translations, language):
        for domain in translations.domains_of(language):
            assert domain.path(language, "mo").read_bytes() == domain.compiled(language), (
                "run scripts/translations.py compile"
            )


class PlainText(HTMLParser):
    """Collects the text of a template outside the braces of Jinja, and in attributes that users read."""

    READ = ("aria-label", "title", "placeholder", "alt")
    SILENT = ("script", "style", "svg", "code", "pre")

    def __init__(self):
        super().__init__()
        self.found, self.depth = [], 0

    def handle_starttag(self, tag, attributes):
        self.depth += tag in self.SILENT
        self.found += [value for name, value in attributes if name in self.READ and value and has_words(value)]

    def handle_endtag(self, tag):
        self.depth -= tag in self.SILENT

    def handle_data(self, data):
        if not self.depth and has_words(data):
            self.found.append(data.strip())


# Names of products and formats, and symbols; the same in every language.
SAME_EVERYWHERE = {
    "duplistatus",
    "Duplicati",
    "API",
    "OpenAPI",
    "GB",
    "TB",
    "db",
    "sql",
    "CSV",
    "JSON",
    "PNG",
    "Markdown",
    "HTML",
    "URL",
    "ID",
    "Homepage",
    "x",
    "Ctrl",
    "Esc",
}


EXPRESSION = r"""\{\{(?:"[^"]*"|'[^']*'|[^"'])*?\}\}"""


def has_words(text):
    return any(sum(map(str.isalpha, word)) > 1 for word in text.split() if word.strip(".,:;()→") not in SAME_EVERYWHERE)


def plain_texts(path):
    """Return the untranslatable text of a template."""
    text = path.read_text()
    text = re.sub(r"\{%-?\s*(trans|raw).*?end\1\s*-?%\}", "", text, flags=re.DOTALL)
    text = re.sub(r"\{#.*?#\}|\{%.*?%\}", "", text, flags=re.DOTALL)
    text = re.sub(rf"(?<=<|/){EXPRESSION}", "b", text)  # the name of an element that depends on the context
    text = re.sub(EXPRESSION, "", text)
    text = re.sub(r' aria-(invalid|describedby)="[^"]*"', "", text)  # in macros they are outside any element
    parser = PlainText()
    parser.feed(text)
    return parser.found


def test_templates_contain_no_untranslatable_text():
    paths = sorted(TEMPLATES.rglob("*.html"))
    assert len(paths) > 50
    assert {str(path.relative_to(TEMPLATES)): found for path in paths if (found := plain_texts(path))} == {}
