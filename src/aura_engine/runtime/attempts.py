"""Attempts: the executions of a task, queued for the first time or to continue where another one ended."""

from typing import Any

import attrs
from msgspec.structs import replace

from aura_contracts.actors import ENGINE
from aura_contracts.agent import Agent
from aura_contracts.aggregate import part_of
from aura_contracts.errors import InvalidInput, UnknownExecutor
from aura_contracts.execution import (
    Execution,
    ExecutionSpec,
    ExecutionStatus,
    HumanMessage,
    QueueExecution,
    RecordStageFailure,
    RequestFollowUp,
)
from aura_contracts.failures import Failure
from aura_contracts.ids import ExecutionId
from aura_contracts.quoting import bounded
from aura_contracts.run_plan import RunPlan
from aura_contracts.task import TASK, StartExecution, Task
from aura_contracts.workspace import WORKSPACE, Workspace
from aura_engine.policy.rulebook import Rulebook
from aura_engine.policy.silence import guard_of, looking, require_asking, unkept
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.views import View, workspace_of
from aura_engine.unit_of_work import UnitOfWork
from aura_worker_protocol.messages import CheckOptions


async def queue(
    runtime: Runtime,
    unit: UnitOfWork,
    task: Task,
    agent: Agent,
    prompt: str,
    plan: RunPlan,
    *,
    session_id: str | None = None,
    variant: str | None = None,
    replacing: Execution | None = None,
    documents: tuple[str, ...] = (),
    context: str = "",
    messages: tuple[HumanMessage, ...] = (),
) -> Task:
    """Add to `unit` a new execution of the task by its agent; return the updated task.

    One that is `replacing` an execution at work starts when that has ended: see `cleanup.start_next`.
    Raises `InvalidInput` for an agent that asks for nothing where a policy demands that it asks.
    """
    spec = ExecutionSpec(
        task_id=task.id,
        executor=agent.executor,
        prompt=prompt,
        variant=variant,
        agent_id=agent.id,
        agent_type=agent.type,
        workspace_id=workspace_of(task.id),
        session_id=session_id,
        retry=task.retry,
        plan=plan,
        has_work=replacing is not None and (replacing.has_work or replacing.outcome is not None),
        documents=documents,
        context=context,
        messages=messages if replacing is None else (*replacing.messages, *messages),
    )
    await _require_asking(runtime, unit, spec)
    if replacing is None:
        return await _queue(runtime, unit, spec)
    assert task.next_execution_id is not None, "the task was assigned to another agent"
    queued = QueueExecution(execution_id=task.next_execution_id, spec=spec)
    await unit.handle(task.next_execution_id, queued)
    return task


async def queue_revert(runtime: Runtime, unit: UnitOfWork, task: Task, commits: dict[str, str]) -> Task:
    """Add to `unit` an execution in which git reverts a commit in each of these repositories; return the task."""
    spec = ExecutionSpec(
        task_id=task.id,
        executor="git",
        prompt=task.description,
        workspace_id=workspace_of(task.id),
        retry=task.retry,
        plan=RunPlan(reverts=commits),
    )
    return await _queue(runtime, unit, spec)


async def _queue(runtime: Runtime, unit: UnitOfWork, spec: ExecutionSpec) -> Task:
    execution_id = ExecutionId(runtime.bus.new_id())
    await unit.handle(execution_id, QueueExecution(execution_id=execution_id, spec=spec))
    return await unit.acting_as(ENGINE).handle(spec.task_id, StartExecution(execution_id=execution_id))


async def requeue(runtime: Runtime, unit: UnitOfWork, task: Task, execution: Execution) -> Task:
    """Add to `unit` a new execution that continues where `execution` ended; return the updated task.

    Raises `InvalidInput` as `queue` does.
    """
    session_id, plan = continuation_of(execution)
    prompt = execution.prompt
    if session_id is not None:
        prompt = await runtime.prompts.make("resume", task, plan.variables, prompt=execution.prompt)
    spec = replace(
        part_of(execution, ExecutionSpec),
        prompt=prompt,
        session_id=session_id,
        plan=plan,
        documents=() if execution.context_read else execution.documents,
        has_work=execution.has_work or (execution.failure is not None and execution.outcome is not None),
        work_done=_is_work_done(execution),
    )
    await _require_asking(runtime, unit, spec)
    return await _queue(runtime, unit, spec)


async def _require_asking(runtime: Runtime, unit: UnitOfWork, spec: ExecutionSpec) -> None:
    """Refuse an agent that asks for nothing where a policy speaks of its calls."""
    workspace = await unit.get(WORKSPACE, workspace_of(spec.task_id))
    book = await runtime.policies.book(workspace)
    can = await _asking_of(runtime, book, workspace, spec)
    if can is not None:
        require_asking(book, spec.executor, asks=can.asks, silencing=can.silencing)


async def reviewing_book(runtime: Runtime, view: View) -> Rulebook:
    """Return the policies in force for finished work: a human looks at that of an agent that asked for nothing, if one
    of them has spoken of its calls since it began.
    """
    execution, book = view.require_execution(), await runtime.policies.book(view.workspace)
    try:
        can = await _asking_of(runtime, book, view.workspace, execution)
    except (UnknownExecutor, InvalidInput):  # it is not installed any more: nothing tells that it asked
        can = _Asking(asks=False, silencing=None)
    reason = None if can is None else unkept(book, execution.executor, asks=can.asks, silencing=can.silencing)
    return book if reason is None else looking(book, reason)


@attrs.frozen
class _Asking:
    """Whether an executor asks for permission, and the option that keeps its agent from asking, if one does."""

    asks: bool
    silencing: str | None


async def _asking_of(
    runtime: Runtime, book: Rulebook, workspace: Workspace | None, spec: ExecutionSpec
) -> _Asking | None:
    """Return whether an agent asks; None where no policy speaks of its calls, so that the worker need not be asked."""
    if spec.plan.reverts or guard_of(book, spec.executor) is None:
        return None
    can, silencing = await runtime.gateway.capability(spec.executor), None
    if can.permissions:
        check = CheckOptions(
            executor=spec.executor,
            prompt=spec.prompt,
            directory=next(iter(() if workspace is None else workspace.places), "."),
            options=spec.plan.options,
            session_id=spec.session_id,
            variables=spec.plan.variables,
        )
        silencing = (await runtime.gateway.request(check)).silencing
    return _Asking(can.permissions, silencing)


async def continue_with(
    runtime: Runtime, unit: UnitOfWork, view: View, template: str, feedback: str, **known: Any
) -> Task:
    """Have the agent continue: in the execution that is in review, or else in a new one; return the updated task.

    Its prompt is made of `template` with the feedback and what else is `known`. An agent that waits, or that
    AURA did not start, reads the decision itself.
    """
    task, execution, agent = view.task, view.execution, view.agent
    in_review = execution is not None and execution.status is ExecutionStatus.REVIEW
    waits = execution is not None and not execution.final
    if not in_review and (waits or agent is None or view.workspace is None):
        return task
    session_id, plan = (None, RunPlan()) if execution is None else continuation_of(execution)
    at_work = execution if in_review else agent
    executor = "" if at_work is None else at_work.executor
    prompt = await runtime.prompts.asking(template, task, plan.variables, executor, feedback=feedback, **known)
    if execution is not None and in_review:
        await unit.handle(execution.id, RequestFollowUp(feedback=feedback, prompt=prompt))
        return await unit.require(TASK, task.id)
    assert agent is not None, "a task without one has returned"
    variant = agent.variant or None if execution is None else execution.variant
    how: Any = {"session_id": session_id, "variant": variant}
    if execution is not None:
        how |= {"context": execution.context, "messages": execution.messages}
    return await queue(runtime, unit, task, agent, prompt, plan, **how)


def _is_work_done(execution: Execution) -> bool:
    """Whether the agent has done its work, which was not collected yet."""
    collected = execution.outcome is not None
    return bool(execution.failure and execution.failure.work_done) or (execution.work_done and not collected)


def continuation_of(execution: Execution) -> tuple[str | None, RunPlan]:
    """Return the session and the plan of an execution that continues where `execution` ended.

    If it ended between two sessions, this is the lost one: it is lost again, and replayed again. The copy of a forked
    session must still be made, unless the agent has reported a session of its own.
    """
    own = execution.session_id is not None and not execution.fork
    plan = replace(execution.plan, fork=execution.plan.fork and not own)
    return execution.session_id or execution.dropped_session_id, plan


def stage_failure(runtime: Runtime, execution: Execution, failure: Failure) -> RecordStageFailure:
    """Return the report of a failed attempt at a stage, with the pause before the next one."""
    delay = runtime.delay(execution.retry, execution.attempt)
    told = replace(failure, message=bounded(failure.message))
    return RecordStageFailure(epoch=execution.epoch, failure=told, delay=delay)
