"""Badges: created by administrators, public by their URL."""

from xml.etree import ElementTree

import pytest
from factories import make_run

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def make(admin):
    def make(**body):
        return admin.send("POST", "/api/badges", json=body)

    return make


def state_text(answer):
    assert answer.mimetype == "image/svg+xml"
    return ElementTree.fromstring(answer.data).find(f"{SVG}title").text.rpartition(": ")[2]


def test_there_is_no_badge_by_default(admin, client):
    assert admin.get("/api/badges").json == {"badges": []}
    answer = client.get("/badge/all.svg")
    assert (answer.status_code, state_text(answer)) == (404, "unknown")


def test_badge_without_slug_has_a_secret_one(db, make, client):
    make_run()
    slug = make().json["slug"]
    assert len(slug) >= 22
    assert state_text(client.get(f"/badge/{slug}.svg")) == "ok"


@pytest.mark.parametrize(
    ("place", "word"),
    [
        ({}, "failed"),
        ({"serverId": "a"}, "warning"),
        ({"serverId": "a", "backupName": "photos"}, "ok"),
    ],
)
def test_badge_shows_the_state_of_its_target(db, make, client, place, word):
    make_run(server_id="a", job_name="photos")
    make_run(server_id="a", job_name="music", status="Warning")
    make_run(server_id="b", status="Error")
    assert make(slug="mine", **place).status_code == 201
    assert state_text(client.get("/badge/mine.svg")) == word


def test_overdue_job_makes_a_badge_overdue(db, make, client, clock):
    make_run()
    make(slug="mine")
    clock.advance(days=9)
    assert state_text(client.get("/badge/mine.svg")) == "overdue"


def test_badge_is_cached_for_a_minute_and_has_an_etag(db, make, client):
    make(slug="mine")
    answer = client.get("/badge/mine.svg")
    assert answer.headers["Cache-Control"] == "max-age=60"
    again = client.get("/badge/mine.svg", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


def test_label_is_escaped_and_accessible(make, client):
    make(slug="mine", label='<b> & "c"')
    root = ElementTree.fromstring(client.get("/badge/mine.svg").data)
    assert root.get("role") == "img"
    assert root.get("aria-label") == '<b> & "c": unknown'


@pytest.mark.parametrize("slug", ["", "x", "a/b", "../etc", "a b", "-a", "ü" * 4, "a" * 65])
def test_invalid_slug_is_rejected(make, slug):
    answer = make(slug=slug)
    assert (answer.status_code, answer.json["error"].partition(":")[0]) == (400, "slug")


def test_slug_is_unique(make):
    assert [make(slug="mine").status_code for _ in range(2)] == [201, 409]


@pytest.mark.parametrize("body", [{"serverId": "nobody"}, {"serverId": "machine-1", "backupName": "nothing"}])
def test_badge_of_an_unknown_target_is_not_found(db, make, body):
    make_run()
    assert make(**body).status_code == 404


def test_job_needs_its_server(make):
    assert make(backupName="photos").json["error"].startswith("serverId:")


def test_deleted_badge_is_not_found(make, admin, client):
    make(slug="mine")
    assert admin.send("DELETE", "/api/badges/mine").status_code == 200
    assert client.get("/badge/mine.svg").status_code == 404
    assert admin.send("DELETE", "/api/badges/mine").status_code == 404


def test_visitor_manages_no_badges(client):
    assert client.get("/api/badges").status_code == 401
