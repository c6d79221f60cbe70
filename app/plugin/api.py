"""API groups: blueprints with their access rules and descriptions."""

from collections.abc import Callable, Mapping
from dataclasses import InitVar, dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias, TypeVar

from flask import Blueprint, current_app
from marshmallow import Schema
from marshmallow.fields import Field

# Key of the object that answers plugins.
HOST = "duplistatus"
View = TypeVar("View", bound=Callable[..., Any])


class Host(Protocol):
    """Interface of the application for plugins; see `app.runtime.Runtime`."""

    visible_server_ids: Callable[[], frozenset[str] | None]
    read_setting: Callable[[str], Any]


class Access(Enum):
    """Who may call a route, from public to strictest.

    Checked before the view is called. PUBLIC: everyone. SESSION: every live session, anonymous or not. USER: a
    signed-in user who does not have to change the password first. ADMIN: such a user who is an administrator.
    """

    PUBLIC = 0
    SESSION = 1
    USER = 2
    ADMIN = 3
    # Deprecated names of PUBLIC and USER, for plugins written for earlier versions.
    OPEN = 0
    LOGIN = 2


# Deprecated name of `Access`.
Guard = Access


@dataclass(frozen=True, slots=True)
class ApiGroup:
    """A blueprint with its name, description and access rule.

    The entry point names an instance. The name of the entry point, `name` and the name of the blueprint are the same
    word. With `csrf`, every method except GET, HEAD and OPTIONS of a route that is not public needs the session's
    token in the header `X-CSRF-Token`. `key_scope` is the scope of API keys that the OpenAPI document names where
    keys are required. `guard` is a deprecated name of `access`.
    """

    name: str
    blueprint: Blueprint
    summary: str
    access: Access = Access.USER
    csrf: bool = True
    url_prefix: str = "/api"
    key_scope: str | None = None
    guard: InitVar[Access | None] = None

    def __post_init__(self, guard: Access | None) -> None:
        if guard is not None:
            object.__setattr__(self, "access", guard)


@dataclass(frozen=True, slots=True)
class ViewAccess:
    """The access rule of one view that differs from its group."""

    access: Access
    csrf: bool
    before_password_change: bool
    needs_all_servers: bool


def guarded(
    access: Access, *, csrf: bool = True, before_password_change: bool = False, needs_all_servers: bool = False
) -> Callable[[View], View]:
    """Set the access rule of one view, in place of that of its group.

    `before_password_change` admits users who must still change their password. `needs_all_servers` excludes accounts
    that are limited to some servers: for what concerns all servers, such as the settings of a channel.
    Apply it below the route decorator, so that the route registers the marked function.
    """

    def mark(view: View) -> View:
        view.access = ViewAccess(access, csrf, before_password_change, needs_all_servers)  # type: ignore[attr-defined]
        return view

    return mark


def visible_server_ids() -> frozenset[str] | None:
    """Return the ids of servers that the signed-in user may see.

    None means all, also future ones. Pass it to every service function that takes it.
    """
    host: Host = current_app.extensions[HOST]
    return host.visible_server_ids()


def takes_bytes(most: int | Callable[[], int]) -> Callable[[View], View]:
    """Let one view receive larger bodies.

    The limit is `most` bytes, or what a function returns. Otherwise a public route receives up to 64 KiB, and one for
    signed-in users up to 4 MiB; more is answered with 413. Apply it below the route decorator, as `guarded`.
    """

    def mark(view: View) -> View:
        view.most_bytes = most  # type: ignore[attr-defined]
        return view

    return mark


# How a view describes its parameters and responses for the OpenAPI document.

NO_ANSWERS: Mapping[int, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Content:
    """A body that is not JSON: text, an image, a form.

    Several media types are alternatives; `shape` describes a form.
    """

    media_types: tuple[str, ...]
    shape: Any

    def __init__(self, *media_types: str, shape: Any = None) -> None:
        object.__setattr__(self, "media_types", media_types)
        object.__setattr__(self, "shape", shape)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of several shapes, depending on the request."""

    shapes: tuple[Any, ...]

    def __init__(self, *shapes: Any) -> None:
        object.__setattr__(self, "shapes", shapes)


# A schema; a list of one for an array; a field; fields by wire name for an object with all of them; AnyOf or Content.
# None means no body.
Shape: TypeAlias = "type[Schema] | list[Any] | Field[Any] | Mapping[str, Field[Any]] | AnyOf | Content | None"


@dataclass(frozen=True, slots=True)
class Description:
    """The arguments of `described` for a view."""

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
    """Describe the parameters and responses of a view.

    `answers` is the shape of each success status; `errors` are further statuses in the common error shape. Do not
    list those that follow from elsewhere: 401 and 403 from the access rule, 400 from a body or a query, 404 from a
    name in the path, 413 from a body, 429 from rate limits, 500 and 503 always. `query` describes the query
    parameters: a schema, several, or fields by name. Summary and description are the first line of the docstring and
    the rest. Apply it below the route decorator, as `guarded`.
    """

    def mark(view: View) -> View:
        view.description = Description(answers, query, body, is_body_optional, errors)  # type: ignore[attr-defined]
        return view

    return mark
