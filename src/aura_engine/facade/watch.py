"""Watch: waiting for a task, by its events, until it has ended or a human is asked."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio
import attrs

from aura_contracts.approval import APPROVAL, ApprovalRequested, ApprovalStatus
from aura_contracts.errors import StoreFull, StoreReadOnly
from aura_contracts.events import EventRecord
from aura_contracts.ids import ApprovalId, StreamId, TaskId
from aura_contracts.lease import LeaseStatus
from aura_contracts.task import TaskStatus
from aura_engine.facade.core import Core
from aura_engine.runtime.event_stream import follow

_WAITING = frozenset({TaskStatus.AWAITING_APPROVAL, TaskStatus.BLOCKED})


@attrs.frozen
class Watch:
    """A task that is watched."""

    _core: Core
    _task_id: TaskId

    def follow(self, after: int, *, until_end: bool = False) -> AsyncGenerator[EventRecord, None]:
        """Yield what happens to the task after position `after`; see `Run.events`."""

        async def is_over() -> bool:
            return await (self._has_ended() if until_end else self._is_settled())

        return follow(self._core.log, self._task_id, after, is_over, self._activity, self._streams)

    async def idle(self) -> None:
        """Return when the task has ended, or a human is asked: about its work or about a tool call."""
        head = await self._core.log.head()
        asked = {approval.id for approval in await self._core.pending(self._task_id)}
        if asked:
            return
        async with aclosing(self.follow(head)) as records:
            async for record in records:
                if isinstance(record.event, ApprovalRequested):
                    asked.add(ApprovalId(record.stream_id))
                elif isinstance(record.event, APPROVAL.endings):
                    asked.discard(ApprovalId(record.stream_id))
                if asked and await self._is_asked(asked):
                    return

    async def _is_asked(self, approvals: set[ApprovalId]) -> bool:
        """Whether one of these is still open: rules answer some questions in the append that asks them."""
        states = [await self._core.approval(approval_id) for approval_id in approvals]
        return any(approval.status is ApprovalStatus.PENDING for approval in states)

    def _activity(self) -> anyio.Event:
        return self._core.follower.activity

    async def _streams(self) -> frozenset[StreamId]:
        snapshot = await self._core.snapshot(self._task_id)
        return snapshot.streams | ({snapshot.output} if snapshot.output else frozenset())

    async def _has_ended(self) -> bool:
        """Whether nothing more will happen to the task; one that waits for a human is at work still."""
        snapshot = await self._core.snapshot(self._task_id)
        if snapshot.task.status in _WAITING:
            self._raise_obstacles()
            return False
        return await self._is_settled()

    async def _is_settled(self) -> bool:
        """Whether nothing will happen to the task before a human decides, or an engine takes it on."""
        core, task_id = self._core, self._task_id
        snapshot = await core.snapshot(task_id)
        self._raise_obstacles()
        driven = core.follower.drives(task_id)
        status = snapshot.task.status
        asked = {TaskStatus.AWAITING_APPROVAL: snapshot.approval, TaskStatus.BLOCKED: snapshot.conflict}.get(status)
        if asked is not None and asked.status is ApprovalStatus.PENDING:
            return True
        if snapshot.task.ended:
            return not driven and (snapshot.lease is None or snapshot.lease.status is LeaseStatus.CLOSED)
        if snapshot.execution is None:
            return True  # no engine has anything to do for it
        return not await core.follower.is_driven(task_id)

    def _raise_obstacles(self) -> None:
        """Raise what keeps this engine from recording anything more, or the bug that stopped the task's driver."""
        follower = self._core.follower
        follower.raise_defect(self._task_id)
        if not follower.drives(self._task_id):
            return
        for error in (follower.blockers.get(self._task_id), self._core.runtime.gateway.last_error):
            if isinstance(error, StoreFull | StoreReadOnly):
                raise error
