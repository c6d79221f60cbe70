"""docs/settings.md lists the settings as they are declared."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from settings_table import PAGE, with_table  # noqa: E402


def test_the_table_is_as_declared():
    page = PAGE.read_text()
    assert with_table(page) == page, "run scripts/settings_table.py"
