"""Session turns: the agents that resume one session work one after another.

Two agents that write the same transcript at once lose a part of it, or mix the two. So a run that was given the session
of another run waits for its turn before its agent starts, and says so with `SessionBusy`. A run with a copy of the
session (a fork) does not wait.

Invariants:

- The turn belongs to the run whose agent's stage began first, in the order of the log. All engines see the same order,
  and a run that asks has begun its stage, so no two runs believe that it is their turn.
- A run has its turn until its agent has ended. A run that no engine drives has an agent for at most the grace of its
  worker; after that the turn passes on. The run enters the queue again when it is retried.
- A session is identified as in `session_runs`. Only a run that was given a session when it was queued shares one: the
  sessions that agents begin are their own.
"""

from collections.abc import Awaitable, Callable

import anyio
import attrs

from aura_contracts.errors import SessionBusy
from aura_contracts.execution import CODING, Execution, ExecutionQueued
from aura_contracts.ids import ExecutionId, TaskId, lease_of
from aura_contracts.lease import WORKER_LEASE, LeaseStatus
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.session_replay import BEGINNINGS
from aura_engine.runtime.session_runs import others_in_session

_NEWEST = 50
"""Runs of a session that are looked at: those before have ended long ago."""


@attrs.frozen
class _Entry:
    """A run in the queue for a session."""

    position: int
    """Where in the log the current stage of its agent began."""
    shares: bool
    """Whether it was given the session when it was queued."""


@attrs.define
class SessionTurns:
    """The order of the runs in each session, read from the log."""

    _runtime: Runtime
    _is_driven: Callable[[TaskId], Awaitable[bool]]
    """Whether any engine drives the task."""
    _undriven_since: dict[ExecutionId, float] = attrs.field(factory=dict)

    async def require(self, execution: Execution) -> None:
        """Raise `SessionBusy` if it is the turn of another run in the session that the agent is about to resume."""
        if execution.session_id is None or execution.fork or _has_started(execution):
            return
        others = await self._others(execution, execution.session_id)
        if not others:
            return
        mine = await self._entry(execution)
        for other in others:
            entry = await self._entry(other)
            if entry.position < mine.position and (mine.shares or entry.shares) and await self._is_at_work(other):
                raise SessionBusy(session=execution.session_id, executor=execution.executor, task_id=other.task_id)

    async def _others(self, execution: Execution, session: str) -> list[Execution]:
        return [
            other
            for other in await others_in_session(self._runtime.reads, execution, {session}, limit=_NEWEST)
            if not (other.plan.fork and other.session_id != session)
            and (other.processes if other.final else other.status in CODING and other.retry_at is None)
        ]

    async def _entry(self, execution: Execution) -> _Entry:
        position, shares = 0, False
        for record in await self._runtime.bus.log.stream(execution.id):
            if isinstance(record.event, ExecutionQueued):
                shares = record.event.spec.session_id is not None
            if isinstance(record.event, BEGINNINGS):
                position = record.position
        return _Entry(position, shares)

    async def _is_at_work(self, other: Execution) -> bool:
        """Whether the agent of another run works, or is about to."""
        lease = await self._runtime.bus.fetch(WORKER_LEASE, lease_of(other.id))
        if other.final and (lease is None or lease.status is LeaseStatus.CLOSED):
            return False
        if await self._is_driven(other.task_id):
            self._undriven_since.pop(other.id, None)
            return True
        since = self._undriven_since.setdefault(other.id, anyio.current_time())
        grace = self._runtime.grace if lease is None else lease.grace
        return anyio.current_time() < since + grace


def _has_started(execution: Execution) -> bool:
    """Whether the agent of this attempt was started."""
    token = str(execution.process_token)
    return any(process.identity.token == token for process in execution.processes)
