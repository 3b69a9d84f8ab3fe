"""Decisions about tasks.

Source: specification, "Task Management", "Authorization", "Agent Failures", "Concurrent Modifications".

Who may do what: agents act only on the task assigned to them; humans approve only what they created or are a reviewer
of, and only they change who reviews it and whether it needs approval; AURA itself (``system:``) carries out what
policies and approvals decided.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType

from aura_contracts.actors import actor_kind, actor_name
from aura_contracts.aggregate import Command
from aura_contracts.errors import CyclicParent
from aura_contracts.events import Event
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
    Decide,
    Decider,
    is_agent,
    is_human,
    is_system,
    refuse_actor,
    refuse_rule,
    require_agent_type,
    require_no_agent,
    retry_problem,
)

Events = Sequence[Event]

TITLE_LIMIT = 500
"""Characters; a title is one line in a list."""


def _require_own_agent(state: Task, command: Command[Task], context: Context) -> None:
    """Agents act only on tasks assigned to them; humans and AURA may always act."""
    if actor_kind(context.actor) == "agent" and not is_agent(context, state.assigned_agent):
        raise refuse_actor(
            "task", state.id, command, context, f"the task is assigned to {state.assigned_agent or 'no agent'}"
        )


def _require_worker(state: Task, command: Command[Task], context: Context) -> None:
    """Only the assigned agent, or AURA on its behalf, reports on the work; not a human."""
    if not (is_agent(context, state.assigned_agent) or is_system(context)):
        raise refuse_actor("task", state.id, command, context, "only the assigned agent reports on its work")


def _require_human(state: Task, command: Command[Task], context: Context) -> None:
    require_no_agent("task", state.id, command, context, "only a human or a policy may")


def _require_reviewer(state: Task, command: Command[Task], context: Context) -> None:
    """Humans approve only what they created or are assigned to review."""
    may_decide = is_human(context) and (
        context.actor == state.created_by or actor_name(context.actor) in state.reviewers
    )
    if not (may_decide or is_system(context)):
        raise refuse_actor("task", state.id, command, context, "not the creator and not a reviewer")


def _require_current_approval(
    state: Task, command: ApproveTask | RejectTask | RequestTaskChanges | DecomposeTask
) -> None:
    if command.approval_id != state.approval_id:
        reason = f"approval {command.approval_id} is not the one that is pending ({state.approval_id})"
        raise refuse_rule("task", state.id, command, "stale_approval", reason, "decide on the pending approval")


def _require_new_approval(state: Task, command: SubmitProposal | ProposeDecomposition) -> None:
    """A decision about the last proposal must not count as one about this proposal."""
    if command.approval_id == state.approval_id:
        reason = f"approval {command.approval_id} was for the proposal before"
        raise refuse_rule("task", state.id, command, "used_approval", reason, "ask for a new approval")


def _require_title(task_id: str, title: str, command: Command[Task]) -> None:
    if not title.strip() or len(title) > TITLE_LIMIT:
        reason = f"a title has 1 to {TITLE_LIMIT} characters, this one has {len(title.strip())}"
        raise refuse_rule("task", task_id, command, "title", reason)


def _require_feedback(state: Task, feedback: str, command: Command[Task]) -> None:
    if not feedback.strip():
        raise refuse_rule("task", state.id, command, "feedback_required", "say what should be different")


def _require_acyclic(task_id: str, command: CreateTask | ReparentTask, context: Context) -> None:
    if command.parent_id is None:
        return
    lineage = context.lineage or (command.parent_id,)
    if task_id in lineage:
        path = (*lineage[: lineage.index(task_id) + 1],)
        raise CyclicParent(aggregate="task", aggregate_id=task_id, command=type(command).__name__, path=path)


def _create(_: None, command: CreateTask, context: Context) -> Events:
    spec = command.spec
    _require_title(command.task_id, spec.title, command)
    _require_acyclic(command.task_id, command, context)
    if problem := retry_problem(spec.retry):
        raise refuse_rule("task", command.task_id, command, "retry", problem)
    require_agent_type("task", command.task_id, command, spec.agent_type)
    by_agent = actor_kind(context.actor) == "agent"
    if by_agent and not spec.reviewers and spec.approval_mode is not ApprovalMode.AUTO:
        reason = "no human could approve a task that an agent created without reviewers"
        raise refuse_rule("task", command.task_id, command, "reviewers_required", reason, "name its reviewers")
    return [TaskCreated(task_id=command.task_id, spec=spec)]


def _edit(state: Task, command: EditTask, context: Context) -> Events:
    _require_own_agent(state, command, context)
    if command.changes.title is not None:
        _require_title(state.id, command.changes.title, command)
    changes = command.changes.differing_from(state)
    given = changes.given()
    if given.keys() & {"approval_mode", "reviewers"}:  # or actors could make themselves reviewers
        _require_reviewer(state, command, context)
    return [TaskEdited(changes=changes)] if given else []


def _reparent(state: Task, command: ReparentTask, context: Context) -> Events:
    _require_own_agent(state, command, context)
    _require_acyclic(state.id, command, context)
    return [TaskReparented(parent_id=command.parent_id)] if command.parent_id != state.parent_id else []


def _queue(state: Task, command: QueueTask, context: Context) -> Events:
    return [] if state.queued else [TaskQueued()]


def _unqueue(state: Task, command: UnqueueTask, context: Context) -> Events:
    return [TaskUnqueued()] if state.queued else []


def _assign(state: Task, command: AssignTask, context: Context) -> Events:
    _require_human(state, command, context)
    require_agent_type("task", state.id, command, command.agent_type)
    if state.status is TaskStatus.IN_PROGRESS and state.assigned_agent == command.agent_id:
        return []
    return [TaskAssigned(agent_id=command.agent_id, agent_type=command.agent_type)]


def _unassign(state: Task, command: UnassignTask, context: Context) -> Events:
    _require_own_agent(state, command, context)
    return [TaskUnassigned(reason=command.reason)]


def _submit(state: Task, command: SubmitProposal, context: Context) -> Events:
    _require_worker(state, command, context)
    if not command.proposal.strip():
        raise refuse_rule("task", state.id, command, "proposal", "the proposal is empty")
    if command.confidence is not None and not 0 <= command.confidence <= 1:
        raise refuse_rule("task", state.id, command, "confidence", f"{command.confidence} is not between 0 and 1")
    _require_new_approval(state, command)
    return [
        ProposalSubmitted(approval_id=command.approval_id, proposal=command.proposal, confidence=command.confidence)
    ]


def _approve(state: Task, command: ApproveTask, context: Context) -> Events:
    _require_reviewer(state, command, context)
    _require_current_approval(state, command)
    return [TaskApproved(approval_id=command.approval_id, notes=command.notes)]


def _reject(state: Task, command: RejectTask, context: Context) -> Events:
    _require_reviewer(state, command, context)
    _require_current_approval(state, command)
    _require_feedback(state, command.feedback, command)
    rejected = TaskRejected(approval_id=command.approval_id, feedback=command.feedback)
    return [rejected, RevisionStarted()] if command.revise else [rejected]


def _request_changes(state: Task, command: RequestTaskChanges, context: Context) -> Events:
    _require_reviewer(state, command, context)
    _require_current_approval(state, command)
    _require_feedback(state, command.feedback, command)
    return [TaskChangesRequested(approval_id=command.approval_id, feedback=command.feedback)]


def _start_execution(state: Task, command: StartExecution, context: Context) -> Events:
    _require_worker(state, command, context)
    if command.execution_id == state.execution_id:
        return []
    return [ExecutionStarted(execution_id=command.execution_id)]


def _record_attempt_failure(state: Task, command: RecordAttemptFailure, context: Context) -> Events:
    _require_worker(state, command, context)
    if not 0 <= command.delay <= DELAY_LIMIT:
        reason = f"the delay is between 0 and {DELAY_LIMIT:.0f} seconds, not {command.delay}"
        raise refuse_rule("task", state.id, command, "delay", reason)
    attempt = state.attempts_failed + 1
    if attempt >= state.retry.max_attempts or not command.failure.retryable:
        return [TaskFailed(failure=command.failure)]
    retry_at = context.now + timedelta(seconds=command.delay)
    return [AttemptFailed(failure=command.failure, attempt=attempt, retry_at=retry_at)]


def _block(state: Task, command: BlockTask, context: Context) -> Events:
    _require_own_agent(state, command, context)
    return [
        TaskBlocked(reason=command.reason, resource=command.resource, conflicting_task_id=command.conflicting_task_id)
    ]


def _unblock(state: Task, command: UnblockTask, context: Context) -> Events:
    _require_human(state, command, context)
    return [TaskUnblocked(resolution=command.resolution)]


def _propose_decomposition(state: Task, command: ProposeDecomposition, context: Context) -> Events:
    _require_worker(state, command, context)
    ids = [subtask.task_id for subtask in command.subtasks]
    if not ids or len(set(ids)) < len(ids) or state.id in ids:
        raise refuse_rule(
            "task", state.id, command, "subtasks", "name at least one subtask, each with an id of its own"
        )
    for subtask in command.subtasks:
        _require_title(subtask.task_id, subtask.title, command)
        require_agent_type("task", state.id, command, subtask.agent_type)
    _require_new_approval(state, command)
    return [DecompositionProposed(approval_id=command.approval_id, subtasks=command.subtasks)]


def _decompose(state: Task, command: DecomposeTask, context: Context) -> Events:
    _require_reviewer(state, command, context)
    _require_current_approval(state, command)
    if not state.proposed_subtasks:
        raise refuse_rule("task", state.id, command, "subtasks", "no decomposition was proposed")
    ids = tuple(subtask.task_id for subtask in state.proposed_subtasks)
    return [TaskDecomposed(approval_id=command.approval_id, subtask_ids=ids)]


def _retry(state: Task, command: RetryTask, context: Context) -> Events:
    _require_human(state, command, context)
    if state.assigned_agent is None:
        reason = "the task has no agent to try again"
        raise refuse_rule("task", state.id, command, "unassigned", reason, "assign the task to an agent")
    return [TaskRetried()]


def _complete(state: Task, command: CompleteTask, context: Context) -> Events:
    _require_own_agent(state, command, context)
    needs_approval = state.approval_mode is not ApprovalMode.AUTO
    if needs_approval and state.status is TaskStatus.IN_PROGRESS and not is_system(context):
        reason = f"its approval mode is {state.approval_mode} and nothing was approved"
        raise refuse_rule("task", state.id, command, "approval_required", reason, "submit a proposal")
    return [TaskCompleted(result=command.result)]


def _fail(state: Task, command: FailTask, context: Context) -> Events:
    _require_own_agent(state, command, context)
    return [TaskFailed(failure=command.failure)]


def _cancel(state: Task, command: CancelTask, context: Context) -> Events:
    _require_human(state, command, context)
    return [TaskCancelled(reason=command.reason)]


def _delete(state: Task, command: DeleteTask, context: Context) -> Events:
    _require_human(state, command, context)
    return [TaskDeleted(reason=command.reason)]


_DECISIONS: Mapping[type[Command[Task]], Decide] = MappingProxyType(
    {
        CreateTask: _create,
        EditTask: _edit,
        ReparentTask: _reparent,
        QueueTask: _queue,
        UnqueueTask: _unqueue,
        AssignTask: _assign,
        UnassignTask: _unassign,
        SubmitProposal: _submit,
        ApproveTask: _approve,
        RejectTask: _reject,
        RequestTaskChanges: _request_changes,
        StartExecution: _start_execution,
        RecordAttemptFailure: _record_attempt_failure,
        BlockTask: _block,
        UnblockTask: _unblock,
        ProposeDecomposition: _propose_decomposition,
        DecomposeTask: _decompose,
        RetryTask: _retry,
        CompleteTask: _complete,
        FailTask: _fail,
        CancelTask: _cancel,
        DeleteTask: _delete,
    }
)

TASK_DECIDER = Decider(aggregate=TASK, decisions=_DECISIONS)
