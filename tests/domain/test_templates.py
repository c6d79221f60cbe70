"""Filling templates: placeholders, literal braces, and what a kind of template knows."""

import pytest

from app.domain.default_templates import DEFAULT_TEMPLATES
from app.domain.templates import Template, render, render_known, unknown_placeholders


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


def test_each_value_is_changed_before_it_enters_the_text():
    assert render("a {name}", {"name": "value"}, str.upper) == "a VALUE"


def test_only_known_placeholders_are_filled_for_a_trial():
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
def test_our_own_templates_hold_only_known_placeholders(kind: str):
    template = DEFAULT_TEMPLATES[kind]
    assert unknown_placeholders(template.title + template.message, kind) == ()


def test_tags_are_split_at_commas():
    assert Template("", "", tags=" one, two ,,three").tag_list == ("one", "two", "three")
