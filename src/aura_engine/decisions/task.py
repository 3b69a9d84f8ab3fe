"""Decisions about tasks.

Source: specification, "Task Management", "Authorization", "Agent Failures", "Concurrent Modifications".

Who may do what: agents act only on the task assigned to them; humans queue, edit, cancel and approve only what they
created or are a reviewer of, and only they change who reviews it and whether it needs approval; AURA itself
(``system:``) carries out what policies and approvals decided.
"""

from datetime import timedelta

from aura_contracts.actors import actor_kind, actor_name
from aura_contracts.aggregate import Command
from aura_contracts.errors import CyclicParent
from aura_contracts.task import (
    TASK,
    ApprovalMode,
    ApproveTask,
    AssignTask,
    AttemptFailed,
    BlockTask,
    CancelTask,
    CompleteTask,
    CreateTask,
    DecomposeTask,
    DecompositionProposed,
    DeleteTask,
    EditTask,
    ExecutionStarted,
    FailTask,
    ProposalSubmitted,
    ProposeDecomposition,
    QueueTask,
    RecordAttemptFailure,
    RejectTask,
    ReopenTask,
    ReparentTask,
    RequestTaskChanges,
    RetryTask,
    RevisionStarted,
    StartExecution,
    SubmitProposal,
    Task,
    TaskApproved,
    TaskAssigned,
    TaskBlocked,
    TaskCancelled,
    TaskChangesRequested,
    TaskCompleted,
    TaskCreated,
    TaskDecomposed,
    TaskDeleted,
    TaskEdited,
    TaskFailed,
    TaskQueued,
    TaskRejected,
    TaskReopened,
    TaskReparented,
    TaskRetried,
    TaskStatus,
    TaskUnassigned,
    TaskUnblocked,
    TaskUnqueued,
    UnassignTask,
    UnblockTask,
    UnqueueTask,
)
from aura_engine.decisions._decider import (
    DELAY_LIMIT,
    Context,
    Decider,
    Events,
    NotAllowed,
    RuleBroken,
    anyone,
    becomes,
    is_agent,
    is_human,
    is_system,
    no_agent,
    require_agent_type,
    retry_problem,
)

TITLE_LIMIT = 500
"""Characters; a title is one line in a list."""


def _require_own_agent(state: Task, command: Command[Task], context: Context) -> None:
    """Agents act only on tasks assigned to them; humans and AURA may always act."""
    if actor_kind(context.actor) == "agent" and not is_agent(context, state.assigned_agent):
        raise NotAllowed(f"the task is assigned to {state.assigned_agent or 'no agent'}")


def _require_concerned(state: Task, command: Command[Task], context: Context) -> None:
    """Agents act on the task assigned to them; humans on one that they created or review; AURA on any.

    A task that no human created and none reviews is any human's.
    """
    _require_own_agent(state, command, context)
    concerned = context.actor == state.created_by or actor_name(context.actor) in state.reviewers
    anyones = actor_kind(state.created_by) != "human" and not state.reviewers
    if is_human(context) and not (concerned or anyones):
        raise NotAllowed("not the creator and not a reviewer")


def _require_worker(state: Task, command: Command[Task], context: Context) -> None:
    """Only the assigned agent, or AURA on its behalf, reports on the work; not a human."""
    if not (is_agent(context, state.assigned_agent) or is_system(context)):
        raise NotAllowed("only the assigned agent reports on its work")


_no_agent = no_agent("only a human or a policy may")


def _require_reviewer(state: Task, command: Command[Task], context: Context) -> None:
    """Humans approve only what they created or are assigned to review."""
    may_decide = is_human(context) and (
        context.actor == state.created_by or actor_name(context.actor) in state.reviewers
    )
    if not (may_decide or is_system(context)):
        raise NotAllowed("not the creator and not a reviewer")


def _require_current_approval(
    state: Task, command: ApproveTask | RejectTask | RequestTaskChanges | DecomposeTask
) -> None:
    if command.approval_id != state.approval_id:
        reason = f"approval {command.approval_id} is not the one that is pending ({state.approval_id})"
        raise RuleBroken("stale_approval", reason, "decide on the pending approval")


def _require_new_approval(state: Task, command: SubmitProposal | ProposeDecomposition) -> None:
    """A decision about the last proposal must not count as one about this proposal."""
    if command.approval_id == state.approval_id:
        reason = f"approval {command.approval_id} was for the proposal before"
        raise RuleBroken("used_approval", reason, "ask for a new approval")


def _require_title(title: str) -> None:
    if not title.strip() or len(title) > TITLE_LIMIT:
        reason = f"a title has 1 to {TITLE_LIMIT} characters, this one has {len(title.strip())}"
        raise RuleBroken("title", reason)


def _require_feedback(feedback: str) -> None:
    if not feedback.strip():
        raise RuleBroken("feedback_required", "say what should be different")


def _require_parent(task_id: str, command: CreateTask | ReparentTask, context: Context) -> None:
    """The parent is not deleted, and not a part of the task."""
    if command.parent_id is None:
        return
    if context.parent is not None and context.parent.status is TaskStatus.DELETED:
        raise RuleBroken("deleted_parent", f"task {command.parent_id} is deleted", "name another parent, or none")
    lineage = context.lineage or (command.parent_id,)
    if task_id in lineage:
        path = (*lineage[: lineage.index(task_id) + 1],)
        raise CyclicParent(aggregate="task", aggregate_id=task_id, command=type(command).__name__, path=path)


def _create(_: None, command: CreateTask, context: Context) -> Events:
    spec = command.spec
    _require_title(spec.title)
    _require_parent(command.task_id, command, context)
    if problem := retry_problem(spec.retry):
        raise RuleBroken("retry", problem)
    require_agent_type(spec.agent_type)
    by_agent = actor_kind(context.actor) == "agent"
    if by_agent and not spec.reviewers and spec.approval_mode is not ApprovalMode.AUTO:
        reason = "no human could approve a task that an agent created without reviewers"
        raise RuleBroken("reviewers_required", reason, "name its reviewers")
    return [TaskCreated(task_id=command.task_id, spec=spec)]


def _edit(state: Task, command: EditTask, context: Context) -> Events:
    if command.changes.title is not None:
        _require_title(command.changes.title)
    changes = command.changes.differing_from(state)
    given = changes.given()
    if given.keys() & {"approval_mode", "reviewers"}:  # or actors could make themselves reviewers
        _require_reviewer(state, command, context)
    return [TaskEdited(changes=changes)] if given else []


def _reparent(state: Task, command: ReparentTask, context: Context) -> Events:
    _require_parent(state.id, command, context)
    return [TaskReparented(parent_id=command.parent_id)] if command.parent_id != state.parent_id else []


def _queue(state: Task, command: QueueTask, context: Context) -> Events:
    return [] if state.queued else [TaskQueued()]


def _unqueue(state: Task, command: UnqueueTask, context: Context) -> Events:
    return [TaskUnqueued()] if state.queued else []


def _assign(state: Task, command: AssignTask, context: Context) -> Events:
    require_agent_type(command.agent_type)
    if state.status is TaskStatus.IN_PROGRESS and state.assigned_agent == command.agent_id:
        return []
    return [TaskAssigned(agent_id=command.agent_id, agent_type=command.agent_type)]


def _submit(state: Task, command: SubmitProposal, context: Context) -> Events:
    if not command.proposal.strip():
        raise RuleBroken("proposal", "the proposal is empty")
    if command.confidence is not None and not 0 <= command.confidence <= 1:
        raise RuleBroken("confidence", f"{command.confidence} is not between 0 and 1")
    _require_new_approval(state, command)
    return [
        ProposalSubmitted(approval_id=command.approval_id, proposal=command.proposal, confidence=command.confidence)
    ]


def _approve(state: Task, command: ApproveTask, context: Context) -> Events:
    _require_current_approval(state, command)
    return [TaskApproved(approval_id=command.approval_id, notes=command.notes)]


def _reject(state: Task, command: RejectTask, context: Context) -> Events:
    _require_current_approval(state, command)
    _require_feedback(command.feedback)
    rejected = TaskRejected(approval_id=command.approval_id, feedback=command.feedback)
    return [rejected, RevisionStarted()] if command.revise else [rejected]


def _request_changes(state: Task, command: RequestTaskChanges, context: Context) -> Events:
    _require_current_approval(state, command)
    _require_feedback(command.feedback)
    return [TaskChangesRequested(approval_id=command.approval_id, feedback=command.feedback)]


def _start_execution(state: Task, command: StartExecution, context: Context) -> Events:
    if command.execution_id == state.execution_id:
        return []
    return [ExecutionStarted(execution_id=command.execution_id)]


def _record_attempt_failure(state: Task, command: RecordAttemptFailure, context: Context) -> Events:
    if not 0 <= command.delay <= DELAY_LIMIT:
        reason = f"the delay is between 0 and {DELAY_LIMIT:.0f} seconds, not {command.delay}"
        raise RuleBroken("delay", reason)
    attempt = state.attempts_failed + 1
    if attempt >= state.retry.max_attempts or not command.failure.retryable:
        return [TaskFailed(failure=command.failure)]
    retry_at = context.now + timedelta(seconds=command.delay)
    return [AttemptFailed(failure=command.failure, attempt=attempt, retry_at=retry_at)]


def _propose_decomposition(state: Task, command: ProposeDecomposition, context: Context) -> Events:
    ids = [subtask.task_id for subtask in command.subtasks]
    if not ids or len(set(ids)) < len(ids) or state.id in ids:
        raise RuleBroken("subtasks", "name at least one subtask, each with an id of its own")
    for subtask in command.subtasks:
        _require_title(subtask.title)
        require_agent_type(subtask.agent_type)
    _require_new_approval(state, command)
    return [DecompositionProposed(approval_id=command.approval_id, subtasks=command.subtasks)]


def _decompose(state: Task, command: DecomposeTask, context: Context) -> Events:
    _require_current_approval(state, command)
    if not state.proposed_subtasks:
        raise RuleBroken("subtasks", "no decomposition was proposed")
    ids = tuple(subtask.task_id for subtask in state.proposed_subtasks)
    return [TaskDecomposed(approval_id=command.approval_id, subtask_ids=ids)]


def _retry(state: Task, command: RetryTask, context: Context) -> Events:
    if state.assigned_agent is None:
        reason = "the task has no agent to try again"
        raise RuleBroken("unassigned", reason, "assign the task to an agent")
    return [TaskRetried()]


def _reopen(state: Task, command: ReopenTask, context: Context) -> Events:
    _require_feedback(command.feedback)
    return [TaskReopened(feedback=command.feedback)]


def _complete(state: Task, command: CompleteTask, context: Context) -> Events:
    needs_approval = state.approval_mode is not ApprovalMode.AUTO
    if needs_approval and state.status is TaskStatus.IN_PROGRESS and not is_system(context):
        reason = f"its approval mode is {state.approval_mode} and nothing was approved"
        raise RuleBroken("approval_required", reason, "submit a proposal")
    return [TaskCompleted(result=command.result)]


TASK_DECIDER = Decider(
    TASK,
    {
        CreateTask: (anyone, _create),
        EditTask: (_require_concerned, _edit),
        ReparentTask: (_require_own_agent, _reparent),
        QueueTask: (_require_concerned, _queue),
        UnqueueTask: (_require_concerned, _unqueue),
        AssignTask: (_no_agent, _assign),
        UnassignTask: (_require_own_agent, becomes(TaskUnassigned)),
        SubmitProposal: (_require_worker, _submit),
        ApproveTask: (_require_reviewer, _approve),
        RejectTask: (_require_reviewer, _reject),
        RequestTaskChanges: (_require_reviewer, _request_changes),
        StartExecution: (_require_worker, _start_execution),
        RecordAttemptFailure: (_require_worker, _record_attempt_failure),
        BlockTask: (_require_own_agent, becomes(TaskBlocked)),
        UnblockTask: (_no_agent, becomes(TaskUnblocked)),
        ProposeDecomposition: (_require_worker, _propose_decomposition),
        DecomposeTask: (_require_reviewer, _decompose),
        RetryTask: (_no_agent, _retry),
        ReopenTask: (_no_agent, _reopen),
        CompleteTask: (_require_own_agent, _complete),
        FailTask: (_require_own_agent, becomes(TaskFailed)),
        CancelTask: (_require_concerned, becomes(TaskCancelled)),
        DeleteTask: (_no_agent, becomes(TaskDeleted)),
    },
)
