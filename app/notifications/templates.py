"""Message templates: placeholders in braces are filled with values, and Markdown is rendered for each service."""

import html
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from unicodedata import east_asian_width

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.tree import SyntaxTreeNode as Node

_SHARED = frozenset(
    {
        "server_id",
        "server_name",
        "server_alias",
        "server_note",
        "server_url",
        "backup_name",
        "duplistatus_link",
        "details_link",
    }
)
RUN_PLACEHOLDERS = _SHARED | {
    "reason",
    "backup_date",
    "status",
    "messages_count",
    "warnings_count",
    "errors_count",
    "duration",
    "file_count",
    "file_size",
    "uploaded_size",
    "storage_size",
    "available_versions",
    "log_text",
}
OVERDUE_PLACEHOLDERS = _SHARED | {
    "last_backup_date",
    "last_elapsed",
    "expected_date",
    "expected_elapsed",
    "backup_interval",
    "overdue_tolerance",
    "backup_interval_value",
    "backup_interval_type",
}
# A run that ends an incident, and the incident.
RECOVERED_PLACEHOLDERS = RUN_PLACEHOLDERS | {"previous_status", "trouble_since", "trouble_elapsed", "missed_runs"}
_TOTALS = frozenset(
    {
        "verdict",
        "attention",
        "server_count",
        "job_count",
        "run_count",
        "fine_count",
        "warning_count",
        "failed_count",
        "uploaded_size",
        "storage_size",
        "duplistatus_link",
    }
)
# Names of version 1.5 of the original beside ours, for imported templates.
SUMMARY_PLACEHOLDERS = _TOTALS | {
    "summary_date",
    "overdue_count",
    "jobs",
    "generated_at",
    "time_zone",
    "success_count",
    "error_count",
    "fatal_count",
    "unknown_count",
    "no_report_count",
    "problem_table",
    "all_jobs_table",
    "duplistatus_url",
    "latest_uploaded_size",
    "latest_source_size",
    "latest_storage_size",
    "latest_file_count",
    "total_warnings",
    "total_errors",
}
DIGEST_PLACEHOLDERS = _TOTALS | {
    "period_start",
    "period_end",
    "success_rate",
    "missed_count",
    "storage_growth",
    "storage_line",
    "growth",
}
PLACEHOLDERS: Mapping[str, frozenset[str]] = {
    "success": RUN_PLACEHOLDERS,
    "warning": RUN_PLACEHOLDERS,
    "overdueBackup": OVERDUE_PLACEHOLDERS,
    "recovered": RECOVERED_PLACEHOLDERS,
    "dailySummary": SUMMARY_PLACEHOLDERS,
    "digest": DIGEST_PLACEHOLDERS,
}
# Priority names of ntfy, from highest to lowest.
PRIORITIES = ("max", "high", "default", "low", "min")

# Doubled braces are matched first: they are an escape and lose one pair.
_PLACEHOLDER = re.compile(r"\{(\{\w+\})\}|\{(\w+)\}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Template:
    """A message template.

    Title and message with placeholders, the message in Markdown; tags are a comma list.
    """

    title: str
    message: str
    priority: str = "default"
    tags: str = ""

    @property
    def tag_list(self) -> tuple[str, ...]:
        """Return the tags without surrounding blanks."""
        return tuple(tag.strip() for tag in self.tags.split(",") if tag.strip())

    def translated(self, gettext: Callable[[str], str]) -> "Template":
        """Return the template with title and message in another language."""
        return replace(self, title=gettext(self.title), message=gettext(self.message))


def render(text: str, values: Mapping[str, str], change: Callable[[str], str] = str) -> str:
    """Fill the placeholders; `change` is applied to each value first.

    Unknown names and missing values become empty.
    """

    def fill(match: re.Match[str]) -> str:
        literal, name = match.groups()
        return literal or change(values.get(name, ""))

    return _PLACEHOLDER.sub(fill, text)


def render_message(text: str, values: Mapping[str, str], change: Callable[[str], str] = str) -> str:
    """Fill a message as `render` does, without the lines whose placeholders are all empty.

    A heading on a line of its own that ends with a colon is omitted with the placeholder below it. Where lines are
    omitted, two blank lines become one, and none is left at the beginning or the end. In a table row each value is one
    line.
    """
    result: list[str] = []
    is_cut = False
    before = ""
    for line in text.split("\n"):
        if _is_empty(line, values):
            is_cut = True
            if _is_heading(before) and not _PLACEHOLDER.sub("", line).strip():
                result.pop()
        elif line.strip():
            result.append(render(line, values, _in_one_line(change) if line.lstrip().startswith("|") else change))
            is_cut = False
        elif not is_cut or (result and result[-1].strip()):
            result.append(line)
        before = line
    while is_cut and result and not result[-1].strip():
        result.pop()
    return "\n".join(result)


def render_known(text: str, values: Mapping[str, str]) -> str:
    """Fill only the placeholders that have a value; all others stay as typed."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[2] or "", match[0]), text)


def unknown_placeholders(text: str, kind: str) -> tuple[str, ...]:
    """Return the placeholders that a kind of template does not know, unique and in order."""
    names = (match[2] for match in _PLACEHOLDER.finditer(text) if match[2])
    return tuple(dict.fromkeys(name for name in names if name not in PLACEHOLDERS[kind]))


def _is_empty(line: str, values: Mapping[str, str]) -> bool:
    """Whether a line has placeholders, all without a value."""
    names = [match[2] for match in _PLACEHOLDER.finditer(line) if match[2]]
    return bool(names) and not any(values.get(name) for name in names)


def _in_one_line(change: Callable[[str], str]) -> Callable[[str], str]:
    return lambda value: change(" ".join(value.split()))


def _is_heading(line: str) -> bool:
    return not _PLACEHOLDER.search(line) and line.rstrip(" *_").endswith((":", "\N{FULLWIDTH COLON}"))


# The Markdown of templates as plain text, HTML, or Markdown for other services
#
# markdown-it-py parses it: CommonMark's headings, lists, quotes, rules, emphasis, code and links, and GitHub's tables.
# HTML, images, entities and indented code are plain text; line breaks are kept. Content of reports cannot become
# markup: values are escaped by `escape` before they are inserted, and all text is escaped for HTML. Services that
# render Markdown themselves do not support tables and get one line per row.

_SPECIAL = re.compile(r"([\\*_`\[\]<|])")
# Characters with a meaning at the start of a line; each line of a value may start one.
_LINE_MARK = re.compile(r"^([ \t]*)([#+\-=>~])|^([ \t]*[0-9]{1,9})([.)])(?=\s|$)", re.MULTILINE)
_ESCAPED = re.compile(r"\\(.)")
_CODE = re.compile(r"`((?:\\.|[^`\\\n])+)`")
_ESCAPED_OR_CODE = re.compile(rf"\\.|{_CODE.pattern}")
_ADDRESS = re.compile(r"https?://[^\s<>\"']*[^\s<>\"'.,;:!?)\]]")
_LINE_BREAKS = re.compile(r"\r\n?")
_BLOCKS = ["table", "blockquote", "hr", "list", "heading"]
_MARKS = ["newline", "escape", "emphasis", "link"]
_UNFORMATTED = {"root", "paragraph", "inline", "text", "softbreak", "hardbreak"}
# Wider tables would be wrapped by mail clients and become unreadable.
_PLAIN_WIDTH = 120
# Headings of a message rank below those of the surrounding page or email.
_TOP_LEVEL, _LOWEST_LEVEL = 2, 6


class MarkdownText(str):
    """Markdown generated by duplistatus, which `escape` does not change."""

    __slots__ = ()


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, right: Collection[int] = ()) -> MarkdownText:
    """Return a table of plain texts; the columns in `right` are right-aligned."""
    marks = ["---:" if number in right else "---" for number in range(len(header))]
    cells = [[escape(" ".join(cell.split())) for cell in row] for row in (header, *rows)]
    return MarkdownText("\n".join(f"| {' | '.join(row)} |" for row in (cells[0], marks, *cells[1:])))


def escape(text: str) -> str:
    """Escape a text so that Markdown renders it literally, also at the start of a line."""
    if isinstance(text, MarkdownText):
        return text
    return _LINE_MARK.sub(r"\1\3\\\2\4", _SPECIAL.sub(r"\\\1", text))


def has_formatting(text: str) -> bool:
    """Whether a text contains markup other than bare URLs."""
    return any(node.type not in _UNFORMATTED for node in _parsed(text).walk())


def to_plain(text: str) -> str:
    """Return the text without markup.

    Lists and quotes keep theirs; a labelled link becomes `label (address)`. Narrow tables are aligned in columns, wider
    ones have one line per row.
    """

    def rendered(node: Node, lines: list[str]) -> list[str]:
        if node.type == "table":
            return _plain_table(node)
        content = node.content.split("\n")
        starts = [_start(node, line, part.strip()) for line, part in zip(lines, content, strict=True)]
        return [start + line for start, line in zip(starts, _plain(node).split("\n"), strict=True)]

    return "\n".join(_replaced(text, ("table", "inline"), rendered))


def to_html(text: str) -> str:
    """Return the text as safe HTML: a fixed set of tags, everything else escaped."""
    return _flow(_parsed(text).children)


def to_markdown(text: str) -> str:
    """Return the text for services that render Markdown.

    With hard line breaks, and code without backslashes.
    """

    def rendered(node: Node, _lines: list[str]) -> list[str]:
        # A paragraph directly after a list would belong to its last item.
        follower = node.next_sibling
        return _row_lines(node) + [""] * bool(node.map and follower and follower.map and follower.map[0] == node.map[1])

    def code(match: re.Match[str]) -> str:
        literal = _literal(match[1] or "`")
        return match[0] if "`" in literal else f"`{literal}`"

    lines = _replaced(text, ("table",), rendered)
    return re.sub(r"(?<=\S)\n(?=[^\n])", "  \n", _ESCAPED_OR_CODE.sub(code, "\n".join(lines)))


def _code_rule(state: StateInline, silent: bool) -> bool:
    """Parse a code span.

    Unlike CommonMark, a backslash escapes in it, since values are escaped in code as well.
    """
    match = _CODE.match(state.src, state.pos, state.posMax)
    if match is None:
        return False
    if not silent:
        state.push("code_inline", "code", 0).content = _literal(match[1])
    state.pos = match.end()
    return True


def _ends_rule(state: StateBlock, line: int, _end: int, silent: bool) -> bool:
    """End lists, quotes and tables at the first line without their marker, unlike CommonMark.

    Its "lazy continuation" would append the sentence after a list to the last item.
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


def _replaced(text: str, types: Collection[str], rendered: Callable[[Node, list[str]], list[str]]) -> list[str]:
    """Return the lines of a text, with the outermost blocks of these types replaced by `rendered`."""
    lines = _LINE_BREAKS.sub("\n", text).split("\n")
    for node in reversed(list(_outermost(_parsed(text), types))):
        first, end = node.map or (0, 0)
        lines[first:end] = rendered(node, lines[first:end])
    return lines


def _outermost(node: Node, types: Collection[str]) -> Iterator[Node]:
    for child in node.children:
        if child.type in types:
            yield child
        else:
            yield from _outermost(child, types)


def _start(node: Node, line: str, content: str) -> str:
    """Return the prefix of a line: markers of lists and quotes, not of headings."""
    if node.parent is not None and node.parent.type == "heading":
        return line[: line.index("#")]
    return line[: len(line.rstrip()) - len(content)]


def _flow(blocks: Sequence[Node]) -> str:
    """Return blocks as HTML; paragraphs are separated by an empty line."""
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
    # The URL of a link may be an unset value; then only its text is shown.
    address = str(node.attrs.get("href", ""))
    inner = "".join(_inline(child, is_label=is_label or bool(address)) for child in node.children)
    if node.type == "link":
        return _link(address, inner) if address else inner
    return f"<{node.tag}>{inner}</{node.tag}>" if node.tag else inner


def _with_links(text: str) -> str:
    """Escape a text for HTML and turn its URLs into links."""
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
    """Return the rows of a table as nodes of cells, the header first."""
    return [row.children for part in found.children for row in part.children]


def _alignment(cell: Node) -> str:
    return str(cell.attrs.get("style", "")).removeprefix("text-align:")


def _html_table(found: Node) -> str:
    def row(cells: list[Node]) -> str:
        # Mail clients support attributes better than styles.
        starts = [f' align="{_alignment(cell)}"' if _alignment(cell) else "" for cell in cells]
        pairs = zip(cells, starts, strict=True)
        return f"<tr>{''.join(f'<{cell.tag}{start}>{_flow(cell.children)}</{cell.tag}>' for cell, start in pairs)}</tr>"

    header, *rows = map(row, _rows(found))
    head = f'<table border="1" cellpadding="4" cellspacing="0">\n<thead>{header}</thead>\n<tbody>'
    return "\n".join([head, *rows, "</tbody>\n</table>"])


def _plain_table(found: Node) -> list[str]:
    """Return a table aligned in columns, or one line per row if it is too wide."""
    rows = [[_plain(cell) for cell in cells] for cells in _rows(found)]
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    if sum(widths) + 2 * len(widths) > _PLAIN_WIDTH:
        return [_plain(Node(_PARSER.parseInline(line))) for line in _row_lines(found)]
    alignments = [_alignment(cell) for cell in _rows(found)[0]]
    rows.insert(1, ["-" * width for width in widths])
    return ["  ".join(map(_padded, cells, widths, alignments)).rstrip() for cells in rows]


def _row_lines(found: Node) -> list[str]:
    """Return each row as a list item.

    Its first cell, then the others after their column headers.
    """
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
    """Return the width of a text in columns of a monospaced font."""
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)


def _literal(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)
