"""Response schemas dump as the documentation of marshmallow describes, and omit nothing silently."""

from types import SimpleNamespace

import pytest
from marshmallow import fields, post_dump

from app.web.http import Out


class NewestOut(Out):
    """A run within a job."""

    status = fields.String(attribute="newest.status")


class JobOut(NewestOut):
    """A job."""

    name = fields.String(data_key="jobName")

    @post_dump
    def mark(self, data: dict, **_options: object) -> dict:
        """Show that hooks run."""
        return data | {"marked": True}


JOB = SimpleNamespace(name="Documents", newest=SimpleNamespace(status="Success"))


def test_attributes_are_read_by_path_and_hooks_run():
    assert JobOut().dump(JOB) == {"status": "Success", "jobName": "Documents", "marked": True}
    assert JobOut(only=("name",), many=True).dump([JOB]) == [{"jobName": "Documents", "marked": True}]


def test_missing_attribute_of_an_object_is_an_error():
    with pytest.raises(AttributeError, match="newest"):
        NewestOut().dump(SimpleNamespace(name="Documents"))
