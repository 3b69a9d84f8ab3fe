"""Watch: follows a task's events until it has ended or waits for a human.

A task can be in one of four conditions, and a watch treats each in its own way:

ended           over
asks a human    about its work: over, unless the watch lasts until the end
driven          by this engine or another one, or to be taken over by this one: wait; in the queue, this means that
                one of them gives it to an agent as soon as one is free
split           its parts are driven with it: wait, unless none of them can continue before a human acts, see
                `aura_engine.facade.part_progress`
not driven      `RunNotDriven`, once it has lasted; an engine that only records waits for one that drives
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio
import attrs

from aura_contracts.approval import APPROVAL, ApprovalRequested, ApprovalStatus
from aura_contracts.catalogue import AGGREGATES
from aura_contracts.errors import RunNotDriven, StoreFull, StoreReadOnly
from aura_contracts.events import EventRecord
from aura_contracts.execution import CODING, EXECUTION, Execution, ExecutionStatus
from aura_contracts.ids import ApprovalId, StreamId, TaskId, lease_of
from aura_contracts.lease import WORKER_LEASE, LeaseStatus
from aura_contracts.output import OutputRecorded
from aura_contracts.ports.read_models import ApprovalQuery, ExecutionQuery
from aura_contracts.task import TASK, WAITS_FOR_HUMAN, Task, TaskStatus
from aura_contracts.workspace import WORKSPACE
from aura_engine import runtime
from aura_engine.exception_groups import unwrap_group
from aura_engine.facade import part_progress
from aura_engine.facade.core import Core
from aura_engine.runtime.views import EventSelector, streams_of, workspace_of

_TOPICS = tuple(f"{aggregate.name}.*" for aggregate in AGGREGATES)
"""A program's own events, in the same log, are passed over: this one may not know them."""

PAGE = 8
"""Events per read: one event of output may hold a megabyte, and the reader may be slow."""

_CHECKS = 3
"""Times in a row that a task is found without an engine before it counts as not driven: another may take it over."""


@attrs.define
class Watch:
    """A task to follow, once."""

    _core: Core
    _task_id: TaskId
    _needs_engine: bool = attrs.field(default=False, init=False)
    """Whether the task makes progress only while an engine drives it, as of the latest look."""
    _split: bool = attrs.field(default=False, init=False)
    """Whether parts stand for its work, as of the latest look: then what happens to them concerns the task."""
    _queued: bool = attrs.field(default=False, init=False)
    """Whether the task waits for an agent of the pool, as of the latest look."""
    _next_check: float = attrs.field(default=0.0, init=False)
    _found_undriven: int = attrs.field(default=0, init=False)
    """Times in a row."""
    _awaited: int = attrs.field(default=0, init=False)
    """The head of the log after the latest wait, from which the next read passes over events that are not AURA's."""

    async def follow(
        self, after: int, *, until_end: bool = False, whole: bool = False
    ) -> AsyncGenerator[EventRecord, None]:
        """Yield the task's events after position `after`; see `Run.events`.

        `whole` means that `after` is before the task's first event, so its events introduce its streams."""

        selector = EventSelector.task(self._task_id, () if whole else await self._streams())
        log, doubt, over = self._core.log, True, False
        while True:
            activity = self._core.follower.activity
            upto = await log.head() if over else None  # other tasks may add to the log indefinitely
            is_news = False
            async with aclosing(log.read(after, upto=upto, page_size=PAGE, topics=_TOPICS)) as records:
                async for record in records:
                    after = record.position
                    self._core.bus.states.observe(record)  # so that `_is_over` is never behind what was yielded
                    doubt = doubt or (self._split and not isinstance(record.event, OutputRecorded))
                    if selector.admits(record):
                        is_news = True
                        doubt = doubt or not isinstance(record.event, OutputRecorded)
                        yield record
            if over and not is_news:
                return
            after = max(after, self._awaited)
            over = doubt and await self._is_over(until_end=until_end)
            if not over:
                doubt = await self._wait_for_change(after, activity)

    async def _wait_for_change(self, after: int, activity: anyio.Event) -> bool:
        """Wait for an event after position `after`, for `activity`, or until no engine drives the task; return whether
        it was one of the latter.
        """
        alarmed = False
        try:
            async with anyio.create_task_group() as group:

                async def wait() -> None:
                    self._awaited = await self._core.log.wait(after)
                    group.cancel_scope.cancel()

                async def wait_for_alarm() -> None:
                    nonlocal alarmed
                    await self._undriven()
                    alarmed = True
                    group.cancel_scope.cancel()

                group.start_soon(wait)
                group.start_soon(wait_for_alarm)
                await activity.wait()
                group.cancel_scope.cancel()
        except ExceptionGroup as errors:
            raise unwrap_group(errors) from None
        return alarmed or activity.is_set()

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
        states = [await self._core.stored(APPROVAL, approval_id) for approval_id in approvals]
        return any(approval.status is ApprovalStatus.PENDING for approval in states)

    async def _streams(self) -> frozenset[StreamId]:
        """Return the task's streams, and evict the cached states of the current ones, which may be older."""
        snapshot = await self._core.view(self._task_id)
        self._core.bus.states.evict(snapshot.streams)
        streams = set[StreamId]()
        async for approval in self._core.reads.rows(ApprovalQuery(task=self._task_id)):
            streams.add(approval.id)
        async for execution in self._core.reads.rows(ExecutionQuery(task=self._task_id)):
            streams.update(streams_of(execution.id))
        return frozenset(streams)

    async def _is_over(self, *, until_end: bool) -> bool:
        """Whether there is nothing left to wait for. Raises `RunNotDriven`, and what keeps this engine from driving."""
        task = await self._core.bus.require(TASK, self._task_id)
        self._raise_store_errors()
        if undriven := self._found_undriven >= _CHECKS:
            self._found_undriven = 0
        if task.ended:
            self._needs_engine = True
            return await self._is_released(task)
        if await self._asks_about_work(task):
            self._needs_engine = False
            return not until_end
        self._queued, self._split = task.pooled, task.decomposed
        if task.execution_id is None and not (task.pooled or task.decomposed or self._core.record_only):
            raise RunNotDriven(task_id=task.id, status=task.status)  # not started: an engine has nothing to do
        if task.decomposed and not await part_progress.can_continue(self._core, task):
            self._needs_engine = False
            return not until_end
        self._needs_engine = not self._core.record_only
        if self._needs_engine and undriven and not await self._is_looked_after():
            raise RunNotDriven(task_id=task.id, status=task.status)
        return False

    async def _is_released(self, task: Task) -> bool:
        """Whether the engine that drove an ended task is done with it."""
        if self._core.follower.drives(task.id):
            return False
        if task.execution_id is None:
            return True
        lease = await self._core.bus.get(WORKER_LEASE, lease_of(task.execution_id))
        return lease is None or lease.status is LeaseStatus.CLOSED or not await self._is_looked_after()

    async def _undriven(self) -> None:
        """Return when no engine drives the task, though it needs one. Continues where a cancelled call stopped."""
        if not self._needs_engine:
            await anyio.sleep_forever()
        while self._found_undriven < _CHECKS:
            await anyio.sleep_until(self._next_check)
            self._found_undriven = 0 if await self._is_looked_after() else self._found_undriven + 1
            self._next_check = anyio.current_time() + runtime.LOCK_CHECK

    async def _is_looked_after(self) -> bool:
        """Whether an engine drives the task, or gives it to an agent, or this one will."""
        follower = self._core.follower
        if self._queued:
            return await follower.is_worked_on(self._task_id)
        return follower.stands_by(self._task_id) or await follower.is_driven(self._task_id)

    async def _asks_about_work(self, task: Task) -> bool:
        """Whether a human is asked about the task's proposal, or about the conflict that blocks its merge.

        Not while an agent that runs waits for the decision itself, as it does for one about a tool call, nor while the
        script runs that cleans up after it.
        """
        if task.status not in WAITS_FOR_HUMAN:
            return False
        execution = None if task.execution_id is None else await self._core.bus.get(EXECUTION, task.execution_id)
        if execution is not None and (execution.status is ExecutionStatus.CLEANUP or _agent_runs(execution)):
            return False
        approval_id = task.approval_id
        if task.status is TaskStatus.BLOCKED:
            workspace = await self._core.bus.get(WORKSPACE, workspace_of(task.id))
            approval_id = None if workspace is None else workspace.approval_id
        approval = None if approval_id is None else await self._core.bus.get(APPROVAL, approval_id)
        return approval is not None and approval.status is ApprovalStatus.PENDING

    def _raise_store_errors(self) -> None:
        """Raise the error that keeps this engine from recording, or the bug that stopped the task's driver."""
        follower = self._core.follower
        follower.raise_defect(self._task_id)
        errors = [follower.blockers.get(self._task_id)]
        if follower.drives(self._task_id):
            errors.append(self._core.runtime.gateway.last_error)
        for error in errors:
            if isinstance(error, StoreFull | StoreReadOnly):
                raise error


def _agent_runs(execution: Execution) -> bool:
    return execution.status in CODING and bool(execution.processes)
