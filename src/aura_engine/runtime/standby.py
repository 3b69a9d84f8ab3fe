"""Standby: what other engines drive, and this engine takes over when those stop.

Invariants:

- A subject leaves the standby when it is taken over, or has no work left.
- Only a subject whose lock is free is taken over. What another worker has of it is left to the engine of that worker
  for as long as it lives: this engine would have to start it again.
"""

import logging
from collections.abc import Awaitable, Callable

import attrs

from aura_contracts.errors import AuraError
from aura_contracts.ids import TaskId
from aura_contracts.ports.event_log import Locks
from aura_engine.runtime.subjects import DrivenSubject

_LOG = logging.getLogger(__name__)

_ABSENCES = 3
"""Times in a row that an engine is found without its lock before the work of its worker is taken from it: after an
outage of the database every engine takes its locks again, and for a moment a living one is without."""


def lock_of(task_id: TaskId) -> str:
    """Return the key of the lock under which a task is driven."""
    return f"task:{task_id}"


def lock_of_engine(engine_id: str) -> str:
    """Return the key of the lock that an engine holds while it drives anything."""
    return f"engine:{engine_id}"


@attrs.define(eq=False)
class Standby:
    """Subjects to take over, with the error of the last attempt. Belongs to one event loop."""

    _locks: Locks
    _drive: Callable[[DrivenSubject], Awaitable[bool]]
    _notify: Callable[[], None]
    _keep_defect: Callable[[DrivenSubject, Exception], None]
    _errors: dict[DrivenSubject, AuraError | None] = attrs.field(init=False, factory=dict)
    _absences: dict[DrivenSubject, int] = attrs.field(init=False, factory=dict)
    """How often in a row the engine that a subject is left to was found without its lock."""

    def __contains__(self, subject: object) -> bool:
        return subject in self._errors

    def __bool__(self) -> bool:
        return bool(self._errors)

    @property
    def errors(self) -> dict[DrivenSubject, AuraError | None]:
        """The error of the last attempt to take over each subject, None without one."""
        return dict(self._errors)

    def add(self, subject: DrivenSubject, error: AuraError | None = None) -> None:
        """Stand by for a subject."""
        self._errors.setdefault(subject, error)

    def discard(self, subject: DrivenSubject) -> None:
        """Stand by for a subject no longer."""
        self._errors.pop(subject, None)
        self._absences.pop(subject, None)

    async def take_over(self) -> None:
        """Take on each subject whose engine has stopped before its end. An error is kept and tried again."""
        for subject in tuple(self._errors):
            try:
                await self._take_over(subject)
            except AuraError as error:
                _LOG.warning("%s is not taken over: %s", subject, error)
                self._errors[subject] = error
                self._notify()
            except Exception as error:  # noqa: BLE001 - a bug: it concerns only this subject
                self._keep_defect(subject, error)

    async def _take_over(self, subject: DrivenSubject) -> None:
        if await self._locks.held_elsewhere(subject.lock):
            self._absences.pop(subject, None)
        elif not await subject.kind.has_work(subject.id):
            self.discard(subject)
            self._notify()
        elif await self._is_free(subject) and await self._drive(subject):
            _LOG.info("took over %s from an engine that stopped", subject)

    async def _is_free(self, subject: DrivenSubject) -> bool:
        """Whether no other engine with another worker still has what runs of the subject."""
        engine_id = await subject.kind.left_to(subject.id)
        if engine_id is None:
            return True
        alive = await self._locks.held_elsewhere(lock_of_engine(engine_id))
        self._absences[subject] = 0 if alive else self._absences.get(subject, 0) + 1
        return self._absences[subject] >= _ABSENCES
