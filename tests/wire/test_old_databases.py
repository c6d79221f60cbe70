"""The recorded answers of the reference on old databases, given by an installation that imported them."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from applications import close
from real_server import real_server

from app.config import Settings
from app.factory import create_app
from app.legacy_import.importing import import_database

SHARED = Path(__file__).resolve().parents[3] / "shared"
CHECKER = SHARED / "conformance" / "wire.py"
OLD = sorted((SHARED / "olddb").glob("*.db"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not OLD or not CHECKER.exists(), reason="the recorded answers are not at hand"),
]


@pytest.mark.parametrize("file", OLD, ids=lambda file: file.stem)
def test_imported_installation_answers_as_recorded(file, tmp_path, installed):
    settings = Settings(data_dir=tmp_path, run_jobs=False, testing=True)
    app = create_app(settings, installed)
    with app.app_context():
        import_database(file, now=datetime.now(UTC))
    close(app)
    recorded = [file.with_suffix(".json"), file.with_suffix(".golden.json")]
    with real_server(tmp_path, RUN_JOBS="false") as server:
        told = subprocess.run([sys.executable, CHECKER, "check", server.url, *recorded], capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr
