"""Which machine the jobs of a server are of: most of the server itself, some of another by settings of their own."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from flask import current_app
from sqlalchemy import func, select

from app.domain.collected import CollectedJob, Machine, UnreadableAnswer, machine_of_job
from app.domain.job_metadata import read_settings
from app.extensions import db
from app.models import Job, Run, Server
from app.services.collect.client import Duplicati
from app.services.collect.failures import SILENCES_ALLOWED, SILENT, CollectFailure, Reason
from app.services.collect.storing import check_visible, known_runs, record_of

EXTENSION = "duplistatus.job_owners"
MOST_REMEMBERED = 10_000
MOST_COMPARED = 500


@dataclass(frozen=True, slots=True)
class Owner:
    """The record that the runs of a job belong to, and the name that its reports give the machine."""

    server_id: str
    name: str

    @property
    def machine(self) -> Machine:
        """It, as reports name it."""
        return Machine(self.server_id, self.name)


class JobOwners:
    """Finds out the owners of the jobs of one server, with as few requests as can be.

    A job is asked for its own settings when it is new here, and before new runs of it are stored. What came of that is
    remembered while the application runs.
    """

    def __init__(
        self, duplicati: Duplicati, machine: Machine, server_id: str, visible_server_ids: frozenset[str] | None
    ) -> None:
        self._duplicati = duplicati
        self._machine = machine
        self._own = Owner(server_id, machine.name)
        self._visible_server_ids = visible_server_ids
        self._asked: set[str] = set()
        self._failures: dict[str, CollectFailure | UnreadableAnswer] = {}
        self._silences = 0
        self._remembered: dict[tuple[str, str], Owner] = current_app.extensions.setdefault(EXTENSION, {})

    @property
    def machine(self) -> Machine:
        """The server itself."""
        return self._own.machine

    def guess(self, job: CollectedJob) -> Owner:
        """Return the owner as far as it is known here; asks only where `find` does not know it. Raises as `ask`."""
        return self.find(job) or self.ask(job)

    def find(self, job: CollectedJob) -> Owner | None:
        """Return the owner as far as it is known here. Raises Forbidden.

        None for a job that is new, or whose remembered owner has no record (any more).
        """
        owner = self._remembered.get((self._own.server_id, job.duplicati_id))
        if owner is not None and not self._has_record(owner):
            return None
        if owner is None and (not job.duplicati_id or self._is_known(job)):
            owner = self._own
        return None if owner is None else self._checked(owner)

    def ask(self, job: CollectedJob, instants: Collection[datetime] = ()) -> Owner:
        """Return the owner by the job's own settings.

        Where they cannot be had it is the one of before, or the one that has runs of the job that began at any of
        `instants`. Raises Forbidden, and CollectFailure or UnreadableAnswer where there is none.
        """
        key = (self._own.server_id, job.duplicati_id)
        if not job.duplicati_id:
            return self._own
        if job.duplicati_id not in self._asked:
            self._asked.add(job.duplicati_id)
            try:
                self._remember(key, self._owner_by(machine_of_job(self._machine, self._settings_of(job))))
            except (CollectFailure, UnreadableAnswer) as failure:
                self._failures[job.duplicati_id] = failure
        owner = self._remembered.get(key) or self._owner_of_runs(job, instants)
        if owner is None:
            raise self._failures[job.duplicati_id]
        return self._checked(owner)

    def known_runs(self, job: CollectedJob, owner: Owner) -> frozenset[datetime]:
        """Return the begins of the known runs of a job, also of those from before it had an owner of its own."""
        own = known_runs(self._own.server_id, job.name)
        return own if owner.server_id == self._own.server_id else own | known_runs(owner.server_id, job.name)

    def _settings_of(self, job: CollectedJob) -> dict[str, str]:
        if self._silences >= SILENCES_ALLOWED:
            raise CollectFailure(Reason.TIMEOUT, "not asked for its settings, since the server has fallen silent")
        try:
            backup = self._duplicati.backup(job.duplicati_id)
        except CollectFailure as failure:
            self._silences += failure.reason in SILENT
            raise
        return read_settings(backup) or {}

    def _owner_of_runs(self, job: CollectedJob, instants: Collection[datetime]) -> Owner | None:
        """The one record that has runs of a job of this name which began at any of some instants."""
        sent_at = func.coalesce(Run.reported_began_at, Run.began_at)
        wanted = (
            select(Server.id, Server.name)
            .join(Job, Job.server_id == Server.id)
            .join(Run, Run.job_id == Job.id)
            .where(Job.name == job.name, sent_at.in_(sorted(instants)[-MOST_COMPARED:]))
            .distinct()
        )
        found = db.session.execute(wanted).all() if instants else []
        db.session.commit()
        return Owner(found[0].id, found[0].name) if len(found) == 1 else None

    def _remember(self, key: tuple[str, str], owner: Owner) -> None:
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[key] = owner

    def is_certain(self, job: CollectedJob) -> bool:
        """Return whether the job was asked in this conversation."""
        return job.duplicati_id in self._asked

    def _owner_by(self, machine: Machine) -> Owner:
        if machine.id == self._machine.id and (machine.id or machine.name == self._machine.name):
            return Owner(self._own.server_id, machine.name)
        return Owner(record_of(machine), machine.name)

    def _is_known(self, job: CollectedJob) -> bool:
        found = db.session.scalar(
            select(Job.id).where(Job.server_id == self._own.server_id, Job.name == job.name).limit(1)
        )
        db.session.commit()
        return found is not None

    def _has_record(self, owner: Owner) -> bool:
        if owner.server_id == self._own.server_id:
            return True
        found = db.session.scalar(select(Server.id).where(Server.id == owner.server_id))
        db.session.commit()
        return found is not None

    def _checked(self, owner: Owner) -> Owner:
        if owner.server_id != self._own.server_id:
            check_visible(owner.server_id, self._visible_server_ids)
        return owner
