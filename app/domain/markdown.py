"""The little Markdown of message templates: bold, emphasis, links and line breaks; everything else is plain text.

One text, two views: plain for pushes and the text part of a mail, HTML for its other part. Nothing that came with
a report can become markup: values are escaped by `escape` before they enter a text, and HTML is made from pieces
that were escaped one by one.
"""

import html
import re
from collections.abc import Callable

_SPECIAL = re.compile(r"([\\*_`\[\]<])")
_TOKEN = re.compile(
    r"\\(?P<literal>[\\*_`\[\]<>(){}#!.-])"
    r"|\*\*(?=\S)(?P<bold>(?:\\.|[^*\\\n])+)(?<!\s)\*\*"
    r"|\*(?=\S)(?P<emphasis>(?:\\.|[^*\\\n])+)(?<!\s)\*"
    r"|\[(?P<label>(?:\\.|[^\[\]\\\n])+)\]\((?P<target>https?://(?:\\.|[^\s<>\"()\\])+)\)"
    r"|(?P<address>https?://(?:\\.|[^\s<>\"'\\])*(?:\\.|[^\s<>\"'\\.,;:!?)\]]))"
)
_ESCAPED = re.compile(r"\\(.)")


def escape(text: str) -> str:
    """Write a text so that it stands for itself within Markdown."""
    return _SPECIAL.sub(r"\\\1", text)


def has_formatting(text: str) -> bool:
    """Whether a text holds bold, emphasis or a labelled link, and not addresses alone."""
    return any(match.lastgroup in ("bold", "emphasis", "target") for match in _TOKEN.finditer(text))


def to_plain(text: str) -> str:
    """The text without its marks; a labelled link becomes `label (address)`."""

    def view(match: re.Match[str]) -> str:
        if match["label"]:
            return f"{to_plain(match['label'])} ({_literal(match['target'])})"
        inner = match["bold"] or match["emphasis"]
        return to_plain(inner) if inner else match["literal"] or _literal(match["address"])

    return _TOKEN.sub(view, text)


def to_html(text: str) -> str:
    """The text as safe HTML: a few tags of ours, and every other sign escaped."""
    return _pieces(text, _html_of).replace("\n", "<br>\n")


def _html_of(match: re.Match[str]) -> str:
    if match["bold"]:
        return f"<strong>{to_html(match['bold'])}</strong>"
    if match["emphasis"]:
        return f"<em>{to_html(match['emphasis'])}</em>"
    if match["target"]:
        return _link(_literal(match["target"]), _literal(match["label"]))
    if match["address"]:
        return _link(_literal(match["address"]), _literal(match["address"]))
    return html.escape(match["literal"])


def _pieces(text: str, view: Callable[[re.Match[str]], str]) -> str:
    parts, end = [], 0
    for match in _TOKEN.finditer(text):
        parts += [html.escape(text[end : match.start()]), view(match)]
        end = match.end()
    return "".join([*parts, html.escape(text[end:])])


def _link(address: str, label: str) -> str:
    return f'<a href="{html.escape(address)}" target="_blank" rel="noopener noreferrer">{html.escape(label)}</a>'


def _literal(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)
