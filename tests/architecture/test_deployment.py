"""The systemd unit, as systemd itself parses it."""

import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parents[2] / "deploy" / "duplistatus.service"
SERVICE = [line.partition("=")[::2] for line in UNIT.read_text().splitlines() if "=" in line and line[0] != "#"]
# In tenths. Below 5 is what systemd calls OK; the unit without these lines had 8.5.
MOST_EXPOSED = 20


def test_a_start_installs_nothing():
    assert not [
        value for name, value in SERVICE if name.startswith("ExecStartPre") or "pip" in value or "make" in value
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RestartPreventExitStatus", "2"),
        ("UMask", "0077"),
        ("ProtectSystem", "strict"),
        ("CapabilityBoundingSet", ""),
        ("NoNewPrivileges", "true"),
        ("SystemCallFilter", "@system-service"),
    ],
)
def test_the_service_has_few_permissions_and_is_not_restarted_on_bad_settings(name, value):
    assert (name, value) in SERVICE


def test_systemd_rates_the_service_as_safe():
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze")
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED}", UNIT]
    result = subprocess.run(command, capture_output=True, text=True)
    if "unrecognized option" in result.stderr:
        pytest.skip("systemd-analyze is too old for units that are not installed")
    assert result.returncode == 0, result.stdout
