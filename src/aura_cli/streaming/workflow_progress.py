"""Workflow progress: prints what happens in a workflow while it runs, until it has ended.

The steps and questions go to stderr, for people; stdout has the workflow as it ended, once. An interrupt stops the
wait: nothing of the workflow is lost, and another engine continues it.
"""

from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

import anyio

from aura_cli._shown_workflows import workflow_text
from aura_contracts.errors import AuraError, WorkflowRunCancelled, WorkflowRunFailed
from aura_contracts.events import EventRecord
from aura_contracts.quoting import one_line
from aura_contracts.workflow import (
    StepCancelled,
    StepCompleted,
    StepEvent,
    StepFailed,
    StepRetryScheduled,
    StepSkipped,
    StepStarted,
    Workflow,
    WorkflowPaused,
    WorkflowResumed,
)

if TYPE_CHECKING:
    from aura_cli._call import Invocation
    from aura_contracts.approval import Approval
    from aura_engine import Engine, WorkflowRun


async def follow_workflow(call: "Invocation", engine: "Engine", run: "WorkflowRun") -> int:
    """Print the progress of a workflow until it has ended, then the workflow; return the exit code."""
    call.terminal.say(f"workflow {run.id}")
    failure: WorkflowRunFailed | WorkflowRunCancelled | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(_tell_steps, call, run)
        group.start_soon(_tell_questions, call, run)
        try:
            workflow = await run.result()
        except (WorkflowRunFailed, WorkflowRunCancelled) as error:
            failure, workflow = error, await run.state()
    call.terminal.item(workflow.as_dict(), workflow_text(workflow))
    if failure is not None:
        raise failure
    return 0


async def wait_until_ended(run: "WorkflowRun") -> Workflow:
    """Wait until a workflow has ended, however; return it."""
    async with aclosing(run.events()) as records:
        async for _ in records:
            pass
    return await run.state()


async def _tell_steps(call: "Invocation", run: "WorkflowRun") -> None:
    with suppress(AuraError):  # it ends the wait for the result, too
        async with aclosing(run.events()) as records:
            async for record in records:
                if text := step_text(record):
                    call.terminal.say(text)


async def _tell_questions(call: "Invocation", run: "WorkflowRun") -> None:
    with suppress(AuraError):
        async with aclosing(run.questions()) as questions:
            async for question in questions:
                call.terminal.say(question_text(question, call.hint))


def step_text(record: EventRecord) -> str:
    """Return what happened to a step in a line; empty for what follows from another event."""
    event = record.event
    match event:
        case StepStarted(task_id=task_id):
            said = "is started" if task_id is None else f"is started: task {task_id}"
        case StepCompleted():
            said = "is completed"
        case StepFailed(failure=failure):
            said = f"failed: {failure.reason}: {failure.message}"
        case StepRetryScheduled(failure=failure):
            said = f"failed and is tried again: {failure.reason}: {failure.message}"
        case StepSkipped(reason=reason) | StepCancelled(reason=reason):
            said = f"is {'skipped' if isinstance(event, StepSkipped) else 'cancelled'}{': ' if reason else ''}{reason}"
        case WorkflowPaused():
            return "paused"
        case WorkflowResumed():
            return "resumed"
        case _:
            return ""
    assert isinstance(event, StepEvent), "each of these is about a step"
    return one_line(f"step {event.step_id} {said}")


def question_text(approval: "Approval", hint: str) -> str:
    """Return a question to humans in a line, with the command that answers it."""
    what = one_line(approval.proposed_solution).strip()
    return one_line(
        f"approval {approval.id} waits for a human: {what[:100]}: aura approval approve {approval.id}{hint}"
    )
