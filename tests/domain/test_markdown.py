"""The little Markdown of messages: plain and HTML views, and that nothing foreign becomes markup."""

import pytest

from app.domain.markdown import escape, has_formatting, to_html, to_plain

LINK = 'target="_blank" rel="noopener noreferrer"'


@pytest.mark.parametrize(
    ("text", "html", "plain"),
    [
        ("plain", "plain", "plain"),
        ("**bold** and *light*", "<strong>bold</strong> and <em>light</em>", "bold and light"),
        ("one\ntwo", "one<br>\ntwo", "one\ntwo"),
        ("2 * 3 * 4 ** 5 ** 6", "2 * 3 * 4 ** 5 ** 6", "2 * 3 * 4 ** 5 ** 6"),
        (r"2 \* 3", "2 * 3", "2 * 3"),
        (r"C:\new\table", r"C:\new\table", r"C:\new\table"),
        ("a ** b", "a ** b", "a ** b"),
        (
            "[site](https://example.org/a?b=1&c=2)",
            f'<a href="https://example.org/a?b=1&amp;c=2" {LINK}>site</a>',
            "site (https://example.org/a?b=1&c=2)",
        ),
        (
            "see https://example.org/x.",
            f'see <a href="https://example.org/x" {LINK}>https://example.org/x</a>.',
            "see https://example.org/x.",
        ),
        ("[x](javascript:alert(1))", "[x](javascript:alert(1))", "[x](javascript:alert(1))"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;", "<script>alert(1)</script>"),
        ("**<b>**", "<strong>&lt;b&gt;</strong>", "<b>"),
    ],
)
def test_both_views(text: str, html: str, plain: str):
    assert to_html(text) == html
    assert to_plain(text) == plain


@pytest.mark.parametrize(
    "value",
    [
        "**not bold**",
        "*",
        "_under_ `code`",
        r"back\slash \* \\",
        "[label](https://example.org)",
        "<img src=x onerror=alert(1)>",
        "C:\\*.tmp\\_x",
        "a\nb",
    ],
)
def test_an_escaped_value_stands_for_itself(value: str):
    assert to_plain(escape(value)) == value
    assert "<strong>" not in to_html(escape(value))
    assert "<em>" not in to_html(escape(value))
    assert "<img" not in to_html(escape(value))


def test_an_escaped_address_stays_a_whole_link():
    assert to_html(escape("https://example.org/a_b*c")) == (
        f'<a href="https://example.org/a_b*c" {LINK}>https://example.org/a_b*c</a>'
    )


def test_an_address_cannot_break_out_of_its_link():
    assert '"><' not in to_html('https://example.org/"><script>')


@pytest.mark.parametrize(
    ("text", "formatted"),
    [("**x**", True), ("*x*", True), ("[x](https://y)", True), ("https://y", False), ("x_y_z {a}", False), ("", False)],
)
def test_formatting_is_recognised(text: str, formatted: bool):
    assert has_formatting(text) is formatted


def test_a_hostile_text_takes_no_time():
    text = "*a" * 50_000 + "[" * 50_000 + "**" * 50_000 + "https://" * 20_000
    assert to_plain(text)
