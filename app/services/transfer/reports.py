"""What became of an old installation: how much was taken, and what was changed or left, and why."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

MOST_REMARKS = 200
FURTHER = "Further remarks, which are not kept"


@dataclass(slots=True)
class Count:
    """How many things of a kind the old file holds, and what became of them.

    `known` ones were here already; `left` ones could not be taken, and a remark says why.
    """

    found: int = 0
    taken: int = 0
    known: int = 0
    left: int = 0


@dataclass(slots=True)
class ImportReport:
    """The account of one import. `remarks` are sentences with how often each was true, in the order of the import."""

    schema_version: str
    counts: dict[str, Count] = field(default_factory=dict)
    remarks: Counter[str] = field(default_factory=Counter)

    def count(self, kind: str) -> Count:
        """The count of a kind, such as `runs`."""
        return self.counts.setdefault(kind, Count())

    def remark(self, sentence: str, times: int = 1) -> None:
        """Note what was changed or left; of very many different sentences only the first are kept."""
        is_room = sentence in self.remarks or len(self.remarks) < MOST_REMARKS
        self.remarks[sentence if is_room else FURTHER] += times

    def leave(self, kind: str, reason: str) -> None:
        """Note a thing that was not taken, and why."""
        self.count(kind).left += 1
        self.remark(reason)

    def as_mapping(self) -> dict[str, Any]:
        """The report as it can be written down."""
        counts = {kind: asdict(count) for kind, count in self.counts.items()}
        return {"schema_version": self.schema_version, "counts": counts, "remarks": dict(self.remarks)}

    @property
    def taken_count(self) -> int:
        """How many things were taken in all; 0 means that the import changed nothing."""
        return sum(count.taken for count in self.counts.values())


def read_report(stored: Mapping[str, Any]) -> ImportReport:
    """The report that was written down."""
    counts = {kind: Count(**count) for kind, count in stored["counts"].items()}
    return ImportReport(stored["schema_version"], counts, Counter(stored["remarks"]))
