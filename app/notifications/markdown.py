"""The Markdown of message templates, as plain text, as HTML, and for services that show Markdown themselves.

markdown-it-py reads it: CommonMark's headings, lists, quotes, rules, emphasis, code and links, and GitHub's tables.
HTML, images, entities and indented code are plain text; a line break stays one. Nothing that came with a report can
become markup: values are escaped by `escape` before they enter a text, and all text is escaped for HTML.
Services that show Markdown themselves know no tables, and get a line for each row.
"""

import html
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import pairwise
from unicodedata import east_asian_width

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.tree import SyntaxTreeNode as Node

_SPECIAL = re.compile(r"([\\*_`\[\]<|])")
# What has a meaning at the beginning of a line alone; all lines of a value begin one.
_LINE_MARK = re.compile(r"^([ \t]*)([#+\-=>~])|^([ \t]*[0-9]{1,9})([.)])(?=\s|$)", re.MULTILINE)
_ESCAPED = re.compile(r"\\(.)")
_CODE = re.compile(r"`((?:\\.|[^`\\\n])+)`")
_ESCAPED_OR_CODE = re.compile(rf"\\.|{_CODE.pattern}")
_ADDRESS = re.compile(r"https?://[^\s<>\"']*[^\s<>\"'.,;:!?)\]]")
_LINE_BREAKS = re.compile(r"\r\n?")
_BLOCKS = ["table", "blockquote", "hr", "list", "heading"]
_MARKS = ["newline", "escape", "emphasis", "link"]
_UNFORMATTED = {"root", "paragraph", "inline", "text", "softbreak", "hardbreak"}
# A wider table would be wrapped by a mail program, and then nobody can read it.
_PLAIN_WIDTH = 120
# Headings of a message stand below those of the page or mail around it.
_TOP_LEVEL, _LOWEST_LEVEL = 2, 6


class MarkdownText(str):
    """Markdown that we have made, which `escape` leaves as it is."""

    __slots__ = ()


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
    """Return whether a text holds any mark, and not addresses alone."""
    return any(node.type not in _UNFORMATTED for node in _parsed(text).walk())


def to_plain(text: str) -> str:
    """Return the text without its marks; lists and quotes keep theirs, a labelled link becomes `label (address)`.

    Tables have straight columns where they are narrow enough, else a line for each row.
    """

    def shown(node: Node, lines: list[str]) -> list[str]:
        if node.type == "table":
            return _plain_table(node)
        content = node.content.split("\n")
        starts = [_start(node, line, part.strip()) for line, part in zip(lines, content, strict=True)]
        return [start + line for start, line in zip(starts, _plain(node).split("\n"), strict=True)]

    return "\n".join(_replaced(text, ("table", "inline"), shown))


def to_html(text: str) -> str:
    """Return the text as safe HTML: a few tags of ours, and every other character escaped."""
    return _flow(_parsed(text).children)


def to_markdown(text: str) -> str:
    """Return the text for services that show Markdown: with hard line breaks, and code without backslashes."""

    def shown(node: Node, _lines: list[str]) -> list[str]:
        # What follows a list directly would belong to its last item.
        follower = node.next_sibling
        return _row_lines(node) + [""] * bool(node.map and follower and follower.map and follower.map[0] == node.map[1])

    def code(match: re.Match[str]) -> str:
        literal = _literal(match[1] or "`")
        return match[0] if "`" in literal else f"`{literal}`"

    lines = _replaced(text, ("table",), shown)
    return re.sub(r"(?<=\S)\n(?=[^\n])", "  \n", _ESCAPED_OR_CODE.sub(code, "\n".join(lines)))


def _code_rule(state: StateInline, silent: bool) -> bool:
    """Read a code span. A backslash escapes in it, against CommonMark: escaped values stand in code as well."""
    match = _CODE.match(state.src, state.pos, state.posMax)
    if match is None:
        return False
    if not silent:
        state.push("code_inline", "code", 0).content = _literal(match[1])
    state.pos = match.end()
    return True


def _ends_rule(state: StateBlock, line: int, _end: int, silent: bool) -> bool:
    """Say where lists, quotes and tables end: at the first line without their mark, against CommonMark.

    Its "lazy continuation" would put the sentence below a list into the last item.
    """
    if not silent:
        return False
    is_row = "|" in state.src[state.bMarks[line] : state.eMarks[line]]
    if state.parentType == "table":
        return not is_row
    return state.parentType == "blockquote" or state.sCount[line] < state.blkIndent


def _made_parser() -> MarkdownIt:
    parser = MarkdownIt("zero", {"maxNesting": 50}).enable([*_BLOCKS, *_MARKS])
    parser.inline.ruler.before("escape", "code", _code_rule)
    parser.block.ruler.before("table", "ends", _ends_rule, {"alt": ["paragraph", "blockquote"]})
    parser.validateLink = lambda url: not url or url.startswith(("http://", "https://"))  # type: ignore[method-assign]
    parser.normalizeLink = str  # type: ignore[method-assign,assignment]
    return parser


_PARSER = _made_parser()


def _parsed(text: str) -> Node:
    return Node(_PARSER.parse(text))


def _replaced(text: str, types: Collection[str], shown: Callable[[Node, list[str]], list[str]]) -> list[str]:
    """Return the lines of a text, those of each outermost block of these types as `shown` gives them."""
    lines = _LINE_BREAKS.sub("\n", text).split("\n")
    for node in reversed(list(_outermost(_parsed(text), types))):
        first, end = node.map or (0, 0)
        lines[first:end] = shown(node, lines[first:end])
    return lines


def _outermost(node: Node, types: Collection[str]) -> Iterator[Node]:
    for child in node.children:
        if child.type in types:
            yield child
        else:
            yield from _outermost(child, types)


def _start(node: Node, line: str, content: str) -> str:
    """Return what stands before the content of a line: the marks of lists and quotes, but not those of a heading."""
    if node.parent is not None and node.parent.type == "heading":
        return line[: line.index("#")]
    return line[: len(line.rstrip()) - len(content)]


def _flow(blocks: Sequence[Node]) -> str:
    """Return blocks as HTML; paragraphs have an empty line between them."""
    parts = [_block(block) for block in blocks]
    gaps = ["<br>\n<br>\n" if {a.type, b.type} == {"paragraph"} else "\n" for a, b in pairwise(blocks)]
    return "".join(part + gap for part, gap in zip(parts, [*gaps, ""], strict=False))


def _block(node: Node) -> str:
    if node.type == "inline":
        return _inline(node)
    if node.type == "hr":
        return "<hr>"
    if node.type == "table":
        return _html_table(node)
    if node.type == "blockquote":
        return f"<blockquote>{_flow(node.children)}</blockquote>"
    if node.type == "heading":
        level = min(_TOP_LEVEL + len(node.markup), _LOWEST_LEVEL)
        return f"<h{level}>{_flow(node.children)}</h{level}>"
    if node.type in ("bullet_list", "ordered_list"):
        start = f' start="{node.attrs["start"]}"' if "start" in node.attrs else ""
        return f"<{node.tag}{start}>\n{_flow(node.children)}\n</{node.tag}>"
    return f"<li>{_flow(node.children)}</li>" if node.type == "list_item" else _flow(node.children)


def _inline(node: Node, *, is_label: bool = False) -> str:
    if node.type in ("softbreak", "hardbreak"):
        return "<br>\n"
    if node.type == "code_inline":
        return f"<code>{html.escape(node.content)}</code>"
    if node.type == "text":
        return html.escape(node.content) if is_label else _with_links(node.content)
    # The address of a link may be a value that is not set; then the words alone are shown.
    address = str(node.attrs.get("href", ""))
    inner = "".join(_inline(child, is_label=is_label or bool(address)) for child in node.children)
    if node.type == "link":
        return _link(address, inner) if address else inner
    return f"<{node.tag}>{inner}</{node.tag}>" if node.tag else inner


def _with_links(text: str) -> str:
    """Escape a text for HTML, and make links of the addresses in it."""
    parts, end = [], 0
    for match in _ADDRESS.finditer(text):
        parts += [html.escape(text[end : match.start()]), _link(match[0], html.escape(match[0]))]
        end = match.end()
    return "".join([*parts, html.escape(text[end:])])


def _link(address: str, label: str) -> str:
    return f'<a href="{html.escape(address)}" target="_blank" rel="noopener noreferrer">{label}</a>'


def _plain(node: Node) -> str:
    if node.type in ("softbreak", "hardbreak"):
        return "\n"
    if node.type in ("text", "code_inline"):
        return node.content
    inner = "".join(map(_plain, node.children))
    return f"{inner} ({node.attrs['href']})" if node.type == "link" and node.attrs["href"] else inner


def _rows(found: Node) -> list[list[Node]]:
    """Return the rows of a table as the nodes of their cells, the header first."""
    return [row.children for part in found.children for row in part.children]


def _alignment(cell: Node) -> str:
    return str(cell.attrs.get("style", "")).removeprefix("text-align:")


def _html_table(found: Node) -> str:
    def row(cells: list[Node]) -> str:
        # Mail programs know attributes better than styles.
        starts = [f' align="{_alignment(cell)}"' if _alignment(cell) else "" for cell in cells]
        shown = zip(cells, starts, strict=True)
        return f"<tr>{''.join(f'<{cell.tag}{start}>{_flow(cell.children)}</{cell.tag}>' for cell, start in shown)}</tr>"

    header, *rows = map(row, _rows(found))
    head = f'<table border="1" cellpadding="4" cellspacing="0">\n<thead>{header}</thead>\n<tbody>'
    return "\n".join([head, *rows, "</tbody>\n</table>"])


def _plain_table(found: Node) -> list[str]:
    """Return a table in straight columns, or as a line for each row where it is too wide."""
    rows = [[_plain(cell) for cell in cells] for cells in _rows(found)]
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    if sum(widths) + 2 * len(widths) > _PLAIN_WIDTH:
        return [_plain(Node(_PARSER.parseInline(line))) for line in _row_lines(found)]
    alignments = [_alignment(cell) for cell in _rows(found)[0]]
    rows.insert(1, ["-" * width for width in widths])
    return ["  ".join(map(_padded, cells, widths, alignments)).rstrip() for cells in rows]


def _row_lines(found: Node) -> list[str]:
    """Return each row as an item of a list: its first cell, and the others behind the words of the header."""
    header, *rows = [[_source(cell) for cell in cells] for cells in _rows(found)]
    lines = []
    for first, *others in rows:
        named = zip(header[1:], others, strict=True)
        parts = [first, *(f"{name}: {cell}" if name else cell for name, cell in named if cell)]
        lines.append(f"- {' · '.join(filter(None, parts))}")
    return lines


def _source(cell: Node) -> str:
    return "".join(child.content for child in cell.children).replace("|", "\\|")


def _padded(cell: str, width: int, alignment: str) -> str:
    room = width - _width(cell)
    before = {"right": room, "center": room // 2}.get(alignment, 0)
    return f"{' ' * before}{cell}{' ' * (room - before)}"


def _width(text: str) -> int:
    """Return how many columns a text takes where all letters are equally wide."""
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)


def _literal(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)
