"""The Markdown of message templates: what a message needs of CommonMark, and everything else is plain text.

Headings, lists, quotes, rules, bold, emphasis, code and links; a line break stays one. One text, three views: plain for
pushes and the text part of a mail, HTML for its other part, and Markdown for services that show it themselves. Nothing
that came with a report can become markup: values are escaped by `escape` before they enter a text, and HTML is made
from pieces that were escaped one by one.
"""

import html
import re
from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

_SPECIAL = re.compile(r"([\\*_`\[\]<])")
# What means something at the beginning of a line alone; all lines of a value begin one.
_LINE_MARK = re.compile(r"^([ \t]*)([#+\-=>~|])|^([ \t]*[0-9]{1,9})([.)])(?=\s|$)", re.MULTILINE)
_WORDS = r"(?:\\.|[^_\\\n]|(?<=\w)_(?=\w))+"
_TOKEN = re.compile(
    r"\\(?P<literal>[\\*_`\[\]<>(){}#!.+=~|-])"
    r"|`(?P<code>(?:\\.|[^`\\\n])+)`"
    r"|\*\*(?=\S)(?P<bold>(?:\\.|[^*\\\n])+)(?<!\s)\*\*"
    r"|\*(?=\S)(?P<emphasis>(?:\\.|[^*\\\n])+)(?<!\s)\*"
    rf"|(?<!\w)__(?=[^\s_])(?P<strong>{_WORDS})(?<!\s)__(?!\w)"
    rf"|(?<!\w)_(?=[^\s_])(?P<light>{_WORDS})(?<!\s)_(?!\w)"
    r"|\[(?P<label>(?:\\.|[^\[\]\\\n])+)\]\((?P<target>https?://(?:\\.|[^\s<>\"()\\])+)?\)"
    r"|(?P<address>https?://(?:\\.|[^\s<>\"'\\])*(?:\\.|[^\s<>\"'\\.,;:!?)\]]))"
)
_MARKED = frozenset({"code", "bold", "emphasis", "strong", "light", "label", "target"})
_LINES = re.compile(
    r"(?P<heading>#{1,6})[ \t]+(?P<title>\S.*)"
    r"|(?P<rule>(?:-{3,}|\*{3,}|_{3,})[ \t]*)"
    r"|[ \t]*(?P<bullet>[-+*])[ \t]+(?P<entry>\S.*)"
    r"|[ \t]*(?P<number>[0-9]{1,9})[.)][ \t]+(?P<step>\S.*)"
    r"|(?P<quote>>)[ \t]?(?P<said>.*)"
)
_ESCAPED = re.compile(r"\\(.)")
# Headings of a message stand below those of the page or mail around it.
_TOP_LEVEL, _LOWEST_LEVEL = 2, 6


class _Line(NamedTuple):
    """One line: its kind, its text without the mark, and how large a heading or the number of a step is."""

    kind: str
    text: str
    size: int = 0


def escape(text: str) -> str:
    """Write a text so that it stands for itself within Markdown, also at the beginning of a line."""
    return _LINE_MARK.sub(r"\1\3\\\2\4", _SPECIAL.sub(r"\\\1", text))


def has_formatting(text: str) -> bool:
    """Whether a text holds any mark, and not addresses alone."""
    is_marked = any(match.lastgroup in _MARKED for match in _TOKEN.finditer(text))
    return is_marked or any(_read(line).kind != "text" for line in text.split("\n"))


def to_plain(text: str) -> str:
    """The text without its marks; lists and quotes keep theirs, and a labelled link becomes `label (address)`."""
    lines = (_read(line).text if line.startswith("#") else line for line in text.split("\n"))
    return "\n".join(_TOKEN.sub(_plain_of, line) for line in lines)


def to_html(text: str) -> str:
    """The text as safe HTML: a few tags of ours, and every other sign escaped."""
    read = map(_read, text.split("\n"))
    groups = [(kind, list(lines)) for kind, lines in groupby(read, key=lambda line: line.kind)]
    last = len(groups) - 1
    parts = []
    for place, (kind, lines) in enumerate(groups):
        if kind == "text":  # a block keeps its distance by itself
            lines = _without_blanks(lines, at_start=place > 0, at_end=place < last)
        parts.append(_block(kind, lines))
    return "\n".join(part for part in parts if part or len(parts) == 1)


def to_markdown(text: str) -> str:
    """The text for services that show Markdown themselves: line breaks that hold, and code without backslashes."""

    def view(match: re.Match[str]) -> str:
        code = _literal(match["code"] or "`")
        return match[0] if "`" in code else f"`{code}`"

    return re.sub(r"(?<=\S)\n(?=[^\n])", "  \n", _TOKEN.sub(view, text))


def _read(line: str) -> _Line:
    found = _LINES.fullmatch(line)
    if found is None:
        return _Line("text", line)
    if found["heading"]:
        return _Line("heading", found["title"].rstrip(" #\t") or found["title"], len(found["heading"]))
    if found["bullet"]:
        return _Line("bullet", found["entry"])
    if found["number"]:
        return _Line("number", found["step"], int(found["number"]))
    return _Line("quote", found["said"]) if found["quote"] else _Line("rule", line)


def _without_blanks(lines: list[_Line], *, at_start: bool, at_end: bool) -> list[_Line]:
    while at_start and lines and not lines[0].text.strip():
        lines = lines[1:]
    while at_end and lines and not lines[-1].text.strip():
        lines = lines[:-1]
    return lines


def _block(kind: str, lines: list[_Line]) -> str:
    shown = [_inline(line.text) for line in lines]
    if kind == "text":
        return _broken(shown)
    if kind == "quote":
        return f"<blockquote>{_broken(shown)}</blockquote>"
    if kind == "rule":
        return "<hr>"
    if kind == "heading":
        levels = (min(_TOP_LEVEL + line.size, _LOWEST_LEVEL) for line in lines)
        return "\n".join(f"<h{level}>{words}</h{level}>" for level, words in zip(levels, shown, strict=True))
    entries = "\n".join(f"<li>{words}</li>" for words in shown)
    if kind == "bullet":
        return f"<ul>\n{entries}\n</ul>"
    start = f' start="{lines[0].size}"' if lines[0].size != 1 else ""
    return f"<ol{start}>\n{entries}\n</ol>"


def _broken(lines: Iterable[str]) -> str:
    return "<br>\n".join(lines)


def _inline(text: str) -> str:
    parts, end = [], 0
    for match in _TOKEN.finditer(text):
        parts += [html.escape(text[end : match.start()]), _html_of(match)]
        end = match.end()
    return "".join([*parts, html.escape(text[end:])])


def _plain_of(match: re.Match[str]) -> str:
    if match["label"]:
        label = _TOKEN.sub(_plain_of, match["label"])
        return f"{label} ({_literal(match['target'])})" if match["target"] else label
    if match["code"]:
        return _literal(match["code"])
    inner = _bold(match) or _emphasis(match)
    return _TOKEN.sub(_plain_of, inner) if inner else match["literal"] or _literal(match["address"])


def _html_of(match: re.Match[str]) -> str:
    if bold := _bold(match):
        return f"<strong>{_inline(bold)}</strong>"
    if emphasis := _emphasis(match):
        return f"<em>{_inline(emphasis)}</em>"
    if match["code"]:
        return f"<code>{html.escape(_literal(match['code']))}</code>"
    if match["label"]:  # an address that was not set leaves the words alone
        return (
            _link(_literal(match["target"]), _literal(match["label"])) if match["target"] else _inline(match["label"])
        )
    if match["address"]:
        return _link(_literal(match["address"]), _literal(match["address"]))
    return html.escape(match["literal"])


def _bold(match: re.Match[str]) -> str | None:
    return match["bold"] or match["strong"]


def _emphasis(match: re.Match[str]) -> str | None:
    return match["emphasis"] or match["light"]


def _link(address: str, label: str) -> str:
    return f'<a href="{html.escape(address)}" target="_blank" rel="noopener noreferrer">{html.escape(label)}</a>'


def _literal(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)
