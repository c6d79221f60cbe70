"""Pages that collect from Duplicati servers, and the tab of the servers."""

import re
import time
from collections.abc import Iterator

import pytest
from duplicati_server import (
    BEGAN_AT,
    MACHINE_ID,
    OLD,
    PASSWORD,
    DuplicatiServer,
    Reply,
    as_json,
    duplicati_server,
    job,
)

from app.accounts import passwords
from app.accounts.models import ServerAccess, User
from app.backups.models import Server
from app.core.db.orm import writing
from app.database import secrets

pytestmark = pytest.mark.slow


@pytest.fixture
def duplicati() -> Iterator[DuplicatiServer]:
    """A fake Duplicati server with plain HTTP."""
    with duplicati_server() as server:
        yield server


@pytest.fixture
def send(admin, db):
    """Send a form as an administrator, with its token."""
    return sender(admin)


def sender(account):
    def send(path: str, **form):
        token = account.csrf_headers()["X-CSRF-Token"]
        return account.post(path, data={"csrf_token": token, **form})

    return send


def remember(server_id: str, url: str = "", **values) -> None:
    with writing() as session:
        session.add(Server(id=server_id, **{"name": server_id, "url": url, "created_at": BEGAN_AT, **values}))


def remember_with_password(server_id: str, url: str, **values) -> None:
    remember(server_id, url, encrypted_password=secrets.encrypt(PASSWORD), **values)


def record(db, server_id: str) -> Server | None:
    db.session.commit()
    return db.session.get(Server, server_id, populate_existing=True)


def finished_page(account, answer) -> str:
    """Return the page of a collection after its end."""
    assert answer.status_code == 303
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        page = account.get(answer.location).get_data(as_text=True)
        if "hx-trigger" not in page:
            return page
        time.sleep(0.02)
    raise AssertionError("the collection does not end")


def given(duplicati, **changes) -> dict:
    usual = {"hosts": "127.0.0.1", "port": duplicati.port, "password": PASSWORD, "connection": "http"}
    return {**usual, **changes}


def test_a_new_server_is_collected_from_and_monitored(admin, send, db, duplicati):
    page = finished_page(admin, send("/collect", **given(duplicati, keeps_document="y")))
    assert "Collected from 1 server" in page
    assert "nas-01" in page
    assert "/json" in page
    assert record(db, MACHINE_ID).has_password


def test_several_hosts_have_a_line_each(admin, send, duplicati):
    page = finished_page(admin, send("/collect", **given(duplicati, hosts="127.0.0.1, localhost")))
    assert page.count('class="collect-state"') == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hosts": ""}, "Enter a host name or an address."),
        ({"hosts": "nas, a b, c d"}, "Invalid host names: a b, c d"),
        ({"password": ""}, "Enter the password."),
        ({"port": "0"}, "Enter a port from 1 to 65535."),
        ({"port": "x"}, "Enter a port from 1 to 65535."),
        ({"server_id": "nobody"}, "This server no longer exists or has no URL."),
        ({"headers": "Host: x"}, "Host cannot be set"),
    ],
)
def test_form_reports_errors_at_their_field(send, duplicati, changes, words):
    answer = send("/collect", **given(duplicati, **changes))
    assert answer.status_code == 400
    assert words in answer.get_data(as_text=True)
    assert PASSWORD not in answer.get_data(as_text=True)


def test_known_server_needs_no_password_and_a_new_one_replaces_it(admin, send, db, duplicati):
    remember_with_password("m-1", duplicati.url)
    page = finished_page(admin, send("/collect", server_id="m-1"))
    assert "Collected from 1 server" in page
    with writing():
        db.session.get(Server, "m-1").encrypted_password = secrets.encrypt("old")
    finished_page(admin, send("/collect", server_id="m-1", password=PASSWORD))
    assert secrets.decrypt(record(db, "m-1").encrypted_password) == PASSWORD
    remember("m-2", duplicati.url)
    assert "No password is stored" in send("/collect", server_id="m-2").get_data(as_text=True)


def test_headers_for_a_known_server_need_the_password(send, db, duplicati):
    remember_with_password("m-1", duplicati.url)
    answer = send("/collect", server_id="m-1", headers="X-Token: hush")
    assert answer.status_code == 400
    assert "Enter the password." in answer.get_data(as_text=True)
    assert not duplicati.requests


def test_failure_is_explained_and_can_be_retried(admin, send, duplicati):
    remember_with_password("m-1", duplicati.url)
    duplicati.replies["/login"] = Reply(200, b"<html>")
    page = finished_page(admin, send("/collect/known", back="/"))
    assert "Collection failed for 1 of 1 servers" in page
    assert "This address is not a Duplicati server." in page
    assert "Retry failed servers" in page


def test_collecting_from_all_without_any_returns_with_a_message(admin, send):
    answer = send("/collect/known", back="/settings?tab=server")
    assert answer.location == "/settings?tab=server"
    assert "No server can be collected from:" in admin.get("/settings?tab=server").get_data(as_text=True)


def test_collection_is_visible_to_its_user_only(admin, send, client, db, duplicati):
    answer = send("/collect", **given(duplicati))
    finished_page(admin, answer)
    viewer(client)
    assert client.get(answer.location).status_code == 404


def viewer(client, *server_ids: str) -> None:
    """Sign in with an account that sees some servers only."""
    with writing() as session:
        user = User(
            id="v",
            username="viewer",
            password_hash=passwords.hash_password("Viewer1234"),
            sees_all_servers=False,
            created_at=BEGAN_AT,
            updated_at=BEGAN_AT,
        )
        session.add(user)
        session.flush()
        session.add_all(ServerAccess(user_id="v", server_id=server_id) for server_id in server_ids)
    assert client.sign_in("viewer", "Viewer1234").status_code == 200


def test_limited_account_sees_its_servers_only_and_changes_none(client, db, duplicati):
    remember_with_password("seen", duplicati.url)
    remember_with_password("hidden", duplicati.url)
    viewer(client, "seen")
    for address in ("/settings?tab=server", "/collect"):
        page = client.get(address).get_data(as_text=True)
        assert "seen" in page
        assert "hidden</" not in page
    assert client.get("/settings/servers/hidden").status_code == 404
    own = client.get("/settings/servers/seen").get_data(as_text=True)
    assert '<fieldset class="entries" disabled' in own
    post = sender(client)
    assert post("/settings/servers/hidden/try").status_code == 404
    for path in ("", "/password", "/password/remove", "/delete"):
        assert post(f"/settings/servers/seen{path}").status_code == 403
    assert post("/detail/seen/run", backup="Photos").status_code == 403
    page = finished_page(client, post("/collect/known"))
    assert page.count('class="collect-state"') == 1


def test_the_page_of_a_server_collects_from_it_only(admin, send, db, duplicati):
    remember_with_password("one", duplicati.url)
    remember_with_password("two", duplicati.url)
    assert '<input type="hidden" name="server" value="one">' in admin.get("/detail/one").text
    page = finished_page(admin, send("/collect/known", server="one", back="/detail/one"))
    assert page.count('class="collect-state"') == 1


def test_tab_lists_servers_with_missing_settings(admin, db, duplicati):
    remember("without anything")
    remember("without password", duplicati.url)
    remember_with_password("complete", duplicati.url, alias="Cellar", note="in the hall")
    page = admin.get("/settings?tab=server").get_data(as_text=True)
    assert "Not set up for collecting" in page
    assert "No password<" in page
    assert "Collect all (1)" in page
    assert admin.get("/settings?tab=server&q=HALL").get_data(as_text=True).count('class="row-tools"') == 1
    assert "No match for “" in admin.get("/settings?tab=server&q=nothing").get_data(as_text=True)
    names = re.findall(r'servers/[^"]+">([\w ]+)</a>', admin.get("/settings?tab=server&sort=-name").text)
    assert names == ["without password", "without anything", "Cellar"]


def test_empty_list_explains_how_servers_are_added(admin):
    assert "Servers appear with their first report, or can be added here." in admin.get(
        "/settings?tab=server"
    ).get_data(as_text=True)


def test_server_is_changed(admin, send, db, duplicati):
    remember_with_password("m-1", duplicati.url)
    form = {"alias": "Cellar", "note": "x", "url": duplicati.url, "collect_interval": "6h"}
    assert send("/settings/servers/m-1", **form).status_code == 303
    saved = record(db, "m-1")
    assert (saved.alias, saved.collect_interval, saved.verifies_certificate) == ("Cellar", "6h", False)
    moved = {**form, "url": "https://elsewhere.example"}
    assert send("/settings/servers/m-1", **moved).status_code == 303
    assert "The stored password was removed" in admin.get("/settings/servers/m-1").get_data(as_text=True)
    assert not record(db, "m-1").has_password


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": "nas"}, "Enter a URL that starts with http:// or https://."),
        ({"url": "ftp://nas"}, "Enter a URL that starts with http:// or https://."),
        ({"url": "http://169.254.169.254"}, "are not allowed"),
        ({"collect_interval": "1s"}, "Select an interval from the list."),
    ],
)
def test_nothing_of_a_server_is_saved_on_an_error(send, db, changes, words):
    remember("m-1")
    answer = send("/settings/servers/m-1", **{"alias": "new", "url": "", "collect_interval": "", **changes})
    assert answer.status_code == 400
    assert words in answer.get_data(as_text=True)
    assert record(db, "m-1").alias == ""


def test_password_is_entered_twice_and_removed(send, db):
    remember("m-1")
    path = "/settings/servers/m-1/password"
    assert "The passwords do not match." in send(path, password="a", again="b").get_data(as_text=True)
    assert send(path, password="  ", again="  ").status_code == 400
    assert send(path, password="geheim", again="geheim").status_code == 303
    assert secrets.decrypt(record(db, "m-1").encrypted_password) == "geheim"
    assert send(f"{path}/remove").status_code == 303
    assert not record(db, "m-1").has_password


def test_empty_password_is_stored_for_a_server_without_password(send, db):
    remember("m-1")
    assert send("/settings/servers/m-1/password", is_empty="y").status_code == 303
    assert record(db, "m-1").has_password


def test_older_duplicati_without_a_password_is_collected_from(admin, send):
    with duplicati_server(OLD) as server:
        server.password = ""
        page = finished_page(admin, send("/collect", **given(server, password="", has_no_password="y")))
    assert "Collected from 1 server" in page


def test_headers_are_set_shown_by_name_and_removed(admin, send, db, duplicati):
    remember_with_password("m-1", duplicati.url)
    path = "/settings/servers/m-1/headers"
    assert "Request headers for m-1" in admin.get(path).text
    assert send(path, headers="X-Token: hush\nX-User: me").status_code == 303
    page = admin.get("/settings/servers/m-1").text
    assert "Sent with every request: X-Token, X-User" in page
    assert "hush" not in page + admin.get(path).text
    send("/settings/servers/m-1/try")
    assert duplicati.requests[-1].headers["x-token"] == "hush"
    assert send(f"{path}/remove").status_code == 303
    assert not record(db, "m-1").has_headers


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Enter a header."),
        ("hush", "Line 1 is not a header."),
        ("a b: hush", "a b is not a valid header name."),
        ("Host: hush", "Host cannot be set"),
        ("X: hush\nx: hush", "x is entered twice."),
        ("X: hüsh", "X needs a value"),
        ("\n".join(f"X-{number}: hush" for number in range(21)), "At most 20 headers"),
        (f"X: {9000 * 'h'}", "exceed 8 KiB"),
    ],
)
def test_unsendable_headers_are_reported_at_their_field(send, db, text, words):
    remember("m-1")
    answer = send("/settings/servers/m-1/headers", headers=text)
    assert (answer.status_code, words in answer.text, "hush" in answer.text.split("<form")[0]) == (400, True, False)
    assert not record(db, "m-1").has_headers


def test_job_without_runs_is_shown_with_its_state_only(admin, send, db, duplicati):
    duplicati.jobs.append(job("5", "New", LastErrorDate="20310504T110000Z", LastErrorMessage="Disk is <missing>"))
    duplicati.running = "5"
    finished_page(admin, send("/collect", **given(duplicati)))
    shown = admin.get(f"/detail/{MACHINE_ID}").text
    assert "<strong>New</strong>: Running since" in shown
    assert "Disk is &lt;missing&gt;" in shown
    assert "New" not in [each["name"] for each in admin.get("/api/dashboard").json["serversSummary"][0]["backupInfo"]]


def test_running_job_and_newer_error_are_shown(admin, send, db, duplicati):
    finished_page(admin, send("/collect", **given(duplicati)))
    duplicati.jobs = [job("3", "Photos", LastErrorDate="20310504T110000Z", LastErrorMessage="Disk is <missing>")]
    duplicati.running = "3"
    page = finished_page(admin, send("/collect/known", server=MACHINE_ID))
    assert "Photos: running since" in page
    for address in (f"/detail/{MACHINE_ID}?backup=Photos", f"/detail/{MACHINE_ID}/job?backup=Photos"):
        shown = admin.get(address).text
        assert "Running since" in shown
        assert "Disk is &lt;missing&gt;" in shown


def test_rejected_host_name_is_reported_with_its_solution(admin, send, duplicati):
    rejection = as_json({"Error": "Invalid hostname: nas", "Code": 403}, 403)
    duplicati.replies["/login"] = rejection
    assert "--webservice-allowed-hostnames" in finished_page(admin, send("/collect", **given(duplicati)))


def test_connection_is_tested_in_place(admin, db, duplicati):
    remember("m-1", duplicati.url)
    remember("m-2")
    headers = {**admin.csrf_headers(), "HX-Request": "true"}
    assert "Connected" in admin.post("/settings/servers/m-1/try", headers=headers).get_data(as_text=True)
    assert "Enter a URL first." in admin.post("/settings/servers/m-2/try", headers=headers).get_data(as_text=True)


def test_servers_of_one_name_are_merged(admin, send, db):
    remember("old", name="nas")
    remember("new", name="nas")
    remember("other", name="pc")
    assert "Several servers are named nas" in admin.get("/settings?tab=server").get_data(as_text=True)
    assert admin.get("/settings/servers/merge?name=pc").status_code == 404
    assert send("/settings/servers/merge", name="nas", target="new").status_code == 303
    assert record(db, "old") is None
    assert record(db, "other") is not None


def test_server_is_deleted_after_confirmation(admin, send, db):
    remember("m-1")
    assert "Delete m-1?" in admin.get("/settings/servers/m-1/delete").get_data(as_text=True)
    assert send("/settings/servers/m-1/delete").status_code == 303
    assert record(db, "m-1") is None


def test_job_is_started_and_the_result_shown(admin, send, duplicati):
    finished_page(admin, send("/collect", **given(duplicati)))
    here = f"/detail/{MACHINE_ID}?backup=Photos"
    assert "Run now" in admin.get(here).get_data(as_text=True)
    assert send(f"/detail/{MACHINE_ID}/run", backup="Photos", back=here).location == here
    assert "Run of Photos requested" in admin.get(here).get_data(as_text=True)
    duplicati.jobs = []
    send(f"/detail/{MACHINE_ID}/run", backup="Photos", back=here)
    assert "The server no longer has a backup job with this name." in admin.get(here).get_data(as_text=True)
