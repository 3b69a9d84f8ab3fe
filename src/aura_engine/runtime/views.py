"""Views: a task with the current state of everything that belongs to it, and the events that concern it."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Self, TypeVar
from uuid import UUID, uuid5

import attrs

from aura_contracts import ports
from aura_contracts.agent import AGENT, Agent
from aura_contracts.aggregate import Aggregate, State
from aura_contracts.approval import APPROVAL, Approval, ApprovalKind
from aura_contracts.events import Event, EventRecord
from aura_contracts.execution import EXECUTION, Execution, ExecutionQueued
from aura_contracts.ids import ExecutionId, StreamId, TaskId, WorkspaceId, lease_of, output_stream
from aura_contracts.lease import WORKER_LEASE, LeaseStatus, WorkerLease
from aura_contracts.lock_table import LOCK_TABLE, LOCK_TABLE_ID, LockClaim, LockTable, PathLock, TaskLocks
from aura_contracts.plain_data import Plain
from aura_contracts.task import TASK, ApprovalMode, DependencyPolicy, Task, TaskStatus
from aura_contracts.workspace import (
    WORKSPACE,
    RequestWorkspace,
    Workspace,
    WorkspaceLayout,
    workspace_branch,
    workspace_slug,
)
from aura_engine.unit_of_work import CommandBus, UnitOfWork, existing

S = TypeVar("S", bound=State)


@lru_cache(4_096)
def workspace_of(task_id: TaskId) -> WorkspaceId:
    """Return the id of the task's workspace: one for each task (UUIDv5)."""
    return WorkspaceId(str(uuid5(UUID(task_id), "workspace")))


@attrs.frozen(kw_only=True)
class View(Plain):
    """A task and everything that belongs to it; None for parts that do not exist."""

    task: Task
    agent: Agent | None = None
    execution: Execution | None = None
    """The newest."""
    lease: WorkerLease | None = None
    workspace: Workspace | None = None
    approval: Approval | None = None
    """The approval of the newest proposal."""
    conflict: Approval | None = None
    """The approval through which a human resolves a merge conflict."""
    question: Approval | None = None
    """The agent's question that its stage waits for, because the agent gave up waiting itself."""
    dependencies: tuple[Task, ...] = ()
    """The tasks that must complete first."""
    claim: LockClaim | None = None
    """What it has for itself alone, or waits for."""
    collision: Approval | None = None
    """The question about what its claim collides with."""

    @property
    def planning(self) -> bool:
        """Whether the task still needs an approved plan before the work begins."""
        if self.task.approval_mode not in (ApprovalMode.PLAN, ApprovalMode.BOTH):
            return False
        approval = self.approval
        return approval is None or (approval.kind is ApprovalKind.PLAN and not approval.granted)

    @property
    def unmet(self) -> tuple[Task, ...]:
        """The tasks that must complete first and have not."""
        waived = self.task.on_dependency_failure is DependencyPolicy.START
        over = self.task.dependencies_ended if waived else ()
        return tuple(one for one in self.dependencies if one.status is not TaskStatus.COMPLETED and one.id not in over)

    @property
    def lost_dependency(self) -> Task | None:
        """A task that must complete first and has ended without, which has consequences that are not recorded yet."""
        fails = self.task.on_dependency_failure is DependencyPolicy.FAIL
        recorded = () if fails else self.task.dependencies_ended
        return next((one for one in self.unmet if one.ended and one.id not in recorded), None)

    @property
    def locks(self) -> TaskLocks:
        """What its run, or the one that it waits for in the queue, needs for itself alone.

        Nothing if that only plans how to split the task.
        """
        plan = self.execution.plan if self.execution is not None else None
        if self.task.pooled and self.task.request is not None:
            plan = self.task.request.plan
        plans = plan is not None and plan.decomposes
        return TaskLocks() if plans else _locks_of(self.task, self.workspace)

    @property
    def worked_on(self) -> bool:
        """Whether an execution works on the task, or another one is about to."""
        if self.task.next_execution_id is not None:
            return True
        return self.execution is not None and (not self.execution.final or self.task.retry_at is not None)

    @property
    def given_up(self) -> bool:
        """Whether its agent is done with it: the task has ended, was queued again, or given back."""
        return self.task.ended or self.task.status is TaskStatus.PENDING

    @property
    def leased(self) -> bool:
        """Whether a worker has, or may still have, something of the execution."""
        return self.lease is not None and self.lease.status is not LeaseStatus.CLOSED

    def is_in_hand(self, *, waiting: bool) -> bool:
        """Whether the task's agent has it, and waits in it for a human, or works: it may have other tasks, too."""
        in_hand = None if self.agent is None else self.agent.task_in_hand(self.task.id)
        return in_hand is not None and (in_hand.approval_id is not None) is waiting

    def require_execution(self) -> Execution:
        """Return the execution of a step that only a task with one has."""
        assert self.execution is not None, "the step is one of an execution"
        return self.execution

    def require_workspace(self) -> Workspace:
        """Return the workspace of a step that only a task with one has."""
        assert self.workspace is not None, "an execution is queued together with its workspace"
        return self.workspace

    def working(self) -> tuple[Execution, Workspace]:
        """Return what a stage works on, and where."""
        return self.require_execution(), self.require_workspace()

    @property
    def streams(self) -> frozenset[StreamId]:
        """The streams of everything that belongs to the task; an event in any of them may require a step."""
        approvals = (self.approval, self.conflict, self.question, self.collision)
        own = (self.task, self.agent, self.execution, self.lease, self.workspace, *approvals)
        parts = (*own, *self.dependencies)
        ids = {part.id for part in parts if part is not None}
        lease = {lease_of(self.execution.id)} if self.execution else set()  # before it is granted, too
        locks = {LOCK_TABLE_ID} if self.task.needs_locks else set()  # before there is one, too
        return frozenset({*ids, *lease, *locks, workspace_of(self.task.id)})


def _locks_of(task: Task, workspace: WorkspaceLayout | None) -> TaskLocks:
    """Return what a task needs for itself alone; its patterns hold in each of its repositories."""
    if workspace is None or not task.locked_paths:
        return TaskLocks(names=task.locks)
    folders = [repository.identity for repository in workspace.repositories] or [workspace.root]
    paths = (PathLock(folder, pattern) for folder in folders for pattern in task.locked_paths)
    return TaskLocks(names=task.locks, paths=tuple(paths))


async def load_view(bus: CommandBus, task_id: TaskId) -> View:
    """Return the task with everything that belongs to it, read from the store. Raises `AggregateNotFound`."""

    return existing(await _view(bus.fetch, task_id), TASK, task_id)


async def driver_view(bus: CommandBus, task_id: TaskId, before: Callable[[StreamId], None]) -> View | None:
    """Return the view as a driver sees it, from cached states; see `StateCache` for how current these are.

    `before` is called with each stream before it is read, so that the driver can listen to it first.
    """

    async def load(aggregate: Aggregate[Any], stream_id: StreamId) -> Any:
        before(stream_id)
        return await bus.get(aggregate, stream_id)

    return await _view(load, task_id)


async def view_with(load: Any, task_id: TaskId) -> View | None:
    """Return the view of states as `load` returns them, which is given aggregate and id."""
    return await _view(load, task_id)


async def view_in(unit: UnitOfWork, task_id: TaskId) -> View:
    """Return the view as a unit of work sees it; recording the unit then checks that it is unchanged.

    Raises `AggregateNotFound`.
    """

    return existing(await _view(unit.get, task_id), TASK, task_id)


async def _view(load: Any, task_id: TaskId) -> View | None:
    task: Task | None = await load(TASK, task_id)
    if task is None:
        return None
    workspace: Workspace | None = await load(WORKSPACE, workspace_of(task_id))
    execution: Execution | None = await load(EXECUTION, task.execution_id) if task.execution_id else None
    waits = execution is not None and execution.retry_at is not None
    table: LockTable | None = await load(LOCK_TABLE, LOCK_TABLE_ID) if task.needs_locks else None
    claim = None if table is None else table.claim_of(task_id)

    async def known(aggregate: Aggregate[S], stream_id: StreamId | None) -> S | None:
        state: S | None = None if stream_id is None else await load(aggregate, stream_id)
        return state

    return View(
        task=task,
        execution=execution,
        workspace=workspace,
        agent=await known(AGENT, task.assigned_agent),
        lease=await known(WORKER_LEASE, lease_of(task.execution_id) if task.execution_id else None),
        approval=await known(APPROVAL, task.approval_id),
        conflict=await known(APPROVAL, workspace.approval_id if workspace else None),
        question=await known(APPROVAL, execution.open_question if execution and waits else None),
        dependencies=tuple([await load(TASK, task_id) for task_id in task.after]),
        claim=claim,
        collision=await known(APPROVAL, claim.approval_id if claim else None),
    )


def spec_of(workspace: Workspace) -> "ports.WorkspaceSpec":
    """Return the part of a workspace that is needed to work on its files."""
    return ports.WorkspaceSpec(
        id=workspace.id,
        title=workspace.title,
        slug=workspace.slug,
        branch=workspace.branch,
        repositories=workspace.repositories,
        copy_globs=workspace.copy_globs,
        in_place=workspace.in_place,
        root=workspace.root,
        worktrees=workspace.worktrees,
        subfolder=workspace.subfolder,
        copies=tuple(copy.ref for copy in workspace.snapshots),
    )


def another_workspace(
    task_id: TaskId, title: str, like: Workspace, repositories: Collection[str] | None = None
) -> RequestWorkspace:
    """Return the request for worktrees of a task of its own, in the same repositories as `like`, or in those named."""
    workspace_id, slug = workspace_of(task_id), workspace_slug(title)
    layout = WorkspaceLayout(
        task_id=task_id,
        title=title,
        slug=slug,
        branch=workspace_branch(workspace_id, slug),
        repositories=tuple(one for one in like.repositories if repositories is None or one.name in repositories),
        copy_globs=like.copy_globs,
        subfolder=like.subfolder,
    )
    return RequestWorkspace(workspace_id=workspace_id, layout=layout)


_VALUES = ("question", "spec", "layout")
"""Fields of events that hold the value an aggregate begins with."""


class EventSelector:
    """Selects the events that concern a thing, such as a task: those of its streams, and those that name it.

    A stream whose first event names the thing is one of its streams, such as an approval of a task. Later events that
    name it concern it too, but not the rest of their stream: an agent also works on other tasks, and the lock table is
    about all of them. Whatever concerns a run of a task concerns the task.
    """

    def __init__(self, names: Iterable[str], streams: Iterable[StreamId]) -> None:
        self._names = set(names)
        self._streams = set(streams)

    @classmethod
    def task(cls, task_id: TaskId, known: Iterable[StreamId] = ()) -> Self:
        """Return the selector of a task, output included; `known` are streams that began before the first event."""
        return cls([task_id], [task_id, workspace_of(task_id), *known])

    @classmethod
    def execution(cls, execution_id: ExecutionId) -> Self:
        """Return the selector of a run, its lease and its output included."""
        return cls([execution_id], streams_of(execution_id))

    def admits(self, record: EventRecord) -> bool:
        """Whether an event concerns the thing. Call it for every event, in the order of the log."""
        if record.stream_id not in self._streams:
            if self._names.isdisjoint(_named_in(record.event)):
                return False
            if record.version == 1 and record.stream_id != LOCK_TABLE_ID:
                self._streams.add(record.stream_id)
        if isinstance(record.event, ExecutionQueued):
            self._names.add(record.event.execution_id)
        return True


async def start_of(log: ports.EventLog, stream_id: StreamId) -> int:
    """Return the position before the first event of a stream, 0 for an unknown stream."""
    first = await log.sealed_stream(stream_id, upto=1)
    return first[0].position - 1 if first else 0


def streams_of(execution_id: ExecutionId) -> Sequence[StreamId]:
    """Return the streams of a run: its own, its lease's and its output's."""
    return (execution_id, lease_of(execution_id), output_stream(execution_id))


def _named_in(event: Event) -> Iterator[str]:
    """Yield the ids of the task and the run that an event names, itself or in the value its aggregate begins with."""
    for holder in (event, *(getattr(event, name, None) for name in _VALUES)):
        for field in ("task_id", "execution_id"):
            ident = getattr(holder, field, None)
            if ident is not None:
                yield ident
