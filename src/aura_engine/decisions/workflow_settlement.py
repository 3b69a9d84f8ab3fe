"""Settling: everything that follows from the state of a workflow without the world, to a fixpoint. Pure.

    command ──► its own events ──► settle: skips, starts of containers, joins, ends, timeouts, the end of the whole

All of it is recorded in the same append, so no reader sees a workflow that is half moved, and what is left to do is
only what needs the world: `aura_engine.orchestration.acts`.

Steps are looked at when something changed that they depend on: those of a block before what contains them, so that
each container is judged once its steps have come to rest. Then signals are given to those that wait, once all are known
that wait at this moment; the whole comes last. What a command has changed is looked at alone: nothing followed from the
state before it but by time.
"""

import heapq
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from itertools import count, islice
from typing import NamedTuple, TypeGuard

from aura_contracts.actors import ENGINE
from aura_contracts.events import Event, Fact
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.workflow import (
    CONTAINERS,
    LIVE,
    OUTSIDE,
    WORKFLOW,
    EndStep,
    StepCancelled,
    StepCancelling,
    StepCompensationBegun,
    StepCompleted,
    StepDefinition,
    StepEvent,
    StepFailed,
    StepHandlerBegun,
    StepItemsBegun,
    StepRetried,
    StepRetryScheduled,
    StepRoundBegun,
    StepSkipped,
    StepStarted,
    StepStatus,
    WaitStep,
    Workflow,
    WorkflowCancelled,
    WorkflowCancelling,
    WorkflowCompensating,
    WorkflowCompleted,
    WorkflowFailed,
    WorkflowStatus,
    WorkflowStep,
    children_of,
    descendants,
    later,
    outline_of,
)
from aura_contracts.workflow.outline import place_in_order
from aura_engine.decisions._workflow_attempts import attempt_failed
from aura_engine.decisions._workflow_containers import (
    BeginsItems,
    BeginsRound,
    Cancels,
    Completes,
    Fails,
    container_result,
    handler_result,
)
from aura_engine.decisions._workflow_end import whole_result
from aura_engine.decisions._workflow_joins import JoinVerdict, goes_on_below, is_open, join_of
from aura_engine.decisions._workflow_locks import is_locked

_S = StepStatus

_SETTLING = frozenset(
    {WorkflowStatus.ACTIVE, WorkflowStatus.PAUSED, WorkflowStatus.CANCELLING, WorkflowStatus.COMPENSATING}
)
"""The statuses in which anything follows."""


CONSEQUENCES: tuple[type[Event], ...] = (
    *(StepStarted, StepItemsBegun, StepRoundBegun, StepCompleted),
    *(StepRetryScheduled, StepHandlerBegun, StepFailed, StepRetried),
    *(StepCancelling, StepCancelled, StepSkipped, StepCompensationBegun),
    *(WorkflowCancelling, WorkflowCompensating, WorkflowCompleted, WorkflowFailed, WorkflowCancelled),
)


class Since(NamedTuple):
    """What has happened to a workflow since nothing followed from its state."""

    steps: int
    """How many steps it had then."""
    events: Sequence[Event]


def settle(workflow: Workflow, now: datetime, since: Since | None = None) -> tuple[Sequence[Event], Workflow]:
    """Return what follows from a state at a moment, and the state after it, from which nothing follows."""
    settling = _Settling(workflow, now)
    settling.run(since)
    return settling.events, settling.state


def _is_of_one_step(event: Event) -> TypeGuard[StepEvent]:
    """Whether an event changes only one step and what depends on it."""
    return isinstance(event, StepEvent) and not isinstance(event, StepCancelling | StepRetried)


class _Settling:
    def __init__(self, workflow: Workflow, now: datetime) -> None:
        self.state, self.now = workflow, now
        self.events: list[Event] = []
        self._outline = outline_of(workflow.definition)
        self._steps: deque[str] = deque()
        self._containers: list[tuple[int, int, str]] = []
        self._waiting: set[str] = set()
        self._order = count()
        self._children: dict[str | None, list[str]] | None = None

    def run(self, since: Since | None = None) -> None:
        if self.state.status not in _SETTLING:
            return
        self._require_time()
        if since is not None and all(map(_is_of_one_step, since.events)):
            self._look_since(since)
        else:
            self._look_at_all()
        while True:
            if self._steps:
                step_id = self._steps.popleft()
            elif self._containers:
                _, _, step_id = heapq.heappop(self._containers)
            elif not (self._give_signal() or self._settle_whole()):
                return
            else:
                continue
            self._waiting.discard(step_id)
            if self.state.status in _SETTLING:
                self._settle_step(self.state.steps[step_id])

    # --- What must be looked at --------------------------------------------------------------------------------------

    def _look_at(self, step_id: str) -> None:
        if step_id in self._waiting:
            return
        self._waiting.add(step_id)
        step = self.state.steps[step_id]
        if step.status is _S.PENDING or not self._contains(step):
            self._steps.append(step_id)
        else:
            heapq.heappush(self._containers, (-self._depth(step), next(self._order), step_id))

    def _look_at_all(self) -> None:
        for step in self.state.steps.values():
            if step.status is _S.PENDING or step.status in LIVE or step.items is not None:
                self._look_at(step.id)

    def _look_since(self, since: Since) -> None:
        """Look at what events of steps have changed, and at what is due."""
        for step in self.state.steps.values():
            due, times_out = step.due_at, step.times_out_at
            if (due is not None and due <= self.now) or (times_out is not None and times_out <= self.now):
                self._look_at(step.id)
        self._note_new(since.steps)
        for event in since.events:
            if isinstance(event, StepEvent):
                self._look_around(self.state.steps[event.step_id])

    def _contains(self, step: WorkflowStep) -> bool:
        place = self._outline[step.definition_id]
        return place.definition.type in CONTAINERS or step.status in (_S.HANDLING, _S.CANCELLING)

    def _depth(self, step: WorkflowStep) -> int:
        depth, around = 0, step.parent
        while around is not None:
            depth, around = depth + 1, self.state.steps[around].parent
        return depth

    def _record(self, event: Event) -> None:
        """Record an event, and look at what it may have consequences for."""
        before = self.state
        self.state = WORKFLOW.evolve(before, Fact(event, self.now, ENGINE, "", ""))
        self.events.append(event)
        if not _is_of_one_step(event):
            self._children = None
            for step in self.state.steps.values():
                if step.status in LIVE or step.status is _S.PENDING:
                    self._look_at(step.id)
            return
        if len(self.state.steps) != len(before.steps):
            self._note_new(len(before.steps))
        self._look_around(self.state.steps[event.step_id])

    def _note_new(self, known: int) -> None:
        """Look at the steps whose block began just now."""
        for step in islice(self.state.steps.values(), known, None):
            if self._children is not None:
                self._children.setdefault(step.parent, []).append(step.id)
            self._look_at(step.id)

    def _look_around(self, step: WorkflowStep) -> None:
        place = self._outline[step.definition_id]
        self._look_at(step.id)
        if step.status is not _S.PENDING and step.status not in LIVE:  # a join asks how its dependencies have ended
            for name in place.dependents:
                if self.state.steps[step.prefix + name].status is _S.PENDING:
                    self._look_at(step.prefix + name)
        around = step.parent
        while around is not None:  # one that completed early may still have running steps in it
            self._look_at(around)
            around = self.state.steps[around].parent
        if place.definition.locks and step.status not in LIVE:
            for other in self.state.steps.values():
                if other.status is _S.PENDING and self._outline[other.definition_id].definition.locks:
                    self._look_at(other.id)

    # --- One step -----------------------------------------------------------------------------------------------------

    def _settle_step(self, step: WorkflowStep) -> None:
        definition = self._outline[step.definition_id].definition
        match step.status:
            case _S.PENDING:
                self._settle_pending(step, definition)
            case _S.RUNNING:
                self._settle_running(step, definition)
            case _S.RETRYING if step.due_at is not None and step.due_at <= self.now and not self._paused:
                self._record(StepRetried(step_id=step.id, fresh=definition.type in CONTAINERS))
            case _S.HANDLING:
                self._settle_handling(step)
            case _S.CANCELLING:
                self._settle_cancelling(step, definition)
            case _S.COMPLETED if step.items is not None and is_open(self.state, step):
                self._settle_container(step, definition)

    @property
    def _paused(self) -> bool:
        return self.state.status is WorkflowStatus.PAUSED

    def _settle_pending(self, step: WorkflowStep, definition: StepDefinition) -> None:
        if self.state.status is WorkflowStatus.CANCELLING or not is_open(self.state, step):
            return
        join = join_of(self.state, step, definition)
        match join.verdict:
            case JoinVerdict.SKIP:
                reason = ", ".join(f"{one.id} {_ENDED.get(one.status, one.status)}" for one in join.about[:3])
                because = tuple(one.id for one in join.about)
                self._record(StepSkipped(step_id=step.id, reason=reason, because=because))
            case JoinVerdict.CANCEL_OTHERS:
                self._cancel(join.about, f"{step.id} does not need it any more")
            case JoinVerdict.START if not self._paused and (step.decided or not definition.when):
                self._start(step, definition)

    def _cancel(self, steps: Sequence[WorkflowStep], reason: str) -> None:
        for step in steps:
            now = self.state.steps[step.id].status
            if now in (_S.PENDING, _S.RETRYING):
                self._record(StepCancelled(step_id=step.id, reason=reason))
            elif now in LIVE and now is not _S.CANCELLING:
                self._record(StepCancelling(step_id=step.id, reason=reason))

    def _start(self, step: WorkflowStep, definition: StepDefinition) -> None:
        """Start a step that needs nothing from outside."""
        match definition.config:
            case EndStep(status=status, reason=reason):
                self._record(StepStarted(step_id=step.id))
                self._record(StepCompleted(step_id=step.id))
                self._end(status, reason or f"ended by step {step.id}")
            case WaitStep(until="", seconds=seconds):
                if not is_locked(self.state, step, definition):
                    self._record(StepStarted(step_id=step.id, due_at=later(self.now, seconds)))
            case _ if definition.type in CONTAINERS:
                if not is_locked(self.state, step, definition):
                    self._record(StepStarted(step_id=step.id))

    def _end(self, status: WorkflowStatus, reason: str) -> None:
        failed = status is WorkflowStatus.FAILED
        failure = Failure(FailureReason.STAGE_ERROR, reason, lasting=True) if failed else None
        self._record(WorkflowCancelling(reason=reason, ends_as=status, failure=failure))

    def _settle_running(self, step: WorkflowStep, definition: StepDefinition) -> None:
        if step.due_at is not None and step.due_at <= self.now:
            self._record(StepCompleted(step_id=step.id, result={}))
            return
        if definition.type in CONTAINERS and self._settle_container(step, definition):
            return
        if step.times_out_at is not None and step.times_out_at <= self.now:
            reason = f"it ran for more than {definition.timeout:g} s"
            failure = Failure(FailureReason.TIMEOUT, reason)
            self._record(StepCancelling(step_id=step.id, reason=reason, ends_as=_S.FAILED, failure=failure))

    def _give_signal(self) -> bool:
        """Give a signal to the step that has waited for it the longest; return whether one was given."""
        for signal in self.state.signals:
            line = [step for step in self.state.steps.values() if self._waits_for(step, signal.name)]
            if line:
                first = min(line, key=self._place_in_line)
                result = {} if signal.data is None else signal.data
                self._record(StepCompleted(step_id=first.id, result=result, signal=signal.name))
                return True
        return False

    def _waits_for(self, step: WorkflowStep, signal: str) -> bool:
        config = self._outline[step.definition_id].definition.config
        return step.status is _S.RUNNING and isinstance(config, WaitStep) and config.signal == signal

    def _place_in_line(self, step: WorkflowStep) -> tuple[datetime, tuple[int, ...]]:
        """Return what sorts steps by how long they have run, and by the order of the definition."""
        assert step.started_at is not None, "what runs was started"
        return step.started_at, place_in_order(self._outline, step.id)

    def _settle_container(self, step: WorkflowStep, definition: StepDefinition) -> bool:
        """Do what follows from the members of a container; return whether it has ended."""
        match container_result(self.state, step, paused=self._paused):
            case Completes(result):
                self._record(StepCompleted(step_id=step.id, result=result))
                return True
            case Fails(failure) if not goes_on_below(self.state, step):
                self._record(attempt_failed(step, definition, failure, self.now))
                return True
            case Cancels(steps):
                self._cancel(steps, f"{step.id} does not need it any more")
            case BeginsItems(number):
                self._record(StepItemsBegun(step_id=step.id, count=number))
            case BeginsRound(number):
                self._record(StepRoundBegun(step_id=step.id, round=number))
        return False

    def _settle_handling(self, step: WorkflowStep) -> None:
        match handler_result(self.state, step):
            case Completes(result):
                self._record(StepCompleted(step_id=step.id, result=result, handled=True))
            case Fails(failure) if not goes_on_below(self.state, step):
                self._record(attempt_failed(step, None, failure, self.now))

    def _settle_cancelling(self, step: WorkflowStep, definition: StepDefinition) -> None:
        """Let a step end that was cancelled, once nothing in it runs; what runs outside is reported."""
        if definition.type in OUTSIDE and step.ended_at is None:
            return
        if self._children is None:
            self._children = children_of(self.state.steps)
        if any(self.state.steps[one].status in LIVE for one in descendants(self._children, step.id)):
            return
        self._record(ended_by_cancel(step, definition, self.now))

    # --- The whole ----------------------------------------------------------------------------------------------------

    def _require_time(self) -> None:
        """Cancel a workflow that has run for too long."""
        deadline = self.state.deadline_at
        if deadline is not None and deadline <= self.now and self.state.status is WorkflowStatus.ACTIVE:
            reason = f"it ran for more than {self.state.definition.deadline:g} s"
            failure = Failure(FailureReason.TIMEOUT, reason, lasting=True)
            self._record(WorkflowCancelling(reason=reason, ends_as=WorkflowStatus.FAILED, failure=failure))

    def _settle_whole(self) -> bool:
        event = whole_result(self.state)
        if event is not None:
            self._record(event)
        return event is not None


_ENDED = {_S.SKIPPED: "was skipped", _S.CANCELLED: "was cancelled", _S.FAILED: "failed"}


def ended_by_cancel(step: WorkflowStep, definition: StepDefinition, now: datetime) -> Event:
    """Return how a step ends that was being cancelled and of which nothing runs any more."""
    match step.ends_as:
        case _S.SKIPPED:
            return StepSkipped(step_id=step.id, reason=step.reason, because=step.because)
        case _S.FAILED if step.failure is not None:
            return attempt_failed(step, definition, step.failure, now)
        case _:
            return StepCancelled(step_id=step.id, reason=step.reason, because=step.because)
