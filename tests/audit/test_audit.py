"""What the audit log keeps, and what it must not."""

import pytest

from app.audit.log import REDACTED, redact


@pytest.mark.parametrize(
    "name", ["password", "Password", "temp_password", "csrfToken", "session_id", "apiKey", "secret"]
)
def test_secrets_are_masked_however_deep_they_lie(name):
    details = {"changes": [{"smtp": {name: {"old": "a", "new": "b"}, "host": "mail.lan"}}], name: "c"}
    assert redact(details) == {"changes": [{"smtp": {name: REDACTED, "host": "mail.lan"}}], name: REDACTED}


@pytest.mark.parametrize("name", ["hasPassword", "hasAccessToken", "must_change_password", "mustChangePassword"])
def test_a_flag_that_speaks_of_a_secret_is_none(name):
    assert redact({name: True}) == {name: True}
