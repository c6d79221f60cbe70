"""The description of the API: complete, correct, and served as tools expect it."""

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
def operation_map(document):
    """Return every operation by endpoint and method."""
    return operations(document)


def test_document_is_valid(document):
    assert document["openapi"] == "3.1.0"
    for name, schema in document["components"]["schemas"].items():
        jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})
        assert schema.get("description"), name


def test_every_reference_has_a_target(document):
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


def test_every_route_of_every_group_is_described(app, installed, operation_map):
    routes = {
        (rule.endpoint, method)
        for rule in app.url_map.iter_rules()
        if rule.endpoint.partition(".")[0] in installed.api_groups
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert routes == set(operation_map)


def test_every_operation_has_a_summary(operation_map):
    assert [name for name, operation in operation_map.items() if len(operation["summary"].split()) < 2] == []


def test_every_operation_describes_its_responses(document, operation_map):
    for name, operation in operation_map.items():
        successes = {status: response for status, response in operation["responses"].items() if status.startswith("2")}
        assert successes, name
        for response in successes.values():
            for kind, content in response["content"].items():
                assert content["schema"] != {}, (name, kind)


def test_every_operation_names_its_errors(operation_map):
    for name, operation in operation_map.items():
        assert {"500", "503"} <= set(operation["responses"]), name
        if operation["x-guard"] in ("login", "admin"):
            assert {"401", "403"} <= set(operation["responses"]), name
        if "requestBody" in operation:
            assert "400" in operation["responses"], name
        if any(parameter["in"] == "path" for parameter in operation.get("parameters", ())):
            assert "404" in operation["responses"], name


def test_every_operation_names_its_access(operation_map):
    for (endpoint, method), operation in operation_map.items():
        ways = operation["security"]
        if operation["x-guard"] in ("login", "admin", "session"):
            assert "session" in ways[0], endpoint
            assert ("csrfToken" in ways[0]) is (method != "GET"), endpoint


def test_views_that_read_a_body_describe_it(app, operation_map):
    """A body that is read and not described would be undocumented."""
    for endpoint, method in operation_map:
        view = app.view_functions[endpoint]
        if "json_body" in view.__code__.co_names:
            assert "requestBody" in operation_map[endpoint, method], endpoint


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


class PluginIn(Schema):
    """Input of the plugin."""

    name = fields.String(required=True)


class PluginOut(Schema):
    """Output of the plugin."""

    name = fields.String()


def plugin_group() -> ApiGroup:
    """An API group of a third party."""
    blueprint = Blueprint("guest", __name__)

    @blueprint.post("/guest/<int:number>")
    @described({200: PluginOut}, body=PluginIn, errors=(409,))
    def create(number):
        """Run the plugin.

        At length.
        """
        return {"name": 1 if number else "right"}

    @blueprint.get("/guest/picture")
    @described({200: AnyOf([PluginOut], Content("image/svg+xml"))}, query={"size": fields.Integer()})
    def picture():
        """Draw."""
        return [], 200

    @blueprint.get("/guest/silent")
    def silent():
        """Return nothing that is described."""
        return {}

    return ApiGroup("guest", blueprint, "A guest", Access.PUBLIC, csrf=False)


class TestPluginGroup:
    """A third-party group is described like ours."""

    @pytest.fixture(scope="class")
    @classmethod
    def registry(cls, installed):
        return replace(installed, api_groups={**installed.api_groups, "guest": plugin_group()})

    @pytest.fixture
    def operations_of_plugin(self, app):
        return {
            name: operation
            for (name, _), operation in operations(build_document(app)).items()
            if name.startswith("guest.")
        }

    def test_docstring_becomes_summary_and_description(self, operations_of_plugin):
        operation = operations_of_plugin["guest.create"]
        assert (operation["summary"], operation["description"], operation["tags"]) == (
            "Run the plugin",
            "At length.",
            ["guest"],
        )

    def test_errors_follow_from_body_and_address(self, operations_of_plugin):
        statuses = set(operations_of_plugin["guest.create"]["responses"])
        assert statuses == {"200", "400", "403", "404", "409", "413", "500", "503"}

    def test_path_parameter_has_its_type(self, operations_of_plugin):
        (place,) = operations_of_plugin["guest.create"]["parameters"]
        assert (place["name"], place["in"], place["schema"]) == ("number", "path", {"type": "integer"})

    def test_query_becomes_parameters(self, operations_of_plugin):
        (size,) = operations_of_plugin["guest.picture"]["parameters"]
        assert (size["name"], size["in"], size["schema"]) == ("size", "query", {"type": "integer"})

    def test_schemas_are_distinguished_by_media_type(self, operations_of_plugin):
        assert set(operations_of_plugin["guest.picture"]["responses"]["200"]["content"]) == {
            "application/json",
            "image/svg+xml",
        }

    def test_view_without_description_is_described_as_far_as_possible(self, operations_of_plugin):
        assert operations_of_plugin["guest.silent"]["summary"] == "Return nothing that is described"

    def test_response_that_violates_its_schema_fails_the_test(self, client):
        with pytest.raises(AssertionError, match=r"guest/1 -> 200: .*string"):
            client.post("/api/guest/1", json={"name": "x"})

    def test_response_as_described_is_accepted(self, app, client):
        answer = client.post("/api/guest/0", json={"name": "x"})
        check_answer(app, answer)
