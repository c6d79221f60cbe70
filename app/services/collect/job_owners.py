"""Which machine the jobs of a server are of: most of the server itself, some of another by settings of their own."""

from dataclasses import dataclass

from flask import current_app
from sqlalchemy import select

from app.domain.collected import CollectedJob, Machine, UnreadableAnswer, machine_of_job
from app.domain.job_metadata import read_settings
from app.extensions import db
from app.models import Job, Server
from app.services.collect.client import Duplicati
from app.services.collect.failures import SILENCES_ALLOWED, SILENT, CollectFailure
from app.services.collect.storing import check_visible, record_of

EXTENSION = "duplistatus.job_owners"
MOST_REMEMBERED = 10_000


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
        self._silences = 0
        self._remembered: dict[tuple[str, str], Owner] = current_app.extensions.setdefault(EXTENSION, {})

    def guess(self, job: CollectedJob) -> Owner:
        """Return the owner as far as it is known here. Raises Forbidden.

        Asks only for a job that is new, or whose remembered owner has no record (any more).
        """
        owner = self._remembered.get((self._own.server_id, job.duplicati_id))
        is_certain = self._is_known(job) if owner is None else self._has_record(owner)
        if not is_certain:
            return self.ask(job)
        return self._checked(owner or self._own)

    def ask(self, job: CollectedJob) -> Owner:
        """Return the owner by the job's own settings; that of the server where they cannot be had. Raises Forbidden."""
        key = (self._own.server_id, job.duplicati_id)
        is_worth_asking = job.duplicati_id and self._silences < SILENCES_ALLOWED
        if is_worth_asking and job.duplicati_id not in self._asked:
            self._asked.add(job.duplicati_id)
            try:
                settings = read_settings(self._duplicati.backup(job.duplicati_id))
                owner = self._owner_by(machine_of_job(self._machine, settings))
            except CollectFailure as failure:
                self._silences += failure.reason in SILENT
            except UnreadableAnswer:
                pass  # a name that is too long
            else:
                self._remember(key, owner)
        return self._checked(self._remembered.get(key, self._own))

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
