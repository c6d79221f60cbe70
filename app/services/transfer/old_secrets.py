"""Secrets of an old installation: opened with its key file, to be closed again with ours."""

from pathlib import Path

from app.services import secrets
from app.services.transfer.reports import ImportReport
from app.services.transfer.source import NotImportable

OTHER_ENDING = ".key"


def find_key(file: Path, key_path: Path | None) -> bytes | None:
    """The key of an old database: the file that was named, else one beside it; None when there is none.

    Raises NotImportable for a key file that was named, or lies there, and is none.
    """
    beside = (file.with_name(secrets.KEY_FILE), file.with_suffix(OTHER_ENDING))
    chosen = key_path or next((path for path in beside if path.is_file()), None)
    if chosen is None:
        return None
    try:
        return secrets.read_key(chosen)
    except secrets.KeyUnusable as error:
        raise NotImportable(error.message) from error


class OldSecrets:
    """Opens secrets of the old file as far as that is possible, and says what is lost."""

    def __init__(self, key: bytes | None, fingerprint: str | None, report: ImportReport) -> None:
        self._key = key
        self._report = report
        if key is not None and fingerprint and fingerprint != secrets.fingerprint_of(key):
            report.remark("The key file is not the one that the old installation used last")

    def open(self, text: object, what: str) -> str:
        """A secret in clear; empty, with a remark about `what`, when it cannot be opened."""
        if not isinstance(text, str) or not text:
            return ""
        if self._key is not None:
            try:
                return secrets.decrypt_with(self._key, text)
            except secrets.Undecryptable:
                self._report.remark(f"{what} was cleared: the key file does not open it, please enter it again")
                return ""
        self._report.remark(f"{what} was cleared: without the old key file nobody can read it, please enter it again")
        return ""
