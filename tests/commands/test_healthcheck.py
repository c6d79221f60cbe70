"""The health check of containers follows HOST, PORT and BASE_PATH."""

import subprocess
import sys

import pytest
from click.testing import CliRunner
from real_server import ROOT, real_server

from app.cli import main
from app.config import from_environment
from app.healthcheck import health_url

IMAGE = (ROOT / "deploy" / "Containerfile").read_text()


def check(**environment):
    result = CliRunner().invoke(main, ["healthcheck"], env=environment)
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, "http://127.0.0.1:9666/api/health"),
        ({"PORT": "8080", "BASE_PATH": "/backups/"}, "http://127.0.0.1:8080/backups/api/health"),
        ({"HOST": "192.0.2.1", "BASE_PATH": "/"}, "http://192.0.2.1:9666/api/health"),
        ({"HOST": "::"}, "http://[::1]:9666/api/health"),
        ({"HOST": "2001:db8::1"}, "http://[2001:db8::1]:9666/api/health"),
    ],
)
def test_it_requests_the_address_of_the_server(environment, url):
    assert health_url(from_environment(environment)) == url


@pytest.mark.slow
def test_it_reports_if_the_server_is_healthy(tmp_path):
    place = {"BASE_PATH": "/backups"}
    with real_server(tmp_path, base_path="/backups", **place) as server:
        place |= {"HOST": "127.0.0.1", "PORT": str(server.port), "http_proxy": "http://127.0.0.1:9"}
        assert check(**place) == (0, "healthy\n")
        status, output = check(**place | {"BASE_PATH": "/elsewhere"})
        assert (status, "/elsewhere/api/health returned 404" in output) == (1, True)
    status, output = check(**place)
    assert (status, "is not reachable" in output) == (1, True)


def test_an_invalid_setting_is_named():
    status, output = check(PORT="high")
    assert (status, "PORT='high'" in output) == (1, True)


def test_it_imports_few_modules():
    listed = "import app.healthcheck, sys; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", listed], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"flask", "sqlalchemy", "app.factory"} & set(result.stdout.split())


def test_the_image_uses_it_and_allows_time_for_the_first_start():
    [line] = [line for line in IMAGE.splitlines() if line.startswith("HEALTHCHECK")]
    assert "--start-period=" in line
    assert line.endswith('CMD ["python", "-m", "app.healthcheck"]')


def test_the_image_installs_requirements_before_it_copies_the_sources():
    steps = [line for line in IMAGE.splitlines() if line.startswith(("COPY", "RUN pip", "RUN sed"))]
    assert steps[0] == "COPY requirements.txt ."
    assert steps.index("COPY . .") > next(index for index, step in enumerate(steps) if "pip install" in step)
