"""Examples of the manual that other programs read use existing names."""

import re
from pathlib import Path

import yaml
from click import Group
from factories import make_run

from app.cli import main

ROOT = Path(__file__).resolve().parents[2]
HOMEPAGE, DEPLOYMENT = ((ROOT / "docs" / f"{name}.md").read_text() for name in ("homepage", "deployment"))


def test_homepage_uses_existing_fields(client, db):
    make_run(server_name="NAS")
    [widgets, headers] = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", HOMEPAGE, re.DOTALL))
    for service in widgets[0]["Backups"]:
        [described] = service.values()
        path = described["widget"]["url"].removeprefix("http://monitor.example:9666")
        answer = client.get(path).get_json()
        for mapping in described["widget"]["mappings"]:
            value = answer
            for name in mapping["field"].split("."):
                value = value[name]
            assert value is not None
    assert list(headers["headers"]) == ["X-Api-Key"]


def test_nginx_allows_every_body_that_is_accepted(app):
    [limit] = re.findall(r"client_max_body_size (\d+)m;", DEPLOYMENT)
    assert int(limit) * 1024 * 1024 >= app.config["MAX_CONTENT_LENGTH"]


def test_every_command_is_in_the_readme():
    table = (ROOT / "README.md").read_text().partition("## Command line")[2].partition("\n## ")[0]
    missing = [name for name in commands(main) if f"`duplistatus {name}" not in table and f"`{name}`" not in table]
    assert missing == []


def commands(group):
    for name, command in group.commands.items():
        if isinstance(command, Group):
            yield name
            yield from (f"{name} {inner}" if index == 0 else inner for index, inner in enumerate(command.commands))
        else:
            yield name
