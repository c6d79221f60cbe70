"""Choices of an account: typed, with defaults, and without unknown ones."""

import pytest

from app.accounts import preferences, users


@pytest.fixture
def account(db):
    return users.find_by_name("admin")


def read(account, db) -> preferences.Preferences:
    db.session.rollback()
    db.session.refresh(account)
    return preferences.of(account)


def test_an_account_without_choices_has_the_defaults(account):
    assert preferences.of(account) == preferences.Preferences()


@pytest.mark.parametrize("visitor", [None, object()])
def test_visitors_have_the_defaults(visitor):
    assert preferences.of(visitor) == preferences.Preferences()


def test_every_preference_has_its_choices():
    assert set(preferences.CHOICES) == set(preferences.Preferences.__dataclass_fields__)


def test_form_text_is_converted_to_its_type(account, db, clock):
    form = {"table_page_size": "25", "is_refreshing": "0", "refresh_s": "60", "theme": "dark", "language": "fr"}
    preferences.save(account.id, form, now=clock.now)
    chosen = read(account, db)
    assert (chosen.table_page_size, chosen.is_refreshing, chosen.refresh_s, chosen.theme) == (25, False, 60, "dark")
    assert account.language == "fr"


@pytest.mark.parametrize(
    "form",
    [
        {"table_page_size": "7"},
        {"table_page_size": "9" * 5000},
        {"theme": "purple"},
        {"language": "tlh"},
        {"time_zone": "Moon/Tranquility"},
        {"time_zone": "../../etc/passwd"},
        {"format_locale": "xx-XX"},
        {"settings_tab": "<script>"},
        {"dashboard_sort": "x" * 100},
        {"is_refreshing": "perhaps"},
        {"unheard_of": "1"},
    ],
)
def test_unknown_preferences_are_ignored(form, account, db, clock):
    preferences.save(account.id, form, now=clock.now)
    assert read(account, db) == preferences.Preferences()
    assert account.preferences == {}
    assert account.language is None


@pytest.mark.parametrize("stored", [{"theme": "purple"}, {"table_page_size": "many"}, {"gone": 1}, {"refresh_s": True}])
def test_preferences_stored_by_an_older_version_are_harmless(stored, account, db):
    account.preferences = stored
    assert preferences.of(account) == preferences.Preferences()


def test_last_used_choices_are_not_audited_as_a_change_of_the_account(account, db, clock):
    before = account.updated_at
    preferences.remember(account, settings_tab="users")
    assert read(account, db).settings_tab == "users"
    assert account.updated_at == before


@pytest.mark.parametrize(
    ("chosen", "locale", "day"),
    [
        ({}, "en-GB", preferences.MONDAY),
        ({}, "en-US", preferences.SUNDAY),
        ({}, "de", preferences.MONDAY),
        ({}, "de-AT", preferences.MONDAY),
        ({}, "pt-BR", preferences.SUNDAY),
        ({}, "hi", preferences.SUNDAY),
        ({"format_locale": "fr-CA"}, "en-US", preferences.MONDAY),
        ({"week_start": "sunday"}, "de", preferences.SUNDAY),
        ({"week_start": "monday"}, "en-US", preferences.MONDAY),
    ],
)
def test_first_day_of_the_week_is_chosen_or_that_of_the_locale(chosen, locale, day):
    assert preferences.Preferences(**chosen).first_weekday(locale) == day
