"""One declaration in a group is enough: the API, the form, the check and the audit entry are made from it."""

from types import SimpleNamespace

import pytest
from marshmallow import RAISE, Schema, ValidationError

from app.audit.log import Actor, AuditEntry, read_group, save_group
from app.core.errors import Refused
from app.core.settings import declarations
from app.core.settings.declarations import Setting, SettingGroup
from app.web.http import Out
from app.web.setting_fields import GroupForm, fields_in, fields_out, form_values, with_settings

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


class NapIn(Schema):
    """What is sent."""

    class Meta:
        unknown = RAISE
        include = fields_in(GROUP)


class NapOut(Out):
    """What is returned."""

    class Meta:
        include = fields_out(GROUP)


@with_settings(GROUP)
class NapForm(GroupForm):
    """A form."""


@pytest.fixture(autouse=True)
def declared(monkeypatch):
    """Both settings, for the time of a test."""
    for setting in GROUP.settings:
        monkeypatch.setitem(declarations.DECLARED, setting.name, setting)


@pytest.fixture
def form(app):
    """The form as it was posted."""

    def form(**sent):
        with app.test_request_context("/", method="POST", data=sent):
            made = NapForm(**form_values(GROUP, {"nap_hours": 2, "snores": True}))
            return made, made.read_settings()

    return form


class TestApi:
    """Schemas."""

    def test_values_are_loaded_by_their_wire_names(self):
        assert NapIn().load({"napHours": 3, "snores": False}) == {"nap_hours": 3, "snores": False}

    @pytest.mark.parametrize(
        "body", [{}, {"napHours": 0}, {"napHours": 25}, {"napHours": "3"}, {"napHours": 3, "x": 1}]
    )
    def test_what_is_not_declared_is_rejected(self, body):
        with pytest.raises(ValidationError):
            NapIn().load(body)

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

    def test_what_was_entered_is_read(self, form):
        assert form(nap_hours=" 3 ", snores="y")[1] == {"nap_hours": 3, "snores": True}
        assert form(nap_hours="3")[1] == {"nap_hours": 3, "snores": False}

    @pytest.mark.parametrize("text", ["", "0", "25", "²", "3.5", "1" * 5000])
    def test_what_is_no_number_within_bounds_is_said_at_the_field(self, form, text):
        made, _values = form(nap_hours=text)
        assert made.nap_hours.errors == ("Enter a whole number from 1 to 24.",)


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
        with pytest.raises(Refused) as refusal:
            save_group(GROUP, {"snores": False, "nap_hours": 0}, actor=Actor(), now=clock())
        assert (refusal.value.code, refusal.value.field) == ("setting_range", "nap_hours")
        assert str(refusal.value) == "napHours: must be from 1 to 24"
        assert read_group(GROUP) == {"nap_hours": 2, "snores": True}
