"""Driver: does what a workflow needs from the world, until nothing is left.

It loads the workflow, asks for its acts (`acts`, which is pure), prepares all of it at once, and records it
together, in one append where no part is refused. Then it looks again. If it is killed anywhere, the next driver finds
the same acts: what a step starts is recorded in the same append as its start, under ids that are derived.

Invariants:

- It is woken by every event of the workflow and of what runs for its steps. It listens to each stream before it reads.
- A failure to read or record is never a failure of the workflow. What cannot be prepared for a reason that stays is the
  failure of its step.
- It remembers nothing but which tasks and sub-workflows it has had driven.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import anyio
import attrs

from aura_contracts.actors import ENGINE
from aura_contracts.aggregate import Aggregate, Command
from aura_contracts.errors import AuraError, CommandRefused, Recovery, VersionConflict
from aura_contracts.events import EventRecord
from aura_contracts.ids import StreamId, WorkflowId
from aura_contracts.workflow import WORKFLOW, AdvanceWorkflow, FailStep, FailWorkflow, Workflow, workflow_due
from aura_engine.orchestration.acts import Act, ActKind, acts, evaluation
from aura_engine.orchestration.below import Below
from aura_engine.orchestration.evaluation import evaluate
from aura_engine.orchestration.starts import Starts
from aura_engine.orchestration.world import OnceDrivers, S, StepWorld, WorldChange, report
from aura_engine.runtime.failures import failure_from_error
from aura_engine.runtime.subjects import Listeners
from aura_engine.unit_of_work import UnitOfWork

_LOG = logging.getLogger(__name__)

_PAUSES = (0.0, 0.02, 0.1, 0.5, 2.0, 10.0)
"""Seconds before it looks again after an error; the last one repeats."""

_RACE_PAUSE = 0.5
"""Seconds at most before it looks again after others were faster."""

TOGETHER = 50
"""Changes that are recorded in one append, at most."""

_NEWS = frozenset({ActKind.EVALUATE, ActKind.START})


@attrs.define(eq=False)
class WorkflowDriver:
    """Drives one workflow. `run` returns when it has ended, or another engine drives it."""

    _world: StepWorld
    workflow_id: WorkflowId
    _listeners: Listeners
    starts: bool = attrs.field(default=True, kw_only=True)
    """Whether it starts steps, and waits; without, it only records what has happened to those that run."""
    last_error: AuraError | None = attrs.field(default=None, init=False)
    streams: frozenset[StreamId] = attrs.field(default=frozenset(), init=False)
    stepped_back: bool = attrs.field(default=False, init=False)
    _touched: set[StreamId] = attrs.field(factory=set, init=False)
    """The streams that were read since the last look began."""
    _changed: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    _scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope, init=False)
    _failures: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._world = attrs.evolve(self._world, drivers=OnceDrivers(self._world.drivers))

    # --- As a driver --------------------------------------------------------------------------------------------------

    def wake(self, record: EventRecord | None = None) -> None:
        """Have the driver look again."""
        self._changed.set()

    @property
    def woken(self) -> bool:
        """Whether the driver was woken since it last looked."""
        return self._changed.is_set()

    def step_back(self) -> None:
        """Stop, because another engine has the workflow's lock."""
        self.stepped_back = True
        self._scope.cancel()

    async def run(self) -> None:
        """Drive the workflow to its end. Cancel to stop; what is recorded stays, and another driver can continue."""
        with anyio.CancelScope() as self._scope:
            while await self._once():
                pass

    async def _once(self) -> bool:
        """Look, and do all acts; return whether there may be more."""
        self._changed = anyio.Event()
        try:
            return await self._look()
        except AuraError as error:
            if error.recovery is not Recovery.LATER and not isinstance(error, VersionConflict | CommandRefused):
                raise
            await self._pause(error)
            return True

    # --- A look -------------------------------------------------------------------------------------------------------

    async def _look(self) -> bool:
        self._touched = set()
        workflow = await self._load(WORKFLOW, self.workflow_id)
        if workflow is None:
            return False
        clock = self._world.runtime.clock
        now, until = clock.now(), workflow_due(workflow)
        todo = [act for act in acts(workflow, now) if self.starts or act.kind not in _NEWS]
        if any(act.kind is ActKind.ADVANCE for act in todo):
            held = await clock.held_once_reached(self._world.runtime.bus.log.head)
            if not held:
                await self._world.runtime.bus.handle(ENGINE, workflow.id, AdvanceWorkflow())
                self._succeeded()
                return True
            until = now + timedelta(seconds=held)  # what was asleep has to be able to say so first
        below = Below(self._world, self._load, now)
        changes = await self._prepared(workflow, todo, below) if todo else ()
        if changes:
            await self._record(workflow, changes)
            self._succeeded()
            return True
        self._leave_others()
        if workflow.ended or not self.starts:
            return False
        self._succeeded()
        await self._wait(min((moment for moment in (until, below.until) if moment is not None), default=None))
        return True

    async def _prepared(self, workflow: Workflow, todo: Sequence[Act], below: Below) -> Sequence[WorldChange]:
        """Prepare all acts at the same time; return what they have recorded, in the order of the acts.

        An error that may pass keeps only its act waiting: it is raised if nothing else can be recorded.
        """
        found: dict[int, WorldChange] = {}
        errors: list[AuraError] = []

        async def prepare(place: int, act: Act) -> None:
            try:
                change = await self._change(workflow, act, below)
            except AuraError as error:
                errors.append(error)
                return
            if change is not None:
                found[place] = change

        async with anyio.create_task_group() as group:
            for place, act in enumerate(todo):
                group.start_soon(prepare, place, act)
        if errors and not found:
            raise errors[0]
        return [found[place] for place in sorted(found)]

    async def _change(self, workflow: Workflow, act: Act, below: Below) -> WorldChange | None:
        """Return what an act has recorded; None if it has to wait."""
        step = workflow.steps.get(act.step_id)
        try:
            match act.kind:
                case ActKind.EVALUATE:
                    return WorldChange(act.step_id, report(workflow.id, evaluate(workflow, act)))
                case ActKind.START:
                    assert step is not None, "only steps that exist are started"
                    return await Starts(self._world, self._load, below.now).start(workflow, step)
                case ActKind.FOLLOW:
                    assert step is not None, "only steps that run are followed"
                    return await below.follow(workflow, step)
                case ActKind.CANCEL_BELOW:
                    assert step is not None, "only steps that run are cancelled"
                    return await below.cancel(workflow, step)
                case ActKind.ADVANCE:
                    return None
        except AuraError as error:
            if error.recovery is Recovery.LATER or act.kind not in _NEWS:
                raise
            return _failed(workflow, act.step_id, error)

    async def _load(self, aggregate: Aggregate[S], aggregate_id: StreamId) -> S | None:
        """Return a state, having listened to its stream before: each of its events is either read or wakes."""
        self._touched.add(aggregate_id)
        if aggregate_id not in self.streams:
            self.streams |= {aggregate_id}
            self._listeners.listen(self, aggregate_id)
        return await self._world.runtime.bus.get(aggregate, aggregate_id)

    def _leave_others(self) -> None:
        """Listen no longer to what ran for steps that have ended."""
        for stream_id in self.streams - self._touched:
            self._listeners.leave(self, stream_id)
        self.streams &= self._touched

    # --- Recording ----------------------------------------------------------------------------------------------------

    async def _record(self, workflow: Workflow, changes: Sequence[WorldChange]) -> None:
        """Record changes together; if one is refused, each by itself."""
        for first in range(0, len(changes), TOGETHER):
            part = changes[first : first + TOGETHER]
            try:
                await self._append(part)
            except VersionConflict:
                raise
            except AuraError as error:
                if error.recovery is Recovery.LATER:
                    raise
                await self._record_each(workflow, part, error)

    async def _record_each(self, workflow: Workflow, changes: Sequence[WorldChange], error: AuraError) -> None:
        for change in changes:
            refused = error
            try:
                if len(changes) > 1:
                    await self._append([change])
                    continue
            except VersionConflict:
                raise
            except AuraError as own:
                if own.recovery is Recovery.LATER:
                    raise
                refused = own
            if isinstance(refused, CommandRefused) and refused.aggregate == WORKFLOW.name:
                raise refused  # the workflow has changed since the look: look again
            await self._append([_failed(workflow, change.step_id, refused)])

    async def _append(self, changes: Sequence[WorldChange]) -> None:
        async def decide(unit: UnitOfWork) -> None:
            for change in changes:
                await change.add(unit)
            if self.starts:
                await self._evaluate_more(unit)

        await self._world.runtime.bus.transact(ENGINE, decide)
        for change in changes:
            if change.begins is not None:
                change.begins()

    async def _evaluate_more(self, unit: UnitOfWork) -> None:
        """Evaluate what can be evaluated after that, which has no effect outside, and record it together with it.

        A chain of conditions takes one append, not one for each. What is refused is left to the next look.
        """
        with suppress(CommandRefused):
            for _ in range(TOGETHER):
                workflow = await unit.get(WORKFLOW, self.workflow_id)
                act = None if workflow is None else evaluation(workflow)
                if workflow is None or act is None:
                    return
                try:
                    command = evaluate(workflow, act)
                except AuraError as error:
                    command = _failing(act.step_id, error)
                await unit.handle(self.workflow_id, command)

    # --- Waiting ------------------------------------------------------------------------------------------------------

    def _succeeded(self) -> None:
        self.last_error, self._failures = None, 0

    async def _wait(self, until: datetime | None) -> None:
        with anyio.move_on_after(self._world.runtime.clock.until(until)):
            await self._changed.wait()

    async def _pause(self, error: AuraError) -> None:
        """Note that something could not be done, and wait for a change, or a while: longer each time."""
        self.last_error = error
        self._listeners.notify()
        pause = _PAUSES[min(self._failures, len(_PAUSES) - 1)]
        if isinstance(error, VersionConflict):  # others make progress: it is our turn soon
            pause = min(pause, _RACE_PAUSE)
        self._failures += 1
        level = logging.DEBUG if self._failures < len(_PAUSES) else logging.WARNING
        _LOG.log(level, "workflow %s: it could not be carried on: %s", self.workflow_id, error)
        with anyio.move_on_after(pause):
            await self._changed.wait()


def _failed(workflow: Workflow, step_id: str, error: AuraError) -> WorldChange:
    """Return that a step cannot be carried on for a reason that stays; without a step, that the workflow cannot."""
    return WorldChange(step_id, report(workflow.id, _failing(step_id, error)))


def _failing(step_id: str, error: AuraError) -> Command[Workflow]:
    failure = failure_from_error(error)
    return FailStep(step_id=step_id, failure=failure) if step_id else FailWorkflow(failure=failure)
