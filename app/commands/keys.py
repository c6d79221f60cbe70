"""The commands `duplistatus keys …`: API keys from the shell, also when nobody can sign in."""

from datetime import datetime

import click

from app.commands.application import application_context
from app.services import clock, keys
from app.services.audit import Actor
from app.services.deployment import settings

SHELL = Actor(username="shell")


@click.group("keys")
def keys_group() -> None:
    """Look after API keys."""


@keys_group.command("list")
def list_keys() -> None:
    """List all keys, oldest first."""
    with application_context():
        now = clock.now()
        for key in keys.list_keys():
            state = "expired" if key.is_expired(now) else "enabled" if key.is_enabled else "disabled"
            until = f"until {key.expires_at:%Y-%m-%d %H:%M} UTC" if key.expires_at else ""
            click.echo(f"{key.id:>4}  {key.fingerprint}  {key.scope:<6}  {state:<8}  {key.name}  {until}".rstrip())
        click.echo(f"Programs {'need' if keys.are_required() else 'do not need'} a key.")


@keys_group.command("create")
@click.argument("name")
@click.option("--scope", type=click.Choice(keys.SCOPES), required=True, help="What the key opens.")
@click.option("--last-day", type=click.DateTime(["%Y-%m-%d"]), help="The last day on which it is good.")
def create(name: str, scope: str, last_day: datetime | None) -> None:
    """Make a key and print its secret, for the only time."""
    with application_context():
        now = clock.now()
        expires_at = None if last_day is None else keys.end_of(last_day.date(), settings().zone, now)
        click.echo(keys.create_key(name, scope, expires_at=expires_at, now=now, actor=SHELL).secret)


@keys_group.command("enable")
@click.argument("key_id", type=int)
def enable(key_id: int) -> None:
    """Switch a key on."""
    with application_context():
        keys.set_enabled(key_id, True, now=clock.now(), actor=SHELL)


@keys_group.command("disable")
@click.argument("key_id", type=int)
def disable(key_id: int) -> None:
    """Switch a key off."""
    with application_context():
        keys.set_enabled(key_id, False, now=clock.now(), actor=SHELL)


@keys_group.command("delete")
@click.argument("key_id", type=int)
def delete(key_id: int) -> None:
    """Delete a key."""
    with application_context():
        keys.delete_key(key_id, now=clock.now(), actor=SHELL)


@keys_group.command("require")
@click.argument("switch", type=click.Choice(["on", "off"]))
def require(switch: str) -> None:
    """Choose whether programs need a key to upload and to read."""
    with application_context():
        keys.require(switch == "on", now=clock.now(), actor=SHELL)
