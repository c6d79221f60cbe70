"""The application as commands use it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import click

from app.contracts import AppError
from app.factory import create_app
from app.registry import PluginConflict
from app.settings import BadSetting, from_environment


@contextmanager
def application_context() -> Iterator[None]:
    """Be within the application, without its scheduled work, which the server does; its errors become sentences."""
    try:
        app = create_app(replace(from_environment(), run_jobs=False))
        with app.app_context():
            yield
    except (BadSetting, PluginConflict) as error:
        raise click.ClickException(str(error)) from error
    except AppError as error:
        raise click.ClickException(error.message) from error
