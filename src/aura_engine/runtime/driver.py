"""Driver: performs the steps of one task until none is left.

It loads the task, performs the next step, and loads the task again. If it is killed in the middle of a step, the next
driver of the task performs that step again. After a conflict with another writer it reloads too; if a step fails for
now, it retries with growing pauses.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

import anyio
import attrs

from aura_contracts.errors import AuraError
from aura_contracts.events import EventRecord
from aura_contracts.execution import ExecutionCancelled, InterruptRequested
from aura_contracts.ids import StreamId, TaskId
from aura_engine.runtime import cleanup, review, stages
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.steps import STARTING, Do, Step, next_step
from aura_engine.runtime.views import View, driver_view
from aura_worker_protocol.messages import InterruptProcess

_LOG = logging.getLogger(__name__)

Perform = Callable[[Runtime, View], Awaitable[None]]

PERFORM: Mapping[Do, Perform] = MappingProxyType(
    {
        Do.FAIL_DEPENDENT: review.fail_dependent,
        Do.LEASE: stages.lease,
        Do.LEASE_AGAIN: stages.lease_again,
        Do.PREPARE: stages.prepare,
        Do.RUN_SETUP: stages.run_setup,
        Do.RUN_AGENT: stages.run_agent,
        Do.RUN_CLEANUP: stages.run_cleanup,
        Do.RETRY_STAGE: stages.retry_stage,
        Do.PROPOSE_PLAN: review.propose_plan,
        Do.PROPOSE_CHANGES: review.propose_changes,
        Do.APPLY_DECISION: review.apply_decision,
        Do.EXPIRE_APPROVAL: review.expire_approval,
        Do.MERGE: review.merge,
        Do.RESOLVE_CONFLICT: review.resolve_conflict,
        Do.COMPLETE: review.complete,
        Do.RECORD_OFFLINE: cleanup.record_offline,
        Do.RECORD_RETURN: cleanup.record_return,
        Do.LOSE_WORKER: cleanup.lose_worker,
        Do.CANCEL_EXECUTION: cleanup.cancel_execution,
        Do.RELEASE: cleanup.release,
        Do.RECORD_FAILURE: cleanup.record_failure,
        Do.RUN_AGAIN: cleanup.run_again,
        Do.CLEAR_WORKSPACE: cleanup.clear_workspace,
    }
)

_PAUSES = (0.0, 0.02, 0.1, 0.5, 2.0, 10.0)
"""Seconds before a failed step is retried; the last one repeats."""

_NEEDS_ROOM = frozenset({Do.LEASE, Do.PREPARE, Do.RUN_SETUP, Do.RUN_AGENT, Do.RUN_CLEANUP})
_WORKING = _NEEDS_ROOM | {Do.RETRY_STAGE}

_GIVEN_UP = frozenset(
    {
        *(Do.PREPARE, Do.RUN_SETUP, Do.RUN_AGENT, Do.RUN_CLEANUP, Do.RETRY_STAGE, Do.RUN_AGAIN),
        *(Do.PROPOSE_PLAN, Do.PROPOSE_CHANGES, Do.APPLY_DECISION, Do.MERGE, Do.RESOLVE_CONFLICT),
    }
)
"""Steps that fail the task when they keep failing, instead of being retried forever."""


class Listeners(Protocol):
    """Wakes drivers at events of the streams they listen to."""

    def listen(self, driver: "Driver", stream_id: StreamId) -> None:
        """Wake the driver at every event of a stream from now on."""

    def leave(self, driver: "Driver", stream_id: StreamId) -> None:
        """Stop waking the driver at events of this stream."""

    def notify(self) -> None:
        """Wake all waiters: a driver is blocked, or no longer blocked."""


@attrs.define(eq=False)
class Driver:
    """Drives one task. `run` returns when the task has ended and is cleaned up."""

    _runtime: Runtime
    task_id: TaskId
    _listeners: Listeners
    starts: bool = attrs.field(default=True, kw_only=True)
    """Whether it starts agents and scripts, and waits; without, it only puts the task in order."""
    last_error: AuraError | None = None
    """The error of the last step, which is retried; None if it succeeded."""
    streams: frozenset[StreamId] = frozenset()
    """The streams that this driver listens to."""
    _changed: anyio.Event = attrs.field(factory=anyio.Event)
    _interrupts: anyio.Event = attrs.field(factory=anyio.Event)
    _view: View | None = None
    _failures: int = 0

    def wake(self, record: EventRecord | None = None) -> None:
        """Have the driver look again; `record` is the event, None for a change outside the log."""
        self._changed.set()
        if record is not None and isinstance(record.event, ExecutionCancelled | InterruptRequested):
            self._interrupts.set()

    @property
    def woken(self) -> bool:
        """Whether the driver was woken since it last looked."""
        return self._changed.is_set()

    async def run(self) -> None:
        """Drive the task to its end. Cancel to stop; recorded decisions stay, and another driver can continue."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._pass_interrupts_on)
            try:
                while await self._once():
                    pass
            finally:
                if self._view is not None and self._view.execution is not None:
                    self._runtime.slots.give_back(self._view.execution.id)
                group.cancel_scope.cancel()

    async def _once(self) -> bool:
        """Look, and perform one step; return whether there may be more to do."""
        self._changed = anyio.Event()
        view = await driver_view(self._runtime.bus, self.task_id, self._listen)
        if view is None:
            return False
        self._view = view
        for stream_id in self.streams - view.streams:
            self._listeners.leave(self, stream_id)
        self.streams &= view.streams
        step = next_step(view, self._runtime.bus.clock(), self._runtime.gateway.worker_id)
        if step.do not in _WORKING and view.execution is not None:
            self._runtime.slots.give_back(view.execution.id)
        if step.do is Do.REST or (not self.starts and step.do in STARTING | {Do.NOTHING}):
            return False
        if step.do is Do.NOTHING:
            await self._wait(step)
            return True
        if step.do not in _NEEDS_ROOM or await self._has_room(view):
            await self._perform(step, view)
        return True

    def _listen(self, stream_id: StreamId) -> None:
        """Listen to a stream before it is read: each of its events is either read or wakes the driver."""
        if stream_id not in self.streams:
            self.streams |= {stream_id}
            self._listeners.listen(self, stream_id)

    async def _has_room(self, view: View) -> bool:
        """Wait for a free slot, or until the driver is woken; return whether it has a slot."""
        execution, slots = view.execution, self._runtime.slots
        assert execution is not None, "what is worked on is an execution"
        execution_id = execution.id
        if not slots.has(execution_id):
            async with anyio.create_task_group() as group:

                async def look_up() -> None:
                    await self._changed.wait()
                    group.cancel_scope.cancel()

                group.start_soon(look_up)
                await slots.take(execution_id, execution.executor)
                group.cancel_scope.cancel()
        return slots.has(execution_id)

    async def _wait(self, step: Step) -> None:
        self._failures = 0
        seconds = None if step.until is None else _seconds(self._runtime.bus.clock(), step.until)
        with anyio.move_on_after(seconds):
            await self._changed.wait()

    async def _perform(self, step: Step, view: View) -> None:
        try:
            await PERFORM[step.do](self._runtime, view)
        except AuraError as error:
            self.last_error = error
            self._listeners.notify()
            pause = _PAUSES[min(self._failures, len(_PAUSES) - 1)]
            self._failures += 1
            level = logging.DEBUG if self._failures < len(_PAUSES) else logging.WARNING
            _LOG.log(level, "task %s: %s could not be done: %s", self.task_id, step.do.name, error)
            if self._failures >= len(_PAUSES) and step.do in _GIVEN_UP and not error.transient:
                await self._give_up(view, error)
            with anyio.move_on_after(pause):
                await self._changed.wait()
        else:
            self.last_error, self._failures = None, 0

    async def _give_up(self, view: View, error: AuraError) -> None:
        try:
            await review.give_up(self._runtime, view, error)
        except AuraError as refused:  # the state has changed: look again
            _LOG.debug("task %s: not abandoned: %s", self.task_id, refused)

    async def _pass_interrupts_on(self) -> None:
        """Interrupt the process at once when the execution is cancelled or an interrupt is requested."""
        while True:
            await self._interrupts.wait()
            self._interrupts = anyio.Event()
            execution = self._view.execution if self._view else None
            if execution is None:
                continue
            request = InterruptProcess(token=str(execution.process_token), reason="requested")
            try:
                await self._runtime.gateway.request(request)
            except AuraError as error:
                _LOG.debug("task %s: nothing to interrupt: %s", self.task_id, error)


def _seconds(now: datetime, until: datetime) -> float:
    return max((until - now).total_seconds(), 0.0) + 0.001
