"""One declaration in a group is enough: the API, the form, the check and the audit entry are made from it."""

from types import SimpleNamespace

import pytest
from marshmallow import RAISE, Schema, ValidationError
from marshmallow.validate import Regexp

from app.audit.log import Actor, AuditEntry, read_group, save_group
from app.core.errors import Refused
from app.core.settings import declarations
from app.core.settings.declarations import Setting, SettingGroup
from app.web.forms import GroupForm, fields_in, fields_out, form_field, form_values, with_settings
from app.web.http import Out

NAP = Setting(
    "nap_hours",
    int,
    default=2,
    minimum=1,
    maximum=24,
    wire="napHours",
    is_required=True,
    label="Nap, in hours",
    help="How long to rest.",
)
SNORES = Setting("nap_snores", bool, default=True, wire="snores", attribute="snores", label="Snore")
GROUP = SettingGroup("nap_updated", "nap", (NAP, SNORES))
PLACE = Setting("place", str, default="bed", choices=("bed", "sofa"), wire="place", label="Place")
DAY = Setting("day", int, default=1, minimum=0, maximum=6, wire="day", label="Day")
DREAM = Setting("dream", str, default="", longest=5, check=Regexp("[a-z]*$"), wire="dream", label="Dream")
DEPTH = Setting("depth", float, default=0.5, minimum=0, maximum=1, wire="depth")
PIN = Setting("pin", str, default="", wire="pin", is_secret=True)


class NapIn(Schema):
    """Input."""

    class Meta:
        unknown = RAISE
        include = fields_in(GROUP)


class NapOut(Out):
    """Output."""

    class Meta:
        include = fields_out(GROUP)


@with_settings(GROUP)
class NapForm(GroupForm):
    """A form."""


@with_settings((PLACE, DAY, DREAM), {"autocomplete": "off"})
class PlaceForm(GroupForm):
    """A form with choices and a text; one field is declared by the form."""

    day = form_field(DAY, words={0: "Sunday", 1: "Monday"})
    place = form_field(PLACE, words={"bed": "Bed", "sofa": "Sofa"}, label="Where")


@pytest.fixture(autouse=True)
def declared(monkeypatch):
    """Declare both settings, for the time of a test."""
    for setting in GROUP.settings:
        monkeypatch.setitem(declarations.DECLARED, setting.name, setting)


@pytest.fixture
def form(app):
    """Return the form as posted."""

    def form(**sent):
        with app.test_request_context("/", method="POST", data=sent):
            made = NapForm(**form_values(GROUP, {"nap_hours": 2, "snores": True}))
            return made, made.read_settings()

    return form


@pytest.fixture
def place_form(app):
    """The form with choices, as it was posted."""

    def place_form(**sent):
        with app.test_request_context("/", method="POST", data=sent):
            made = PlaceForm(**form_values((PLACE, DAY, DREAM), {"place": "bed", "day": 1, "dream": ""}))
            return made, made.read_settings()

    return place_form


class TestApi:
    """Schemas."""

    def test_values_are_loaded_by_their_wire_names(self):
        assert NapIn().load({"napHours": 3, "snores": False}) == {"nap_hours": 3, "snores": False}

    @pytest.mark.parametrize(
        "body", [{}, {"napHours": 0}, {"napHours": 25}, {"napHours": "3"}, {"napHours": 3, "x": 1}]
    )
    def test_undeclared_values_are_rejected(self, body):
        with pytest.raises(ValidationError):
            NapIn().load(body)

    def test_fields_can_have_more_options(self):
        schema = Schema.from_dict(fields_in((PLACE, DEPTH), place={"allow_none": True}))()
        assert schema.load({"place": None, "depth": 1}) == {"place": None, "depth": 1.0}
        assert schema.validate({"place": "roof", "depth": "nan"}).keys() == {"place", "depth"}

    def test_values_are_dumped_by_their_wire_names(self):
        assert NapOut().dump(SimpleNamespace(nap_hours=2, snores=True)) == {"napHours": 2, "snores": True}


class TestForm:
    """Fields of a page."""

    def test_label_help_and_bounds_are_as_declared(self, form):
        field = form(nap_hours="3")[0].nap_hours
        assert (str(field.label.text), str(field.description)) == ("Nap, in hours", "How long to rest.")
        assert field.render_kw == {"min": 1, "max": 24}

    def test_fields_are_in_the_order_of_the_group(self, form):
        assert [field.name for field in form(nap_hours="3")[0].setting_fields] == ["nap_hours", "snores"]

    def test_input_is_read(self, form):
        assert form(nap_hours=" 3 ", snores="y")[1] == {"nap_hours": 3, "snores": True}
        assert form(nap_hours="3")[1] == {"nap_hours": 3, "snores": False}

    @pytest.mark.parametrize("text", ["", "0", "25", "²", "3.5", "1" * 5000])
    def test_an_invalid_number_is_reported_at_the_field(self, form, text):
        made, _values = form(nap_hours=text)
        assert made.nap_hours.errors == ("Enter a whole number from 1 to 24.",)

    def test_choices_and_texts_are_shown_as_declared(self, place_form):
        made, _values = place_form()
        assert [field.name for field in made.setting_fields] == ["place", "day", "dream"]
        assert (made.place.label.text, made.day.label.text) == ("Where", "Day")
        assert 'maxlength="5"' in made.dream()
        assert 'autocomplete="off"' in made.dream()
        assert '<option selected value="1">Monday</option>' in made.day()

    def test_choices_and_texts_are_read(self, place_form):
        assert place_form(place="sofa", day="0", dream=" sea ")[1] == {"place": "sofa", "day": 0, "dream": "sea"}

    @pytest.mark.parametrize(
        ("name", "value", "error"),
        [
            ("place", "roof", "Invalid value."),
            ("day", "7", "Invalid value."),
            ("day", "x", "Invalid value."),
            ("dream", "elephant", "Enter at most 5 characters."),
            ("dream", "a1", "Invalid value."),
        ],
    )
    def test_an_undeclared_value_is_reported_at_the_field(self, place_form, name, value, error):
        made, values = place_form(**{"place": "bed", "day": "1", "dream": "", name: value})
        assert values[name] is None
        assert [(field.name, field.errors) for field in made.wrong_fields] == [(name, (error,))]


class TestService:
    """Reading, checking, storing, recording."""

    def test_defaults_are_read_by_the_names_of_fields(self, db):
        assert read_group(GROUP) == {"nap_hours": 2, "snores": True}

    def test_a_change_is_stored_and_recorded_under_its_wire_names(self, db, clock):
        save_group(GROUP, {"nap_hours": 3, "snores": None}, actor=Actor(), now=clock())
        assert read_group(GROUP) == {"nap_hours": 3, "snores": True}
        entry = db.session.query(AuditEntry).order_by(AuditEntry.id.desc()).first()
        assert (entry.action, entry.target_id, entry.details) == ("nap_updated", "nap", {"napHours": 3})

    def test_nothing_is_stored_if_one_value_is_rejected(self, db, clock):
        with pytest.raises(Refused) as raised:
            save_group(GROUP, {"snores": False, "nap_hours": 0}, actor=Actor(), now=clock())
        assert (raised.value.code, raised.value.field) == ("setting_range", "nap_hours")
        assert str(raised.value) == "napHours: must be from 1 to 24"
        assert read_group(GROUP) == {"nap_hours": 2, "snores": True}

    def test_secrets_are_not_recorded(self, db, clock, monkeypatch):
        monkeypatch.setitem(declarations.DECLARED, PIN.name, PIN)
        save_group(SettingGroup("pin_updated", "pin", (PIN,)), {"pin": "1234"}, actor=Actor(), now=clock())
        assert db.session.query(AuditEntry).order_by(AuditEntry.id.desc()).first().details == {}
