"""How a view says what it takes and what it answers, of which the OpenAPI document is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from marshmallow import Schema
from marshmallow.fields import Field

View = TypeVar("View", bound=Callable[..., Any])
NO_ANSWERS: Mapping[int, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Content:
    """A body that is not JSON: text, an image, a form. Several media types mean any of them; `shape` tells of forms."""

    media_types: tuple[str, ...]
    shape: Any

    def __init__(self, *media_types: str, shape: Any = None) -> None:
        object.__setattr__(self, "media_types", media_types)
        object.__setattr__(self, "shape", shape)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of several shapes, told apart by what was asked."""

    shapes: tuple[Any, ...]

    def __init__(self, *shapes: Any) -> None:
        object.__setattr__(self, "shapes", shapes)


# A schema; a list of one for an array of such; a field; fields by wire name for an object that holds all of them;
# AnyOf, or Content. None stands for no body.
Shape: TypeAlias = "type[Schema] | list[Any] | Field[Any] | Mapping[str, Field[Any]] | AnyOf | Content | None"


@dataclass(frozen=True, slots=True)
class Description:
    """What `described` was told of a view."""

    answers: Mapping[int, Any] = field(default_factory=lambda: NO_ANSWERS)
    query: Any = None
    body: Any = None
    is_body_optional: bool = False
    errors: tuple[int, ...] = ()


def described(
    answers: Mapping[int, Shape],
    *,
    query: type[Schema] | tuple[type[Schema], ...] | Mapping[str, Field[Any]] | None = None,
    body: Shape = None,
    is_body_optional: bool = False,
    errors: tuple[int, ...] = (),
) -> Callable[[View], View]:
    """Tell what a view takes and gives.

    `answers` names the shape of each status of success; `errors` the further statuses that come in the common error
    shape. Not to be named are those that follow from elsewhere: 401 and 403 from the guard, 400 from a body or a
    query, 404 from a name in the path, 413 from a body, 429 from the rates for programs, 500 and 503 always.
    `query` describes the parameters after the question mark: a schema, several, or fields by name. Summary and
    description are the first line of the docstring and the rest.
    Apply it below the route decorator, as with `guarded`.
    """

    def mark(view: View) -> View:
        view.description = Description(answers, query, body, is_body_optional, errors)  # type: ignore[attr-defined]
        return view

    return mark
