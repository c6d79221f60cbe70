"""Brings the database of the reference along, whatever its version: opened, mapped, written, told in a report."""

from app.services.transfer.importing import import_database
from app.services.transfer.reports import Count, ImportReport
from app.services.transfer.source import NotImportable

__all__ = ["Count", "ImportReport", "NotImportable", "import_database"]
