"""The API as a page: complete, searchable without script, and about the installed groups."""

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
    """Return the only operation of the small document, prepared for the page."""
    (group,) = lay_out(SMALL)
    (found,) = group.operations
    return found


def shown(page):
    """Return the URLs on a page, each with its method."""
    found = re.findall(r'<span class="method[^>]*>(\w+)</span>\s*<code class="operation-path">([^<]+)', page)
    return {(method, html.unescape(path)) for method, path in found}


def test_every_path_of_every_group_is_public(app, client):
    page = client.get("/api/docs")
    body = document_of(app)["paths"]
    assert page.status_code == 200
    assert shown(page.text) == {(method.upper(), path) for path, methods in body.items() for method in methods}


def test_signed_in_users_read_it_with_the_page_header(admin, client):
    assert "user-button" in admin.get("/api/docs").text
    assert "user-button" not in client.get("/api/docs").text


def test_every_page_links_to_it(admin):
    assert 'href="/api/docs"' in admin.get("/").text


def test_all_words_of_a_search_must_match(client):
    assert shown(client.get("/api/docs?q=MERGE+post").text) == {("POST", "/api/servers/merge")}


def test_a_search_without_a_match_shows_a_message_and_no_group(client):
    page = client.get("/api/docs?q=%3Cscript%3E").text
    assert "No matching endpoints." in page
    assert shown(page) == set()
    assert "<script>" not in page


def test_anchors_of_the_urls_exist_once(client):
    page = client.get("/api/docs").text
    anchors = re.findall(r'<(?:details|section) [^>]*\bid="([^"]+)"', page)
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r'href="#([^"]+)" data-manual-group', page)) <= set(anchors)


def test_an_operation_shows_who_may_call_it_and_how(operation):
    assert (operation.method, operation.path, operation.anchor) == ("POST", "/api/guest/{name}", "guest-create-post")
    assert (operation.who, operation.needs_token, operation.takes_keys) == ("Administrators", True, True)
    assert [(field.name, field.kind) for field in operation.parameters] == [("name", "text, in the address")]


def test_bodies_are_expanded_to_a_limited_depth(operation):
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


def test_errors_in_the_common_form_are_shown_in_a_line(operation):
    assert [(answer.status, answer.bodies[0].kind) for answer in operation.answers] == [("200", "text")]
    assert [(answer.status, answer.about) for answer in operation.errors] == [("404", "There is no such thing")]


def test_only_backticks_in_descriptions_become_code():
    assert marked("send `a<b` & go") == "send <code>a&lt;b</code> &amp; go"
