"""The recorded responses of the original program on old databases, compared with an installation that imported them."""

from datetime import UTC, datetime

import pytest
import replay
from applications import close
from old_installations import SAMPLES
from real_server import real_server

from app.config import Settings
from app.factory import create_app
from app.legacy_import.importing import import_database

OLD = sorted(SAMPLES.glob("*.db"))
assert OLD, f"no databases in {SAMPLES}"

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("file", OLD, ids=lambda file: file.stem)
def test_imported_installation_responds_as_recorded(file, tmp_path, installed):
    settings = Settings(data_dir=tmp_path, run_jobs=False, testing=True)
    app = create_app(settings, installed)
    with app.app_context():
        import_database(file, now=datetime.now(UTC))
    close(app)
    scenario, golden = (replay.read_json(file.with_suffix(suffix)) for suffix in (".json", ".golden.json"))
    with real_server(tmp_path, RUN_JOBS="false") as server:
        found = replay.check(server.url, scenario, golden)
    assert found
    assert {name: lines for name, lines in found.items() if lines} == {}
