"""The engine: what programs call. Commands go in here; what must happen because of them is done by drivers.

    async with open_engine("sqlite:///aura.db") as engine:
        task = await engine.run("Fix the login", executor="claude", repositories=["."])
        async for record in engine.follow(task.id):
            print(record.position, record.event.topic)
        for approval in await engine.approvals.pending(task.id):
            await engine.approvals.approve(approval.id)
        task = await engine.settled(task.id)

Everything is done in the name of the engine's user unless an `actor` is named. All methods raise `CommandRefused` where
a rule says no, `InvalidInput` for what makes no sense, and what the log raises.
"""

import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import Any

import anyio
from anyio.abc import TaskGroup

from aura_contracts.actors import Actor
from aura_contracts.approval import (
    APPROVAL,
    Approval,
    ApprovalKind,
    ApprovalStatus,
    ApprovalWithdrawn,
    ExpireApproval,
)
from aura_contracts.errors import AggregateNotFound, AuraError, EngineClosed, StoreFull, StoreReadOnly
from aura_contracts.events import EventRecord
from aura_contracts.execution import Action, PermissionAsked
from aura_contracts.ids import ApprovalId, StreamId, TaskId
from aura_contracts.lease import LeaseStatus
from aura_contracts.ports.locks import Locks
from aura_contracts.task import ExecutionStarted, Task, TaskStatus
from aura_engine.approvals import Approvals
from aura_engine.requests import RunRequest
from aura_engine.runtime.context import ENGINE, Runtime
from aura_engine.runtime.directory import unfinished_tasks
from aura_engine.runtime.driver import Driver
from aura_engine.runtime.permissions import answer
from aura_engine.runtime.questions import questions_of_task
from aura_engine.runtime.views import View, load_view
from aura_engine.runtime.watching import follow
from aura_engine.tasks import Tasks
from aura_engine.workspaces import WorkspaceCommands

_LOG = logging.getLogger(__name__)

_FOLLOWED = ("task.*", "execution.*", "approval.*", "workspace.*", "lease.*", "agent.*")

_CLOCK_LOOK = 60.0
"""Seconds after which one who waits for a moment looks at the clock again: it may have been set, or have slept."""

_EXPIRE_AGAIN = 1.0
"""Seconds before what could not be recorded is tried again."""

_WAITING = frozenset({TaskStatus.AWAITING_APPROVAL, TaskStatus.BLOCKED})


class Engine:
    """Drives tasks on a log, with a worker. Made by `aura_engine.bootstrap.open_engine`.

    `tasks`, `approvals` and `workspaces` hold the commands of each kind; the methods here concern the whole.
    """

    def __init__(self, runtime: Runtime, locks: Locks, user: Actor, *, drive_all: bool) -> None:
        self.user = user
        """In whose name things are done."""
        self.tasks = Tasks(runtime, user)
        self.approvals = Approvals(runtime, user)
        self.workspaces = WorkspaceCommands(runtime, user)
        self.runtime = runtime
        self.log = runtime.bus.log
        """To read anything: events, output, history."""
        self._locks = locks
        self._drive_all = drive_all
        self._group: TaskGroup | None = None
        self._drivers: dict[TaskId, Driver] = {}
        self._defects: dict[TaskId, Exception] = {}
        self._listeners: dict[StreamId, Driver] = {}
        self._deadlines: dict[ApprovalId, anyio.CancelScope] = {}
        self._stirred = anyio.Event()
        runtime.gateway.on_change = self._wake_all

    # --- Running ------------------------------------------------------------------------------------------------------

    async def run(self, prompt: str, *, executor: str, **more: Any) -> Task:
        """Start a task from `prompt`; return it as it was recorded. `more` are the fields of `RunRequest`.

        What the task needs (agent, workspace, execution) is recorded in one append; then it is driven in the
        background until it has ended or waits for a human. See `follow` and `settled`.
        """
        return await self.start(RunRequest(prompt=prompt, executor=executor, **more))

    async def start(self, request: RunRequest) -> Task:
        """Start a task, see `run`."""
        self._require_open()
        task_id = TaskId(self.runtime.bus.ids())
        await self._locks.acquire(_lock_of(task_id))  # before anybody else can see it
        try:
            task = await self.tasks.begin(task_id, request)
        except BaseException:
            if task_id not in self._drivers:  # which may have begun with what was recorded all the same
                with anyio.CancelScope(shield=True):
                    await self._locks.release(_lock_of(task_id))
            raise
        await self.drive(task_id)
        return task

    async def drive(self, task_id: TaskId) -> bool:
        """Take a task on: do what is to be done for it, now and whenever something happens.

        Returns False when another engine has it. Taking it on twice is harmless.
        """
        group = self._require_open()
        if task_id in self._drivers:
            self._drivers[task_id].wake()  # or one that has just seen that nothing is left to do would not look again
            return True
        if not await self._locks.acquire(_lock_of(task_id)):
            return False
        if task_id not in self._drivers:
            driver = Driver(self.runtime, task_id, self._listen, self._stir)
            self._drivers[task_id] = driver
            self._defects.pop(task_id, None)
            group.start_soon(self._run_driver, driver)
            group.start_soon(self._attend_all, task_id)
        return True

    async def is_driven(self, task_id: TaskId) -> bool:
        """Whether an engine has taken the task on: this one, or another one on the same log."""
        return task_id in self._drivers or await self._locks.held_elsewhere(_lock_of(task_id))

    async def drive_unfinished(self) -> Sequence[TaskId]:
        """Take on all tasks that no engine has and of which something is to be done; return them."""
        unfinished = await unfinished_tasks(self.runtime.bus)
        return [task_id for task_id in unfinished if await self.drive(task_id)]

    # --- Watching -----------------------------------------------------------------------------------------------------

    def follow(self, task_id: TaskId, after: int = 0, *, to_the_end: bool = False) -> AsyncGenerator[EventRecord, None]:
        """Yield everything that happens about a task after position `after`, output included, in the order of the log.

        Ends when the task is settled; with `to_the_end`, of a task that this engine drives, it goes on while a human
        is being asked, until the task has ended. Close it (``contextlib.aclosing``) when leaving earlier. Raises
        `AggregateNotFound`, and `StoreFull` or `StoreReadOnly` when nothing can be recorded any more: whatever happens
        cannot be told then.
        """

        async def is_settled() -> bool:
            if to_the_end and task_id in self._drivers and (await self.view(task_id)).task.status in _WAITING:
                return False
            return await self._is_settled(task_id)

        async def known() -> frozenset[StreamId]:
            view = await self.view(task_id)
            return view.streams | ({view.output} if view.output else frozenset())

        return follow(self.log, task_id, after, is_settled, lambda: self._stirred, known)

    async def settled(self, task_id: TaskId) -> Task:
        """Wait until the task has ended, or nothing can be done for it before a human decides; return it.

        An agent that waits for permission is at work: it is waited for, and `follow` tells what it asks. Raises
        `AggregateNotFound`. Cancel it to stop waiting.
        """
        head = await self.log.head()
        generator = self.follow(task_id, head)
        async for _ in generator:
            pass
        return (await self.view(task_id)).task

    async def view(self, task_id: TaskId) -> View:
        """Return a task with all that belongs to it, as it is. Raises `AggregateNotFound`."""
        view = await load_view(self.runtime.bus, task_id)
        if view is None:
            raise AggregateNotFound(aggregate="task", aggregate_id=task_id, command="view")
        return view

    async def _is_settled(self, task_id: TaskId) -> bool:
        view = await self.view(task_id)
        driven = task_id in self._drivers
        if task_id in self._defects:
            raise self._defects[task_id]
        for trouble in (self._drivers[task_id].trouble, self.runtime.gateway.trouble) if driven else ():
            if isinstance(trouble, StoreFull | StoreReadOnly):
                raise trouble
        asked = {TaskStatus.AWAITING_APPROVAL: view.approval, TaskStatus.BLOCKED: view.conflict}.get(view.task.status)
        if asked is not None and asked.status is ApprovalStatus.PENDING:
            return True
        if view.task.ended:
            return not driven and (view.lease is None or view.lease.status is LeaseStatus.CLOSED)
        if view.execution is None:
            return True  # nothing of it is for an engine to do
        return not driven and not await self._locks.held_elsewhere(_lock_of(task_id))

    # --- The seeds' words ---------------------------------------------------------------------------------------------

    async def create_task(self, title: str, description: str = "", **more: Any) -> Task:
        """See `Tasks.create` (second seed, "createTask")."""
        return await self.tasks.create(title, description, **more)

    async def assign_task(self, task_id: TaskId, **more: Any) -> Task:
        """Give a task to an agent and have it worked on, see `Tasks.assign` (second seed, "assignTask")."""
        task = await self.tasks.assign(task_id, **more)
        await self.drive(task_id)
        return task

    async def submit_for_approval(self, task_id: TaskId, proposal: str, **more: Any) -> Approval:
        """See `Tasks.submit` (second seed, "submitForApproval")."""
        return await self.tasks.submit(task_id, proposal, **more)

    async def approve_task(self, task_id: TaskId, feedback: str | None = None, *, actor: Actor | None = None) -> Task:
        """Approve what is proposed for a task (second seed, "approveTask"); what was approved is then done."""
        await self.approvals.approve(await self._question(task_id), feedback, actor=actor)
        await self.drive(task_id)
        return (await self.view(task_id)).task

    async def reject_task(self, task_id: TaskId, feedback: str, *, actor: Actor | None = None) -> Task:
        """Reject what is proposed for a task (second seed, "rejectTask"); the agent goes on with the feedback."""
        await self.approvals.reject(await self._question(task_id), feedback, actor=actor)
        await self.drive(task_id)
        return (await self.view(task_id)).task

    async def execute_task(self, task_id: TaskId, **more: Any) -> Task:
        """Have the assigned agent work on a task, see `Tasks.execute` (second seed, "executeTask")."""
        task = await self.tasks.execute(task_id, **more)
        await self.drive(task_id)
        return task

    async def _question(self, task_id: TaskId) -> ApprovalId:
        """Return the approval that is pending for a task."""
        view = await self.view(task_id)
        for approval in (view.conflict, view.approval):
            if approval is not None and approval.status is ApprovalStatus.PENDING:
                return approval.id
        raise AggregateNotFound(aggregate="pending approval of task", aggregate_id=task_id, command="Approve")

    # --- In the background --------------------------------------------------------------------------------------------

    async def serve(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Follow the log and drive tasks until cancelled. Called once, by who opens the engine."""
        after = await self.log.head()
        try:
            async with anyio.create_task_group() as group:
                self._group = group
                if self._drive_all:
                    await self.drive_unfinished()
                task_status.started()
                async for record in self.log.tail(after, topics=_FOLLOWED):
                    await self._heard(record)
        finally:
            self._group = None

    def _require_open(self) -> TaskGroup:
        if self._group is None:
            raise EngineClosed
        return self._group

    async def _heard(self, record: EventRecord) -> None:
        if isinstance(record.event, Action):
            if isinstance(record.event, PermissionAsked):
                self._require_open().start_soon(self._attend, record.event.approval_id)
            return
        driver = self._listeners.get(record.stream_id)
        if driver is not None:
            driver.wake(record)
        elif self._drive_all and isinstance(record.event, ExecutionStarted):
            await self._take_on(TaskId(record.stream_id))
        if not isinstance(record.event, APPROVAL.endings):
            return
        if record.stream_id in self._deadlines:
            self._deadlines[ApprovalId(record.stream_id)].cancel()
        if not isinstance(record.event, ApprovalWithdrawn):  # which the agent knows: it asks no more
            self._require_open().start_soon(self._attend, ApprovalId(record.stream_id))

    async def _take_on(self, task_id: TaskId) -> None:
        """Drive a task that somebody has started, if that is possible; it does not end what is done for others."""
        try:
            await self.drive(task_id)
        except AuraError as error:
            _LOG.warning("task %s is not driven: %s", task_id, error)

    async def _attend(self, approval_id: ApprovalId) -> None:
        try:
            await self._see_answered(approval_id)
        except AuraError as error:  # it is seen to again when its task is taken on the next time
            _LOG.warning("approval %s is not attended to: %s", approval_id, error)

    async def _see_answered(self, approval_id: ApprovalId) -> None:
        """See that an agent's question is answered: when it is decided, or by silence when its deadline passes."""
        approval = await self._approval(approval_id)
        if approval.kind is not ApprovalKind.TOOL_CALL or TaskId(approval.task_id or "") not in self._drivers:
            return
        if approval.status is not ApprovalStatus.PENDING:
            await answer(self.runtime, approval)
            return
        if approval.deadline is not None and approval_id not in self._deadlines:
            with anyio.CancelScope() as scope:
                self._deadlines[approval_id] = scope
                try:
                    await self._expire(approval_id, approval.deadline)
                finally:
                    del self._deadlines[approval_id]

    async def _expire(self, approval_id: ApprovalId, deadline: datetime) -> None:
        """Have silence mean no; whatever is in the way, and wherever the clock is set to, until it does."""
        while True:
            left = (deadline - self.runtime.bus.clock()).total_seconds()
            await anyio.sleep(min(max(left, 0.0), _CLOCK_LOOK))
            if left > _CLOCK_LOOK:
                continue
            try:
                if (await self._approval(approval_id)).status is ApprovalStatus.PENDING:
                    await self.runtime.bus.handle(ENGINE, approval_id, ExpireApproval())
            except AuraError as error:
                _LOG.debug("approval %s did not expire: %s", approval_id, error)
                await anyio.sleep(_EXPIRE_AGAIN)
            else:
                return

    async def _attend_all(self, task_id: TaskId) -> None:
        try:
            await self._see_all_answered(task_id)
        except AuraError as error:
            _LOG.warning("the questions of task %s are not attended to: %s", task_id, error)

    async def _see_all_answered(self, task_id: TaskId) -> None:
        """See that questions are answered which an agent asked before this engine had its task."""
        asked = await questions_of_task(self.runtime.bus, task_id)
        for approval_id in dict.fromkeys(one.asked.approval_id for one in asked if not one.asked.automatic):
            if (await self._approval(approval_id)).status is ApprovalStatus.PENDING:
                self._require_open().start_soon(self._attend, approval_id)

    async def _approval(self, approval_id: ApprovalId) -> Approval:
        return await self.runtime.bus.require(APPROVAL, approval_id)

    async def _run_driver(self, driver: Driver) -> None:
        try:
            await driver.run()
            while driver.woken:
                await driver.run()
        except Exception as error:  # noqa: BLE001 - a defect: it stops this task, and is told to who watches it
            _LOG.exception("task %s is not driven any more", driver.task_id)
            self._defects[driver.task_id] = alone(error)
        finally:
            self._drivers.pop(driver.task_id, None)
            for stream_id in [sid for sid, listener in self._listeners.items() if listener is driver]:
                del self._listeners[stream_id]
            with anyio.CancelScope(shield=True):
                await self._locks.release(_lock_of(driver.task_id))
            self._stir()

    def _listen(self, driver: Driver, streams: frozenset[StreamId]) -> None:
        self._listeners.update(dict.fromkeys(streams, driver))

    def _wake_all(self) -> None:
        for driver in self._drivers.values():
            driver.wake()
        self._stir()

    def _stir(self) -> None:
        self._stirred.set()
        self._stirred = anyio.Event()

    @property
    def troubles(self) -> Mapping[TaskId, AuraError]:
        """What is in the way of tasks right now, for people; it is tried again until it is gone."""
        return {task_id: driver.trouble for task_id, driver in self._drivers.items() if driver.trouble is not None}


def alone(error: Exception) -> Exception:
    """Return what is wrong, out of the groups of one that task groups wrap around it."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _lock_of(task_id: TaskId) -> str:
    return f"task:{task_id}"
