"""The tabs of display settings and about the program."""

import re
from dataclasses import replace

import pytest

from app.accounts import preferences, users
from app.accounts.display_pages import DisplayForm, locale_names
from app.backups import duplicati_versions
from app.plugin.testing.http_servers import Answer, recording_server
from app.registry import NOTIFICATION_CHANNELS, Broken

DISPLAY, ABOUT = "/settings/?tab=display", "/settings/?tab=about"
SCRIPT = {"HX-Request": "true"}
CHOSEN = {
    "theme": "dark",
    "language": "en-GB",
    "format_locale": "de-AT",
    "time_zone": "Europe/Vienna",
    "week_start": "sunday",
    "dashboard_view": "table",
    "dashboard_order": "newest",
    "table_page_size": "25",
    "chart_range": "3M",
    "chart_style": "bars",
    "refresh_s": "60",
}


def selected(page: str, name: str) -> str:
    """Return the value that a select shows."""
    part = page.partition(f'name="{name}"')[2].partition("</select>")[0]
    found = re.search(r'<option selected value="([^"]*)"', part)
    return found[1] if found else re.search(r'<option value="([^"]*)"', part)[1]


def stored(db) -> preferences.Preferences:
    db.session.rollback()
    user = users.find_by_name("admin")
    db.session.refresh(user)
    return preferences.of(user)


def test_choices_are_stored_with_the_account_and_shown_again(admin, db):
    assert admin.send("POST", "/settings/display", data=CHOSEN).status_code == 303
    chosen = stored(db)
    assert (chosen.theme, chosen.format_locale, chosen.time_zone) == ("dark", "de-AT", "Europe/Vienna")
    assert (chosen.table_page_size, chosen.refresh_s, chosen.is_refreshing) == (25, 60, False)
    page = admin.get(DISPLAY).text
    for name in ("time_zone", "week_start", "dashboard_view", "table_page_size", "chart_range", "refresh_s"):
        assert selected(page, name) == CHOSEN[name], name
    assert 'value="de-AT"' in page
    assert "31.12.24, 14:30 · 1.234,56" in page.replace("\xa0", "")


def test_every_choice_of_a_preference_is_offered(app):
    with app.test_request_context("/settings"):
        form = DisplayForm(formdata=None)
        form.offer()
        for field in form:
            known = preferences.CHOICES.get(field.name)
            if isinstance(known, tuple) and hasattr(field, "choices"):
                assert [choice.value for choice in field.choices] == list(map(str, known)), field.name


def test_a_script_gets_the_result_of_one_saved_choice(admin, db):
    admin.send("POST", "/settings/display", data=CHOSEN)
    headers = admin.csrf_headers() | SCRIPT
    answer = admin.post("/settings/display", data=CHOSEN | {"table_page_size": "10"}, headers=headers)
    assert answer.status_code == 200
    assert "Saved" in answer.text
    assert stored(db).table_page_size == 10


@pytest.mark.parametrize("change", [{"theme": "light"}, {"format_locale": ""}, {"time_zone": ""}])
def test_a_script_reloads_the_page_after_a_choice_that_affects_all_of_it(change, admin, db):
    admin.send("POST", "/settings/display", data=CHOSEN)
    headers = admin.csrf_headers() | SCRIPT
    answer = admin.post("/settings/display", data=CHOSEN | change, headers=headers)
    assert (answer.status_code, answer.headers["HX-Refresh"]) == (204, "true")


def test_an_unknown_locale_is_rejected_at_its_field_and_nothing_is_stored(admin, db):
    data = CHOSEN | {"format_locale": "Klingon"}
    answer = admin.send("POST", "/settings/display", data=data)
    assert answer.status_code == 400
    assert "Select a locale from the list, for example de-AT." in answer.text
    assert 'value="Klingon"' in answer.text
    assert stored(db) == preferences.Preferences(settings_tab=stored(db).settings_tab)
    headers = admin.csrf_headers() | SCRIPT
    assert admin.post("/settings/display", data=data, headers=headers).status_code == 200  # else htmx shows nothing


def test_other_accounts_have_their_own_choices(viewer, admin, db):
    assert viewer.send("POST", "/settings/display", data=CHOSEN).status_code == 303
    assert "disabled" not in viewer.get(DISPLAY).text.partition('id="display-form"')[2].partition("</form>")[0]
    assert stored(db).theme == "system"


def test_locales_are_named_in_the_language_of_the_reader(app):
    assert dict(locale_names("en-GB"))["de-AT"] == "German (Austria)"
    assert dict(locale_names("de"))["zh-Hant-TW"] == "Chinesisch (Traditionell, Taiwan)"
    assert len(locale_names("fr")) > 400


class TestVersionCheck:
    def test_check_is_off_by_default_and_runs_at_once_when_enabled(self, admin, db):
        with recording_server() as server:
            server.answers.append(Answer(200, b'{"version": "2.3.0.1_stable_2026-03-01"}'))
            values = {"is_enabled": "y", "every_hours": "6", "url": server.url}
            page = admin.send("POST", "/settings/about/version-check", data=values, follow_redirects=True).text
            assert len(server.received) == 1
        check = duplicati_versions.read()
        assert (check.is_enabled, check.every_hours, check.url) == (True, 6, server.url)
        assert "2.3.0.1" in page
        admin.send("POST", "/settings/about/version-check", data={"every_hours": "7", "url": ""})
        db.session.rollback()
        assert (duplicati_versions.read().is_enabled, duplicati_versions.read().every_hours) == (False, 6)

    def test_an_invalid_address_is_reported_at_its_field(self, admin):
        answer = admin.send("POST", "/settings/about/version-check", data={"url": "nowhere"})
        assert answer.status_code == 400
        assert 'id="url-error"' in answer.text

    def test_a_missing_response_is_reported(self, admin):
        values = {"is_enabled": "y", "every_hours": "6", "url": "http://127.0.0.1:9"}
        page = admin.send("POST", "/settings/about/version-check", data=values, follow_redirects=True).text
        assert "Saved, but the check failed:" in page

    def test_other_accounts_cannot_change_settings(self, viewer):
        assert viewer.send("POST", "/settings/about/version-check", data={}).status_code == 403


class TestAbout:
    @pytest.fixture
    def registry(self, installed):
        broken = Broken(NOTIFICATION_CHANNELS, "drums", "duplistatus-drums", "ImportError: no module named 'sticks'")
        return replace(installed, broken=(*installed.broken, broken))

    def test_versions_plugins_and_licences_are_shown(self, admin, settings):
        page = admin.get(ABOUT).text
        assert "duplistatus-webhook" in page
        assert "no module named &#39;sticks&#39;" in page
        assert str(settings.data_dir) in page
        assert "argon2-cffi" in page
        licences = re.findall(r'href="(/static/vendor/[^"]+/LICENSE[^"]*)"', page)
        assert len(licences) >= 6
        for file in licences:
            assert admin.get(file).mimetype == "text/plain"

    def test_other_accounts_cannot_see_the_data_directory(self, viewer, settings):
        page = viewer.get(ABOUT).text
        assert "SQLite" in page
        assert str(settings.data_dir) not in page
