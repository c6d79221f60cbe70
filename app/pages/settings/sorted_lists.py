"""Lists that are searched and sorted by their address."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from flask_babel import LazyString

from app.services.searching import LONGEST_SEARCH

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Column(Generic[Item]):
    """A column that can be sorted by, and what of an item it is sorted by."""

    name: str
    label: LazyString
    key: Callable[[Item], Any]


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What a list was asked for: part of a name, and the column to sort by, `-` in front for downwards."""

    search: str = ""
    sort: str = "name"

    def next_sort(self, column: Column[Any]) -> str:
        """What a click on a column's head asks for."""
        return f"-{column.name}" if self.sort == column.name else column.name

    def aria_sort(self, column: Column[Any]) -> str:
        """The column's state in the words of ARIA."""
        if column.name != self.sort.removeprefix("-"):
            return "none"
        return "descending" if self.sort.startswith("-") else "ascending"

    def ordered(self, items: Iterable[Item], columns: Sequence[Column[Item]]) -> list[Item]:
        """The items in the order that was asked for."""
        column = next(column for column in columns if column.name == self.sort.removeprefix("-"))
        return sorted(items, key=column.key, reverse=self.sort.startswith("-"))


def read_query(arguments: Mapping[str, str], columns: Sequence[Column[Any]]) -> ListQuery:
    """Read the query of an address; what names no column is sorted by the first one."""
    sort = arguments.get("sort", "")
    known = sort.removeprefix("-") in {column.name for column in columns}
    return ListQuery(arguments.get("q", "").strip()[:LONGEST_SEARCH], sort if known else columns[0].name)
