"""Tables that spreadsheets open without running anything."""

import csv
import io

import pytest

from app.web.http import csv_line


@pytest.mark.parametrize("text", ["=1+1", "+49 30", "-rm", "@SUM(A1)", "\tx", "\rx"])
def test_no_text_is_a_formula(text):
    assert next(csv.reader(io.StringIO(csv_line([text, "end"]), newline=""))) == [f"'{text}", "end"]


def test_numbers_stay_numbers_and_missing_values_are_empty():
    assert csv_line([-3, 2.5, None, 0]) == "-3,2.5,,0"


@pytest.mark.parametrize("text", ['with "quotes"', "with, comma", "two\nlines", "one\r\nmore"])
def test_texts_are_read_back_unchanged(text):
    assert next(csv.reader(io.StringIO(csv_line([text, "end"]), newline=""))) == [text, "end"]
