"""The comparison of recorded exchanges finds differences."""

import pytest
from replay import Comparison, Replay, is_skipped

STEP = {"name": "step"}


def differences(wanted, got, **step):
    comparison = Comparison({"step": {"status": 200, "body": wanted}}, Replay("http://127.0.0.1"))
    return comparison.differences({**STEP, **step}, 200, got)


@pytest.mark.parametrize(
    ("wanted", "got"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {}),
        ({"a": 1}, {"a": True}),
        ({"a": None}, {"a": ""}),
        ({"a": [1, 2]}, {"a": [1]}),
        ({"a": "x"}, {"a": "y"}),
        ({"a": "@0"}, {"a": "@60"}),
        ({"error": "text"}, {"error": ""}),
    ],
    ids=str,
)
def test_a_different_response_is_found(wanted, got):
    assert len(differences(wanted, got)) == 1


@pytest.mark.parametrize(
    ("wanted", "got"),
    [
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": "@7"}, {"a": "@0"}),
        ({"error": "text"}, {"error": "another"}),
        ({"messages_array": None}, {"messages_array": []}),
    ],
    ids=str,
)
def test_allowed_differences_are_not_reported(wanted, got):
    assert differences(wanted, got) == []


def test_another_status_is_a_difference_unless_it_is_listed():
    comparison = Comparison({"step": {"status": 500, "body": {}}}, Replay("http://127.0.0.1"))
    assert comparison.differences(STEP, 400, {"error": "text"})
    assert comparison.differences({**STEP, "better": [400]}, 400, {"error": "text"}) == []


def test_skipped_paths():
    assert is_skipped("a.0.b.c", ["a.*.b"])
    assert not is_skipped("a.0", ["a.*.b"])
