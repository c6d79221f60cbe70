"""The command palette of the header."""

import pytest
from factories import make_run

from app.backups.models import Server
from app.core.db.orm import writing
from app.notifications import channels

pytestmark = pytest.mark.slow


@pytest.fixture
def two_servers(db):
    """Two servers, one of them with an address and an alias."""
    make_run(server_id="m-1", server_name="nas", job_name="photos")
    make_run(server_id="m-2", server_name="attic", job_name="mail & more")
    with writing() as session:
        nas = session.get(Server, "m-1")
        nas.alias, nas.note, nas.url = "Living room", "behind the books", "http://192.0.2.7:8200"


def found(client):
    return {entry["label"]: entry for entry in client.get("/palette").get_json()}


@pytest.mark.usefixtures("two_servers")
class TestPalette:
    def test_finds_servers_and_jobs(self, admin):
        entries = found(admin)
        assert entries["Living room"]["hint"] == "nas · behind the books"
        assert entries["mail & more"]["href"] == "/detail/m-2?backup=mail+%26+more"

    def test_finds_pages_and_settings(self, admin):
        entries = found(admin)
        assert entries["Charts"]["href"] == "/charts"
        assert entries["Users"]["href"] == "/settings/?tab=users"

    def test_every_entry_opens_a_page(self, admin):
        for entry in admin.get("/palette").get_json():
            assert admin.get(entry["href"], follow_redirects=True).status_code == 200, entry

    def test_it_is_for_signed_in_users(self, client):
        assert client.get("/palette").status_code in (302, 303, 401)


@pytest.mark.usefixtures("two_servers")
def test_the_pages_of_duplicati_servers_are_listed(admin):
    page = admin.get("/consoles").text
    assert 'href="http://192.0.2.7:8200"' in page
    assert 'href="http://192.0.2.7:8200/ngax"' in page
    assert "Living room (nas)" in page
    assert "attic" not in page


def test_the_topic_of_messages_is_on_the_configured_server(admin, db, clock):
    channels.save_settings("ntfy", "ntfy", {"url": "https://push.example", "topic": "my_topic"}, now=clock())
    assert admin.get("/ntfy").headers["Location"] == "https://push.example/my_topic"


class TestSubscribing:
    @pytest.mark.parametrize(
        ("url", "query", "expected"),
        [
            ("https://push.example", "", "ntfy://push.example/my_topic"),
            ("http://push.example:8080/", "?topic=ops", "ntfy://push.example:8080/ops?secure=false"),
        ],
    )
    def test_a_topic_is_shown_as_a_qr_code_without_its_token(self, admin, db, clock, url, query, expected):
        values = {"url": url, "topic": "my_topic", "token": "tk_secret"}
        channels.save_settings("ntfy", "ntfy", values, now=clock())
        page = admin.get(f"/ntfy/code{query}").text
        assert f">{expected}<" in page
        assert "qr-code" in page
        assert "tk_secret" not in page

    def test_a_separate_channel_has_its_qr_code_on_its_page(self, admin, db, clock):
        row = channels.save_settings("ntfy", "Phones", {"url": "https://a.example", "topic": "t"}, now=clock())
        assert f'href="/channels/{row.id}/code"' in admin.get(f"/settings/channels/{row.id}").text
        assert ">ntfy://a.example/t<" in admin.get(f"/channels/{row.id}/code").text

    def test_a_channel_without_a_subscription_shows_a_message(self, admin, db, clock):
        row = channels.save_settings("webhook", "Hook", {"url": "https://a.example"}, now=clock())
        assert f"/channels/{row.id}/code" not in admin.get(f"/settings/channels/{row.id}").text
        assert "the channel is not configured, or does not use one." in admin.get(f"/channels/{row.id}/code").text
