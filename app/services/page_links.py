"""Addresses of our pages for messages, which know no request: all begin with the public address.

`tests/pages/test_page_links.py` holds them to the routes of the pages.
"""

from urllib.parse import quote, urlsplit

from app.services import configuration
from app.services.deployment import settings


def own_address() -> str | None:
    """Give the address of the dashboard; None as long as nobody has set the public address."""
    return configuration.get("public_url") or settings().public_url or None


def run_link(server_id: str, run_id: str) -> str | None:
    """Give the address of the page of a run."""
    return _page(f"/detail/{_part(server_id)}/backup/{_part(run_id)}")


def job_link(server_id: str, job_name: str) -> str | None:
    """Give the address of the page of a server, narrowed to one of its jobs."""
    return _page(f"/detail/{_part(server_id)}?backup={_part(job_name)}")


def channels_link() -> str | None:
    """Give the address of the settings of notification channels."""
    return _page("/settings/?tab=channels")


def _page(path: str) -> str | None:
    """Give an address below the public one, which may lack the path below which we are hosted."""
    root, base_path = (own_address() or "").rstrip("/"), settings().base_path
    if not root:
        return None
    has_base_path = urlsplit(root).path.endswith(base_path)
    return f"{root}{'' if has_base_path else base_path}{path}"


def _part(name: str) -> str:
    return quote(name, safe="")
