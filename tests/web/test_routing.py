"""How URLs are parsed: which slashes separate parts, and which belong to a name."""

import pytest
from factories import report_document
from flask import url_for

from app.web.http import ENCODED_SLASH, path_as_sent, quoted

KEPT = f"/a/b{ENCODED_SLASH}c/d"


@pytest.mark.parametrize(
    ("sent", "path", "expected"),
    [
        ("/a/b%2Fc/d", "/a/b/c/d", KEPT),
        ("/a/b%2fc/d?x=%2F", "/a/b/c/d", KEPT),
        ("/prefix/a/b%2Fc/d", "/a/b/c/d", KEPT),  # a proxy removed its prefix from the path only
        ("http://host/a/b%2Fc/d", "/a/b/c/d", KEPT),
        ("/a/b%252Fc", "/a/b%2Fc", "/a/b%2Fc"),  # decoded once
        ("/rewritten%2F", "/a/b/c", "/a/b/c"),
        ("", "/a/b/c", "/a/b/c"),
        ("/%2F", "", ""),
        ("/%C3%A4%2F%FF", "/ä/\xff".encode("latin-1").decode("latin-1"), None),
    ],
)
def test_encoded_slashes_are_distinguished_from_others(sent, path, expected):
    environ = {"REQUEST_URI": sent, "PATH_INFO": path if expected else path.replace("ä", "\xc3\xa4")}
    assert path_as_sent(environ) == (f"/ä{ENCODED_SLASH}\ufffd" if expected is None else expected)


def test_quoting_returns_the_sent_path():
    assert quoted(path_as_sent({"REQUEST_URI": "/a%2F%C3%A4%25", "PATH_INFO": "/a/\xc3\xa4%"})) == "/a%2F%C3%A4%25"


@pytest.mark.parametrize(
    "name", ["a/b", "/", "a//b", "a/", "/password", "50%", "%2F", "ä:ö", "a?b#c", "a b", "..;", "a\\b", "a\nb"]
)
def test_a_name_in_a_url_is_received_unchanged(app, client, admin, name):
    assert client.post("/api/upload", json=report_document(server_id=name, job_name=name)).status_code == 200
    with app.test_request_context():
        addresses = {
            endpoint: url_for(endpoint, **{place: name}, **more)
            for endpoint, place, more in (
                ("servers.show", "server_id", {}),
                ("servers.detail", "server_id", {}),
                ("servers.show_url", "server_id", {}),
                ("servers.password_token", "server_id", {}),
                ("external.last_backup", "server", {}),
                ("external.last_backups", "server", {}),
                ("charts.of_server", "server_id", {}),
                ("charts.of_job", "server_id", {"backup_name": name}),
                ("pages.server", "server_id", {}),
            )
        }
    answers = {endpoint: admin.get(address) for endpoint, address in addresses.items()}
    assert {endpoint: answer.status_code for endpoint, answer in answers.items()} == dict.fromkeys(addresses, 200)
    assert answers["servers.show"].get_json()["id"] == name
    assert answers["servers.detail"].get_json()["server"]["id"] == name
    assert answers["servers.show_url"].get_json()["serverId"] == name
    assert answers["external.last_backup"].get_json()["server"]["id"] == name
    assert answers["charts.of_job"].get_json() == answers["charts.of_server"].get_json() != []


def test_names_at_the_end_of_a_url_are_accepted_with_plain_slashes_too(client, admin):
    client.post("/api/upload", json=report_document(server_id="a/b", job_name="c//d/"))
    assert client.get("/api/lastbackup/a/b").get_json()["server"]["id"] == "a/b"
    assert len(admin.get("/api/chart-data/server/a%2Fb/backup/c//d%2F").get_json()) == 1


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "address",
    ["/api/lastbackup/a%00b", "/api/servers/a%00b", "/api/chart-data/server/a/backup/%00", f"/api/api-keys/{2**63}"],
)
def test_impossible_names_are_not_found(admin, method, address):
    answer = admin.send(method, address, json={})
    assert (answer.status_code, answer.get_json()["error"]) == (404, "Not found")
