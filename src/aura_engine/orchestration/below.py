"""Below: what runs for a step outside of its workflow (a task, an approval, a sub-workflow), and what its end means."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

import attrs

from aura_contracts.actors import actor_name
from aura_contracts.agent import AGENT
from aura_contracts.aggregate import Command
from aura_contracts.approval import APPROVAL, Approval, ApprovalStatus, ExpireApproval, WithdrawApproval
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ids import ApprovalId, TaskId
from aura_contracts.quoting import bounded
from aura_contracts.task import TASK, Task, TaskStatus
from aura_contracts.workflow import (
    WORKFLOW,
    AwaitStepApproval,
    CancelWorkflow,
    CommandStep,
    CompleteStep,
    FailStep,
    ReportStepCancelled,
    ResumeStep,
    RetryStep,
    SkipStep,
    StepRecovery,
    StepStatus,
    Workflow,
    WorkflowStatus,
    WorkflowStep,
    definition_of,
)
from aura_contracts.workspace import WORKSPACE
from aura_engine.orchestration.outputs import OutputMissing, output_of
from aura_engine.orchestration.world import LoadState, StepWorld, WorldChange, report
from aura_engine.runtime.views import View, view_with, workspace_of
from aura_engine.unit_of_work import UnitOfWork

RERUNS = 10
"""Attempts after which a command whose process was lost is not run again by itself: it may be what ends the machine."""

_CANCELLED = "the workflow no longer needs it"


@attrs.define
class Below:
    """What runs below the steps of one workflow, as its driver sees it."""

    _world: StepWorld
    _load: LoadState
    now: datetime
    until: datetime | None = None
    """When something below is due that its step has to look after; the earliest."""

    # --- What runs ------------------------------------------------------------------------------------------------

    async def follow(self, workflow: Workflow, step: WorkflowStep) -> WorldChange | None:
        """Return what the state of what runs for a step means for it, None if it runs on."""
        if step.task_id is not None:
            commands = await self._of_task(workflow, step, step.task_id)
        elif step.child_id is not None:
            commands = await self._of_child(step, step.child_id)
        elif step.approval_id is not None:
            return await self._of_approval(workflow, step, step.approval_id)
        else:
            commands = [ReportStepCancelled(step_id=step.id, reason="nothing runs for it")]
        return WorldChange(step.id, report(workflow.id, *commands)) if commands else None

    async def _of_task(self, workflow: Workflow, step: WorkflowStep, task_id: TaskId) -> Sequence[Command[Workflow]]:
        task = await self._load(TASK, task_id)
        if task is None:
            return [ReportStepCancelled(step_id=step.id, reason=f"there is no task {task_id}")]
        if task.status is TaskStatus.COMPLETED:
            return [await self._completed(workflow, step, task)]
        if task.status is TaskStatus.FAILED:
            return _failed(workflow, step, task)
        if task.ended:
            return [ReportStepCancelled(step_id=step.id, reason=f"its task {task_id} was {task.status}")]
        self._world.drivers.take_on_part(task_id)
        return await self._waiting(step, await self._question(task))

    async def _question(self, task: Task) -> ApprovalId | None:
        """Return the question about a task that a human has to answer before it continues."""
        if task.status is TaskStatus.AWAITING_APPROVAL:
            return task.approval_id
        if task.status is TaskStatus.BLOCKED:
            workspace = await self._load(WORKSPACE, workspace_of(task.id))
            return None if workspace is None else workspace.approval_id
        agent = None if task.assigned_agent is None else await self._load(AGENT, task.assigned_agent)
        in_hand = None if agent is None else agent.task_in_hand(task.id)
        return None if in_hand is None else in_hand.approval_id

    async def _waiting(self, step: WorkflowStep, asked: ApprovalId | None) -> Sequence[Command[Workflow]]:
        """Return what tells the step that what runs for it waits for a human, or no longer."""
        if step.status is StepStatus.RUNNING and asked is not None:
            return [AwaitStepApproval(step_id=step.id, approval_id=asked)]
        if step.status is StepStatus.AWAITING_APPROVAL and asked != step.approval_id:
            approval = None if step.approval_id is None else await self._load(APPROVAL, step.approval_id)
            return [ResumeStep(step_id=step.id, approved=approval is not None and approval.granted)]
        return []

    async def _completed(self, workflow: Workflow, step: WorkflowStep, task: Task) -> Command[Workflow]:
        config = definition_of(workflow, step.id).config
        try:
            result = await output_of(self._world.runtime.bus, step.id, config, task, self._load)
        except OutputMissing as error:
            return FailStep(step_id=step.id, failure=error.failure)
        return CompleteStep(step_id=step.id, result=result)

    async def _of_child(self, step: WorkflowStep, child_id: str) -> Sequence[Command[Workflow]]:
        child = await self._load(WORKFLOW, child_id)
        if child is None:
            return [ReportStepCancelled(step_id=step.id, reason=f"there is no workflow {child_id}")]
        match child.status:
            case WorkflowStatus.COMPLETED:
                return [CompleteStep(step_id=step.id, result=child.outputs)]
            case WorkflowStatus.FAILED:
                why = child.failure or Failure(FailureReason.STAGE_ERROR)
                told = bounded(f"workflow {child.name} {child.id} failed: {why.message or why.reason}")
                return [FailStep(step_id=step.id, failure=Failure(why.reason, told))]
            case WorkflowStatus.CANCELLED:
                return [ReportStepCancelled(step_id=step.id, reason=f"workflow {child_id} was cancelled")]
        self._world.drivers.take_on_workflow(child.id)
        waits = [one for one in child.steps.values() if one.status is StepStatus.AWAITING_APPROVAL]
        return await self._waiting(step, waits[0].approval_id if waits else None)

    async def _of_approval(self, workflow: Workflow, step: WorkflowStep, approval_id: ApprovalId) -> WorldChange | None:
        approval = await self._load(APPROVAL, approval_id)
        if approval is None:
            missing = ReportStepCancelled(step_id=step.id, reason=f"there is no approval {approval_id}")
            return WorldChange(step.id, report(workflow.id, missing))
        if approval.status is not ApprovalStatus.PENDING:
            return WorldChange(step.id, report(workflow.id, answered(step, approval)))
        if approval.deadline is None:
            return None
        if self.now < approval.deadline:
            self.until = min(self.until or approval.deadline, approval.deadline)
            return None

        async def expire(unit: UnitOfWork) -> None:
            expired = await unit.handle(approval_id, ExpireApproval())
            await unit.handle(workflow.id, answered(step, expired))

        return WorldChange(step.id, expire)

    # --- What is cancelled ------------------------------------------------------------------------------------------

    async def cancel(self, workflow: Workflow, step: WorkflowStep) -> WorldChange | None:
        """Return what cancels what runs for a step, or reports that nothing does; None while it is ending."""
        if step.task_id is not None:
            return await self._cancel_task(workflow, step, step.task_id)
        if step.child_id is not None:
            return await self._cancel_child(workflow, step, step.child_id)
        gone = WorldChange(step.id, report(workflow.id, ReportStepCancelled(step_id=step.id, reason=workflow.reason)))
        approval = None if step.approval_id is None else await self._load(APPROVAL, step.approval_id)
        if approval is None:
            return gone
        if approval.status is not ApprovalStatus.PENDING:
            done = approval.granted
            return WorldChange(step.id, report(workflow.id, answered(step, approval))) if done else gone

        async def withdraw(unit: UnitOfWork) -> None:
            await unit.handle(approval.id, WithdrawApproval(reason=workflow.reason or _CANCELLED))
            await gone.add(unit)

        return WorldChange(step.id, withdraw)

    async def _cancel_task(self, workflow: Workflow, step: WorkflowStep, task_id: TaskId) -> WorldChange | None:
        view: View | None = await view_with(self._load, task_id)
        if view is not None and not view.task.ended:

            async def cancel(unit: UnitOfWork) -> None:
                await self._world.tasks.cancel(unit, task_id, workflow.reason or _CANCELLED)

            return WorldChange(step.id, cancel, partial(self._world.drivers.take_on_soon, task_id))
        if view is not None and view.execution is not None and not (view.execution.final and not view.leased):
            self._world.drivers.take_on_soon(task_id)
            return None  # its processes are being ended
        if view is not None and view.task.status is TaskStatus.COMPLETED:
            return WorldChange(step.id, report(workflow.id, await self._completed(workflow, step, view.task)))
        return WorldChange(step.id, report(workflow.id, ReportStepCancelled(step_id=step.id, reason=workflow.reason)))

    async def _cancel_child(self, workflow: Workflow, step: WorkflowStep, child_id: str) -> WorldChange | None:
        child = await self._load(WORKFLOW, child_id)
        if child is not None and child.status is WorkflowStatus.COMPLETED:
            return WorldChange(step.id, report(workflow.id, CompleteStep(step_id=step.id, result=child.outputs)))
        if child is None or child.ended:
            return WorldChange(
                step.id, report(workflow.id, ReportStepCancelled(step_id=step.id, reason=workflow.reason))
            )
        begins = partial(self._world.drivers.take_on_workflow, child.id)
        if child.status in (WorkflowStatus.CANCELLING, WorkflowStatus.COMPENSATING):
            begins()
            return None
        cancel = CancelWorkflow(reason=workflow.reason or _CANCELLED)
        return WorldChange(step.id, report(child.id, cancel), begins)


def answered(step: WorkflowStep, approval: Approval) -> Command[Workflow]:
    """Return what the answer to its question means for a human_approval."""
    by = None if approval.reviewed_by is None else actor_name(approval.reviewed_by)
    if approval.granted:
        result: dict[str, Any] = {"decision": str(approval.status), "feedback": approval.feedback, "by": by}
        return CompleteStep(step_id=step.id, result=result)
    if approval.status is ApprovalStatus.WITHDRAWN:
        why = approval.withdrawal_reason or "its question was withdrawn"
        return ReportStepCancelled(step_id=step.id, reason=why)
    if approval.status is ApprovalStatus.EXPIRED:
        failure = Failure(FailureReason.APPROVAL_EXPIRED, "the deadline passed without a decision")
    else:
        said = f"{by} answered: {approval.status}" + (f": {approval.feedback}" if approval.feedback else "")
        failure = Failure(FailureReason.APPROVAL_REJECTED, bounded(said))
    return FailStep(step_id=step.id, failure=failure)


def _failed(workflow: Workflow, step: WorkflowStep, task: Task) -> Sequence[Command[Workflow]]:
    """Return what follows from the failure of a step's task; a command says what does if its process was lost."""
    failure = task.failure or Failure(FailureReason.STAGE_ERROR, "its task failed")
    config = definition_of(workflow, step.id).config
    if not isinstance(config, CommandStep) or failure.reason is not FailureReason.WORKER_LOST:
        return [FailStep(step_id=step.id, failure=failure)]
    if config.recovery is StepRecovery.SKIP:
        return [SkipStep(step_id=step.id, reason=bounded(f"its process was lost: {failure.message}"))]
    if config.recovery is StepRecovery.RERUN and step.attempts < RERUNS:
        return [FailStep(step_id=step.id, failure=failure), RetryStep(step_id=step.id)]
    lost = Failure(failure.reason, bounded(f"how far it had come is not known: {failure.message}"), lasting=True)
    return [FailStep(step_id=step.id, failure=lost)]
