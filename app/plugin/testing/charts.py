"""Contract tests of chart providers.

Subclass `ChartContract`, name the provider and some values, and run.
"""

import math
import re
from abc import ABC, abstractmethod
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, ClassVar, get_args

import pytest

from app.plugin import ChartProvider, Combine, Run, Unit

# The pattern of the built-in names, which are part of the API.
NAME = re.compile(r"[a-z][A-Za-z0-9]*")
NOT_FIGURES = frozenset({"server_id", "job_name", "began_at", "status"})
FIGURES = frozenset(field.name for field in fields(Run)) - NOT_FIGURES
LARGEST = 2**53
# Edge cases of reports: nothing, huge values, odd names, a leap day, the first day.
UNUSUAL_RUNS: dict[str, dict[str, Any]] = {
    "nothing": dict.fromkeys(FIGURES, 0),
    "very much": dict.fromkeys(FIGURES, LARGEST),
    "fatal": {**dict.fromkeys(FIGURES, 0), "status": "Fatal", "error_count": 1},
    "unknown status": {"status": "Unknown"},
    "odd names": {"server_id": "", "job_name": "Köln 🕑 <b>"},
    "leap day": {"began_at": datetime(2028, 2, 29, 23, 59, 59, 999_000, tzinfo=UTC)},
    "first day": {"began_at": datetime(1970, 1, 1, tzinfo=UTC)},
}


def make_run(**changes: Any) -> Run:
    """Return a run as the application makes it: successful, on Sunday, 4 May 2031.

    Override what the test is about.
    """
    usual = {
        "server_id": "machine-1",
        "job_name": "photos",
        "began_at": datetime(2031, 5, 4, 11, 0, tzinfo=UTC),
        "status": "Success",
        "duration_s": 120.0,
        "examined_files": 1200,
        "examined_bytes": 5_000_000,
        "uploaded_bytes": 300_000,
        "storage_bytes": 9_000_000,
        "version_count": 7,
        "warning_count": 0,
        "error_count": 0,
        "added_files": 12,
        "deleted_files": 3,
        "modified_files": 5,
    }
    return Run(**{**usual, **changes})


class ChartContract(ABC):
    """The contract of every chart provider. Set `provider_class` and `examples`."""

    provider_class: ClassVar[type[ChartProvider]]

    @abstractmethod
    def examples(self) -> list[tuple[Run, float | None]]:
        """Return runs with their expected values; None for a gap."""

    def test_names_itself(self) -> None:
        """The name is a key in the API, the label is shown beside the chart."""
        assert NAME.fullmatch(self.provider_class.name)
        assert self.provider_class.label.strip()

    def test_unit_and_combine_are_known_words(self) -> None:
        """The application formats by the unit and groups by `combine`."""
        assert self.provider_class.unit in get_args(Unit)
        assert self.provider_class.combine in get_args(Combine)

    def test_it_names_a_column_or_computes_and_not_both(self) -> None:
        """With a column the database groups and `value` would never be called."""
        computes = self.provider_class.value is not ChartProvider.value
        assert computes is (self.provider_class.column is None)
        assert self.provider_class.column in {None, *FIGURES}
        assert not (computes and self.provider_class.weekdays)

    def test_it_is_made_without_arguments(self) -> None:
        """The application creates one per request."""
        self.provider_class()

    def test_each_example_gives_its_value(self) -> None:
        """There is at least one example, so that the provider is known to work."""
        provider = self.provider_class()
        assert self.examples()
        for run, value in self.examples():
            assert provider.value(run) == pytest.approx(value), run

    def test_the_same_run_gives_the_same_value_in_any_order(self) -> None:
        """Nothing is remembered between runs: the application may ask for any range."""
        runs = [run for run, _ in self.examples()]
        forwards, backwards = self.provider_class(), self.provider_class()
        first = [forwards.value(run) for run in runs]
        assert [backwards.value(run) for run in reversed(runs)][::-1] == first
        assert [forwards.value(run) for run in runs] == first

    @pytest.mark.parametrize("changes", UNUSUAL_RUNS.values(), ids=UNUSUAL_RUNS.keys())
    def test_any_run_gives_a_finite_number_or_a_gap(self, changes: dict[str, Any]) -> None:
        """One odd run must not break the whole chart.

        NaN and infinity are not valid in JSON.
        """
        value = self.provider_class().value(make_run(**changes))
        assert value is None or (isinstance(value, int | float) and math.isfinite(value))
