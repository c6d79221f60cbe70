"""The little Markdown of messages: plain and HTML views, and that nothing foreign becomes markup."""

import re

import pytest

from app.domain.markdown import escape, has_formatting, to_html, to_markdown, to_plain

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
        ("[**x**]()", "<strong>x</strong>", "x"),
        ("[x](javascript:alert(1))", "[x](javascript:alert(1))", "[x](javascript:alert(1))"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;", "<script>alert(1)</script>"),
        ("**<b>**", "<strong>&lt;b&gt;</strong>", "<b>"),
        ("__bold__ and _light_", "<strong>bold</strong> and <em>light</em>", "bold and light"),
        ("a_b_c x__y__z _a_b_", "a_b_c x__y__z <em>a_b</em>", "a_b_c x__y__z a_b"),
        ("run `rm *_x* <a>`", "run <code>rm *_x* &lt;a&gt;</code>", "run rm *_x* <a>"),
        ("# One\n###### Six #", "<h3>One</h3>\n<h6>Six</h6>", "One\nSix"),
        ("#tag", "#tag", "#tag"),
        ("a\n\n- x\n- **y**\n\nb", "a\n<ul>\n<li>x</li>\n<li><strong>y</strong></li>\n</ul>\nb", "a\n\n- x\n- y\n\nb"),
        ("3. x\n4) y", '<ol start="3">\n<li>x</li>\n<li>y</li>\n</ol>', "3. x\n4) y"),
        ("> one\n> two", "<blockquote>one<br>\ntwo</blockquote>", "> one\n> two"),
        ("a\n---\nb", "a\n<hr>\nb", "a\n---\nb"),
        ("", "", ""),
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
        "# no heading\n- no entry\n+ none\n> no quote\n 12. no step\n3) none\n---\n===\n~~~\n| a |",
        "-5 and 5.2 GB",
    ],
)
def test_an_escaped_value_stands_for_itself(value: str):
    assert to_plain(escape(value)) == value
    assert "<strong>" not in to_html(escape(value))
    assert "<em>" not in to_html(escape(value))
    assert "<img" not in to_html(escape(value))
    assert not re.search("<(h|ul|ol|li|block|code)", to_html(escape(value)))
    assert not has_formatting(escape(value))


def test_an_escaped_address_stays_a_whole_link():
    assert to_html(escape("https://example.org/a_b*c")) == (
        f'<a href="https://example.org/a_b*c" {LINK}>https://example.org/a_b*c</a>'
    )


def test_an_address_cannot_break_out_of_its_link():
    assert '"><' not in to_html('https://example.org/"><script>')


@pytest.mark.parametrize(
    ("text", "formatted"),
    [
        ("**x**", True),
        ("*x*", True),
        ("[x](https://y)", True),
        ("[x]()", True),
        ("`x`", True),
        ("a\n# b", True),
        ("a\n- b", True),
        ("https://y", False),
        ("x_y_z {a_b} {c_d}", False),
        ("", False),
    ],
)
def test_formatting_is_recognised(text: str, formatted: bool):
    assert has_formatting(text) is formatted


def test_markdown_for_others_keeps_line_breaks_and_code():
    text = f"**a**\nb\n\nc `{escape('x_y*')}` {escape('x_y')}"
    assert to_markdown(text) == "**a**  \nb\n\nc `x_y*` x\\_y"


def test_a_hostile_text_takes_no_time():
    text = "*a" * 50_000 + "[" * 50_000 + "**" * 50_000 + "https://" * 20_000
    for hostile in (text, " _a" * 50_000, "_a" * 50_000, "`a" * 50_001, "#" * 50_000, "- " * 50_000, "1" * 50_000):
        assert to_plain(hostile)
        assert to_html(hostile)
