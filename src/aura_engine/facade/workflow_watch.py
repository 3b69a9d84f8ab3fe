"""Workflow watch: follows a workflow until it has ended, and the questions that it and all it runs ask of humans.

What a workflow runs is known by its events: the tasks and sub-workflows that its steps were started with, and theirs.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from functools import partial

import anyio
import attrs

from aura_contracts.approval import APPROVAL, Approval, ApprovalRequested, ApprovalStatus
from aura_contracts.errors import StoreFull, StoreReadOnly, WorkflowNotDriven
from aura_contracts.events import EventRecord
from aura_contracts.ids import StreamId, WorkflowId
from aura_contracts.ports.read_models import ApprovalQuery, TaskQuery
from aura_contracts.task import TASK
from aura_contracts.workflow import WORKFLOW, StepStarted, Workflow
from aura_engine import runtime
from aura_engine.exception_groups import unwrap_group
from aura_engine.facade.core import Core

_TOPICS = (f"{WORKFLOW.name}.*", ApprovalRequested.topic)

PAGE = 100
"""Events per read; those of workflows are small."""

_CHECKS = 3
"""Times in a row that a workflow is found without an engine before it counts as not driven: another may take it."""


@attrs.define(eq=False)
class StreamNews:
    """Whether a stream may have new events, for one who waits for them."""

    _changed: anyio.Event = attrs.field(factory=anyio.Event, init=False)

    def wake(self, record: EventRecord | None = None) -> None:
        """Note that there may be some."""
        self._changed.set()

    def since_now(self) -> Callable[[], Awaitable[object]]:
        """Forget those before now, and return what waits until there may be some."""
        self._changed = anyio.Event()
        return self._changed.wait


@attrs.define
class WorkflowWatch:
    """A workflow to follow, once."""

    _core: Core
    _workflow_id: WorkflowId
    _found_undriven: int = attrs.field(default=0, init=False)
    """Times in a row."""
    _next_check: float = attrs.field(default=0.0, init=False)

    async def follow(self, after: int) -> AsyncGenerator[EventRecord, None]:
        """Yield the workflow's own events after position `after`, until it has ended; see `WorkflowRun.events`."""
        with self._news() as news:
            async with aclosing(self._records(after, self._workflow_id, news)) as records:
                async for record in records:
                    yield record

    async def end(self) -> Workflow:
        """Wait until the workflow has ended, and return it; raises as `WorkflowRun.result` does."""
        with self._news() as news:
            while True:
                wait = partial(self._core.log.wait, await self._core.log.head()) if news is None else news.since_now()
                if (ended := await self._ended_or_changed(wait)) is not None:
                    return ended

    @contextmanager
    def _news(self) -> Iterator["StreamNews | None"]:
        """Return what tells that the workflow has new events; None where this engine does not follow the log."""
        follower = self._core.follower
        if not follower.follows_log:
            yield None
            return
        news = StreamNews()
        follower.drivers.listen(news, self._workflow_id)
        try:
            yield news
        finally:
            follower.drivers.leave(news, self._workflow_id)

    async def _records(
        self, after: int, stream_id: WorkflowId | None, news: "StreamNews | None"
    ) -> AsyncGenerator[EventRecord, None]:
        """Yield the events of a stream, or of all workflows with all questions, until the workflow has ended.

        They are looked for again at `news`; without, after each event of the log.
        """
        log, over, topics = self._core.log, False, () if stream_id is not None else _TOPICS
        while True:
            wait = None if news is None else news.since_now()
            upto = await log.head()
            reading = log.read(after, upto=upto, page_size=PAGE, topics=topics, stream_id=stream_id)
            async with aclosing(reading) as records:
                async for record in records:
                    self._core.bus.states.observe(record)  # so that `_ended` is never behind what was yielded
                    yield record
            if over:
                return
            after = max(after, upto)
            over = await self._ended_or_changed(wait or partial(log.wait, after)) is not None

    async def _ended_or_changed(self, change: Callable[[], Awaitable[object]]) -> Workflow | None:
        """Return the workflow once it has ended, or None once `change` has returned."""
        while True:
            activity = self._core.follower.activity
            if (ended := await self._ended()) is not None:
                return ended
            if await self._is_changed(change, activity):
                return None

    async def _ended(self) -> Workflow | None:
        """Return it if it has ended. Raises `WorkflowNotDriven`, and what keeps this engine from driving."""
        workflow = await self._core.bus.require(WORKFLOW, self._workflow_id)
        if workflow.ended:
            return workflow
        follower = self._core.follower
        follower.drivers.raise_defect(follower.workflow(self._workflow_id))
        blocker = follower.blockers.get(self._workflow_id)
        if isinstance(blocker, StoreFull | StoreReadOnly):
            raise blocker
        if self._found_undriven >= _CHECKS:
            raise WorkflowNotDriven(workflow_id=workflow.id, status=workflow.status)
        return None

    async def _is_changed(self, change: Callable[[], Awaitable[object]], activity: anyio.Event) -> bool:
        """Wait for `change`, and return True; or for `activity`, or until no engine drives the workflow."""
        changed = False
        try:
            async with anyio.create_task_group() as group:

                async def wait() -> None:
                    nonlocal changed
                    await change()
                    changed = True
                    group.cancel_scope.cancel()

                async def wait_for_alarm() -> None:
                    await self._undriven()
                    group.cancel_scope.cancel()

                group.start_soon(wait)
                group.start_soon(wait_for_alarm)
                await activity.wait()
                group.cancel_scope.cancel()
        except ExceptionGroup as errors:
            raise unwrap_group(errors) from None
        return changed

    async def _undriven(self) -> None:
        """Return when no engine drives the workflow. Continues where a cancelled call stopped."""
        if self._core.record_only:
            await anyio.sleep_forever()
        drivers = self._core.follower.drivers
        subject = self._core.follower.workflow(self._workflow_id)
        while self._found_undriven < _CHECKS:
            await anyio.sleep_until(self._next_check)
            driven = drivers.stands_by(subject) or await drivers.is_driven(subject)
            self._found_undriven = 0 if driven else self._found_undriven + 1
            self._next_check = anyio.current_time() + runtime.LOCK_CHECK

    # --- Questions ----------------------------------------------------------------------------------------------------

    async def questions(self) -> AsyncGenerator[Approval, None]:
        """Yield each open question once, as it is asked; see `WorkflowRun.questions`."""
        head = await self._core.log.head()
        whole = Family(self._core)
        await whole.add(self._workflow_id)
        seen = set[str]()
        for approval in await whole.pending():
            seen.add(approval.id)
            yield approval
        async with aclosing(self._records(head, None, None)) as records:
            async for record in records:
                await whole.observe(record)
                if isinstance(record.event, ApprovalRequested) and record.stream_id not in seen:
                    approval = await self._core.stored(APPROVAL, record.stream_id)
                    if approval.status is ApprovalStatus.PENDING and await whole.asks(approval):
                        seen.add(approval.id)
                        yield approval


@attrs.define
class Family:
    """A workflow with all that its steps have started: tasks and their parts, sub-workflows and what theirs have."""

    _core: Core
    _workflows: set[StreamId] = attrs.field(factory=set, init=False)
    _tasks: set[StreamId] = attrs.field(factory=set, init=False)

    async def add(self, workflow_id: StreamId) -> None:
        """Add a workflow with what it has started so far."""
        if workflow_id in self._workflows:
            return
        self._workflows.add(workflow_id)
        workflow: Workflow | None = await self._core.bus.fetch(WORKFLOW, workflow_id)
        for step in () if workflow is None else workflow.steps.values():
            if step.task_id is not None:
                self._tasks.add(step.task_id)
            if step.child_id is not None:
                await self.add(step.child_id)

    async def observe(self, record: EventRecord) -> None:
        """Add what a step of one of its workflows was started with."""
        if record.stream_id in self._workflows and isinstance(event := record.event, StepStarted):
            if event.task_id is not None:
                self._tasks.add(event.task_id)
            if event.child_id is not None:
                await self.add(event.child_id)

    async def asks(self, approval: Approval) -> bool:
        """Whether a question is about a step, a task, or a part of a task of the family."""
        if approval.workflow_id is not None:
            return approval.workflow_id in self._workflows
        task_id = approval.task_id
        while task_id is not None and task_id not in self._tasks:
            task = await self._core.bus.fetch(TASK, task_id)
            task_id = None if task is None else task.parent_id
        return task_id is not None

    async def pending(self) -> list[Approval]:
        """Return the open questions, oldest first."""
        tasks, parts = set(self._tasks), set(self._tasks)
        while parts:
            rows = self._core.reads.rows(TaskQuery(parent=sorted(parts)))
            found_parts = [part.id async for part in rows]
            parts = set[StreamId](found_parts) - tasks
            tasks |= parts
        queries = (ApprovalQuery(pending=True, workflow=self._workflows), ApprovalQuery(pending=True, task=tasks))
        found = {one.id: one for query in queries async for one in self._core.reads.rows(query)}
        return sorted(found.values(), key=lambda one: (one.requested_at, one.id))
