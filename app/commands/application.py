"""The application as commands use it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NoReturn

import click

from app import database
from app.contracts import AppError
from app.database import CannotStart
from app.factory import create_app
from app.registry import PluginConflict
from app.settings import BadSetting, from_environment

# What keeps the application from starting, and is told in one sentence; anything else is a mistake of ours.
START_FAILURES = (BadSetting, PluginConflict, CannotStart, OSError)


@contextmanager
def application_context() -> Iterator[None]:
    """Be within the application, without its scheduled work, which the server does; its errors become sentences."""
    with sentences():
        app = create_app(replace(from_environment(), run_jobs=False))
        try:
            with app.app_context():
                yield
        finally:
            database.close(app, is_quiet=True)


@contextmanager
def sentences() -> Iterator[None]:
    """Turn errors that people can do something about into one sentence and an exit status."""
    try:
        yield
    except START_FAILURES as error:
        _fail(start_sentence(error), start_status(error))
    except AppError as error:
        _fail(error.message, 1)


def start_sentence(error: Exception) -> str:
    """Say why the application does not start."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def start_status(error: Exception) -> int:
    """The exit status: 1 for what may pass by itself, 2 where another start would end in the same way."""
    return error.status if isinstance(error, CannotStart) else 1 if isinstance(error, OSError) else 2


def _fail(sentence: str, status: int) -> NoReturn:
    click.echo(f"Error: {sentence}", err=True)
    sys.exit(status)
