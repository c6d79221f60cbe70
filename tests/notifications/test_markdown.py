"""The Markdown subset of messages: plain and HTML views, and that no inserted text becomes markup."""

import re

import pytest

from app.notifications.templates import escape, has_formatting, table, to_html, to_markdown, to_plain

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
        ("3. x\n4. y", '<ol start="3">\n<li>x</li>\n<li>y</li>\n</ol>', "3. x\n4. y"),
        ("- x\n  - y", "<ul>\n<li>x\n<ul>\n<li>y</li>\n</ul></li>\n</ul>", "- x\n  - y"),
        ("- x\n\n- y", "<ul>\n<li>x</li>\n<li>y</li>\n</ul>", "- x\n\n- y"),
        ("- x\nafter", "<ul>\n<li>x</li>\n</ul>\nafter", "- x\nafter"),
        ("> x\nafter", "<blockquote>x</blockquote>\nafter", "> x\nafter"),
        ("> - *x*\n> # y", "<blockquote><ul>\n<li><em>x</em></li>\n</ul>\n<h3>y</h3></blockquote>", "> - x\n> y"),
        ("a\n\nb", "a<br>\n<br>\nb", "a\n\nb"),
        ("    no code\n    either", "no code<br>\neither", "    no code\n    either"),
        ("**a\nb**", "<strong>a<br>\nb</strong>", "a\nb"),
        (
            "[**x** `y`](https://z)",
            f'<a href="https://z" {LINK}><strong>x</strong> <code>y</code></a>',
            "x y (https://z)",
        ),
        (
            "[**https://x**](https://z)",
            f'<a href="https://z" {LINK}><strong>https://x</strong></a>',
            "https://x (https://z)",
        ),
        (
            "&lt;b&gt; <https://z>",
            f'&amp;lt;b&amp;gt; &lt;<a href="https://z" {LINK}>https://z</a>&gt;',
            "&lt;b&gt; <https://z>",
        ),
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
        "| a | b |\n|---|---|\n| c | d |",
        "a | b\n- | -\nc\\|d",
    ],
)
def test_an_escaped_value_is_shown_literally(value: str):
    assert to_plain(escape(value)) == value
    assert "<strong>" not in to_html(escape(value))
    assert "<em>" not in to_html(escape(value))
    assert "<img" not in to_html(escape(value))
    assert not re.search("<(h|ul|ol|li|block|code|table)", to_html(escape(value)))
    assert not has_formatting(escape(value))


def test_an_escaped_address_is_one_link():
    assert to_html(escape("https://example.org/a_b*c")) == (
        f'<a href="https://example.org/a_b*c" {LINK}>https://example.org/a_b*c</a>'
    )


def test_an_address_cannot_end_its_link():
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
        ("a | b\n--- | ---", True),
        ("a | b\nc | d", False),
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


@pytest.mark.slow
def test_a_hostile_text_is_parsed_quickly():
    text = "*a" * 5_000 + "[" * 5_000 + "**" * 5_000 + "https://" * 2_000
    for hostile in (text, " _a" * 5_000, "_a" * 5_000, "`a" * 5_001, "#" * 5_000, "- " * 5_000, "1" * 5_000):
        assert to_plain(hostile)
        assert to_html(hostile)


TABLE = """\
Before
| Server | **Job** | Size |
|:-------|:---:|-----:|
| nas | Docs \\| Mail | 5 |
| <b> | | 12 | more |
| [x](https://y) |

After"""
OPENED = '<table border="1" cellpadding="4" cellspacing="0">'


def test_a_table_becomes_an_html_table():
    assert to_html(TABLE) == (
        f"Before\n{OPENED}\n"
        '<thead><tr><th align="left">Server</th><th align="center"><strong>Job</strong></th><th align="right">Size</th>'
        "</tr></thead>\n<tbody>\n"
        '<tr><td align="left">nas</td><td align="center">Docs | Mail</td><td align="right">5</td></tr>\n'
        '<tr><td align="left">&lt;b&gt;</td><td align="center"></td><td align="right">12</td></tr>\n'
        f'<tr><td align="left"><a href="https://y" {LINK}>x</a></td>'
        '<td align="center"></td><td align="right"></td></tr>\n'
        "</tbody>\n</table>\nAfter"
    )


def test_a_table_has_aligned_columns_as_plain_text():
    assert to_plain(TABLE.replace("[x](https://y)", "备份")) == (
        "Before\n"
        "Server      Job      Size\n"
        "------  -----------  ----\n"
        "nas     Docs | Mail     5\n"
        "<b>                    12\n"
        "备份\n\n"
        "After"
    )


def test_a_table_that_is_too_wide_for_plain_text_has_a_line_for_each_row():
    wide = f"| Server | Job | Note |\n|-|-|-|\n| nas | {'x' * 90} | {'y' * 90} |"
    assert to_plain(wide) == f"- nas · Job: {'x' * 90} · Note: {'y' * 90}"


def test_services_without_tables_get_a_line_for_each_row():
    assert to_markdown(TABLE) == (
        "Before  \n- nas · **Job**: Docs \\| Mail · Size: 5  \n- <b> · Size: 12  \n- [x](https://y)\n\nAfter"
    )
    assert to_markdown("| a |\n|---|\n| b |\nAfter") == "- b\n\nAfter"


def test_a_separator_line_alone_is_no_table():
    for text in ("a\n|---|---|\nb", "| a | b |\n|---|\n", "|---|", "a | b", "a\n---"):
        assert "<table" not in to_html(text)


def test_inserted_text_stays_in_its_cell():
    made = table(("Server", "Job"), [("a|b\n| c", "**x** <b>")], right=(1,))
    assert escape(made) == made
    assert '<td>a|b | c</td><td align="right">**x** &lt;b&gt;</td>' in to_html(f"{made}")
    assert "a|b | c" in to_plain(made)


@pytest.mark.slow
def test_short_rows_of_a_wide_table_do_not_add_up():
    wide = to_html("|" + "a|" * 500 + "\n|" + "-|" * 500 + "\n" + "|b|\n" * 5_000)
    assert wide.count("<td>") < 100_000


def test_code_contains_an_escaped_value_literally():
    assert to_html(f"`{escape('a`*b*')}`") == "<code>a`*b*</code>"
    assert to_plain(f"`{escape('a`*b*')}`") == "a`*b*"


@pytest.mark.slow
def test_a_hostile_table_is_parsed_quickly():
    for part in ("|", "|-", "\\|", "| a |\n|-|\n", "|a|\n|-|\n|b|\n", "|\\"):
        for show in (to_plain, to_html, to_markdown):
            assert show("|a|\n|-|\n" + part * 2_000)
