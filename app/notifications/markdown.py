"""The Markdown of message templates: what a message needs of CommonMark, and everything else is plain text.

Headings, lists, quotes, rules, tables, bold, emphasis, code and links; a line break stays one. One text, three views:
plain for pushes and the text part of a mail, HTML for its other part, and Markdown for services that show it
themselves; these know no tables, and get a line for each row. Nothing that came with a report can become markup: values
are escaped by `escape` before they enter a text, and HTML is made from pieces that were escaped one by one.
"""

import html
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple
from unicodedata import east_asian_width

_SPECIAL = re.compile(r"([\\*_`\[\]<|])")
# What means something at the beginning of a line alone; all lines of a value begin one.
_LINE_MARK = re.compile(r"^([ \t]*)([#+\-=>~])|^([ \t]*[0-9]{1,9})([.)])(?=\s|$)", re.MULTILINE)
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
_CELL = re.compile(r"((?:\\.|[^\\|]|\\$)*)(\||$)")
_SEPARATOR = re.compile(r":?-+:?")
_ALIGNMENTS = {(True, False): "left", (True, True): "center", (False, True): "right", (False, False): ""}
_MOST_COLUMNS, _MOST_ROWS = 20, 1_000
# A wider table would be wrapped by a mail program, and then nobody can read it.
_PLAIN_WIDTH = 120
# Headings of a message stand below those of the page or mail around it.
_TOP_LEVEL, _LOWEST_LEVEL = 2, 6


class MarkdownText(str):
    """Markdown that we have made, which `escape` leaves as it is."""

    __slots__ = ()


class _Table(NamedTuple):
    """The cells of a table as Markdown; every row has as many as the header. An alignment may be empty."""

    header: list[str]
    alignments: list[str]
    rows: list[list[str]]


class _Line(NamedTuple):
    """One line: its kind, its text without the mark, and how large a heading or the number of a step is.

    A table is one line of many.
    """

    kind: str
    text: str
    size: int = 0
    table: _Table | None = None


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, right: Collection[int] = ()) -> MarkdownText:
    """Write a table of plain texts; the columns with the numbers `right` hold figures."""
    marks = ["---:" if number in right else "---" for number in range(len(header))]
    cells = [[escape(" ".join(cell.split())) for cell in row] for row in (header, *rows)]
    return MarkdownText("\n".join(f"| {' | '.join(row)} |" for row in (cells[0], marks, *cells[1:])))


def escape(text: str) -> str:
    """Write a text so that it stands for itself within Markdown, also at the beginning of a line."""
    if isinstance(text, MarkdownText):
        return text
    return _LINE_MARK.sub(r"\1\3\\\2\4", _SPECIAL.sub(r"\\\1", text))


def has_formatting(text: str) -> bool:
    """Whether a text holds any mark, and not addresses alone."""
    is_marked = any(match.lastgroup in _MARKED for match in _TOKEN.finditer(text))
    return is_marked or any(line.kind != "text" for line in _read_all(text))


def to_plain(text: str) -> str:
    """The text without its marks; lists and quotes keep theirs, and a labelled link becomes `label (address)`.

    Tables have straight columns where they are narrow enough, else a line for each row.
    """
    lines: list[str] = []
    for part in _parts(text):
        if isinstance(part, _Table):
            lines += _plain_table(part)
        else:
            lines.append(_plain(_read(part).text if part.startswith("#") else part))
    return "\n".join(lines)


def to_html(text: str) -> str:
    """The text as safe HTML: a few tags of ours, and every other sign escaped."""
    groups = [(kind, list(lines)) for kind, lines in groupby(_read_all(text), key=lambda line: line.kind)]
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

    lines: list[str] = []
    is_below_table = False
    for part in _parts(text):
        if isinstance(part, _Table):
            lines += _row_lines(part)
        else:
            # What follows a list directly would belong to its last entry.
            lines += ["", part] if is_below_table and part.strip() else [part]
        is_below_table = isinstance(part, _Table)
    return re.sub(r"(?<=\S)\n(?=[^\n])", "  \n", _TOKEN.sub(view, "\n".join(lines)))


def _parts(text: str) -> Iterator[str | _Table]:
    """Give the lines of a text, and each table as a whole."""
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        found = _read_table(lines, number)
        yield found or lines[number]
        number += len(found.rows) + 2 if found else 1


def _read_table(lines: Sequence[str], number: int) -> _Table | None:
    """Give the table that begins at a line, if one does: the line below has as many cells, all of dashes."""
    if number + 1 >= len(lines) or "-" not in lines[number + 1]:
        return None
    header, marks = _cells(lines[number]), _cells(lines[number + 1])
    if not header or len(header) != len(marks) or not all(map(_SEPARATOR.fullmatch, marks)):
        return None
    rows = []
    for line in lines[number + 2 : number + 2 + _MOST_ROWS]:
        cells = _cells(line)
        if not cells:
            break
        rows.append((cells + [""] * len(header))[: len(header)])
    alignments = [_ALIGNMENTS[mark.startswith(":"), mark.endswith(":")] for mark in marks]
    return _Table(header, alignments, rows)


def _cells(line: str) -> list[str]:
    """Give the cells of a row; none where the line is no row, or has more than a table may have."""
    row = line.strip()
    if "|" not in row:
        return []
    cells: list[str] = []
    for found in _CELL.finditer(row.removeprefix("|")):
        is_bare = not cells and not row.startswith("|")
        if not found[2] and (is_bare or not found[1].strip()):
            break  # all bars of the line are escaped, or the last cell ends in one
        cells.append(found[1].strip())
        if not found[2] or len(cells) > _MOST_COLUMNS:
            break
    return cells if len(cells) <= _MOST_COLUMNS else []


def _read_all(text: str) -> Iterator[_Line]:
    for part in _parts(text):
        yield _Line("table", "", table=part) if isinstance(part, _Table) else _read(part)


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
    if kind == "table":
        return "\n".join(_html_table(line.table) for line in lines if line.table)
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


def _html_table(found: _Table) -> str:
    # Mail programs know attributes better than styles.
    starts = [f' align="{alignment}"' if alignment else "" for alignment in found.alignments]

    def row(cells: list[str], name: str) -> str:
        shown = zip(starts, map(_inline, cells), strict=True)
        return f"<tr>{''.join(f'<{name}{start}>{cell}</{name}>' for start, cell in shown)}</tr>"

    body = "".join(f"{row(cells, 'td')}\n" for cells in found.rows)
    head = f'<table border="1" cellpadding="4" cellspacing="0">\n<thead>{row(found.header, "th")}</thead>'
    return f"{head}\n<tbody>\n{body}</tbody>\n</table>"


def _plain_table(found: _Table) -> list[str]:
    """Give a table in straight columns, or as a line for each row where it is too wide."""
    rows = [[_plain(cell) for cell in cells] for cells in (found.header, *found.rows)]
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    if sum(widths) + 2 * len(widths) > _PLAIN_WIDTH:
        return [_plain(line) for line in _row_lines(found)]
    rows.insert(1, ["-" * width for width in widths])
    padded = (map(_padded, cells, widths, found.alignments) for cells in rows)
    return ["  ".join(cells).rstrip() for cells in padded]


def _row_lines(found: _Table) -> list[str]:
    """Give each row as an entry of a list: its first cell, and the others behind the words of the header."""
    lines = []
    for first, *others in found.rows:
        named = zip(found.header[1:], others, strict=True)
        told = [first, *(f"{name}: {cell}" if name else cell for name, cell in named if cell)]
        lines.append(f"- {' · '.join(filter(None, told))}")
    return lines


def _padded(cell: str, width: int, alignment: str) -> str:
    room = width - _width(cell)
    before = {"right": room, "center": room // 2}.get(alignment, 0)
    return f"{' ' * before}{cell}{' ' * (room - before)}"


def _width(text: str) -> int:
    """Give how many columns a text takes where all letters are equally wide."""
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)


def _broken(lines: Iterable[str]) -> str:
    return "<br>\n".join(lines)


def _inline(text: str) -> str:
    parts, end = [], 0
    for match in _TOKEN.finditer(text):
        parts += [html.escape(text[end : match.start()]), _html_of(match)]
        end = match.end()
    return "".join([*parts, html.escape(text[end:])])


def _plain(text: str) -> str:
    return _TOKEN.sub(_plain_of, text)


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
