"""Run Alembic with the application's engine, one transaction per migration."""

from contextlib import nullcontext

from alembic import context
from flask import current_app
from sqlalchemy.types import TypeDecorator

from app.core.db.orm import db


def render_item(kind: str, item: object, _autogen_context: object) -> str | bool:
    """Render own column types as the types they are stored as.

    A migration must not depend on later changes of the models.
    """
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl!r}"
    return False


def run() -> None:
    """Run the pending migrations, on the caller's connection if given."""
    engine = current_app.extensions["migrate"].db.engine
    given = context.config.attributes.get("connection")
    with engine.connect() if given is None else nullcontext(given) as connection:
        connection = connection.execution_options(writes=True)
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            render_as_batch=True,
            render_item=render_item,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()


run()
