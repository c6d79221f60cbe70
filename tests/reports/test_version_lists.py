"""Reading a list of versions with the help of the previous list of the job."""

import pytest

from app.reports import ingest
from app.reports.versions import CONSIDERED, DELETED, VersionList, VersionLog

JOB = ("machine-1", "photos")
HEAD = "2031-05-04 11:00:00 +00 - [Information-X]: "


@pytest.fixture(autouse=True)
def no_lists(monkeypatch):
    """Start without any previous list."""
    monkeypatch.setattr(ingest, "_lists", {})


class Reader:
    """Reads dates such as `d17` as the version `v17`, and records its calls."""

    def __init__(self, **changed: str) -> None:
        self.asked: list[list[str]] = []
        self.changed = changed

    def __call__(self, log: VersionLog) -> VersionList:
        self.asked.append(log.dates)
        gone = set(log.deleted_dates)
        entries = tuple(self.changed.get(date, f"v{date[1:]}") for date in log.dates)
        versions = {entry for date, entry in zip(log.dates, entries, strict=True) if date not in gone}
        return VersionList(tuple(sorted(versions, reverse=True)), entries=entries)


def log_of(numbers, deleted=()):
    considered, gone = (", ".join(f"d{number:02}" for number in some) for some in (numbers, deleted))
    return VersionLog(f"{HEAD}{CONSIDERED} {considered}", f"{HEAD}{DELETED} {gone}")


def read(reader, numbers, deleted=()):
    return ingest._read_incrementally(JOB, log_of(numbers, deleted), reader).versions


def versions(*numbers):
    return tuple(f"v{number:02}" for number in numbers)


def test_new_dates_are_read_with_a_few_known_ones_and_the_others_reused():
    reader = Reader()
    read(reader, range(20, 0, -1))
    assert read(reader, range(22, 2, -1)) == versions(*range(22, 2, -1))
    assert [len(dates) for dates in reader.asked] == [20, 2 + ingest.CONTEXT]


def test_deleted_dates_are_removed_permanently():
    reader = Reader()
    assert read(reader, range(20, 0, -1), deleted=[1, 2]) == versions(*range(20, 2, -1))
    assert read(reader, range(21, 2, -1), deleted=[3]) == versions(*range(21, 3, -1))


def test_a_list_that_starts_with_the_oldest_date_loses_deleted_ones():
    reader = Reader()
    assert read(reader, range(1, 21), deleted=[1, 2]) == versions(*range(20, 2, -1))
    assert read(reader, range(3, 22), deleted=[3]) == versions(*range(21, 3, -1))


def test_a_list_with_a_date_missing_in_the_previous_one_is_read_completely():
    reader = Reader()
    read(reader, [20, 18, *range(16, 0, -1)])
    assert read(reader, range(21, 0, -1)) == versions(*range(21, 0, -1))
    assert len(reader.asked[-1]) == 21


def test_a_list_with_another_result_for_known_dates_is_read_completely():
    read(Reader(), range(20, 0, -1))
    reader = Reader(d20="v20 other")
    assert read(reader, range(21, 0, -1)) == ("v21", "v20 other", *versions(*range(19, 0, -1)))
    assert [len(dates) for dates in reader.asked] == [1 + ingest.CONTEXT, 21]


def test_a_list_with_a_repeated_date_is_read_completely():
    reader = Reader()
    read(reader, range(20, 0, -1))
    read(reader, [21, *range(20, 0, -1), 1])
    assert len(reader.asked[-1]) == 22


def test_lists_of_another_job_do_not_count():
    reader = Reader()
    read(reader, range(20, 0, -1))
    ingest._read_incrementally(("machine-1", "mail"), log_of(range(21, 0, -1)), reader)
    assert len(reader.asked[-1]) == 21
