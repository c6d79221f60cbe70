"""The description of the API: complete, true, and served as tools want it."""

from dataclasses import replace

import jsonschema_rs
import pytest
from descriptions import check_answer, document_of, operations, resolve
from flask import Blueprint
from marshmallow import Schema, fields

from app.openapi.document import build_document
from app.plugin import Access, AnyOf, ApiGroup, Content, described
from app.plugin.testing.applications import running_application


@pytest.fixture(scope="module")
def document(tmp_path_factory, installed):
    with running_application(tmp_path_factory.mktemp("described"), installed) as app:
        return document_of(app)


@pytest.fixture
def told(document):
    """Every operation by endpoint and method."""
    return operations(document)


def test_document_is_valid(document):
    assert document["openapi"] == "3.1.0"
    for name, schema in document["components"]["schemas"].items():
        jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})
        assert schema.get("description"), name


def test_every_reference_leads_somewhere(document):
    def references(part):
        if isinstance(part, dict):
            if "$ref" in part:
                yield part["$ref"]
            for value in part.values():
                yield from references(value)
        elif isinstance(part, list):
            for value in part:
                yield from references(value)

    for reference in set(references(document)):
        assert resolve(document, {"$ref": reference}), reference


def test_every_route_of_every_group_is_described(app, installed, told):
    routes = {
        (rule.endpoint, method)
        for rule in app.url_map.iter_rules()
        if rule.endpoint.partition(".")[0] in installed.api_groups
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert routes == set(told)


def test_every_operation_says_in_a_sentence_what_it_is(told):
    assert [name for name, operation in told.items() if len(operation["summary"].split()) < 2] == []


def test_every_operation_says_what_it_answers(document, told):
    for name, operation in told.items():
        successes = {status: said for status, said in operation["responses"].items() if status.startswith("2")}
        assert successes, name
        for said in successes.values():
            for kind, content in said["content"].items():
                assert content["schema"] != {}, (name, kind)


def test_every_operation_names_its_errors(told):
    for name, operation in told.items():
        assert {"500", "503"} <= set(operation["responses"]), name
        if operation["x-guard"] in ("login", "admin"):
            assert {"401", "403"} <= set(operation["responses"]), name
        if "requestBody" in operation:
            assert "400" in operation["responses"], name
        if any(parameter["in"] == "path" for parameter in operation.get("parameters", ())):
            assert "404" in operation["responses"], name


def test_every_operation_says_who_may_call_it(told):
    for (endpoint, method), operation in told.items():
        ways = operation["security"]
        if operation["x-guard"] in ("login", "admin", "session"):
            assert "session" in ways[0], endpoint
            assert ("csrfToken" in ways[0]) is (method != "GET"), endpoint


def test_views_that_read_a_body_describe_it(app, told):
    """A body that is read and not described would be a secret."""
    for endpoint, method in told:
        view = app.view_functions[endpoint]
        if "json_body" in view.__code__.co_names:
            assert "requestBody" in told[endpoint, method], endpoint


def test_groups_are_the_tags(document, installed):
    assert [(tag["name"], tag["description"]) for tag in document["tags"]] == [
        (group.name, group.summary) for group in installed.api_groups.values()
    ]


def test_served_document_is_the_built_one_and_needs_no_session(client, document):
    served = client.get("/api/openapi.json").get_json()
    assert served.pop("servers") == [{"url": "/"}]
    assert served == document


def test_known_document_is_not_sent_again(client):
    first = client.get("/api/openapi.json")
    again = client.get("/api/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


class GuestIn(Schema):
    """What the guest takes."""

    name = fields.String(required=True)


class GuestOut(Schema):
    """What the guest gives."""

    name = fields.String()


def guest() -> ApiGroup:
    """A group such as somebody else may install."""
    blueprint = Blueprint("guest", __name__)

    @blueprint.post("/guest/<int:number>")
    @described({200: GuestOut}, body=GuestIn, errors=(409,))
    def create(number):
        """Do what guests do.

        At length.
        """
        return {"name": 1 if number else "right"}

    @blueprint.get("/guest/picture")
    @described({200: AnyOf([GuestOut], Content("image/svg+xml"))}, query={"size": fields.Integer()})
    def picture():
        """Draw."""
        return [], 200

    @blueprint.get("/guest/silent")
    def silent():
        """Say nothing of itself."""
        return {}

    return ApiGroup("guest", blueprint, "A guest", Access.PUBLIC, csrf=False)


class TestGuest:
    """A group from elsewhere is described like ours."""

    @pytest.fixture
    def registry(self, installed):
        return replace(installed, api_groups={**installed.api_groups, "guest": guest()})

    @pytest.fixture
    def of_guest(self, app):
        return {name: told for (name, _), told in operations(build_document(app)).items() if name.startswith("guest.")}

    def test_docstring_becomes_summary_and_description(self, of_guest):
        told = of_guest["guest.create"]
        assert (told["summary"], told["description"], told["tags"]) == ("Do what guests do", "At length.", ["guest"])

    def test_errors_follow_from_body_and_address(self, of_guest):
        statuses = set(of_guest["guest.create"]["responses"])
        assert statuses == {"200", "400", "403", "404", "409", "413", "500", "503"}

    def test_place_in_the_address_has_its_type(self, of_guest):
        (place,) = of_guest["guest.create"]["parameters"]
        assert (place["name"], place["in"], place["schema"]) == ("number", "path", {"type": "integer"})

    def test_query_becomes_parameters(self, of_guest):
        (size,) = of_guest["guest.picture"]["parameters"]
        assert (size["name"], size["in"], size["schema"]) == ("size", "query", {"type": "integer"})

    def test_shapes_are_told_apart_by_media_type(self, of_guest):
        assert set(of_guest["guest.picture"]["responses"]["200"]["content"]) == {"application/json", "image/svg+xml"}

    def test_view_that_says_nothing_is_described_as_far_as_it_goes(self, of_guest):
        assert of_guest["guest.silent"]["summary"] == "Say nothing of itself"

    def test_answer_that_breaks_its_schema_fails_the_test_that_got_it(self, client):
        with pytest.raises(AssertionError, match=r"guest/1 -> 200: .*string"):
            client.post("/api/guest/1", json={"name": "x"})

    def test_answer_as_described_is_fine(self, app, client):
        answer = client.post("/api/guest/0", json={"name": "x"})
        check_answer(app, answer)
