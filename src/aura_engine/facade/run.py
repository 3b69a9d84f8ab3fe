"""Run: the handle of a task. It holds no state of the task, so all handles of a task see the same.

run = await engine.run("Fix the login", executor="claude")
async for question in run.questions():
    await engine.approvals.approve(question.id)
task = await run.result()
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, ClassVar

import anyio
import attrs

from aura_contracts.approval import APPROVAL, Approval, ApprovalRequested, ApprovalStatus
from aura_contracts.errors import AuraError, RunCancelled, RunFailed, TransitionRefused
from aura_contracts.events import EventRecord
from aura_contracts.ids import TaskId
from aura_contracts.task import TASK, Task, TaskStatus
from aura_engine import facade
from aura_engine.facade.arguments import Kept
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.facade.noun import Noun
from aura_engine.runtime.views import start_of

if TYPE_CHECKING:
    from aura_engine.facade.tasks import Tasks

_STEPS = 3
"""The steps of ending a process; see `aura_contracts.ports.processes.InterruptPlan`."""


@gated
@attrs.frozen
class Run:
    """A task from prompt to result, whichever engine drives it.

    `events`, `questions`, `idle` and `result` wait for as long as an engine drives the task. If that engine closes or
    dies, the engine of a handle that `Engine.run`, `start` or `resume` returned takes the task over. For other handles,
    as from `Engine.attach`, they raise `RunNotDriven` after a few seconds without an engine, unless the task has ended
    or waits for a human decision about its work; nothing is lost, and `Engine.resume` continues it. In an engine opened
    with `record_only` they wait until another engine drives the task.
    """

    id: TaskId
    """The task's id, for every noun of the engine."""
    _core: Core = attrs.field(repr=False)
    _tasks: ClassVar["Noun[Tasks]"] = Noun()
    since: int = attrs.field(default=0, kw_only=True)
    """The position in the log that `events` starts after."""
    driven: bool = attrs.field(default=False, kw_only=True)
    """Whether the engine drove the task when it made this handle; if not, another engine may."""
    _whole: bool = attrs.field(default=False, kw_only=True, repr=False, alias="whole")
    """Whether `since` is before the task's first event."""

    async def task(self) -> Task:
        """Return the task as it is now."""
        return await self._core.load(TASK, self.id)

    async def events(self, *, after: int | None = None, until_end: bool = False) -> AsyncGenerator[EventRecord, None]:
        """Yield the task's events after position `after`, output included, in the order of the log.

        `after` defaults to where the run was started or attached to; 0 starts at the task's first event. The iterator
        ends when the task has ended or waits for a human decision about its work; with `until_end`, only when it has
        ended. To leave earlier, close it (``contextlib.aclosing``). Raises `RunNotDriven` when no engine drives the
        task, `StoreFull` or `StoreReadOnly` when nothing more can be recorded.
        """
        start = self.since if after is None else after
        whole = start == 0 or (self._whole and start == self.since)
        if start == 0:
            start = await start_of(self._core.log, self.id)
        following = facade.Watch(self._core, self.id).follow(start, until_end=until_end, whole=whole)
        async with aclosing(following) as records:
            async for record in records:
                yield record

    async def questions(self) -> AsyncGenerator[Approval, None]:
        """Yield each question to a human once, as it is asked: about plans, changes, conflicts and tool calls.

        Questions that are already open come first. Ends when the task has ended. Skips a question that is decided
        before its turn. Raises `RunNotDriven` when no engine drives the task.
        """
        head = await self._core.log.head()
        seen = set[str]()
        for approval in await self._core.pending(self.id):
            seen.add(approval.id)
            if (await self._core.stored(APPROVAL, approval.id)).status is ApprovalStatus.PENDING:
                yield approval
        async with aclosing(self.events(after=head, until_end=True)) as records:
            async for record in records:
                if isinstance(record.event, ApprovalRequested) and record.stream_id not in seen:
                    seen.add(record.stream_id)
                    approval = await self._core.stored(APPROVAL, record.stream_id)
                    if approval.status is ApprovalStatus.PENDING:
                        yield approval

    async def idle(self) -> Task:
        """Wait until the task has ended or asks a human, about a tool call or its work; return it. A split task is idle
        when none of its parts can continue before a human acts. Cancel to stop waiting.

        Raises `RunNotDriven` when no engine drives the task.
        """
        watch = facade.Watch(self._core, self.id)
        await watch.idle()
        return await self.task()

    async def result(self) -> Task:
        """Wait until the task has completed, with its parts if it was split; return it. Questions to humans do not end
        the wait; cancel to stop waiting.

        Raises `RunFailed` with the failure, `RunCancelled` if the task was cancelled or deleted, and `RunNotDriven` if
        it has not ended but no engine drives it.
        """
        task = await self._end()
        if task.status is TaskStatus.FAILED and task.failure is not None:
            raise RunFailed.of(task.id, task.failure)
        if task.status is not TaskStatus.COMPLETED:
            raise RunCancelled(task_id=task.id, status=task.status)
        return task

    async def _end(self) -> Task:
        """Wait until the task has ended; return it. One that failed and was retried since has not ended."""
        while True:
            async with aclosing(self.events(after=await self._core.log.head(), until_end=True)) as records:
                async for _ in records:
                    pass
            task = await self.task()
            if task.ended:
                return task

    async def cancel(self, reason: Kept[str] = "") -> Task:
        """Cancel the task: interrupt its agent and withdraw its open questions, but keep its work. Returns the task."""
        return await self._tasks.cancel(self.id, reason)

    async def kill(self, reason: Kept[str] = "") -> None:
        """Cancel the task and end its processes at once, without the time that `cancel` gives them to finish."""
        actor = await self._core.require_member("task", self.id, "kill")
        await self._core.require_concern(await self.task(), actor, "kill")
        tokens = await self._tokens()
        async with anyio.create_task_group() as group:
            group.start_soon(self._cancel_if_possible, reason)
            for token in tokens:
                group.start_soon(self._kill, token, reason)

    async def _tokens(self) -> frozenset[str]:
        """Return the tokens of processes that may run: recorded ones, and those that only the worker knows so far."""
        execution = (await self._core.view(self.id)).execution
        if execution is None:
            return frozenset()
        recorded = {str(process.identity.token) for process in execution.processes}
        current = {str(execution.process_token)} if execution.running else set()
        known = {token for token in self._core.runtime.gateway.known if token.startswith(execution.id)}
        return frozenset(recorded | current | known)

    async def _cancel_if_possible(self, reason: str) -> None:
        with suppress(TransitionRefused):  # it has ended
            await self.cancel(reason)

    async def _kill(self, token: str, reason: str) -> None:
        """Take all steps of ending a process without a pause; the last is SIGKILL."""
        with suppress(AuraError):  # it has ended
            for _ in range(_STEPS):
                await self._core.runtime.gateway.interrupt(token, reason)

    @property
    def blocker(self) -> AuraError | None:
        """The error that holds up the task while the engine retries; None if this engine knows of none."""
        return self._core.follower.blockers.get(self.id)
