"""The frame of the settings: which tab a URL opens, who sees which, and what is remembered."""

import re
from html.parser import HTMLParser

import pytest

from app.navigation.settings import TABS
from app.notifications import channels


def location(answer) -> str:
    assert answer.status_code == 303
    return answer.headers["Location"]


def current(page: str) -> list[str]:
    return re.findall(r'href="/settings/\?tab=([a-z-]+)"\s+aria-current="page"', page)


FOR_ALL = [tab.name for tab in TABS if not tab.is_for_admins]
FOR_ADMINS = [tab.name for tab in TABS if tab.is_for_admins]


def test_the_header_links_to_the_settings(admin):
    assert 'href="/settings/"' in admin.get("/").text


@pytest.mark.parametrize("name", FOR_ALL + FOR_ADMINS)
def test_every_tab_opens_and_is_marked(admin, name):
    answer = admin.get(f"/settings/?tab={name}")
    assert answer.status_code == 200
    assert current(answer.text) == [name]
    assert answer.text.count("<h1") == 1


@pytest.mark.parametrize("name", FOR_ALL)
def test_every_public_tab_opens_for_others_with_its_note(viewer, name):
    answer = viewer.get(f"/settings/?tab={name}")
    assert answer.status_code == 200
    assert "Only administrators can change settings." in answer.text


@pytest.mark.parametrize("name", FOR_ADMINS)
def test_tabs_of_administrators_redirect_others_to_the_first(viewer, name):
    assert location(viewer.get(f"/settings/?tab={name}")) == f"/settings/?tab={first(viewer)}"
    assert f"tab={name}" not in viewer.get("/settings/?tab=channels").text


def first(client) -> str:
    listed = client.get("/settings/?tab=channels").text.partition('class="settings-tabs"')[2]
    return re.search(r'href="/settings/\?tab=([a-z-]+)"', listed)[1]


def test_a_url_without_a_tab_opens_the_last_one(admin):
    assert location(admin.get("/settings")) == f"/settings/?tab={first(admin)}"
    admin.get("/settings/?tab=email")
    assert location(admin.get("/settings")) == "/settings/?tab=email"


def test_an_unknown_tab_opens_the_first(admin):
    admin.get("/settings/?tab=email")
    assert location(admin.get("/settings/?tab=no-such-tab")) == f"/settings/?tab={first(admin)}"


def test_section_is_an_alias_of_tab(admin):
    assert location(admin.get("/settings?section=channels&x=1")) == "/settings/?x=1&tab=channels"


def test_a_visitor_is_redirected_to_sign_in_and_back(client):
    assert client.get("/settings?tab=channels").location.endswith("/login?redirect=/settings%3Ftab%3Dchannels")


def test_ntfy_and_email_show_if_they_are_complete(admin):
    page = admin.get("/settings/?tab=channels").text
    states = dict(re.findall(r'tab=(ntfy|email)"[^>]*>.*?visually-hidden">([\w ]+)<', page, re.S))
    assert states == {"ntfy": "Ready", "email": "Setup incomplete"}


def test_email_without_login_settings_is_incomplete_with_a_reason(admin, db, clock):
    values = {"host": "mail.lan", "port": 25, "mailto": "a@b", "username": "u"}
    row = channels.save_settings("email", "email", values, now=clock())
    assert "Setup incomplete" in admin.get("/settings?tab=channels").text
    assert "Missing: Password." in admin.get(f"/settings/channels/{row.id}").text
    channels.save_settings("email", "email", values | {"password": "p"}, now=clock())
    assert "Setup incomplete" not in admin.get("/settings?tab=channels").text
    assert "Missing:" not in admin.get(f"/settings/channels/{row.id}").text


@pytest.mark.parametrize(("kind", "field"), [("ntfy", "setting_topic"), ("email", "setting_host")])
def test_standard_channels_have_their_own_tabs(admin, kind, field):
    page = admin.get(f"/settings/?tab={kind}").text
    assert f'name="{field}"' in page
    assert f'action="/settings/channels/{"new/email" if kind == "email" else 1}"' in page
    assert ("Anyone who knows the topic can read your notifications." in page) == (kind == "ntfy")


def test_others_see_that_email_is_not_set_up(viewer):
    page = viewer.get("/settings/?tab=email").text
    assert "Not configured" in page
    assert '<fieldset class="entries" disabled>' in page


def test_the_list_of_tabs_can_be_narrowed_permanently(admin):
    admin.send("POST", "/preferences", data={"is_sidebar_collapsed": "1"})
    page = admin.get("/settings/?tab=channels").text
    assert "is-collapsed" in page
    assert re.search(r'tab=ntfy"[^>]* title="ntfy"', page)
    admin.send("POST", "/preferences", data={"is_sidebar_collapsed": "0"})
    assert "is-collapsed" not in admin.get("/settings/?tab=channels").text


class Ids(HTMLParser):
    """Collects the ids of a page."""

    def __init__(self):
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name == "id"]


@pytest.mark.parametrize("name", FOR_ALL + FOR_ADMINS)
def test_no_id_occurs_twice_on_a_tab(admin, name):
    ids = Ids()
    ids.feed(admin.get(f"/settings/?tab={name}").text)
    assert len(ids.found) == len(set(ids.found))
