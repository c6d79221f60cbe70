"""Tags: words that people put on servers and jobs, to find them and to look at some of them alone.

A job has those of its server as well.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select

from app.contracts.errors import AppError, NotFound
from app.models import Job, Server
from app.services.audit import Actor, record_entry
from app.services.transaction import writing

LONGEST = 40
MOST = 20


def read_tags(texts: Iterable[str]) -> list[str]:
    """Tags as they are kept: without space around, each once, in alphabetical order. Raises AppError."""
    words = [" ".join(text.split()) for text in texts]
    found = {word.casefold(): word for word in reversed(words) if word}
    if len(found) > MOST:
        raise AppError(f"tags: at most {MOST} of them", field="tags")
    too_long = next((word for word in found.values() if len(word) > LONGEST), None)
    if too_long is not None:
        raise AppError(f"tags: a tag has at most {LONGEST} signs", field="tags")
    if any("," in word for word in found.values()):
        raise AppError("tags: a tag holds no comma", field="tags")
    return sorted(found.values(), key=str.casefold)


def change_tags(
    server_id: str, job_name: str | None, texts: Iterable[str], *, actor: Actor, now: datetime
) -> list[str]:
    """Put these tags and no others on a server, or on one of its jobs; returns them. Raises NotFound and AppError."""
    tags = read_tags(texts)
    with writing() as session:
        owner: Server | Job | None = session.get(Server, server_id)
        if owner is None:
            raise NotFound("Server not found")
        details: dict[str, object] = {"serverId": server_id, "tags": tags}
        if job_name is not None:
            owner = session.scalar(select(Job).where(Job.server_id == server_id, Job.name == job_name))
            details["backupName"] = job_name
        if owner is None:
            raise NotFound("Backup job not found")
        owner.tags = tags
        kind = "server" if job_name is None else "job"
        target = server_id if job_name is None else f"{server_id}:{job_name}"
        record_entry(
            f"{kind}_tags_updated", "config", now=now, actor=actor, target_type=kind, target_id=target, details=details
        )
    return tags
