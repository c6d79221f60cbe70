"""Search texts that databases cannot process: too long, or of wildcards; in the API and in the pages."""

import pytest

pytestmark = pytest.mark.slow

HOSTILE = ["%a" * 20_000, "_" * 60_000, "\\" * 30_000, "x" * 100_000]
ENDS = pytest.mark.parametrize("text", HOSTILE, ids=["percent", "underscore", "backslash", "letters"])


@ENDS
@pytest.mark.parametrize("path", ["/api/audit-log", "/api/audit-log/download", "/api/users"])
def test_the_api_rejects_an_overlong_search_with_its_field(admin, path, text):
    answer = admin.get(path, query_string={"search": text})
    assert answer.status_code == 400
    assert answer.get_json()["error"].startswith("search: ")


@ENDS
@pytest.mark.parametrize("tab", ["users", "audit", "server", "application-logs", "notifications", "monitoring"])
def test_a_list_in_the_settings_searches_for_its_beginning(admin, tab, text):
    assert admin.get("/settings/", query_string={"tab": tab, "q": text, "search": text}).status_code == 200


@ENDS
@pytest.mark.parametrize("path", ["/", "/api/docs"])
def test_a_page_searches_for_its_beginning(admin, path, text):
    assert admin.get(path, query_string={"q": text, "tag": text}).status_code == 200


@ENDS
@pytest.mark.parametrize("name", ["username", "action", "category", "status", "userId", "startDate", "endDate"])
def test_other_filters_of_the_audit_log_find_nothing(admin, name, text):
    answer = admin.get("/api/audit-log", query_string={name: text})
    assert answer.status_code in (200, 400)


def test_a_search_of_the_maximum_length_is_answered(admin):
    assert admin.get("/api/users", query_string={"search": "%" * 255}).get_json()["users"] == []
