"""The six built-in charts, each a stored metric of a run.

Their names are part of the API.
"""

from app.plugin import N_, ChartProvider


class UploadedSize(ChartProvider):
    """Bytes sent to the destination."""

    name, label, unit, combine, column = "uploadedSize", N_("Uploaded size"), "bytes", "sum", "uploaded_bytes"


class Duration(ChartProvider):
    """How long the backups took."""

    name, label, unit, combine, column = "duration", N_("Duration"), "seconds", "sum", "duration_s"


class FileCount(ChartProvider):
    """Files examined."""

    name, label, unit, combine, column = "fileCount", N_("File count"), "count", "sum", "examined_files"


class FileSize(ChartProvider):
    """Bytes of the examined files."""

    name, label, unit, combine, column = "fileSize", N_("File size"), "bytes", "sum", "examined_bytes"


class StorageSize(ChartProvider):
    """Bytes in use at the destination."""

    name, label, unit, combine, column = "storageSize", N_("Storage size"), "bytes", "last", "storage_bytes"


class BackupVersions(ChartProvider):
    """Versions that can be restored."""

    name, label, unit, combine, column = "backupVersions", N_("Available versions"), "count", "last", "version_count"
