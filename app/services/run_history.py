"""The runs of a server page by page, in any order, and the run before another to compare it with."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import case, select
from sqlalchemy.orm import InstrumentedAttribute

from app.domain.statuses import ERROR, FATAL, SUCCESS, UNKNOWN, WARNING
from app.extensions import db
from app.models import Job, Run
from app.models.types import AnyRow
from app.services.history import RunDetail

STATUS_PLACES = {status: place for place, status in enumerate((FATAL, ERROR, UNKNOWN, WARNING, SUCCESS))}
# What runs can be ordered by besides the two below, which are no numbers.
NUMBERS: dict[str, InstrumentedAttribute[Any]] = {
    "date": Run.began_at,
    "warnings": Run.warning_count,
    "errors": Run.error_count,
    "versions": Run.version_count,
    "files": Run.examined_files,
    "size": Run.examined_bytes,
    "uploaded": Run.uploaded_bytes,
    "duration": Run.duration_s,
    "storage": Run.storage_bytes,
}


def list_page(
    job_names: Mapping[int, str],
    *,
    order: str = "date",
    is_descending: bool = True,
    offset: int = 0,
    limit: int,
) -> list[AnyRow]:
    """Some of the runs of the given jobs as rows of (Run, job name); of equal ones the newest first.

    `job_names` names the jobs by their ids. Names are ordered here rather than by the database, since databases order
    text by rules of their own. Statuses go from the gravest to the best.
    """
    if order == "job":
        ranks = sorted(job_names, key=lambda job_id: (job_names[job_id].casefold(), job_names[job_id]))
        key: Any = case({job_id: rank for rank, job_id in enumerate(ranks)}, value=Run.job_id, else_=len(ranks))
    elif order == "status":
        key = case(STATUS_PLACES, value=Run.status, else_=STATUS_PLACES[UNKNOWN])
    else:
        key = NUMBERS[order]
    statement = select(Run, Job.name.label("job_name")).join(Job, Job.id == Run.job_id)
    statement = statement.where(Run.job_id.in_(job_names))
    statement = statement.order_by(key.desc() if is_descending else key, Run.began_at.desc(), Run.row_id.desc())
    return list(db.session.execute(statement.offset(offset).limit(limit)))


def run_before(detail: RunDetail) -> Run | None:
    """The run of the same job before this one; None for the first."""
    if detail.previous_id is None:
        return None
    return db.session.scalars(select(Run).where(Run.id == detail.previous_id)).one_or_none()
