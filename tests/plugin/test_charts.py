"""The contract test of every built-in chart provider, and of the other ones of the tree."""

from datetime import timedelta
from typing import ClassVar

import distributions
import pytest
from factories import BEGAN_AT, make_run

from app.charts import series
from app.plugin.testing.charts import ChartContract
from app.plugin.testing.charts import make_run as make_charted_run
from app.registry import CHART_PROVIDERS, discover
from plugins import core_charts
from plugins.weekday_chart.tests.test_weekday_chart import TestWeekendUploads as WeekendTests
from plugins.weekday_chart.tests.test_weekday_chart import TestWorkdayUploads as WorkdayTests


class StoredFigure(ChartContract):
    """A provider that returns a stored figure, which is 7 here."""

    column: ClassVar[str]

    def examples(self):
        return [(make_charted_run(**{self.column: 7}), 7.0), (make_charted_run(**{self.column: 0}), 0.0)]


class TestUploadedSize(StoredFigure):
    provider_class, column = core_charts.UploadedSize, "uploaded_bytes"


class TestDuration(StoredFigure):
    provider_class, column = core_charts.Duration, "duration_s"


class TestFileCount(StoredFigure):
    provider_class, column = core_charts.FileCount, "examined_files"


class TestFileSize(StoredFigure):
    provider_class, column = core_charts.FileSize, "examined_bytes"


class TestStorageSize(StoredFigure):
    provider_class, column = core_charts.StorageSize, "storage_bytes"


class TestBackupVersions(StoredFigure):
    provider_class, column = core_charts.BackupVersions, "version_count"


BUILT_IN = (TestUploadedSize, TestDuration, TestFileCount, TestFileSize, TestStorageSize, TestBackupVersions)
IN_THE_TREE = (*BUILT_IN, WorkdayTests, WeekendTests)


def test_each_chart_provider_of_the_tree_has_its_contract_test():
    found = discover()
    ours = {
        provider
        for name, provider in found.chart_providers.items()
        if found.sources[CHART_PROVIDERS, name] in distributions.NAMES
    }
    assert {tests.provider_class for tests in IN_THE_TREE} == ours
    assert all(issubclass(tests, ChartContract) for tests in IN_THE_TREE)


def test_the_weekday_charts_divide_a_week_into_workdays_and_weekend(db):
    assert BEGAN_AT.strftime("%A") == "Sunday"
    for days in range(-6, 1):
        make_run(began_at=BEGAN_AT + timedelta(days=days), uploaded_bytes=10)
    found = series.daily_series(
        ["workdayUploads", "weekendUploads"],
        start_on=(BEGAN_AT - timedelta(days=6)).date(),
        end_on=BEGAN_AT.date(),
        visible_server_ids=None,
    )
    assert found.values["workdayUploads"] == [10, 10, 10, 10, 10, None, None]
    assert found.values["weekendUploads"] == [None, None, None, None, None, 10, 10]


@pytest.mark.parametrize("name", ["Upper", "with-dash", "", "ä"])
def test_the_kit_rejects_a_name_that_cannot_be_a_key(name):
    class Provider(core_charts.Duration):
        pass

    Provider.name = name

    class Tests(TestDuration):
        provider_class = Provider

    with pytest.raises(AssertionError):
        Tests().test_names_itself()


def test_the_kit_rejects_a_provider_that_names_a_column_and_computes():
    class Provider(core_charts.Duration):
        def value(self, run):
            return 1.0

    class Tests(TestDuration):
        provider_class = Provider

    with pytest.raises(AssertionError):
        Tests().test_it_names_a_column_or_computes_and_not_both()


def test_the_kit_rejects_a_provider_with_a_divisor_of_zero():
    class Provider(core_charts.Duration):
        column = None

        def value(self, run):
            return run.duration_s / run.examined_files

    class Tests(TestDuration):
        provider_class = Provider

    with pytest.raises(ZeroDivisionError):
        Tests().test_any_run_gives_a_finite_number_or_a_gap({"examined_files": 0})
