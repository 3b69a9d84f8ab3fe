"""Watch: follows a task's events until it has ended or waits for a human."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio
import attrs

from aura_contracts.approval import APPROVAL, ApprovalRequested, ApprovalStatus
from aura_contracts.errors import StoreFull, StoreReadOnly
from aura_contracts.events import EventRecord
from aura_contracts.ids import ApprovalId, StreamId, TaskId
from aura_contracts.lease import WORKER_LEASE, LeaseStatus
from aura_contracts.task import TASK, Task, TaskStatus
from aura_contracts.workspace import WORKSPACE
from aura_engine.facade.core import Core
from aura_engine.runtime.event_stream import follow
from aura_engine.runtime.views import lease_of, workspace_of

_WAITING = frozenset({TaskStatus.AWAITING_APPROVAL, TaskStatus.BLOCKED})


@attrs.frozen
class Watch:
    """A task to follow."""

    _core: Core
    _task_id: TaskId

    async def follow(
        self, after: int, *, until_end: bool = False, whole: bool = False
    ) -> AsyncGenerator[EventRecord, None]:
        """Yield the task's events after position `after`; see `Run.events`.

        `whole` means that `after` is before the task's first event, so its events introduce its streams."""

        async def is_over() -> bool:
            return await (self._has_ended() if until_end else self._is_settled())

        known = () if whole else await self._streams()
        observe = self._core.bus.states.observe
        following = follow(self._core.log, self._task_id, after, is_over, self._activity, known, observe)
        async with aclosing(following) as records:
            async for record in records:
                yield record

    async def idle(self) -> None:
        """Return when the task has ended or a human is asked, about its work or a tool call."""
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
        """Whether one of these is still open: rules answer some questions in the same append that asks them."""
        states = [await self._core.approval(approval_id) for approval_id in approvals]
        return any(approval.status is ApprovalStatus.PENDING for approval in states)

    def _activity(self) -> anyio.Event:
        return self._core.follower.activity

    async def _streams(self) -> frozenset[StreamId]:
        """Return the task's current streams, and evict their cached states, which may be older."""
        snapshot = await self._core.snapshot(self._task_id)
        self._core.bus.states.evict(snapshot.streams)
        return snapshot.streams | ({snapshot.output} if snapshot.output else frozenset())

    async def _has_ended(self) -> bool:
        """Whether nothing more will happen to the task. A task that waits for a human has not ended."""
        if (await self._core.bus.require(TASK, self._task_id)).status in _WAITING:
            self._raise_obstacles()
            return False
        return await self._is_settled()

    async def _is_settled(self) -> bool:
        """Whether nothing will happen to the task before a human decides or an engine drives it."""
        bus, follower = self._core.bus, self._core.follower
        task = await bus.require(TASK, self._task_id)
        self._raise_obstacles()
        driven = follower.drives(task.id)
        if task.status in _WAITING and await self._asks_about_work(task):
            return True
        if task.ended:
            if driven or task.execution_id is None:
                return not driven
            lease = await bus.get(WORKER_LEASE, lease_of(task.execution_id))
            return lease is None or lease.status is LeaseStatus.CLOSED
        if task.execution_id is None:
            return True  # no engine has anything to do for it
        return not await follower.is_driven(task.id)

    async def _asks_about_work(self, task: Task) -> bool:
        """Whether a human is asked about the task's proposal, or about the conflict that blocks its merge."""
        approval_id = task.approval_id
        if task.status is TaskStatus.BLOCKED:
            workspace = await self._core.bus.get(WORKSPACE, workspace_of(task.id))
            approval_id = None if workspace is None else workspace.approval_id
        approval = None if approval_id is None else await self._core.bus.get(APPROVAL, approval_id)
        return approval is not None and approval.status is ApprovalStatus.PENDING

    def _raise_obstacles(self) -> None:
        """Raise the error that keeps this engine from recording, or the bug that stopped the task's driver."""
        follower = self._core.follower
        follower.raise_defect(self._task_id)
        if not follower.drives(self._task_id):
            return
        for error in (follower.blockers.get(self._task_id), self._core.runtime.gateway.last_error):
            if isinstance(error, StoreFull | StoreReadOnly):
                raise error
