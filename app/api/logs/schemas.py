"""Wire forms of the log files."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, pre_load, validate

from app.api.wire import SOMETIMES, IsoInstant, Out, iso
from app.services.application_logs import LogExcerpt
from app.services.searching import LONGEST_SEARCH

USUAL_LINES, MOST_LINES = 1000, 10_000


class TailQuery(Schema):
    """How many lines of which file; without a file only the list of files is wanted."""

    class Meta:
        unknown = EXCLUDE

    line_limit = fields.Integer(data_key="tail", load_default=USUAL_LINES, allow_none=True)
    name = fields.String(data_key="file", load_default="")

    @pre_load
    def check(self, data: Any, **_options: Any) -> dict[str, Any]:
        """Hold the number of lines within its bounds; what is no number means the whole file."""
        text = (data.get("tail") or str(USUAL_LINES)).strip()
        is_number = text.removeprefix("-").isdecimal() and len(text) < 10
        if is_number and not 1 <= int(text) <= MOST_LINES:
            raise ValidationError("Invalid tail parameter")
        return {"tail": int(text) if is_number else None, "file": data.get("file", "")}


class ExportQuery(Schema):
    """Which lines of which file."""

    class Meta:
        unknown = EXCLUDE

    name = fields.String(data_key="file", load_default="")
    levels = fields.String(data_key="logLevels", load_default="")
    wanted = fields.String(data_key="search", load_default="", validate=validate.Length(max=LONGEST_SEARCH))

    @pre_load
    def check(self, data: Any, **_options: Any) -> Any:
        """Refuse a query without a file."""
        if not data.get("file"):
            raise ValidationError("File parameter is required")
        return data


class ExcerptOut(Out):
    """The end of a file."""

    text = fields.String(data_key="logs")
    size_bytes = fields.Integer(data_key="fileSize")
    modified_at = IsoInstant(data_key="lastModified")
    line_count = fields.Integer(data_key="lineCount")
    name = fields.String(data_key="currentFile")


class LogOut(Out):
    """The end of a file and which files there are; of a missing file without time and lines, but with an error."""

    text = fields.String(data_key="logs")
    size_bytes = fields.Integer(data_key="fileSize")
    modified_at = IsoInstant(data_key="lastModified", metadata=SOMETIMES)
    line_count = fields.Integer(data_key="lineCount", metadata=SOMETIMES)
    name = fields.String(data_key="currentFile", metadata=SOMETIMES)
    files = fields.List(fields.String(), data_key="availableFiles")
    error = fields.String(metadata=SOMETIMES)


_excerpt_out = ExcerptOut()


def dump_excerpt(excerpt: LogExcerpt | None, files: Sequence[str]) -> dict[str, Any]:
    """The end of a file, or that it is not there; and which files are."""
    if excerpt is None:  # wire: a missing file is answered with 200
        return {"logs": "", "fileSize": 0, "availableFiles": list(files), "error": "Log file not found"}
    return _excerpt_out.dump(excerpt) | {"availableFiles": list(files)}


def dump_files(files: Sequence[str], now: datetime) -> dict[str, Any]:
    """Which files there are, in the shape of an empty excerpt."""
    nothing = {"logs": "", "fileSize": 0, "lastModified": iso(now), "lineCount": 0, "currentFile": ""}
    return nothing | {"availableFiles": list(files)}
