"""Parsing intervals, and counting them from an anchor."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trials import trial

from app.schedules.intervals import BadInterval, is_strict, parse_interval

# A busy computer is no fault of a rule.
unhurried = trial()
FIRST_AT = datetime(1990, 1, 1, tzinfo=UTC)
INSTANTS = st.timedeltas(timedelta(), timedelta(days=40_000)).map(lambda distance: FIRST_AT + distance)
TEXTS = st.lists(
    st.tuples(st.integers(1, 40), st.sampled_from("smhDWMY")).map(lambda part: f"{part[0]}{part[1]}"),
    min_size=1,
    max_size=4,
).map("".join)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("   ", "empty"),
        ("1d", "'1d'"),
        ("1D0h", "'0h'"),
        ("999999999999999Y", "too long"),
        ("9" * 5000, "too long"),
        ("1001Y", "longer than 1000 years"),
        ("1Y" * 1001, "longer than 1000 years"),
        ("\u0661D", "must contain numbers with the units s m h D W M Y"),  # only ASCII digits count
    ],
)
def test_invalid_interval_names_the_offending_part(text: str, named: str) -> None:
    with pytest.raises(BadInterval, match=named):
        parse_interval(text)


@pytest.mark.parametrize(
    ("text", "strict"),
    [(" 1D ", True), ("1D2", True), ("1D,2h", False), ("1.5h", False), ("-1D", False), ("", False), ("1001Y", False)],
)
def test_strict_form_rejects_what_the_lenient_parser_skips(text: str, strict: bool) -> None:
    assert is_strict(text) is strict


@pytest.mark.parametrize(
    ("text", "days"), [("24h", 1), ("86400", 1), ("1W1D", 8), ("1M", 30), ("1Y", 365), ("12h", 0.5), ("0", 0)]
)
def test_length_in_days_counts_months_as_30_and_years_as_365(text: str, days: float) -> None:
    assert parse_interval(text).days == days


def test_a_minute_below_24_hours_is_below_a_day() -> None:
    assert parse_interval("23h59m").days < 1


@pytest.mark.parametrize(
    ("anchor", "text", "count", "expected"),
    [
        ("2026-01-31", "1M", 1, "2026-02-28"),
        ("2026-01-31", "1M", 2, "2026-03-31"),
        ("2028-01-31", "1M", 1, "2028-02-29"),
        ("2026-01-31", "1M", -2, "2025-11-30"),
        ("2028-02-29", "1Y", 1, "2029-02-28"),
        ("2028-02-29", "1Y", 4, "2032-02-29"),
        ("2026-01-31", "1M1M", 1, "2026-03-31"),
        ("2026-01-31", "1Y1M", 1, "2027-02-28"),
        ("2026-01-31", "1M1D", 1, "2026-03-01"),
        ("2026-01-31", "1D1M", 1, "2026-03-01"),
        ("2026-12-31", "1D12h", 2, "2027-01-03"),
        ("2026-03-15", "1M", 0, "2026-03-15"),
    ],
)
def test_counting_from_the_anchor(anchor: str, text: str, count: int, expected: str) -> None:
    assert parse_interval(text).after(at(anchor), count) == at(expected)


def test_months_do_not_drift_over_24_months() -> None:
    days = [parse_interval("1M").after(at("2026-01-31T08:00:00"), count).day for count in range(24)]
    months = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    assert days == [*months, *months]


def test_months_are_counted_in_utc_for_any_zone_of_the_anchor() -> None:
    anchor = datetime(2026, 2, 1, 0, 30, tzinfo=ZoneInfo("Europe/Berlin"))  # 31 January, 23:30 in UTC
    assert parse_interval("1M").after(anchor, 1) == at("2026-02-28T23:30:00")


@unhurried
@given(text=TEXTS, anchor=INSTANTS, instant=INSTANTS)
def test_first_index_is_the_first_that_is_not_before(text: str, anchor: datetime, instant: datetime) -> None:
    interval = parse_interval(text)
    index = interval.first_index(anchor, instant)
    assert interval.after(anchor, index - 1) < instant <= interval.after(anchor, index)


@unhurried
@given(text=TEXTS, anchor=INSTANTS, count=st.integers(-20, 20))
def test_each_further_interval_is_later(text: str, anchor: datetime, count: int) -> None:
    interval = parse_interval(text)
    try:
        assert interval.after(anchor, count) < interval.after(anchor, count + 1)
    except OverflowError:
        assert interval.size * 20 > timedelta(days=700_000)


@unhurried
@given(text=st.text(alphabet="0123456789smhDWMYd -.x", max_size=30))
def test_any_text_is_read_or_rejected(text: str) -> None:
    try:
        tokens = parse_interval(text).tokens
    except BadInterval:
        return
    assert tokens
