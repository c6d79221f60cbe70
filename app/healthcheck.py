"""The command `duplistatus healthcheck`: ask whether the server of this environment is healthy.

`python -m app.healthcheck` does the same and loads nothing else: containers run it once a minute.
"""

import sys
import urllib.error
import urllib.request

import click

from app.config import BadSetting, Settings, from_environment

TIMEOUT_S = 8
# Addresses that a server uses for "all interfaces", and the address for a client.
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104


@click.command("healthcheck")
def healthcheck() -> None:
    """Ask the running server whether it is healthy, where HOST, PORT and BASE_PATH say; status 1 when it is not."""
    try:
        url = health_url(from_environment())
    except BadSetting as error:
        raise click.ClickException(str(error)) from error
    # Never through a proxy: the server is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=TIMEOUT_S):
            click.echo("healthy")
    except urllib.error.HTTPError as error:
        with error:
            click.echo(f"{url} returned {error.code}: {error.read(1000).decode(errors='replace')}", err=True)
        sys.exit(1)
    except OSError as error:
        click.echo(f"{url} is not reachable: {error}", err=True)
        sys.exit(1)


def health_url(settings: Settings) -> str:
    """Return the URL of the server's health, for a client on the same machine."""
    host = LOOPBACK.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}{settings.base_path}/api/health"


if __name__ == "__main__":
    healthcheck()
