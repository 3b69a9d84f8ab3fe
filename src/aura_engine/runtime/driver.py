"""Driver: performs the steps of one task until none is left.

It loads the task, performs the next step, and loads the task again. If it is killed in the middle of a step, the next
driver of the task performs that step again. After a conflict with another writer it reloads too; if a step fails for
now, it retries with growing pauses.

Invariants:

- A driver that starts takes over what another engine holds, under a new epoch. After that it never does: an execution
  that is held for another engine has been taken over from this driver, which steps back and ends nothing.
- A failure to read or record is never a failure of the task.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from types import MappingProxyType

import anyio
import attrs

from aura_contracts.errors import (
    AuraError,
    DomainRule,
    Recovery,
    RefChanged,
    RuleViolated,
    SessionBusy,
    VersionConflict,
)
from aura_contracts.events import EventRecord
from aura_contracts.execution import ExecutionCancelled, InterruptRequested
from aura_contracts.ids import StreamId, TaskId
from aura_contracts.task import ProposalSubmitted
from aura_engine.runtime import (
    cleanup,
    decomposition,
    dependencies,
    leases,
    lock_claims,
    merges,
    obstacles,
    review,
    stages,
)
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.session_turns import SessionTurns
from aura_engine.runtime.steps import OVERDUE, STARTING, Do, Step, is_driven_elsewhere, next_step
from aura_engine.runtime.subjects import Listeners
from aura_engine.runtime.views import View, driver_view
from aura_engine.scheduling import group_of
from aura_worker_protocol.messages import InterruptProcess

_LOG = logging.getLogger(__name__)

Perform = Callable[[Runtime, View], Awaitable[None]]

PERFORM: Mapping[Do, Perform] = MappingProxyType(
    {
        Do.END_DEPENDENCY: dependencies.end_dependency,
        Do.TAKE_LOCKS: lock_claims.take,
        Do.RESOLVE_COLLISION: lock_claims.resolve,
        Do.RELEASE_LOCKS: lock_claims.give_back,
        Do.START_NEXT: cleanup.start_next,
        Do.LEASE: leases.lease,
        Do.LEASE_AGAIN: leases.lease_again,
        Do.TAKE_OVER: leases.take_over,
        Do.PREPARE: stages.prepare,
        Do.RUN_SETUP: stages.run_setup,
        Do.RUN_AGENT: stages.run_agent,
        Do.RUN_CLEANUP: stages.run_cleanup,
        Do.RETRY_STAGE: stages.retry_stage,
        Do.DELIVER_MESSAGES: review.deliver_messages,
        Do.PROPOSE_PLAN: review.propose_plan,
        Do.PROPOSE_CHANGES: review.propose_changes,
        Do.PROPOSE_PARTS: decomposition.propose_parts,
        Do.APPLY_DECISION: review.apply_decision,
        Do.EXPIRE_APPROVAL: review.expire_approval,
        Do.MERGE: merges.merge,
        Do.RESOLVE_CONFLICT: merges.resolve_conflict,
        Do.COMPLETE: merges.complete,
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

_RACE_PAUSE = 0.5
"""Seconds at most before a step is retried that lost a race, such as that of merges for the target branch."""

TURN_CHECK = 0.5
"""Seconds between two looks at a session that another run works in."""

_NEEDS_ROOM = frozenset({Do.LEASE, Do.PREPARE, Do.RUN_SETUP, Do.RUN_AGENT, Do.RUN_CLEANUP})
_WORKING = _NEEDS_ROOM | {Do.RETRY_STAGE}

_GIVEN_UP = frozenset(
    {
        *(Do.PREPARE, Do.RUN_SETUP, Do.RUN_AGENT, Do.RUN_CLEANUP, Do.RETRY_STAGE, Do.RUN_AGAIN),
        *(Do.APPLY_DECISION, Do.DELIVER_MESSAGES),
        *(Do.PROPOSE_PLAN, Do.PROPOSE_CHANGES, Do.PROPOSE_PARTS, Do.MERGE, Do.RESOLVE_CONFLICT),
    }
)
"""Steps that the engine abandons when they keep failing, see `obstacles.give_up`; it retries the others forever."""


Parts = Callable[[TaskId], None]
"""Has a part of a task that was split driven, if it is queued or has begun."""


@attrs.define(eq=False)
class Driver:
    """Drives one task. `run` returns when the task has ended and is cleaned up, or another engine drives it."""

    _runtime: Runtime
    task_id: TaskId
    _listeners: Listeners
    _turns: SessionTurns
    _take_on_part: Parts
    starts: bool = attrs.field(default=True, kw_only=True)
    """Whether it starts agents and scripts, and waits; without, it only repairs the task."""
    last_error: AuraError | None = None
    """The error of the last step, which is retried; None if it succeeded."""
    streams: frozenset[StreamId] = frozenset()
    """The streams that this driver listens to."""
    _changed: anyio.Event = attrs.field(factory=anyio.Event)
    _interrupts: anyio.Event = attrs.field(factory=anyio.Event)
    _submitted: anyio.Event = attrs.field(factory=anyio.Event)
    """Set when the agent may have submitted a plan that this engine's callables have not judged."""
    stepped_back: bool = False
    """Whether another engine drives the task now."""
    _view: View | None = None
    _scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope)
    _settled: bool = False
    """Whether this driver has found the execution to be its own, or made it so."""
    _failures: int = 0
    _parts: frozenset[TaskId] = frozenset()
    """The parts of the split task that the engine drives, or drove."""

    def wake(self, record: EventRecord | None = None) -> None:
        """Have the driver look again; `record` is the event, None for a change outside the log."""
        self._changed.set()
        if record is not None and isinstance(record.event, ExecutionCancelled | InterruptRequested):
            self._interrupts.set()
        if record is not None and isinstance(record.event, ProposalSubmitted):
            self._submitted.set()

    @property
    def woken(self) -> bool:
        """Whether the driver was woken since it last looked."""
        return self._changed.is_set()

    @property
    def waits_for_locks(self) -> bool:
        """Whether the task waits for locks that others have."""
        claim = self._view.claim if self._view else None
        return claim is not None and not claim.held

    def step_back(self) -> None:
        """Stop, because another engine has the task's lock. What runs is left to that engine."""
        self.stepped_back = True
        self._scope.cancel()

    async def run(self) -> None:
        """Drive the task to its end. Cancel to stop; recorded decisions stay, and another driver can continue."""
        with anyio.CancelScope() as self._scope:
            async with anyio.create_task_group() as group:
                group.start_soon(self._pass_interrupts_on)
                if self._runtime.policies.calls:
                    group.start_soon(self._judge_plans)
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
        try:
            view = await self._look()
            step = await self._next(view)
        except AuraError as error:
            if error.recovery is not Recovery.LATER:
                raise
            await self._pause(error, "look")
            return True
        if view is None:
            return False
        if step.do not in _WORKING and view.execution is not None:
            self._runtime.slots.give_back(view.execution.id)
        if not self.starts and step.do in STARTING | {Do.NOTHING}:
            return False
        self._take_on_parts(view)
        if step.do is Do.NOTHING:
            await self._wait(step)
        elif await self._may_perform(step, view):
            await self._perform(step, view)
        return step.do is not Do.REST

    async def _next(self, view: View | None) -> Step:
        """Return the next step, or a wait in its place if it cannot be undone and the clock has just jumped forward."""
        if view is None:
            return Step(Do.REST)
        clock, gateway = self._runtime.clock, self._runtime.gateway
        step = next_step(view, clock.now(), gateway.worker_id, gateway.engine_id)
        if step.do not in OVERDUE or not (held := await clock.held_once_reached(self._runtime.bus.log.head)):
            return step
        return Step(Do.NOTHING, clock.now() + timedelta(seconds=held))

    def _take_on_parts(self, view: View) -> None:
        """Have this engine drive the parts of a task that was split, each once."""
        if not view.task.decomposed or view.task.ended:
            return
        for part_id in view.task.subtask_ids:
            if part_id not in self._parts:
                self._take_on_part(part_id)
        self._parts |= {*view.task.subtask_ids}

    async def _look(self) -> View | None:
        """Return the task as it is, None if there is nothing to drive or another engine drives it."""
        view = await driver_view(self._runtime.bus, self.task_id, self._listen)
        if view is None:
            return None
        self._view = view
        for stream_id in self.streams - view.streams:
            self._listeners.leave(self, stream_id)
        self.streams &= view.streams
        elsewhere = is_driven_elsewhere(view, self._runtime.gateway.engine_id)
        self.stepped_back = self.stepped_back or (elsewhere and self._settled)
        self._settled = self._settled or not elsewhere
        return None if self.stepped_back else view

    async def _may_perform(self, step: Step, view: View) -> bool:
        """Wait for what the step needs, or until the driver is woken; return whether it is there."""
        if step.do is Do.REST or (step.do is Do.RUN_AGENT and not await self._has_turn(view)):
            return False
        return step.do not in _NEEDS_ROOM or await self._has_room(view)

    def _listen(self, stream_id: StreamId) -> None:
        """Listen to a stream before it is read: each of its events is either read or wakes the driver."""
        if stream_id not in self.streams:
            self.streams |= {stream_id}
            self._listeners.listen(self, stream_id)

    async def _has_room(self, view: View) -> bool:
        """Wait for a free slot, or until the driver is woken; return whether it has a slot."""
        execution, slots = view.require_execution(), self._runtime.slots
        execution_id = execution.id
        if not slots.has(execution_id):
            async with anyio.create_task_group() as group:

                async def look_up() -> None:
                    await self._changed.wait()
                    group.cancel_scope.cancel()

                group.start_soon(look_up)
                await slots.take(execution_id, execution.executor, group_of(view.task))
                group.cancel_scope.cancel()
        return slots.has(execution_id)

    async def _has_turn(self, view: View) -> bool:
        """Whether the agent may start in its session; if not, wait a while, without a slot."""
        execution = view.require_execution()
        try:
            await self._turns.require(execution)
        except SessionBusy as busy:
            self._runtime.slots.give_back(execution.id)
            if execution.interrupted:
                await self._perform(Step(Do.RUN_AGENT), view, stages.interrupt_unstarted)
                return False
            self.last_error = busy
            self._listeners.notify()
            with anyio.move_on_after(TURN_CHECK):
                await self._changed.wait()
            return False
        except AuraError as error:
            await self._pause(error, "look for its turn")
            return False
        return True

    async def _wait(self, step: Step) -> None:
        self.last_error, self._failures = None, 0
        with anyio.move_on_after(self._runtime.clock.until(step.until)):
            await self._changed.wait()

    async def _perform(self, step: Step, view: View, perform: Perform | None = None) -> None:
        try:
            await (perform or PERFORM[step.do])(self._runtime, view)
        except AuraError as error:
            is_tried = error.recovery is Recovery.HUMAN or self._failures + 1 >= len(_PAUSES)
            if is_tried and step.do in _GIVEN_UP and _is_permanent(error):
                await self._give_up(view, error)
            await self._pause(error, step.do.name)
        else:
            self.last_error, self._failures = None, 0
            self._settled = self._settled or step.do is Do.TAKE_OVER

    async def _pause(self, error: AuraError, what: str) -> None:
        """Note that something could not be done, and wait for a change, or a while: longer each time."""
        self.last_error = error
        self._listeners.notify()
        pause = _PAUSES[min(self._failures, len(_PAUSES) - 1)]
        if isinstance(error, RefChanged | VersionConflict):  # others make progress: it is our turn soon
            pause = min(pause, _RACE_PAUSE)
        self._failures += 1
        level = logging.DEBUG if self._failures < len(_PAUSES) else logging.WARNING
        _LOG.log(level, "task %s: %s could not be done: %s", self.task_id, what, error)
        with anyio.move_on_after(pause):
            await self._changed.wait()

    async def _give_up(self, view: View, error: AuraError) -> None:
        try:
            await obstacles.give_up(self._runtime, view, error)
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

    async def _judge_plans(self) -> None:
        """Ask the callables about each plan that the agent submits while it works, and about one that waits already."""
        while True:
            self._submitted = anyio.Event()
            try:
                await review.judge_submitted(self._runtime, self.task_id)
            except AuraError as error:
                _LOG.log(logging.DEBUG, "task %s: its plan could not be judged: %s", self.task_id, error)
                await anyio.sleep(_PAUSES[-2])
                continue
            await self._submitted.wait()


_CONFLICT_RULES = frozenset({DomainRule.TAKEN_OVER, DomainRule.STALE_EPOCH, DomainRule.HELD})
"""Rules that refuse because another engine has recorded something first: to look again is enough."""


def _is_permanent(error: AuraError) -> bool:
    """Whether repeating the step will not help."""
    if isinstance(error, RuleViolated) and error.rule in _CONFLICT_RULES:
        return False
    return error.recovery is not Recovery.LATER
