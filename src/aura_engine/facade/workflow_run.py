"""Workflow run: the handle of a workflow. It holds no state of it, so all handles of a workflow see the same.

run = await engine.workflows.start("build", {"feature": "log in"})
async for question in run.questions():
    await engine.approvals.approve(question.id)
workflow = await run.result()
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import attrs

from aura_contracts.approval import Approval
from aura_contracts.errors import AuraError, WorkflowRunCancelled, WorkflowRunFailed
from aura_contracts.events import EventRecord
from aura_contracts.ids import WorkflowId
from aura_contracts.workflow import WORKFLOW, CancelWorkflow, StepStatus, Workflow, WorkflowStatus
from aura_engine.facade.arguments import Kept
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.facade.workflow_commands import steer
from aura_engine.facade.workflow_watch import WorkflowWatch


@gated
@attrs.frozen
class WorkflowRun:
    """A workflow from start to result, whichever engine drives it.

    `events`, `questions` and `result` wait for as long as an engine drives the workflow. If that engine closes or dies,
    the engine of a handle that `Workflows.start`, `fork` or `resume` returned takes it over. For other handles they
    raise `WorkflowNotDriven` after a few seconds without an engine; nothing is lost, and `Workflows.advance` continues
    it. In an engine opened with `record_only` they wait until another engine drives it.
    """

    id: WorkflowId
    """The workflow's id, for every noun of the engine."""
    _core: Core = attrs.field(repr=False)
    since: int = attrs.field(default=0, kw_only=True)
    """The position in the log that `events` starts after."""
    driven: bool = attrs.field(default=False, kw_only=True)
    """Whether the engine drove the workflow when it made this handle; if not, another engine may."""

    async def state(self) -> Workflow:
        """Return the workflow as it is now."""
        return await self._core.stored(WORKFLOW, self.id)

    async def events(self, *, after: int | None = None) -> AsyncGenerator[EventRecord, None]:
        """Yield the workflow's own events after position `after`, in the order of the log, until it has ended.

        `after` defaults to where it was started or attached to; 0 starts at its first event. What its tasks and
        sub-workflows do is in their own streams. To leave earlier, close it (``contextlib.aclosing``). Raises
        `WorkflowNotDriven` when no engine drives the workflow, `StoreFull` or `StoreReadOnly` when nothing more can be
        recorded.
        """
        watch = WorkflowWatch(self._core, self.id)
        async with aclosing(watch.follow(self.since if after is None else after)) as records:
            async for record in records:
                yield record

    async def questions(self) -> AsyncGenerator[Approval, None]:
        """Yield each question to a human once, as it is asked: of its steps, their tasks, and its sub-workflows.

        Questions that are already open come first. Ends when the workflow has ended. Skips a question that is decided
        before its turn. Raises `WorkflowNotDriven` when no engine drives the workflow.
        """
        async with aclosing(WorkflowWatch(self._core, self.id).questions()) as questions:
            async for question in questions:
                yield question

    async def result(self) -> Workflow:
        """Wait until the workflow has completed; return it, with its `outputs`.

        Neither questions to humans nor a pause end the wait; cancel to stop waiting. Raises `WorkflowRunFailed` with
        the failure and the failed steps, `WorkflowRunCancelled`, and `WorkflowNotDriven` if it has not ended but no
        engine drives it.
        """
        workflow = await WorkflowWatch(self._core, self.id).end()
        if workflow.status is WorkflowStatus.FAILED and workflow.failure is not None:
            failed = tuple(step.id for step in workflow.steps.values() if step.status is StepStatus.FAILED)
            reason, problem = str(workflow.failure.reason), workflow.failure.message
            raise WorkflowRunFailed(workflow_id=self.id, reason=reason, problem=problem, failed_steps=failed)
        if workflow.status is not WorkflowStatus.COMPLETED:
            raise WorkflowRunCancelled(workflow_id=self.id)
        return workflow

    async def cancel(self, reason: Kept[str] = "") -> Workflow:
        """Cancel the workflow, as `Workflows.cancel` does. Returns it as it is then: often still cancelling."""
        return await steer(self._core, self.id, CancelWorkflow(reason=reason), None)

    @property
    def blocker(self) -> AuraError | None:
        """The error that holds up the workflow while the engine retries; None if this engine knows of none."""
        return self._core.follower.blockers.get(self.id)
