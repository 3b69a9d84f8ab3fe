"""Review: proposes finished work, and applies the decision."""

from collections.abc import Sequence

from aura_contracts.actors import ENGINE, Actor
from aura_contracts.actors import agent as agent_actor
from aura_contracts.agent import PauseAgent, ResumeAgent
from aura_contracts.approval import (
    Approval,
    ApprovalKind,
    ApprovalStatus,
    Comment,
    ExpireApproval,
    Question,
    RequestApproval,
)
from aura_contracts.events import Event
from aura_contracts.execution import CODING, RequestFollowUp
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ids import ApprovalId, ExecutionId, TaskId
from aura_contracts.ports.workspaces import FileSummary
from aura_contracts.quoting import bounded
from aura_contracts.task import (
    ApprovalMode,
    ApproveTask,
    RejectTask,
    RequestTaskChanges,
    SubmitProposal,
)
from aura_engine.policy.consultation import consult, judge, pose, pose_unjudged
from aura_engine.policy.evidence import evidence_of
from aura_engine.policy.rulebook import Rulebook
from aura_engine.runtime.attempts import continue_with, reviewing_book
from aura_engine.runtime.collection import collect_since
from aura_engine.runtime.context import Runtime, review_of
from aura_engine.runtime.decomposition import split
from aura_engine.runtime.failures import fail
from aura_engine.runtime.proposals import WORDS_LIMIT, summary_of, words_of
from aura_engine.runtime.steps import is_approved
from aura_engine.runtime.views import View, view_in
from aura_engine.runtime.worktrees import diff_worktrees
from aura_engine.unit_of_work import UnitOfWork

# --- Proposing --------------------------------------------------------------------------------------------------------


async def propose_plan(runtime: Runtime, view: View) -> None:
    """Ask a human to approve the agent's plan."""
    execution = view.require_execution()
    said = execution.result.proposal if execution.result is not None else None
    words = said or await words_of(runtime.bus, execution.id)
    await _propose(runtime, view, ApprovalKind.PLAN, words)


async def propose_changes(runtime: Runtime, view: View) -> None:
    """Ask a human to approve the agent's changes. Changes made since are committed and included."""
    workspace = view.require_workspace()
    collected = await collect_since(runtime, workspace)
    diff = await diff_worktrees(runtime, workspace, patch_limit=0)
    heads = {head.repository: head.commit for head in collected.heads}
    result = view.require_execution().result
    said = f"\n\nThe agent says:\n{result.proposal}" if result is not None and result.proposal is not None else ""
    text = summary_of(diff, collected.outcome.unrecorded) + said[:WORDS_LIMIT]
    await _propose(runtime, view, ApprovalKind.CHANGES, text, commits=heads, files=diff.files)


async def _propose(
    runtime: Runtime,
    view: View,
    kind: ApprovalKind,
    text: str,
    *,
    commits: dict[str, str] | None = None,
    files: Sequence[FileSummary] | None = None,
) -> None:
    agent_id, approval_id = view.task.assigned_agent, ApprovalId(runtime.bus.ids())
    asking = ENGINE if agent_id is None else agent_actor(agent_id)
    run = view.require_execution()
    book, events = await reviewing_book(runtime, view), await runtime.bus.events(run.id)
    confidence = None if run.result is None else run.result.confidence
    async with runtime.bus.unit(ENGINE) as unit:
        await submit(
            unit,
            view,
            approval_id,
            text,
            book=book,
            kind=kind,
            confidence=confidence,
            execution_id=run.id,
            commits=commits,
            requested_by=asking,
            files=files,
            events=events,
        )


async def submit(
    unit: UnitOfWork,
    view: View,
    approval_id: ApprovalId,
    proposal: str,
    *,
    book: Rulebook,
    kind: ApprovalKind = ApprovalKind.PLAN,
    confidence: float | None = None,
    execution_id: ExecutionId | None = None,
    commits: dict[str, str] | None = None,
    requested_by: Actor | None = None,
    files: Sequence[FileSummary] | None = None,
    events: Sequence[Event] = (),
    answered: str | None = None,
    judged: bool = True,
) -> Approval:
    """Add to `unit` a proposal and the question about it, which its actor asks, or else `requested_by`.

    The agent is paused. If it runs, it is the one of `execution_id` and waits for the decision itself. The policies of
    `book` may answer; else `answered`, words of an approval given in advance, does, unless they demand a human. `files`
    are the changed ones, `events` those of the execution. If not `judged`, the policies of `book` only set the terms,
    and the engine that drives the task gives the verdict: see `judge_submitted`.
    """
    task, agent = view.task, view.agent
    await unit.handle(task.id, SubmitProposal(approval_id=approval_id, proposal=proposal, confidence=confidence))
    question = Question(
        kind=kind,
        **review_of(task),
        task_id=task.id,
        execution_id=execution_id,
        proposed_solution=proposal,
        confidence=confidence,
        commits=commits or {},
        evidence=evidence_of(
            task, agent=agent, execution=view.execution, workspace=view.workspace, events=events, files=files
        ),
    )
    request = RequestApproval(approval_id=approval_id, requested_by=requested_by, question=question)
    if judged:
        approval = await pose(unit, book, request, answered=answered)
    else:
        approval = await pose_unjudged(unit, book, request)
    if agent is not None and view.is_in_hand(waiting=False):
        pause = PauseAgent(task_id=task.id, approval_id=approval_id)
        await unit.acting_as(ENGINE).handle(agent.id, pause)
    return approval


async def judge_submitted(runtime: Runtime, task_id: TaskId) -> None:
    """Have the policies judge the plan that an agent at work has submitted by a tool, which cannot ask all of them."""

    async def decide(unit: UnitOfWork) -> None:
        view = await view_in(unit, task_id)
        approval, execution = view.approval, view.execution
        if approval is None or execution is None or execution.status not in CODING:
            return
        asked = approval.kind is ApprovalKind.PLAN and approval.execution_id == execution.id
        if not asked or approval.status is not ApprovalStatus.PENDING or approval.policy is not None or approval.votes:
            return
        answered = "" if view.task.approval_mode is ApprovalMode.AUTO else None
        decision = await judge(unit, await runtime.policies.book(view.workspace), approval, answered=answered)
        if decision.status is not ApprovalStatus.PENDING:
            await decided(runtime, unit, view, decision)

    await runtime.bus.transact(ENGINE, decide)


async def is_withheld(runtime: Runtime, view: View) -> bool:
    """Propose changes that would be merged unseen, if a policy rejects them or demands a human; return whether it does.

    It does not for changes that were approved.
    """
    mode, workspace, execution = view.task.approval_mode, view.workspace, view.execution
    if mode not in (ApprovalMode.AUTO, ApprovalMode.PLAN) or workspace is None or execution is None:
        return False
    if execution.outcome is None or is_approved(workspace, execution, view.approval):
        return False
    diff = await diff_worktrees(runtime, workspace, patch_limit=0)
    book, events = await reviewing_book(runtime, view), await runtime.bus.events(execution.id)
    evidence = evidence_of(
        view.task, agent=view.agent, execution=execution, workspace=workspace, events=events, files=diff.files
    )
    question = Question(kind=ApprovalKind.CHANGES, **review_of(view.task), task_id=view.task.id, evidence=evidence)
    _, decision = consult(book, ApprovalId(execution.id), question, runtime.bus.clock())
    if decision is None or not decision.holds_back:
        return False
    await propose_changes(runtime, view)
    return True


async def deliver_messages(runtime: Runtime, view: View) -> None:
    """Have the agent continue in its session with what humans wrote to it while it worked."""
    execution = view.require_execution()
    text = "\n\n".join(f"{one.author}: {one.text}" for one in execution.messages)
    prompt = await runtime.prompts.asking(
        "message", view.task, execution.plan.variables, execution.executor, messages=text, planning=view.planning
    )
    command = RequestFollowUp(feedback=text, prompt=prompt, messages=len(execution.messages))
    await runtime.bus.handle(ENGINE, execution.id, command)


# --- Deciding ---------------------------------------------------------------------------------------------------------


async def expire_approval(runtime: Runtime, view: View) -> None:
    """Close a question whose deadline has passed."""
    assert view.approval is not None, "only an existing approval expires"
    await runtime.bus.handle(ENGINE, view.approval.id, ExpireApproval())


async def apply_decision(runtime: Runtime, view: View) -> None:
    """Record the decision on the task and its consequences."""
    async with runtime.bus.unit(ENGINE) as unit:
        approval = view.approval
        assert approval is not None, "only an existing approval is decided"
        await decided(runtime, unit, view, approval)


async def decided(runtime: Runtime, unit: UnitOfWork, view: View, approval: Approval) -> None:
    """Add the consequences of `approval` to `unit`, which may itself have decided it."""
    task, approval_id = view.task, approval.id
    match approval.status:
        case ApprovalStatus.APPROVED | ApprovalStatus.EXPIRED if approval.granted and _splits(approval):
            await split(runtime, unit, view, approval_id)
            return
        case ApprovalStatus.APPROVED | ApprovalStatus.EXPIRED if approval.granted:
            await unit.handle(task.id, ApproveTask(approval_id=approval_id, notes=approval.feedback))
            if approval.kind is ApprovalKind.PLAN:
                feedback, plan = approval.feedback or "approved", approval.proposed_solution
                await continue_with(runtime, unit, view, "implement", feedback, plan=plan)
        case ApprovalStatus.REJECTED | ApprovalStatus.NEEDS_CHANGES if _has_no_agent(view):
            text = f"not approved: {approval.feedback or 'without a reason'}; assign the task to an agent to continue"
            await fail(unit, view, Failure(FailureReason.APPROVAL_REJECTED, bounded(text)))
        case ApprovalStatus.REJECTED:
            await unit.handle(task.id, RejectTask(approval_id=approval_id, feedback=approval.feedback or ""))
            await _revise(runtime, unit, view, approval)
        case ApprovalStatus.NEEDS_CHANGES:
            changes = RequestTaskChanges(approval_id=approval_id, feedback=approval.feedback or "")
            await unit.handle(task.id, changes)
            await _revise(runtime, unit, view, approval)
        case ApprovalStatus.EXPIRED:
            await fail(unit, view, Failure(FailureReason.APPROVAL_EXPIRED, "the approval expired"))
        case _:
            await fail(unit, view, Failure(FailureReason.APPROVAL_REJECTED, "the question was withdrawn"))
    if view.is_in_hand(waiting=True):
        assert view.agent is not None, "it has the task"
        await unit.handle(view.agent.id, ResumeAgent(task_id=task.id))


def _has_no_agent(view: View) -> bool:
    """Whether there is no agent that could revise the work: git made it."""
    return view.execution is not None and bool(view.execution.plan.reverts)


def _splits(approval: Approval) -> bool:
    return approval.kind is ApprovalKind.DECOMPOSITION


async def _revise(runtime: Runtime, unit: UnitOfWork, view: View, approval: Approval) -> None:
    template = "plan_follow_up" if approval.kind is ApprovalKind.PLAN else "follow_up"
    proposal = approval.proposed_solution
    await continue_with(runtime, unit, view, template, words_for_agent(approval), proposal=proposal)


def words_for_agent(approval: Approval) -> str:
    """Return what the humans want to be different: the feedback, then the comments, each with its line."""
    threads: dict[str, list[Comment]] = {}
    for comment in approval.comments:
        threads.setdefault(comment.reply_to or comment.id, []).append(comment)
    parts = [approval.feedback or ""]
    if threads:
        parts.append("Comments on lines of your changes:")
    for first, *answers in threads.values():
        anchor = first.anchor
        where = "/".join(filter(None, (anchor.repository, anchor.path)))
        removed = " (a line that you removed)" if anchor.removed else ""
        said = [f"{one.author}: {one.text}" for one in (first, *answers)]
        parts.append("\n".join([f"{where}:{anchor.line}{removed}", f"> {anchor.content}", *said]))
    return "\n\n".join(filter(None, parts))
