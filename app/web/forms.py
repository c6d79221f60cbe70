"""The root of all forms: their hidden field carries the token of the session, the one that the API checks too."""

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
from app.core.db.transaction import LONGEST_SEARCH
from app.plugin import AppError


class SessionToken(CSRF):
    """Puts the session's CSRF token into a form and checks it there, unless the guard has done so."""

    def generate_csrf_token(self, csrf_token_field: CSRFTokenField) -> str:
        """The token of the session, which begins here where there is none."""
        return sessions.current().csrf_token()

    def validate_csrf_token(self, form: Any, field: CSRFTokenField) -> None:
        """Refuse a form without the session's token. Raises ValidationError."""
        if not g.get("csrf_valid", False) and not sessions.current().accepts_token(field.data):
            raise ValidationError("This page has expired; please submit it again")


class PageForm(FlaskForm):
    """A form of our pages."""

    class Meta(FlaskForm.Meta):
        csrf_class = SessionToken


# What the forms of the settings share: a refusal of a service is kept, and said at the field that it is about.


class SettingsForm(PageForm):
    """A form of a tab. `problem` holds what was refused and belongs to no field."""

    problem = ""

    @property
    def wrong_fields(self) -> list[Field]:
        """The fields that were refused, in the order of the page."""
        return [field for field in self if field.errors and field.name != "csrf_token"]

    def refuse(self, name: str, sentence: str) -> None:
        """Say at a field what is wrong with it; what belongs to no field is told above the form."""
        if name in self:
            self[name].errors = (*self[name].errors, sentence)
        else:
            self.problem = f"{self.problem} {sentence}".strip()

    def take(self, refusal: AppError, places: Mapping[str, str] | None = None) -> None:
        """Put a service's refusal to its field: one of `places`, by how it begins, or the one before its colon.

        A name on the wire stands for the field of the same letters: `lastValidDay` for `last_valid_day`.
        """
        for beginning, name in (places or {}).items():
            if refusal.message.startswith(beginning):
                return self.refuse(name, refusal.message)
        word, _colon, sentence = refusal.message.partition(": ")
        name = "".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in word)
        if sentence and name in self:
            return self.refuse(name, sentence[:1].upper() + sentence[1:])
        return self.refuse("", refusal.message)


# Asking before something is done that cannot be undone: in a dialog, or on a page without script.


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What to ask. `action` is where an answer is posted to, `back` where Cancel leads without script."""

    title: str
    sentences: Sequence[str]
    button: str
    action: str
    back: str
    is_dangerous: bool = True


def ask_confirmation(question: Confirmation, *, tab: str, label: str | LazyString) -> ResponseReturnValue:
    """Show a question; `label` is the tab's, for the page around it."""
    part = "question" if "HX-Request" in request.headers else "question_page"
    return render_template(f"settings/{part}.html", tab=tab, label=label, question=question)


# Lists that are searched and sorted by their address.

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Column(Generic[Item]):
    """A column that can be sorted by, and what of an item it is sorted by."""

    name: str
    label: LazyString
    key: Callable[[Item], Any]


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What a list was asked for: part of a name, and the column to sort by, `-` in front for downwards."""

    search: str = ""
    sort: str = "name"

    def next_sort(self, column: Column[Any]) -> str:
        """What a click on a column's head asks for."""
        return f"-{column.name}" if self.sort == column.name else column.name

    def aria_sort(self, column: Column[Any]) -> str:
        """The column's state in the words of ARIA."""
        if column.name != self.sort.removeprefix("-"):
            return "none"
        return "descending" if self.sort.startswith("-") else "ascending"

    def ordered(self, items: Iterable[Item], columns: Sequence[Column[Item]]) -> list[Item]:
        """The items in the order that was asked for."""
        column = next(column for column in columns if column.name == self.sort.removeprefix("-"))
        return sorted(items, key=column.key, reverse=self.sort.startswith("-"))


def read_query(arguments: Mapping[str, str], columns: Sequence[Column[Any]]) -> ListQuery:
    """Read the query of an address; what names no column is sorted by the first one."""
    sort = arguments.get("sort", "")
    known = sort.removeprefix("-") in {column.name for column in columns}
    return ListQuery(arguments.get("q", "").strip()[:LONGEST_SEARCH], sort if known else columns[0].name)
