"""The language of a page, and how it is chosen."""

import pytest


def language_of(page):
    return page.text.split('<html lang="', 1)[1].split('"', 1)[0]


@pytest.mark.parametrize(
    ("asked", "spoken"),
    [
        ("de-AT,de;q=0.9,en;q=0.5", "de"),
        ("pt", "pt-BR"),
        ("zh-CN", "zh-Hans"),
        ("hi-Latn", "hi"),
        ("ja,fr;q=0.3", "fr"),
        ("ja", "en-GB"),
        ("", "en-GB"),
    ],
)
def test_visitors_get_the_language_of_their_browser(client, asked, spoken):
    assert language_of(client.get("/login", headers={"Accept-Language": asked})) == spoken


def test_a_choice_before_signing_in_is_stored_in_the_browser(client):
    answer = client.send("POST", "/language", data={"language": "fr", "back": "/login?redirect=/charts"})
    assert answer.headers["Location"] == "/login?redirect=/charts"
    assert language_of(client.get("/login", headers={"Accept-Language": "de"})) == "fr"


def test_a_choice_of_an_account_applies_to_other_devices(app, admin):
    admin.send("POST", "/language", data={"language": "es", "back": "/charts"})
    elsewhere = app.test_client()
    elsewhere.sign_in()
    assert language_of(elsewhere.get("/charts", headers={"Accept-Language": "de"})) == "es"


@pytest.mark.parametrize("code", ["xx", "", "../de"])
def test_an_unsupported_language_changes_nothing(admin, code):
    assert "NEXT_LOCALE" not in admin.send("POST", "/language", data={"language": code}).headers.get("Set-Cookie", "")
    assert language_of(admin.get("/charts")) == "en-GB"


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:1"])
def test_choosing_a_language_redirects_to_no_other_host(client, back):
    answer = client.send("POST", "/language", data={"language": "de", "back": back})
    assert answer.headers["Location"] == "/"


def test_error_pages_are_in_the_language_of_the_browser(client):
    assert language_of(client.get("/nothing-here", headers={"Accept-Language": "de"})) == "de"
