"""The API as a page: complete, searchable without script, and about what is installed."""

import html
import re

import pytest
from descriptions import document_of

from app.openapi.pages import lay_out, marked

SMALL = {
    "tags": [{"name": "guest", "description": "A guest"}],
    "paths": {
        "/api/guest/{name}": {
            "post": {
                "operationId": "guest.create",
                "tags": ["guest"],
                "summary": "Do what guests do",
                "x-guard": "admin",
                "security": [{"session": [], "csrfToken": []}, {"keyInHeader": []}],
                "parameters": [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/GuestIn"}}}},
                "responses": {
                    "200": {"description": "As asked for", "content": {"text/plain": {"schema": {"type": "string"}}}},
                    "404": {"$ref": "#/components/responses/Error404"},
                },
            }
        }
    },
    "components": {
        "schemas": {
            "GuestIn": {
                "type": "object",
                "required": ["rooms"],
                "properties": {"rooms": {"type": "array", "items": {"$ref": "#/components/schemas/Room"}}},
            },
            "Room": {
                "type": "object",
                "properties": {
                    "next": {"$ref": "#/components/schemas/Room"},
                    "kind": {"type": ["string", "null"]},
                    "since": {"type": "string", "format": "date-time"},
                    "view": {"anyOf": [{"const": "sea"}, {"enum": ["hill", None]}]},
                    "keys": {"type": "object", "additionalProperties": {"type": "integer"}},
                },
            },
        },
        "responses": {"Error404": {"description": "There is no such thing", "content": {}}},
    },
}


@pytest.fixture
def operation():
    """The one operation of the small document, laid out."""
    (group,) = lay_out(SMALL)
    (found,) = group.operations
    return found


def shown(page):
    """The addresses on a page, each with its method."""
    found = re.findall(r'<span class="method[^>]*>(\w+)</span>\s*<code class="operation-path">([^<]+)', page)
    return {(method, html.unescape(path)) for method, path in found}


def test_everybody_may_read_every_address_of_every_group(app, client):
    page = client.get("/api/docs")
    told = document_of(app)["paths"]
    assert page.status_code == 200
    assert shown(page.text) == {(method.upper(), path) for path, methods in told.items() for method in methods}


def test_it_is_read_in_the_frame_of_the_pages_by_those_who_are_signed_in(admin, client):
    assert "user-button" in admin.get("/api/docs").text
    assert "user-button" not in client.get("/api/docs").text


def test_every_page_leads_there(admin):
    assert 'href="/api/docs"' in admin.get("/").text


def test_all_words_of_a_search_have_to_match(client):
    assert shown(client.get("/api/docs?q=MERGE+post").text) == {("POST", "/api/servers/merge")}


def test_a_search_that_finds_nothing_says_so_and_shows_no_group(client):
    page = client.get("/api/docs?q=%3Cscript%3E").text
    assert "No matching endpoints." in page
    assert shown(page) == set()
    assert "<script>" not in page


def test_places_that_the_address_names_exist_once(client):
    page = client.get("/api/docs").text
    anchors = re.findall(r'<(?:details|section) [^>]*\bid="([^"]+)"', page)
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r'href="#([^"]+)" data-manual-group', page)) <= set(anchors)


def test_an_operation_tells_who_may_call_it_and_how(operation):
    assert (operation.method, operation.path, operation.anchor) == ("POST", "/api/guest/{name}", "guest-create-post")
    assert (operation.who, operation.needs_token, operation.takes_keys) == ("Administrators", True, True)
    assert [(field.name, field.kind) for field in operation.parameters] == [("name", "text, in the address")]


def test_bodies_are_unfolded_to_a_depth_that_ends(operation):
    (body,) = operation.bodies
    rows = [(field.name, field.kind, field.is_required, field.depth) for field in body.fields if field.depth < 2]
    assert rows == [
        ("rooms", "list of object", True, 0),
        ("next", "object", False, 1),
        ("kind", "text or null", False, 1),
        ("since", "time", False, 1),
        ("view", '"sea" or hill or null', False, 1),
        ("keys", "object", False, 1),
    ]
    assert max(field.depth for field in body.fields) < 8


def test_errors_in_the_common_shape_are_told_in_a_line(operation):
    assert [(answer.status, answer.bodies[0].kind) for answer in operation.answers] == [("200", "text")]
    assert [(answer.status, answer.about) for answer in operation.errors] == [("404", "There is no such thing")]


def test_marks_in_sentences_become_code_and_nothing_else_does():
    assert marked("send `a<b` & go") == "send <code>a&lt;b</code> &amp; go"
