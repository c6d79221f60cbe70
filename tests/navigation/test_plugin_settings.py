"""A plugin declares settings, which get a page, a check, an audit entry and a check on restore."""

import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from io import BytesIO
from types import ModuleType

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from marshmallow import ValidationError
from sqlalchemy import select

from app.audit.log import AuditEntry
from app.core.errors import Refused
from app.core.settings import declarations, store
from app.plugin import N_, PluginSettings, Setting
from app.plugin.testing.settings import SettingsContract
from app.registry import SETTINGS, discover

PACKAGE = "duplistatus_meeting_room"


def check_colour(text: str) -> None:
    """Reject anything that is no colour."""
    if text and not text.startswith("#"):
        raise ValidationError(N_("A colour begins with #."))


SEATS = Setting("seats", int, default=4, minimum=1, maximum=20, label=N_("Seats"), help=N_("How many may sit."))
IS_OPEN = Setting("is_open", bool, default=True, label=N_("Open"))
SHAPE = Setting("shape", str, default="round", choices=("round", "square"), label=N_("Shape"))
COLOUR = Setting("colour", str, default="", longest=7, check=check_colour, label=N_("Colour"))


class MeetingSettings(PluginSettings):
    """Settings of a meeting plugin."""

    name, label = "room", N_("Meeting room")
    description = N_("What is in the room.")
    settings = (SEATS, IS_OPEN, SHAPE, COLOUR)


class TestMeetingSettings(SettingsContract):
    """The plugin is held to the contract."""

    settings_class = MeetingSettings


@pytest.fixture
def registry(installed):
    return replace(installed, settings_pages={"room": MeetingSettings})


@pytest.fixture(autouse=True)
def declared(monkeypatch):
    """The plugin's settings, for the time of a test: applications are shared."""
    for setting in declarations.plugin_group(MeetingSettings):
        monkeypatch.setitem(declarations.DECLARED, setting.name, setting)


@pytest.fixture
def german(monkeypatch, tmp_path):
    """A catalogue of the plugin in German."""
    package = ModuleType(PACKAGE)
    package.__file__, package.__package__ = str(tmp_path / "__init__.py"), PACKAGE
    monkeypatch.setitem(sys.modules, PACKAGE, package)
    monkeypatch.setattr(MeetingSettings, "__module__", PACKAGE)
    folder = tmp_path / "translations" / "de" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    catalog = Catalog(locale="de")
    for text, translation in {
        "Meeting room": "Besprechungsraum",
        "Seats": "Sitzplätze",
        "square": "eckig",
        "A colour begins with #.": "Eine Farbe beginnt mit #.",
    }.items():
        catalog.add(text, translation)
    with (folder / f"{PACKAGE}.mo").open("wb") as file:
        write_mo(file, catalog)


def entered(**changes):
    return {"plugin_seats": "4", "plugin_is_open": "y", "plugin_shape": "round", "plugin_colour": "", **changes}


def save(admin, **changes):
    return admin.send("POST", "/settings/plugin/room", data=entered(**changes))


@pytest.mark.usefixtures("db")
class TestPage:
    """The tab, its form and its errors."""

    def test_the_form_shows_the_defaults_and_the_texts(self, admin):
        page = admin.get("/settings/?tab=plugin-room").text
        assert "<h1>Meeting room</h1>" in page
        assert "What is in the room." in page
        assert 'id="plugin_seats" max="20" min="1" name="plugin_seats" type="number" value="4"' in page
        assert '<option selected value="round">round</option>' in page

    def test_a_setting_without_help_has_none(self, admin):
        page = admin.get("/settings/?tab=plugin-room").text
        assert 'id="plugin_seats-help"' in page
        assert 'id="plugin_shape-help"' not in page

    def test_what_is_entered_is_stored_and_recorded(self, admin, db):
        answer = save(admin, plugin_seats="7", plugin_shape="square", plugin_colour="#fff")
        assert answer.status_code == 303
        assert [MeetingSettings.read(setting) for setting in MeetingSettings.settings] == [7, True, "square", "#fff"]
        entry = db.session.scalar(select(AuditEntry).where(AuditEntry.action == "plugin_settings_updated"))
        assert entry.target_id == "room"
        assert entry.details == {"seats": 7, "is_open": True, "shape": "square", "colour": "#fff"}

    def test_a_switch_is_turned_off(self, admin):
        values = entered()
        del values["plugin_is_open"]
        admin.send("POST", "/settings/plugin/room", data=values)
        assert MeetingSettings.read(IS_OPEN) is False

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"plugin_seats": "21"}, "Enter a whole number from 1 to 20."),
            ({"plugin_shape": "oval"}, "Invalid value."),
            ({"plugin_colour": "white"}, "A colour begins with #."),
            ({"plugin_colour": "#1234567"}, "Enter at most 7 characters."),
        ],
        ids=str,
    )
    def test_a_value_rejected_by_the_plugin_is_reported_at_the_field(self, admin, change, sentence):
        answer = save(admin, **change)
        assert answer.status_code == 400
        assert f"<span>{sentence}</span>" in answer.text
        assert MeetingSettings.read(SEATS) == 4

    def test_its_texts_are_translated_by_its_own_catalogue(self, admin, german):
        admin.send("POST", "/preferences", data={"language": "de"})
        page = save(admin, plugin_colour="white").text
        assert "<h1>Besprechungsraum</h1>" in page
        assert "Sitzplätze" in page
        assert ">eckig</option>" in page
        assert "Eine Farbe beginnt mit #." in page

    def test_an_unknown_plugin_is_not_found(self, admin):
        assert admin.send("POST", "/settings/plugin/other", data={}).status_code == 404

    def test_only_administrators_open_it(self, viewer):
        assert "Meeting room" not in viewer.get("/settings/?tab=display").text
        assert viewer.send("POST", "/settings/plugin/room", data=entered()).status_code == 403

    def test_the_palette_leads_to_it(self, admin):
        assert "plugin-room" in admin.get("/palette").text


class TestStoring:
    """Services and restores check the values of plugins as those of the program."""

    def test_no_other_value_is_stored(self, app, clock):
        with pytest.raises(Refused):
            store.save("room.seats", 21, now=clock())

    def test_an_invalid_value_in_a_backup_is_rejected(self, admin, app, tmp_path):
        copy = tmp_path / "copy.db"
        with admin.get("/api/database/backup") as answer:
            copy.write_bytes(answer.data)
        with closing(sqlite3.connect(copy)) as connection, connection:
            connection.execute("INSERT INTO settings VALUES ('room.seats', '21', 0)")
        answer = admin.send("POST", "/api/database/restore", data={"database": (BytesIO(copy.read_bytes()), "copy.db")})
        assert answer.status_code == 400
        assert "room.seats" in answer.get_json()["error"]


class Point:
    """An entry point."""

    group = SETTINGS
    dist = None

    def __init__(self, name: str, plugin: object) -> None:
        self.name, self.plugin = name, plugin

    def load(self) -> object:
        """Return the plugin."""
        return self.plugin


def reason_of(*settings: Setting, name: str = "room", point: str = "room") -> str:
    plugin = type("Made", (PluginSettings,), {"name": name, "label": "Made", "settings": settings})
    found = discover([Point(point, plugin)])
    return found.broken[0].reason if found.broken else ""


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        (replace(SEATS, maximum=None), "a number needs both bounds"),
        (replace(SEATS, default=0), "the default is not valid"),
        (replace(SEATS, label=""), "it has no label"),
        (replace(SEATS, check=check_colour), "only a text can have a check"),
        (replace(SEATS, name="Seats"), "not in snake_case"),
        (replace(SEATS, name="s" * 60), "longer than 64 characters"),
        (replace(COLOUR, is_secret=True), "only plain values"),
        (Setting("all", dict, default={}, label="All"), "only plain values"),
    ],
)
def test_settings_that_cannot_be_shown_are_left_out_with_the_reason(setting, reason):
    assert reason in reason_of(setting)


def test_names_have_to_agree():
    assert reason_of(SEATS) == ""
    assert "occurs twice" in reason_of(SEATS, SEATS)
    assert reason_of() == "it has no settings"
    assert "differ" in reason_of(SEATS, name="hall")
