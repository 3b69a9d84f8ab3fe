"""Wait chains: why a workflow or a step waits, from there down to what has to happen. Pure.

    workflow release waits for step deploy, which waits for step review, which waits for approval 0192… of alice

Tasks, approvals and sub-workflows are looked up by functions that the caller passes, so the answer is as fresh as they.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum

import attrs
import msgspec

from aura_contracts.approval import Approval, ApprovalStatus
from aura_contracts.ids import ApprovalId, TaskId, WorkflowId
from aura_contracts.plain_data import Plain
from aura_contracts.quoting import listed, one_line
from aura_contracts.workflow import (
    CONTAINERS,
    LIVE,
    BlockRole,
    StepStatus,
    StepType,
    WaitStep,
    Workflow,
    WorkflowStatus,
    WorkflowStep,
    definition_of,
    is_over,
    place_of,
    status_of,
)
from aura_engine.decisions._workflow_joins import JoinVerdict, join_of
from aura_engine.decisions._workflow_locks import is_locked

_DEPTH = 32
"""The most workflows within one another that a chain goes into."""


class WaitKind(StrEnum):
    """What something waits for."""

    WORKFLOW = "workflow"
    STEP = "step"
    APPROVAL = "approval"
    TASK = "task"
    MOMENT = "moment"
    SIGNAL = "signal"
    REPAIR = "repair"
    """A human, who retries or skips what failed."""
    RESUME = "resume"
    """A human, who resumes the paused workflow."""
    ENGINE = "engine"
    """Nothing else: an engine takes the next step."""


class WaitLink(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """A link of a chain: it waits for the next one, and the last is what has to happen."""

    kind: WaitKind
    id: str = ""
    """Of the workflow, approval or task; the address of a step; the name of a signal."""
    name: str = ""
    """The name of a workflow, the title of a step."""
    status: str = ""
    people: tuple[str, ...] = ()
    """Names of the humans who may decide."""
    since: datetime | None = None
    until: datetime | None = None
    """The moment; when the approval expires or the step times out."""
    reason: str = ""
    """What else is known: the place in the queue, the locks, the failure, why it was paused."""


class WaitChain(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """Why something waits: from it down to what has to happen. `str()` is a sentence."""

    links: tuple[WaitLink, ...]

    def __str__(self) -> str:
        first, *others = (link_text(link) for link in self.links)
        return one_line(", which waits for ".join((f"{first} waits for {others[0]}", *others[1:])) if others else first)


class TaskStanding(msgspec.Struct, frozen=True, kw_only=True):
    """Where a task is, as a caller knows it."""

    status: str
    since: datetime | None = None
    reason: str = ""
    """What it waits for: its place in the queue of the pool."""
    approvals: tuple[Approval, ...] = ()
    """Its open questions."""


def _unknown(_: str) -> None:
    return None


@attrs.frozen(kw_only=True)
class Lookups:
    """How tasks, approvals and sub-workflows are found; None for one that is unknown."""

    task: Callable[[TaskId], TaskStanding | None] = _unknown
    approval: Callable[[ApprovalId], Approval | None] = _unknown
    workflow: Callable[[WorkflowId], Workflow | None] = _unknown


def wait_chains(
    workflow: Workflow, step_id: str | None = None, lookups: Lookups | None = None
) -> tuple[WaitChain, ...]:
    """Return why a workflow, or a step of it, waits: one chain for each thing that has to happen.

    Each is the shortest one. Nothing waits once it is over: there is no chain then. Raises KeyError for the address of
    a step that the definition does not have.
    """
    return tuple(_WaitSearch(workflow, lookups or Lookups(), _DEPTH).chains(step_id))


def link_text(link: WaitLink) -> str:
    """Return a link as it stands in a sentence."""
    name = f" {link.name}" if link.name else ""
    match link.kind:
        case WaitKind.WORKFLOW:
            text = f"workflow{name} ({link.id}, {link.status})"
        case WaitKind.STEP:
            text = f"step {link.id} ({link.status.replace('_', ' ')})"
        case WaitKind.APPROVAL:
            text = f"approval {link.id}" + (f" of {', '.join(link.people)}" if link.people else "")
        case WaitKind.TASK:
            text = f"task {link.id}" + (f" ({link.status.replace('_', ' ')})" if link.status else "")
        case WaitKind.MOMENT:
            return f"{_moment(link.until)}" + (f": {link.reason}" if link.reason else "")
        case WaitKind.SIGNAL:
            text = f"signal {link.id}"
        case WaitKind.REPAIR:
            text = (
                f"a human, who retries or skips step {link.id}" if link.id else "a human, who retries or skips a step"
            )
        case WaitKind.RESUME:
            text = "a human, who resumes it"
        case WaitKind.ENGINE:
            text = "an engine"
    text += f" since {_moment(link.since)}" if link.since is not None and link.kind is not WaitKind.STEP else ""
    text += f" until {_moment(link.until)}" if link.until is not None else ""
    return text + (f": {link.reason}" if link.reason else "")


def _moment(time: datetime | None) -> str:
    return "a moment" if time is None else time.isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")


_Path = tuple[WaitLink, ...]


class _WaitSearch:
    """A search in breadth from what waits to what has to happen; each step is passed once."""

    def __init__(self, workflow: Workflow, lookups: Lookups, depth: int) -> None:
        self._workflow = workflow
        self._lookups = lookups
        self._depth = depth
        self._inside: dict[str | None, list[str]] = {}
        for step in workflow.steps.values():
            undoes = place_of(workflow, step.id).role is BlockRole.COMPENSATION
            self._inside.setdefault(None if undoes else step.parent, []).append(step.id)

    def chains(self, step_id: str | None) -> Iterator[WaitChain]:
        """Yield the chains."""
        workflow = self._workflow
        over = workflow.status in (WorkflowStatus.COMPLETED, WorkflowStatus.CANCELLED)
        if over or (workflow.status is WorkflowStatus.FAILED and workflow.lasting):
            return
        top = self._whole()
        starts = dict.fromkeys(self._starts()) if step_id is None else [step_id]
        ahead: deque[tuple[_Path, str]] = deque(((top,), address) for address in starts if self._waits(address))
        seen = {address for _, address in ahead}
        found = False
        while ahead:
            path, address = ahead.popleft()
            link = self._of_step(address)
            ends, following = self._reasons(address)
            for end in ends:
                found = True
                yield WaitChain(links=(*path, link, *end))
            for name in following:
                if name not in seen:
                    seen.add(name)
                    ahead.append(((*path, link), name))
        if not found and step_id is None:
            paused = workflow.status is WorkflowStatus.PAUSED
            failed = workflow.status is WorkflowStatus.FAILED
            yield WaitChain(links=(top, *(self._resume() if paused else self._repair() if failed else _engine())))

    def _starts(self) -> Iterator[str]:
        """Yield the steps that the whole waits for: those of the top level, and what outlives its container."""
        yield from self._inside.get(None, ())
        for step in self._workflow.steps.values():
            if step.parent is not None and step.status in LIVE and not self._waits(step.parent):
                yield step.id

    def _whole(self) -> WaitLink:
        one = self._workflow
        return WaitLink(kind=WaitKind.WORKFLOW, id=one.id, name=one.name, status=one.status)

    def _waits(self, address: str) -> bool:
        step = self._workflow.steps.get(address)
        if step is None:
            return status_of(self._workflow, address) is StepStatus.PENDING
        return not is_over(self._workflow, step)

    def _of_step(self, address: str) -> WaitLink:
        step, definition = self._workflow.steps.get(address), definition_of(self._workflow, address)
        return WaitLink(
            kind=WaitKind.STEP,
            id=address,
            name=definition.title,
            status=status_of(self._workflow, address),
            since=None if step is None else step.started_at,
            until=None if step is None or step.status is not StepStatus.RUNNING else step.times_out_at,
            reason=f"needs {listed(definition.locks, 3)}" if step is not None and self._is_held_up(step) else "",
        )

    def _reasons(self, address: str) -> tuple[Sequence[_Path], Sequence[str]]:
        """Return what has to happen for a step, and the steps that it waits for."""
        step = self._workflow.steps.get(address)
        if step is None:
            around = _around(self._workflow, address)
            return (), (() if around is None else (around,))
        match step.status:
            case StepStatus.PENDING:
                return self._before(step)
            case StepStatus.RETRYING:
                return (self._pause_or((self._retry(step),)),), ()
            case StepStatus.FAILED:
                failed = [name for name in self._inside.get(address, ()) if self._has_failed(name)]
                return ((), failed) if failed else ((self._repair(step),), ())
            case _:
                inner = [name for name in self._inside.get(address, ()) if self._waits(name)]
                return ((), inner) if inner else (self._outside(step), ())

    def _before(self, step: WorkflowStep) -> tuple[Sequence[_Path], Sequence[str]]:
        """Return the same for a step that has not started."""
        definition = definition_of(self._workflow, step.id)
        if join_of(self._workflow, step, definition).verdict is JoinVerdict.START:
            holders = self._holders(step)
            return ((), holders) if holders else ((self._ready(),), ())
        dependencies = (step.prefix + name for name in definition.dependencies)
        return (), [name for name in dependencies if self._waits(name)]

    def _holders(self, step: WorkflowStep) -> list[str]:
        """Return the steps that hold a lock which one needs."""
        definition = definition_of(self._workflow, step.id)
        if not is_locked(self._workflow, step, definition):
            return []
        needed = {*definition.locks}
        return [
            one.id
            for one in self._workflow.steps.values()
            if one.status in LIVE and not needed.isdisjoint(definition_of(self._workflow, one.id).locks)
        ]

    def _is_held_up(self, step: WorkflowStep) -> bool:
        definition = definition_of(self._workflow, step.id)
        return step.status is StepStatus.PENDING and is_locked(self._workflow, step, definition)

    def _has_failed(self, address: str) -> bool:
        return self._workflow.steps[address].status is StepStatus.FAILED and self._waits(address)

    def _outside(self, step: WorkflowStep) -> Sequence[_Path]:
        """Return what a started step waits for outside of the workflow."""
        config = definition_of(self._workflow, step.id).config
        type_ = definition_of(self._workflow, step.id).type
        if step.child_id is not None:  # also where it knows what its sub-workflow asks: say which step of that does
            return self._child(step.child_id)
        if step.approval_id is not None and (
            step.status is StepStatus.AWAITING_APPROVAL or type_ is StepType.HUMAN_APPROVAL
        ):
            return [(self._approval(step.approval_id),)]
        if step.task_id is not None:
            return [*self._task(step.task_id)]
        if isinstance(config, WaitStep) and step.status is StepStatus.RUNNING:
            if config.signal:
                return [(WaitLink(kind=WaitKind.SIGNAL, id=config.signal, since=step.started_at, until=step.due_at),)]
            return [(WaitLink(kind=WaitKind.MOMENT, until=step.due_at),)]
        return [self._pause_or(_engine()) if type_ in CONTAINERS else _engine()]

    def _approval(self, approval_id: ApprovalId) -> WaitLink:
        approval = self._lookups.approval(approval_id)
        if approval is None:
            return WaitLink(kind=WaitKind.APPROVAL, id=approval_id)
        return _link_of(approval)

    def _task(self, task_id: TaskId) -> Iterator[_Path]:
        task = self._lookups.task(task_id)
        if task is None:
            yield (WaitLink(kind=WaitKind.TASK, id=task_id),)
            return
        link = WaitLink(kind=WaitKind.TASK, id=task_id, status=task.status, since=task.since, reason=task.reason)
        asked = [one for one in task.approvals if one.status is ApprovalStatus.PENDING]
        yield from ((link, _link_of(one)) for one in asked)
        if not asked:
            yield (link,)

    def _child(self, workflow_id: WorkflowId) -> Sequence[_Path]:
        child = self._lookups.workflow(workflow_id) if self._depth else None
        if child is None:
            return [(WaitLink(kind=WaitKind.WORKFLOW, id=workflow_id),)]
        search = _WaitSearch(child, self._lookups, self._depth - 1)
        return [chain.links for chain in search.chains(None)] or [(search._whole(), *_engine())]

    def _ready(self) -> _Path:
        """Return what a step waits for whose dependencies are over."""
        if self._workflow.status is WorkflowStatus.FAILED:
            return self._repair()
        return self._pause_or(_engine())

    def _pause_or(self, path: _Path) -> _Path:
        return self._resume() if self._workflow.status is WorkflowStatus.PAUSED else path

    def _resume(self) -> _Path:
        return (WaitLink(kind=WaitKind.RESUME, id=self._workflow.id, reason=self._workflow.paused_because or ""),)

    def _repair(self, step: WorkflowStep | None = None) -> _Path:
        failure = self._workflow.failure if step is None else step.failure
        return (
            WaitLink(
                kind=WaitKind.REPAIR,
                id="" if step is None else step.id,
                since=None if step is None else step.ended_at,
                reason="" if failure is None else failure.message or str(failure.reason),
            ),
        )

    def _retry(self, step: WorkflowStep) -> WaitLink:
        why = "" if step.failure is None else f", after {step.failure.message or step.failure.reason}"
        return WaitLink(kind=WaitKind.MOMENT, until=step.due_at, reason=f"its next attempt{why}")


def _link_of(approval: Approval) -> WaitLink:
    return WaitLink(
        kind=WaitKind.APPROVAL,
        id=approval.id,
        status=approval.status,
        people=approval.open_seats,
        since=approval.requested_at,
        until=approval.deadline,
    )


def _engine() -> _Path:
    return (WaitLink(kind=WaitKind.ENGINE),)


def _around(workflow: Workflow, address: str) -> str | None:
    """Return the address of the step that one is in whose block has not begun."""
    around = place_of(workflow, address).parent
    if around is None:
        return None
    head = address.rpartition("/")[0]
    outer, _, last = head.rpartition("/")
    if last.startswith(f"{around}["):  # an item or a round of it
        head = outer
    return f"{head}/{around}" if head else around
