"""Filling templates: placeholders, literal braces, and the placeholders of each kind."""

import pytest

from app.notifications.default_templates import DEFAULT_TEMPLATES, default_templates
from app.notifications.templates import (
    PLACEHOLDERS,
    Template,
    render,
    render_known,
    render_message,
    unknown_placeholders,
)

LANGUAGES = ("en-GB", "de", "fr", "es", "pt-BR", "hi", "zh-Hans")
COLONS = (":", "\N{FULLWIDTH COLON}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{name}", "value"),
        ("{name}{name} and {name}", "valuevalue and value"),
        ("{unknown}", ""),
        ("{empty}", ""),
        ("{{name}}", "{name}"),
        ("{{{name}}}", "{{name}}"),
        ("{ name }", "{ name }"),
        ("{}", "{}"),
        ("{name", "{name"),
        ("{na-me}", "{na-me}"),
        ("{näme}", "{näme}"),
        ("", ""),
    ],
)
def test_placeholders_are_filled(text: str, expected: str):
    assert render(text, {"name": "value", "empty": ""}) == expected


def test_a_value_that_looks_like_a_placeholder_is_not_filled_again():
    assert render("{name}", {"name": "{other}", "other": "x"}) == "{other}"


def test_each_value_is_converted_before_it_is_inserted():
    assert render("a {name}", {"name": "value"}, str.upper) == "a VALUE"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nNote: {empty}\nb", "a\nb"),
        ("a\nNote: {unknown} {empty}\nb", "a\nb"),
        ("a\nNote: {empty} {name}\nb", "a\nNote:  value\nb"),
        ("a\n{{empty}}\nb", "a\n{empty}\nb"),
        ("a\n\nLook: {empty}", "a"),
        ("{empty}\n\na", "a"),
        ("a\n\n{empty}\n\nb", "a\n\nb"),
        ("a\n\n{empty}\n{empty}\n\n{empty}\n\nb\n\n\nc", "a\n\nb\n\n\nc"),
        ("a\n\nLog:\n{empty}\n\nb", "a\n\nb"),
        ("a\n\n**Log:**\n{empty}\n\nb", "a\n\nb"),
        ("Log:\nNote: {empty}\nb", "Log:\nb"),
        ("Log:\n{name}", "Log:\nvalue"),
        ("a\n\n\nb\n", "a\n\n\nb\n"),
        ("{empty}", ""),
        ("", ""),
    ],
)
def test_lines_without_any_value_are_left_out_of_a_message(text: str, expected: str):
    assert render_message(text, {"name": "value", "empty": ""}) == expected


def test_a_value_in_the_row_of_a_table_is_one_line():
    text = "| Note | {name} |\n{name}"
    assert render_message(text, {"name": "a\nb"}) == "| Note | a b |\na\nb"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", DEFAULT_TEMPLATES)
def test_no_line_of_our_templates_ends_in_a_label(kind: str, language: str):
    message = default_templates(language)[kind].message
    assert render_message(message, {}) == ""
    # A value for one placeholder at a time: only lines with it remain, and headings of what follows.
    for name in PLACEHOLDERS[kind]:
        lines = render_message(message, {name: "@"}).split("\n")
        pairs = zip(lines, [*lines[1:], ""], strict=True)
        assert all("@" in line or not line or (line.endswith(COLONS) and "@" in after) for line, after in pairs), lines


def test_only_known_placeholders_are_filled_for_a_preview():
    assert render_known("{name} {other} {{name}}", {"name": "x"}) == "x {other} {{name}}"


@pytest.mark.parametrize(
    ("text", "kind", "unknown"),
    [
        ("{status} {log_text}", "success", ()),
        ("{status}", "overdueBackup", ("status",)),
        ("{last_elapsed} {expected_date}", "warning", ("last_elapsed", "expected_date")),
        ("{typo} {typo} {{braces}}", "warning", ("typo",)),
        ("{backup_interval_type}", "overdueBackup", ()),
    ],
)
def test_unknown_placeholders_are_named(text: str, kind: str, unknown: tuple[str, ...]):
    assert unknown_placeholders(text, kind) == unknown


@pytest.mark.parametrize("kind", DEFAULT_TEMPLATES)
def test_our_own_templates_contain_only_known_placeholders(kind: str):
    template = DEFAULT_TEMPLATES[kind]
    assert unknown_placeholders(template.title + template.message, kind) == ()


def test_tags_are_split_at_commas():
    assert Template("", "", tags=" one, two ,,three").tag_list == ("one", "two", "three")
