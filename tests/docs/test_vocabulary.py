"""Docstrings, comments, documents and texts of pages use the terms of docs/contributing/language.md."""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

ROOT = Path(__file__).resolve().parents[2]
# Folders and files whose docstrings and comments are checked.
# Released migrations are frozen, their comments too.
FOLDERS = ("app", "bench", "migrations/env.py", "plugins", "scripts", "tests")
# Documents that are checked in full, except code.
DOCUMENTS = (
    "*.md",
    ".github/**/*.md",
    "docs/**/*.md",
    "plugins/*/README.md",
    "tests/**/*.md",
)
# Catalogues whose English texts are checked.
CATALOGUES = ("app/translations/de/LC_MESSAGES/*.po", "plugins/*/translations/de/LC_MESSAGES/*.po")
# These pages list the words themselves.
EXCEPT = {"docs/contributing/language.md", "docs/contributing/glossary.md"}

# Pattern -> what to write instead.
WORDS = {
    r"doors?": "entry point, public route",
    r"houses?": "application, project",
    r"guests?": "plugin, third party",
    r"couriers?": "delivery worker",
    r"quarrel(?:s|ed)?": "conflict",
    r"strangers?": "unauthenticated client, everyone",
    r"floors?": "layer",
    r"rooms?": "package, module, space",
    r"troubles?": "error, issue, problem",
    r"tell(?:s|ing)?|told": "notify, report, return, show",
    r"somebody|whoever|whomever": "a user, a client",
    r"by (?:itself|themselves)": "automatically",
    r"of its own accord": "automatically",
    r"(?:put|puts|putting) aside|copy put aside": "safety backup",
    r"(?:taken|takes?|taking) in": "import, accept, store",
    r"(?:hold|holds|holding|held) back": "delay, mute",
    r"(?:gives?|giving|gave|given) up": "stop, cancel",
    r"in so many(?: words)?": "explicitly",
    r"what (?:became|becomes|comes|came) of": "result",
    r"have people|people have": "users",
    r"(?:hears?|hearing|heard) of": "be notified",
    r"look(?:s|ed|ing)? at": "read, check",
    r"(?:let|lets|letting) go of": "close, release",
    r"goes": "is deleted, runs, is sent",
    r"comes": "arrives, is received, is first",
    r"stands?": "is, is shown, means",
    r"signs": "characters, symbols",
    r"verdicts?": "status, summary",
    r"made to tell|is told": "is notified",
    r"e-mails?": "email",
    r"shall": "must",
    r"anew": "again",
    r"fine again": "recovered",
    r"left empty": "blank",
    r"user names?": "username",
    r"switch(?:es|ed|ing)? (?:on|off)": "enable, disable",
}
# Pattern of WORDS -> contexts in which it is the right word.
ALLOWED = {
    r"floors?": (r"floor\(", r"ground floor", r"floor at each step"),
    r"rooms?": (r"Matrix room", r"duplistatus[-_]room", r"room's"),
    r"signs": (r"percent signs", r"signs (?:in|out|up|anyone|nobody|the|a|each|requests)\b", r"digital signs"),
    r"stands?": (r"stands? for", r"stand-ins?", r"stand-alone"),
    r"comes": (r"comes (?:first|last|with)\b",),
    r"goes": (r"goes (?:back to|beyond)",),
    r"tell(?:s|ing)?|told": (r"telling apart", r"tells? (?:the )?type checker"),
}
# The same for names of functions and classes in tests, besides WORDS.
NAME_WORDS = {
    r"households?|workshops?": "demo, site",
    r"newcomers?": "account with the initial password",
    r"dawdl(?:e|es|er|ers|ing)": "slow, wait",
    r"refus(?:e|es|ed|al|als|ing)": "reject, rejected, rejection",
    r"(?:is|are) said|says so": "is reported, is shown",
    r"lateness": "overdue",
    r"whatever": "any, regardless of",
    r"switched (?:on|off)": "enabled, disabled",
    r"goes on|go on": "continues",
    r"speaks?|spoken": "is in the language, is named",
}
# Tests override these names of the test kit, which plugins of others override too.
KIT = "app/plugin/testing"


def compiled(words: Iterable[str]) -> dict[str, re.Pattern[str]]:
    """Return a pattern for each word, which matches whole words outside of paths and code."""
    return {word: re.compile(rf"(?<![\w`/-])(?:{word})(?![\w`/-])", re.IGNORECASE) for word in words}


PATTERNS = compiled(WORDS)
NAME_PATTERNS = compiled(WORDS | NAME_WORDS)
NAME_PART = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`|\]\([^)]*\)")
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|\{\w+\}")
DIRECTIVE = re.compile(r"#\s*(?:noqa|type:|fmt:|nosec|!)")


def unwanted(text: str, patterns: dict[str, re.Pattern[str]] = PATTERNS) -> list[tuple[str, str]]:
    """Return the unwanted words of a text, each with its surroundings."""
    found = []
    for word, pattern in patterns.items():
        for match in pattern.finditer(text):
            around = text[max(0, match.start() - 30) : match.end() + 30]
            if not any(re.search(allowed, around, re.IGNORECASE) for allowed in ALLOWED.get(word, ())):
                found.append((match[0], " ".join(around.split())))
    return found


def prose(source: str) -> Iterator[tuple[int, str]]:
    """Yield the docstrings and comments of Python source, with their lines."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield node.lineno, text
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not DIRECTIVE.match(token.string):
            yield token.start[0], token.string


def sources() -> list[Path]:
    paths = [ROOT / name for name in FOLDERS]
    return sorted(file for path in paths for file in ([path] if path.suffix == ".py" else path.rglob("*.py")))


def documents() -> list[Path]:
    found = sorted(path for pattern in DOCUMENTS for path in ROOT.glob(pattern))
    return [path for path in found if str(path.relative_to(ROOT)) not in EXCEPT]


def offenders(path: Path, parts: Iterator[tuple[int, str]]) -> list[str]:
    where = path.relative_to(ROOT)
    return [f"{where}:{line}: {word}: {around}" for line, text in parts for word, around in unwanted(text)]


def test_docstrings_and_comments():
    paths = sources()
    assert len(paths) > 80
    found = [line for path in paths for line in offenders(path, prose(path.read_text(encoding="utf-8")))]
    assert found == []


def names(source: str) -> Iterator[tuple[int, str]]:
    """Yield the names of functions and classes of Python source, with their lines."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name


def unwanted_in_name(name: str) -> list[tuple[str, str]]:
    """Return the unwanted words of a name, which is split at underscores and capitals."""
    return unwanted(" ".join(NAME_PART.findall(name)), NAME_PATTERNS)


def test_names_in_tests():
    kit = {name for path in (ROOT / KIT).glob("*.py") for _, name in names(path.read_text(encoding="utf-8"))}
    paths = [path for path in sources() if "tests" in path.relative_to(ROOT).parts or path.parent.name == "bench"]
    assert len(paths) > 200
    found = [
        f"{path.relative_to(ROOT)}:{line}: {word}: {name}"
        for path in paths
        for line, name in names(path.read_text(encoding="utf-8"))
        if name not in kit
        for word, _ in unwanted_in_name(name)
    ]
    assert found == []


def lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a document without its code."""
    blank = FENCED.sub(lambda match: "\n" * match[0].count("\n"), text)
    for number, line in enumerate(blank.splitlines(), 1):
        yield number, CODE.sub("", line)


def test_documents():
    paths = documents()
    assert len(paths) > 50
    found = [line for path in paths for line in offenders(path, lines(path.read_text(encoding="utf-8")))]
    assert found == []


def english_texts(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8") as file:
        for message in read_po(file, ignore_obsolete=True):
            for text in message.id if isinstance(message.id, tuple | list) else (message.id,):
                yield message.lineno or 0, PLACEHOLDER.sub("…", text)


def test_texts_of_pages_and_messages():
    paths = sorted(path for pattern in CATALOGUES for path in ROOT.glob(pattern))
    assert len(paths) > 2
    found = [line for path in paths for line in offenders(path, english_texts(path))]
    assert found == []


@pytest.mark.parametrize(
    "text", ["the door", "Tells people", "who was told", "by itself", "two signs", "a copy put aside"]
)
def test_unwanted_words_are_found(text):
    assert unwanted(text)


@pytest.mark.parametrize("text", ["household", "outdoor", "a user signs in", "it stands for nothing", "`trouble`"])
def test_other_words_are_left_alone(text):
    assert unwanted(text) == []


@pytest.mark.parametrize("name", ["test_a_late_job_is_told", "TestTrouble", "run_courier", "test_bad_key_is_refused"])
def test_unwanted_words_are_found_in_names(name):
    assert unwanted_in_name(name)


@pytest.mark.parametrize("name", ["test_outdoor_job_is_overdue", "TestRejectedReports", "handle_data"])
def test_other_names_are_left_alone(name):
    assert unwanted_in_name(name) == []
