"""Decisions about tasks.

Source: specification, "Task Management", "Authorization", "Agent Failures", "Concurrent Modifications".

Who may do what: agents act only on the task assigned to them; humans act on and approve only what they created or are a
reviewer of, and only they change who reviews it and whether it needs approval; AURA itself (``system:``) carries out
what policies and approvals decided.
"""

from datetime import timedelta

from msgspec.structs import replace

from aura_contracts.actors import actor_name
from aura_contracts.failures import FailureReason
from aura_contracts.task import (
    TASK,
    AddPart,
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
    DependencyEnded,
    EditTask,
    ExecutionStarted,
    FailTask,
    PartAdded,
    PartRemoved,
    PoolRequest,
    ProposalSubmitted,
    ProposeDecomposition,
    QueueTask,
    RecordAttemptFailure,
    RecordDependencyEnd,
    RecordTaskRefusal,
    RejectTask,
    RemovePart,
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
    TaskChanges,
    TaskChangesRequested,
    TaskCommandRefused,
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
    is_system,
    only_system,
    require_agent_type,
    require_limits,
    require_people,
    require_share,
    require_zone,
    retry_problem,
)
from aura_engine.decisions._task_rules import (
    require_concerned,
    require_concerned_human,
    require_context,
    require_current_approval,
    require_deciders,
    require_feedback,
    require_labels,
    require_locks,
    require_new_approval,
    require_no_circle,
    require_own_agent,
    require_parent,
    require_reviewer,
    require_title,
    require_worker,
    subtask_title_problem,
)

_only_aura = only_system("AURA records it, together with what it follows from")

_only_system = only_system("AURA records refusals")


def _create(_: None, command: CreateTask, context: Context) -> Events:
    spec = command.spec
    require_title(spec.title)
    require_context(spec.context)
    require_parent(command.task_id, command, context)
    if problem := retry_problem(spec.retry):
        raise RuleBroken("retry", problem)
    require_agent_type(spec.agent_type)
    require_labels(spec.labels)
    require_locks(spec.locks, spec.locked_paths)
    require_zone("due_at", spec.due_at)
    require_people("reviewers", spec.reviewers)
    require_people("levels", (name for level in spec.levels for name in level.reviewers))
    require_no_circle(command.task_id, command, context)
    require_deciders(context.actor, spec)
    return [TaskCreated(task_id=command.task_id, spec=spec)]


def _edit(state: Task, command: EditTask, context: Context) -> Events:
    if command.changes.title is not None:
        require_title(command.changes.title)
    require_context(command.changes.context or {})
    require_labels(command.changes.labels or ())
    require_locks(command.changes.locks or (), command.changes.locked_paths or ())
    require_zone("due_at", command.changes.due_at)
    require_people("reviewers", command.changes.reviewers or ())
    require_no_circle(state.id, command, context)
    changes = _news(command.changes, state)
    given = changes.given()
    if state.status not in _EDITABLE and (fixed := given.keys() - _ALWAYS_EDITABLE):
        reason = f"{', '.join(sorted(fixed))} cannot change while it is {state.status}"
        raise RuleBroken("under_review", reason, "answer its question first")
    if given.keys() & _DECIDED_BY:  # or actors could make themselves reviewers
        require_reviewer(state, command, context)
        if state.no_self_approval and actor_name(context.actor) == state.requester:
            reason, remedy = "no one changes who approves what they asked for themselves", "have a reviewer change it"
            raise NotAllowed("self_approval", reason, remedy)
    if given.keys() & _DECIDED_BY:
        reviewers = state.reviewers if changes.reviewers is None else changes.reviewers
        mode = changes.approval_mode or state.approval_mode
        require_deciders(state.created_by, replace(state, reviewers=reviewers, approval_mode=mode))
    return [TaskEdited(changes=changes)] if given else []


_DECIDED_BY = frozenset({"approval_mode", "reviewers"})
"""What says who decides about the work."""

_EDITABLE = frozenset({TaskStatus.PENDING, TaskStatus.IN_PROGRESS, TaskStatus.REJECTED, TaskStatus.FAILED})

_ALWAYS_EDITABLE = frozenset({"title", "priority", "labels", "due_at", "no_due_date", "on_part_failure"})
"""What a decision that a human is about to make does not depend on."""


def _news(changes: TaskChanges, state: Task) -> TaskChanges:
    """Return the changes that differ from `state`."""
    if changes.no_due_date and changes.due_at is not None:
        raise RuleBroken("due_at", "there is either a due date or none", "leave out one of the two")
    removed = True if changes.no_due_date and state.due_at is not None else None
    comparable = replace(changes, no_due_date=None).differing_from(state)
    return replace(comparable, no_due_date=removed)


def _add_part(state: Task, command: AddPart, context: Context) -> Events:
    return [] if command.part_id in state.subtask_ids else [PartAdded(part_id=command.part_id)]


def _remove_part(state: Task, command: RemovePart, context: Context) -> Events:
    return [PartRemoved(part_id=command.part_id)] if command.part_id in state.subtask_ids else []


def _record_dependency_end(state: Task, command: RecordDependencyEnd, context: Context) -> Events:
    if command.dependency_id not in state.after:
        raise RuleBroken("dependency", f"it does not wait for task {command.dependency_id}")
    policy = state.on_dependency_failure
    return [DependencyEnded(dependency_id=command.dependency_id, outcome=command.outcome, policy=policy)]


def _reparent(state: Task, command: ReparentTask, context: Context) -> Events:
    if command.parent_id == state.parent_id:
        return []
    require_parent(state.id, command, context)
    return [TaskReparented(parent_id=command.parent_id)]


def _queue(state: Task, command: QueueTask, context: Context) -> Events:
    _require_pool_request(command.request)
    if state.queued and state.status is TaskStatus.PENDING and command.request in (None, state.request):
        return []
    return [TaskQueued(request=command.request)]


def _require_pool_request(request: PoolRequest | None) -> None:
    if request is None:
        return
    require_agent_type(request.agent_type)
    require_limits(request.plan)
    if not all(capability.strip() for capability in request.capabilities):
        raise RuleBroken("capabilities", "a capability is blank")


def _unqueue(state: Task, command: UnqueueTask, context: Context) -> Events:
    return [TaskUnqueued()] if state.queued else []


def _assign(state: Task, command: AssignTask, context: Context) -> Events:
    require_agent_type(command.agent_type)
    if command.selection is not None:
        require_zone("registered_at", *(candidate.registered_at for candidate in command.selection.candidates))
    if state.status is TaskStatus.IN_PROGRESS and state.assigned_agent == command.agent_id:
        return []
    return [
        TaskAssigned(
            agent_id=command.agent_id,
            agent_type=command.agent_type,
            reason=command.reason,
            selection=command.selection,
            execution_id=command.execution_id,
        )
    ]


def _submit(state: Task, command: SubmitProposal, context: Context) -> Events:
    if not command.proposal.strip():
        raise RuleBroken("proposal", "the proposal is empty")
    require_share("confidence", command.confidence)
    require_new_approval(state, command)
    return [
        ProposalSubmitted(approval_id=command.approval_id, proposal=command.proposal, confidence=command.confidence)
    ]


def _approve(state: Task, command: ApproveTask, context: Context) -> Events:
    require_current_approval(state, command)
    return [TaskApproved(approval_id=command.approval_id, notes=command.notes)]


def _reject(state: Task, command: RejectTask, context: Context) -> Events:
    require_current_approval(state, command)
    require_feedback(command.feedback)
    rejected = TaskRejected(approval_id=command.approval_id, feedback=command.feedback)
    return [rejected, RevisionStarted()] if command.revise else [rejected]


def _request_changes(state: Task, command: RequestTaskChanges, context: Context) -> Events:
    require_current_approval(state, command)
    require_feedback(command.feedback)
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
        require_title(subtask.title)
        if (problem := subtask_title_problem(subtask.title)) is not None:
            raise RuleBroken("title", f"{subtask.title[:60]!r}: {problem}", "put the rest into its description")
        require_agent_type(subtask.agent_type)
    require_new_approval(state, command)
    return [DecompositionProposed(approval_id=command.approval_id, subtasks=command.subtasks)]


def _decompose(state: Task, command: DecomposeTask, context: Context) -> Events:
    require_current_approval(state, command)
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
    require_feedback(command.feedback)
    return [TaskReopened(feedback=command.feedback)]


def _complete(state: Task, command: CompleteTask, context: Context) -> Events:
    if state.status in (TaskStatus.PENDING, TaskStatus.FAILED):
        by_part = state.failure is None or state.failure.reason is FailureReason.PART_FAILED
        if not (is_system(context) and state.rolls_up and by_part):
            raise RuleBroken("no_work", f"it is {state.status}, and not because of its parts", "assign it to an agent")
    needs_approval = state.approval_mode is not ApprovalMode.AUTO
    if needs_approval and state.status is TaskStatus.IN_PROGRESS and not is_system(context):
        reason = f"its approval mode is {state.approval_mode} and nothing was approved"
        raise RuleBroken("approval_required", reason, "submit a proposal")
    return [TaskCompleted(result=command.result)]


TASK_DECIDER = Decider(
    TASK,
    {
        CreateTask: (anyone, _create),
        EditTask: (require_concerned, _edit),
        ReparentTask: (require_concerned, _reparent),
        AddPart: (_only_aura, _add_part),
        RemovePart: (_only_aura, _remove_part),
        RecordDependencyEnd: (_only_aura, _record_dependency_end),
        QueueTask: (require_concerned, _queue),
        UnqueueTask: (require_concerned, _unqueue),
        AssignTask: (require_concerned_human, _assign),
        UnassignTask: (require_concerned, becomes(TaskUnassigned)),
        SubmitProposal: (require_worker, _submit),
        ApproveTask: (require_reviewer, _approve),
        RejectTask: (require_reviewer, _reject),
        RequestTaskChanges: (require_reviewer, _request_changes),
        StartExecution: (require_worker, _start_execution),
        RecordAttemptFailure: (require_worker, _record_attempt_failure),
        BlockTask: (require_concerned, becomes(TaskBlocked)),
        UnblockTask: (require_concerned_human, becomes(TaskUnblocked)),
        ProposeDecomposition: (require_worker, _propose_decomposition),
        DecomposeTask: (require_reviewer, _decompose),
        RetryTask: (require_concerned_human, _retry),
        ReopenTask: (require_concerned_human, _reopen),
        CompleteTask: (require_own_agent, _complete),
        FailTask: (require_own_agent, becomes(TaskFailed)),
        CancelTask: (require_concerned, becomes(TaskCancelled)),
        RecordTaskRefusal: (_only_system, becomes(TaskCommandRefused)),
        DeleteTask: (require_concerned_human, becomes(TaskDeleted)),
    },
)
