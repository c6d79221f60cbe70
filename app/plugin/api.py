"""How an API group introduces itself: one value that says who it is and who may enter."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from flask import Blueprint, current_app
from marshmallow import Schema
from marshmallow.fields import Field

# Where the application keeps the function that knows the servers of the signed-in user.
VISIBLE_SERVERS = "duplistatus.visible_servers"
View = TypeVar("View", bound=Callable[..., Any])


class Guard(Enum):
    """Who may call a route. Checked before the view runs, in this order of strictness.

    OPEN: anybody. SESSION: anybody with a live session, anonymous or not. LOGIN: a signed-in user who need not
    change the password first. ADMIN: such a user who is an administrator.
    """

    OPEN = 0
    SESSION = 1
    LOGIN = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class ApiGroup:
    """A blueprint with its place in the house. The entry point names an instance.

    The entry-point name, `name` and the blueprint's name are one word. With `csrf` every method but GET, HEAD and
    OPTIONS of a guarded route needs the session's token in the header `X-CSRF-Token`. `key_scope` says, for the
    description of the API, that programs come with a key of this scope where keys are required.
    """

    name: str
    blueprint: Blueprint
    summary: str
    guard: Guard = Guard.LOGIN
    csrf: bool = True
    url_prefix: str = "/api"
    key_scope: str | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """What one view asks for when it differs from its group."""

    guard: Guard
    csrf: bool
    before_password_change: bool
    needs_all_servers: bool


def guarded(
    guard: Guard, *, csrf: bool = True, before_password_change: bool = False, needs_all_servers: bool = False
) -> Callable[[View], View]:
    """Let one view ask for more, or less, than its group.

    `before_password_change` admits users who must still change their password. `needs_all_servers` keeps out accounts
    that may see chosen servers only: for what concerns all servers, such as the settings of a channel.
    Apply it below the route decorator, so that the route registers the marked function.
    """

    def mark(view: View) -> View:
        view.access = Access(guard, csrf, before_password_change, needs_all_servers)  # type: ignore[attr-defined]
        return view

    return mark


def visible_server_ids() -> frozenset[str] | None:
    """The servers that the signed-in user may see; None means all, those of tomorrow too.

    Hand it to every service function that asks for it.
    """
    found: frozenset[str] | None = current_app.extensions[VISIBLE_SERVERS]()
    return found


def takes_bytes(most: int | Callable[[], int]) -> Callable[[View], View]:
    """Let one view receive larger bodies than others: up to `most` bytes, or what a function in the application says.

    Without it a route receives 64 KiB from everybody, and 4 MiB where its guard asks for a signed-in user; more
    answers 413. Apply it below the route decorator, as `guarded`.
    """

    def mark(view: View) -> View:
        view.most_bytes = most  # type: ignore[attr-defined]
        return view

    return mark


# How a view says what it takes and what it answers, of which the OpenAPI document is made.

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
