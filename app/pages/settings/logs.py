"""What the tab of the program's own logs shows: the lines of a file that an address asks for."""

from collections.abc import Sequence
from dataclasses import dataclass

from werkzeug.datastructures import MultiDict

from app.contracts import AppError
from app.services import application_logs
from app.services.application_logs import BASE_NAME, LEVELS, LogView

LINE_COUNTS = (100, 500, 1000, 5000, 10_000)
USUAL_COUNT = 1000


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which lines of which file; no level means every level."""

    name: str = BASE_NAME
    line_limit: int = USUAL_COUNT
    levels: tuple[str, ...] = ()
    search: str = ""

    @property
    def values(self) -> dict[str, object]:
        """The arguments of an address that asks for the same; what is as usual is left out."""
        told = {"file": self.name, "lines": self.line_limit, "level": list(self.levels), "q": self.search}
        usual = {"file": BASE_NAME, "lines": USUAL_COUNT, "level": [], "q": ""}
        return {name: value for name, value in told.items() if value != usual[name]}

    @property
    def export_values(self) -> dict[str, str]:
        """The same in the words of the API."""
        return {"file": self.name, "logLevels": ",".join(self.levels), "search": self.search}

    @property
    def can_grow(self) -> bool:
        """Whether the file is the one that is written to."""
        return self.name == BASE_NAME


@dataclass(frozen=True, slots=True)
class LogPage:
    """The lines that were asked for, of a file that may not be there, and which files there are."""

    query: LogQuery
    view: LogView | None
    state: str
    files: Sequence[str]


def read_query(arguments: MultiDict[str, str]) -> LogQuery:
    """Read the query of an address; what is not known is as usual."""
    name = arguments.get("file", BASE_NAME)
    try:
        application_logs.check_name(name)
    except AppError:
        name = BASE_NAME
    text = arguments.get("lines", "")
    count = int(text) if text in map(str, LINE_COUNTS) else USUAL_COUNT
    levels = tuple(level for level in LEVELS if level in arguments.getlist("level"))
    return LogQuery(name, count, () if levels == LEVELS else levels, arguments.get("q", "").strip()[:200])


def build_page(query: LogQuery) -> LogPage:
    """The lines that were asked for."""
    state = application_logs.state_of(query.name)
    view = application_logs.view(query.name, query.line_limit, query.levels, query.search)
    return LogPage(query, view, state, application_logs.list_files())
