"""Newest versions of Duplicati: requested only if enabled, from a fake server, and shown with those of the servers."""

import json
from datetime import timedelta

import pytest
from factories import BEGAN_AT, make_run
from sqlalchemy import select

from app.audit.log import AuditEntry
from app.backups import duplicati_versions, overview
from app.plugin.testing.http_servers import Answer, recording_server
from app.scheduling import tasks

PATH = "/api/duplicati-versions"
STABLE, BETA = "2.3.0.2_stable_2031-04-10", "2.3.0.1_beta_2031-03-01"
INSTALLED = "2.2.0.1 (2.2.0.1_stable_2030-11-09)"


def manifest(version: str) -> Answer:
    """Return the response of an update server for one channel."""
    return Answer(body=json.dumps({"linux-x64-cli": {"filename": f"duplicati-{version}-linux.zip"}}).encode())


@pytest.fixture
def source():
    """A fake update server."""
    with recording_server() as server:
        server.standard = Answer(404)
        yield server


@pytest.fixture
def enable_check(admin, source):
    """Enable the check, with the fake update server."""

    def enable_check(path: str = "/{channel}/latest", **further):
        return admin.send("PATCH", PATH, json={"enabled": True, "url": source.url + path, **further}).get_json()

    return enable_check


def check(admin):
    return admin.send("POST", f"{PATH}/check").get_json()


def test_nothing_is_requested_until_enabled(app, admin, source, clock):
    assert admin.get(PATH).get_json() == {
        "enabled": False,
        "everyHours": 24,
        "url": "",
        "newest": {},
        "checkedAt": None,
        "error": "",
    }
    admin.send("PATCH", PATH, json={"url": f"{source.url}/"})
    assert admin.send("POST", f"{PATH}/check").status_code == 400
    assert tasks.run_task(app, tasks.VERSION_CHECK).message == "No version check was due"
    assert source.received == []


def test_each_channel_is_requested_if_the_address_has_a_placeholder(admin, source, enable_check):
    enable_check()
    source.answers = [manifest(STABLE), manifest(BETA), Answer(500), Answer(body=b"no release yet")]
    result = check(admin)
    assert [one.path for one in source.received] == [
        f"/{channel}/latest" for channel in ("stable", "beta", "experimental", "canary")
    ]
    assert (result["newest"], result["checkedAt"]) == (
        {"stable": "2.3.0.2", "beta": "2.3.0.1"},
        "2031-05-04T12:00:00.000Z",
    )
    assert "experimental: the server returned status 500" in result["error"]
    assert "canary: the answer names no version" in result["error"]
    assert source.received[0].headers["user-agent"].startswith("duplistatus/")


def test_one_list_may_contain_all_channels(admin, source, enable_check):
    enable_check("/releases?token=secret")
    source.answers = [Answer(body=f"{BETA} {STABLE} 2.2.0.9_stable_2031-01-01".encode())]
    assert check(admin)["newest"] == {"beta": "2.3.0.1", "stable": "2.3.0.2"}
    assert len(source.received) == 1


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(302, headers={"Location": "/elsewhere"}), "status 302"),
        (Answer(body=b"x" * 100), "too large"),
        (Answer(hangs_up=True), "no connection to the server"),
    ],
)
def test_error_is_reported_without_the_address_and_keeps_known_versions(
    admin, source, enable_check, monkeypatch, answer, sentence
):
    enable_check("/releases?token=secret")
    source.answers = [Answer(body=STABLE.encode()), answer]
    check(admin)
    monkeypatch.setattr(duplicati_versions, "MOST_BYTES", 50)
    result = check(admin)
    assert result["newest"] == {"stable": "2.3.0.2"}
    assert sentence in result["error"]
    assert "secret" not in result["error"]
    assert [one.path for one in source.received] == ["/releases?token=secret"] * 2


def test_forbidden_address_is_reported(admin, enable_check):
    admin.send("PATCH", PATH, json={"enabled": True, "url": "http://169.254.169.254/"})
    assert "which is not allowed" in check(admin)["error"]


def test_another_address_clears_the_result_of_the_old_one(admin, source, enable_check):
    enable_check("/old")
    source.answers = [Answer(body=STABLE.encode())]
    check(admin)
    assert enable_check("/new")["newest"] == {}


@pytest.mark.parametrize("hours", [6, 12, 24])
def test_task_checks_at_the_configured_interval(app, admin, source, enable_check, clock, hours):
    enable_check("/list", everyHours=hours)
    source.standard = Answer(body=STABLE.encode())
    for elapsed in (0, 1, hours - 2, 1):
        clock.advance(hours=elapsed)
        tasks.run_task(app, tasks.VERSION_CHECK)
    assert len(source.received) == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"everyHours": 5}, "everyHours"),
        ({"everyHours": "6"}, "everyHours"),
        ({"url": "ftp://x/{channel}"}, "url"),
        ({"url": "x" * 3000}, "url"),
        ({"enabled": None}, "enabled"),
        ({"interval": 6}, "interval"),
    ],
)
def test_invalid_setting_is_rejected_with_its_field(admin, body, field):
    answer = admin.send("PATCH", PATH, json=body)
    assert (answer.status_code, list(answer.get_json()["fields"])) == (400, [field])


def test_change_is_recorded_without_the_address(admin, enable_check, db):
    enable_check("/releases?token=secret", everyHours=6)
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "version_check_updated")).one()
    assert entry.details == {"enabled": True, "everyHours": 6}


def test_dashboard_shows_the_version_of_each_server_and_the_newest(admin, source, enable_check, db):
    make_run(duplicati_version="2.3.0.2 (2.3.0.2_stable_2031-04-10)", began_at=BEGAN_AT - timedelta(days=1))
    make_run(duplicati_version=INSTALLED, job_name="mail")
    make_run(server_id="m-2", server_name="new", duplicati_version="2.3.0.2 (2.3.0.2_stable_2031-04-10)")
    make_run(server_id="m-3", server_name="old")

    def shown():
        keys = ("duplicatiVersion", "newestDuplicatiVersion", "isDuplicatiOutdated")
        servers = admin.get("/api/dashboard").get_json()["serversSummary"]
        return {server["name"]: tuple(server[key] for key in keys) for server in servers}

    assert shown() == {"nas": ("2.2.0.1", None, False), "new": ("2.3.0.2", None, False), "old": (None, None, False)}
    enable_check("/list")
    source.answers = [Answer(body=STABLE.encode())]
    check(admin)
    assert shown() == {
        "nas": ("2.2.0.1", "2.3.0.2", True),
        "new": ("2.3.0.2", "2.3.0.2", False),
        "old": (None, None, False),
    }
    admin.send("PATCH", PATH, json={"enabled": False})
    assert shown()["nas"] == ("2.2.0.1", None, False)


def test_overview_contains_the_versions_for_the_pages(db, clock):
    make_run(duplicati_version=INSTALLED)
    (server,) = overview.overview(clock(), None).servers
    assert (str(server.duplicati.version), server.duplicati.newest) == ("2.2.0.1", None)
