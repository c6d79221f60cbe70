"""Base classes of forms, confirmation dialogs, and sortable lists.

The hidden field of a form contains the token of the session, the same that the API checks.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from flask import g, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import LazyString
from flask_wtf import FlaskForm
from wtforms import Field, ValidationError
from wtforms.csrf.core import CSRF, CSRFTokenField

from app.accounts import sessions
from app.core.db.orm import LONGEST_SEARCH
from app.core.errors import Refused
from app.web.errors import refusal_texts


class SessionToken(CSRF):
    """Adds the session's CSRF token to a form and checks it.

    Not checked again after a check before the view.
    """

    def generate_csrf_token(self, csrf_token_field: CSRFTokenField) -> str:
        """Return the token of the session, which is created if there is none."""
        return sessions.current().csrf_token()

    def validate_csrf_token(self, form: Any, field: CSRFTokenField) -> None:
        """Reject a form without the session's token. Raise ValidationError."""
        if not g.get("csrf_valid", False) and not sessions.current().accepts_token(field.data):
            raise ValidationError("This page has expired; please submit it again")


class PageForm(FlaskForm):
    """Base class of the forms of our pages."""

    class Meta(FlaskForm.Meta):
        csrf_class = SessionToken


# Forms of the settings: errors of services are shown at their fields


class SettingsForm(PageForm):
    """A form of a settings tab. `problem` holds an error that belongs to no field."""

    problem = ""

    @property
    def wrong_fields(self) -> list[Field]:
        """Return the fields with errors, in the order of the page."""
        return [field for field in self if field.errors and field.name != "csrf_token"]

    def add_error(self, name: str, sentence: str) -> None:
        """Add an error to a field; without a matching field it is shown above the form."""
        if name in self:
            self[name].errors = (*self[name].errors, sentence)
        else:
            self.problem = f"{self.problem} {sentence}".strip()

    def add_refusal(self, refusal: Refused) -> None:
        """Put a service's refusal to the field that it is about, else above the form."""
        for sentence in refusal_texts(refusal):
            self.add_error(refusal.field or "", sentence)


# Confirmation of what cannot be undone: in a dialog, or on a page without script


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Content of a confirmation.

    `action` is the URL to post to, `back` the target of Cancel without script.
    """

    title: str
    sentences: Sequence[str]
    button: str
    action: str
    back: str
    is_dangerous: bool = True


def ask_confirmation(question: Confirmation, *, tab: str, label: str | LazyString) -> ResponseReturnValue:
    """Show a confirmation; `label` is the tab's, for the page around it."""
    part = "question" if "HX-Request" in request.headers else "question_page"
    return render_template(f"settings/{part}.html", tab=tab, label=label, question=question)


# Lists that are searched and sorted by the URL

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Column(Generic[Item]):
    """A sortable column, and the sort key of an item."""

    name: str
    label: LazyString
    key: Callable[[Item], Any]


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Query of a list.

    Part of a name, and the column to sort by, with `-` in front for descending.
    """

    search: str = ""
    sort: str = "name"

    def next_sort(self, column: Column[Any]) -> str:
        """Return the sort parameter for a click on a column's head."""
        return f"-{column.name}" if self.sort == column.name else column.name

    def aria_sort(self, column: Column[Any]) -> str:
        """Return the column's value of `aria-sort`."""
        if column.name != self.sort.removeprefix("-"):
            return "none"
        return "descending" if self.sort.startswith("-") else "ascending"

    def ordered(self, items: Iterable[Item], columns: Sequence[Column[Item]]) -> list[Item]:
        """Return the items in the order of the query."""
        column = next(column for column in columns if column.name == self.sort.removeprefix("-"))
        return sorted(items, key=column.key, reverse=self.sort.startswith("-"))


def read_query(arguments: Mapping[str, str], columns: Sequence[Column[Any]]) -> ListQuery:
    """Read the query of a URL; an unknown column is replaced by the first one."""
    sort = arguments.get("sort", "")
    known = sort.removeprefix("-") in {column.name for column in columns}
    return ListQuery(arguments.get("q", "").strip()[:LONGEST_SEARCH], sort if known else columns[0].name)
