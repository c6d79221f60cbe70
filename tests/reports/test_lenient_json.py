"""The size of JSON texts, counted without parsing them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trials import trial

from app.core.errors import InputTooLarge
from app.reports.decoding import (
    MOST_LEVELS,
    MOST_VALUES,
    check_extent,
    count_levels,
    count_values,
    outside_of_texts,
    read_json,
)

TEXTS = st.text(alphabet='ab,:"\\[]{} \n')
VALUES = st.recursive(
    st.none() | st.integers() | TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=30
)


def extent_of(value: Any) -> tuple[int, int]:
    """Count values and levels of a parsed value."""
    if not isinstance(value, list | dict):
        return 1, 0
    extents = [extent_of(inner) for inner in (value.values() if isinstance(value, dict) else value)]
    return 1 + sum(count for count, _ in extents), 1 + max((levels for _, levels in extents), default=0)


@trial()
@given(VALUES, st.sampled_from([None, 1]))
def test_extent_is_that_of_the_values(value, indent):
    outside = outside_of_texts(json.dumps(value, indent=indent).encode())
    assert (count_values(outside), count_levels(outside)) == extent_of(value)


@pytest.mark.parametrize("value", [b"1", b'"a"', b"[]", b"{}"])
def test_maximum_number_of_values_is_accepted_and_one_more_is_rejected(value):
    check_extent(b"[" + b",".join([value] * (MOST_VALUES - 1)) + b"]")
    with pytest.raises(InputTooLarge, match="values"):
        check_extent(b"[" + b",".join([value] * MOST_VALUES) + b"]")


def test_maximum_depth_is_accepted_and_one_more_is_rejected():
    check_extent(b"[" * MOST_LEVELS + b"]" * MOST_LEVELS)
    with pytest.raises(InputTooLarge, match="levels"):
        check_extent(b"[" * (MOST_LEVELS + 1) + b"]" * (MOST_LEVELS + 1))


@pytest.mark.parametrize("digits", [21, 4_000, 100_000])
def test_overlong_whole_number_is_null_in_lenient_json(digits):
    assert read_json(b'{"a": NaN, "b": ' + b"1" * digits + b', "c": 12345678901234567890}') == {
        "a": None,
        "b": None,
        "c": 12345678901234567890,
    }


def test_lenient_json_with_very_many_names_is_rejected():
    with pytest.raises(ValueError, match="names"):
        read_json(b'{"a": NaN' + b"".join(b', "%d": 1' % number for number in range(60_000)) + b"}")


@pytest.mark.parametrize("body", [b"", b'"', b'"\\', b"]]]", b'{"a', b'"a" "b"', b"\xff"])
def test_text_that_is_no_json_is_passed_to_the_parser(body):
    check_extent(body)
