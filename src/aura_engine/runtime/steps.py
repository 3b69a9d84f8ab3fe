"""Steps: from the state of a task to its next step. Pure; the whole strategy of the engine.

    Queued            wait for the tasks that must complete first, then for its locks; lease it to a worker when a
                      slot is free
    PrepareWorkspace  have the worktrees created
    Setup             run the setup script
    Coding...         run the agent; count what it changed
    Cleanup           run the cleanup script, if there is one
    Review            propose ► wait for a human ► carry out the decision: merge, continue with feedback, fail
    ended             release everything held; fail the task, or retry, or clear the workspace

A step says what to do, not how; `aura_engine.runtime.driver` performs it. This module keeps no state."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import Enum, auto
from types import MappingProxyType

import attrs

from aura_contracts.approval import Approval, ApprovalKind, ApprovalStatus
from aura_contracts.clocks import is_ahead
from aura_contracts.execution import Execution, ExecutionStatus
from aura_contracts.ids import WorkerId
from aura_contracts.lease import OFFLINE_AFTER, LeaseStatus
from aura_contracts.task import ApprovalMode, TaskStatus
from aura_contracts.workspace import Workspace, WorkspaceStatus
from aura_engine.agent_results import wants_human
from aura_engine.runtime.views import View


class Do(Enum):
    """All possible steps."""

    NOTHING = auto()
    """Wait for something to happen, at most until `Step.until`."""
    REST = auto()
    """The task has ended and is cleaned up, or waits without an execution until it is given to an agent."""

    END_DEPENDENCY = auto()
    """Record that a task that had to complete first has ended without, and what follows from it."""
    TAKE_LOCKS = auto()
    """Claim what the task needs for itself alone."""
    RESOLVE_COLLISION = auto()
    """Continue after a human has decided about locks that another task has, or after they were released."""
    RELEASE_LOCKS = auto()
    """Release the locks of a task that cannot begin, or begins with what needs none."""
    START_NEXT = auto()
    """Start the run of the agent that the task was reassigned to."""
    LEASE = auto()
    PREPARE = auto()
    RUN_SETUP = auto()
    RUN_AGENT = auto()
    RUN_CLEANUP = auto()
    RETRY_STAGE = auto()

    DELIVER_MESSAGES = auto()
    """Send the agent what humans wrote to it while it worked."""
    PROPOSE_PLAN = auto()
    PROPOSE_CHANGES = auto()
    PROPOSE_PARTS = auto()
    """Ask a human to approve the parts into which the agent would split the task."""
    APPLY_DECISION = auto()
    EXPIRE_APPROVAL = auto()
    MERGE = auto()
    RESOLVE_CONFLICT = auto()
    COMPLETE = auto()

    RECORD_OFFLINE = auto()
    RECORD_RETURN = auto()
    LOSE_WORKER = auto()
    LEASE_AGAIN = auto()
    """Grant an execution in review, which lost nothing with its worker, to the connected worker."""
    TAKE_OVER = auto()
    """Grant an execution that another engine drove, with the same worker, to this engine, under a new epoch."""
    CANCEL_EXECUTION = auto()
    RELEASE = auto()
    """End running processes; release lease, workspace and agent."""
    RECORD_FAILURE = auto()
    """Record on the task that its execution failed."""
    RUN_AGAIN = auto()
    """Queue a new execution in place of the failed one."""
    CLEAR_WORKSPACE = auto()
    """Remove worktrees whose contents exist elsewhere."""


STARTING = frozenset(
    {Do.TAKE_LOCKS, Do.LEASE, Do.PREPARE, Do.RUN_SETUP, Do.RUN_AGENT, Do.RUN_CLEANUP, Do.RETRY_STAGE, Do.RUN_AGAIN}
    | {Do.DELIVER_MESSAGES},
)
"""The steps that start an agent or a script, or lead to one."""

OVERDUE = frozenset({Do.EXPIRE_APPROVAL, Do.RECORD_OFFLINE, Do.LOSE_WORKER})
"""The steps that follow from silence, and cannot be undone."""


@attrs.frozen
class Step:
    """The next step; `until` is when to look again even if nothing has happened."""

    do: Do
    until: datetime | None = None


WAIT = Step(Do.NOTHING)
UNMERGED = frozenset({WorkspaceStatus.MERGING, WorkspaceStatus.CONFLICTED})
"""Workspaces in the middle of a merge."""


def next_step(view: View, now: datetime, worker: WorkerId | None, engine_id: str) -> Step:
    """Return the next step of the task, for the engine `engine_id` with this worker (None: none is connected)."""
    execution = view.execution
    if execution is None:
        return Step(Do.REST) if view.task.ended else WAIT
    if execution.final:
        return _after_the_end(view, execution, now)
    if view.task.ended:
        return Step(Do.CANCEL_EXECUTION)
    if worker is None:
        return WAIT
    lease = view.lease
    if lease is not None and lease.worker_id == worker and is_driven_elsewhere(view, engine_id):
        return Step(Do.TAKE_OVER)
    return _in_a_stage(view, execution, worker, now)


def is_driven_elsewhere(view: View, engine_id: str) -> bool:
    """Whether the execution is held for another engine than this one."""
    lease = view.lease
    return lease is not None and lease.worker_id is not None and lease.engine_id != engine_id


def _in_a_stage(view: View, execution: Execution, worker: WorkerId, now: datetime) -> Step:
    lost = _lost_worker(view, execution, worker, now) if execution.running else None
    if lost is not None:
        return lost
    if execution.retry_at is not None:
        answered = view.question is not None and view.question.status is not ApprovalStatus.PENDING
        asked = execution.open_question is not None
        over = now >= execution.retry_at if asked else execution.retry.is_over(execution.retry_at, now)
        due = over or execution.interrupted or answered
        return Step(Do.RETRY_STAGE) if due else Step(Do.NOTHING, execution.retry_at)
    if _is_paused(view, execution):
        return _asked(view, now) if view.approval is not None and view.approval.deadline is not None else WAIT
    return _STAGES[execution.status](view, now)


def _is_paused(view: View, execution: Execution) -> bool:
    """Whether the stage has not started its process, and a proposal of the agent waits for its decision.

    An agent that has ended without waiting for it is cleaned up after: the decision is then one of the review.
    """
    over = execution.status in (ExecutionStatus.CLEANUP, ExecutionStatus.REVIEW)
    if view.task.status is not TaskStatus.AWAITING_APPROVAL or over:
        return False
    token = str(execution.process_token)
    return all(process.identity.token != token for process in execution.processes)


# --- The worker -------------------------------------------------------------------------------------------------------


def _lost_worker(view: View, execution: Execution, worker: WorkerId, now: datetime) -> Step | None:
    """Return the step for a lease that the connected worker does not hold; None if it does."""
    lease = view.lease
    if lease is None or lease.worker_id == worker:
        return Step(Do.RECORD_RETURN) if lease is not None and lease.status is LeaseStatus.OFFLINE else None
    if lease.status is LeaseStatus.HELD:
        heard = lease.last_seen or lease.granted_at
        silent = heard + timedelta(seconds=OFFLINE_AFTER)
        return Step(Do.RECORD_OFFLINE) if now >= silent or is_ahead(heard, now) else Step(Do.NOTHING, silent)
    if lease.status is LeaseStatus.OFFLINE:
        assert lease.offline_since is not None, "a worker is offline since some moment"
        if is_ahead(lease.offline_since, now):
            return Step(Do.RECORD_OFFLINE)  # its grace period begins again
        over = lease.offline_since + timedelta(seconds=lease.grace)
        return Step(Do.LOSE_WORKER) if now >= over else Step(Do.NOTHING, over)
    keeps = execution.status is ExecutionStatus.REVIEW and not execution.processes
    return Step(Do.LEASE_AGAIN if keeps else Do.LOSE_WORKER)


# --- The stages -------------------------------------------------------------------------------------------------------


def _queued(view: View, now: datetime) -> Step:
    if view.lost_dependency is not None:
        return Step(Do.END_DEPENDENCY)
    if view.unmet:
        return WAIT if view.claim is None else Step(Do.RELEASE_LOCKS)  # or what it waits for may wait for them
    if view.task.status is TaskStatus.BLOCKED and view.collision is None:
        return WAIT  # by a human
    return _before_its_locks(view) or Step(Do.LEASE)


def _before_its_locks(view: View) -> Step | None:
    """Return the step of a task that does not have its locks, or a question about them; None: it may begin."""
    claim, question = view.claim, view.collision
    if not view.locks:
        return None if claim is None else Step(Do.RELEASE_LOCKS)  # of a run before, which this one replaces
    if claim is None:
        return Step(Do.TAKE_LOCKS)
    if question is None:
        return None if claim.held else WAIT
    pending, blocked = question.status is ApprovalStatus.PENDING, view.task.status is TaskStatus.BLOCKED
    if claim.held:
        return Step(Do.RESOLVE_COLLISION) if pending or blocked else None
    answered = question.granted or question.status is ApprovalStatus.REJECTED
    return Step(Do.RESOLVE_COLLISION) if answered or (blocked and not pending) else WAIT


def _prepare(view: View, now: datetime) -> Step:
    return Step(Do.PREPARE)


def _setup(view: View, now: datetime) -> Step:
    return Step(Do.RUN_SETUP)


def _code(view: View, now: datetime) -> Step:
    return Step(Do.RUN_AGENT)


def _cleanup(view: View, now: datetime) -> Step:
    return Step(Do.RUN_CLEANUP)


def _review(view: View, now: datetime) -> Step:
    if view.workspace is not None and view.workspace.status is WorkspaceStatus.MERGING:
        return Step(Do.MERGE)  # interrupted by a crash: merging is repeatable
    match view.task.status:
        case TaskStatus.IN_PROGRESS | TaskStatus.APPROVED:
            return Step(_after_the_work(view))
        case TaskStatus.AWAITING_APPROVAL:
            return _asked(view, now)
        case TaskStatus.BLOCKED:
            return _blocked(view)
        case _:
            return WAIT if view.claim is None or view.task.pooled else Step(Do.RELEASE_LOCKS)


def _after_the_work(view: View) -> Do:
    """Return the step after the agent's work, when no question is open."""
    task, execution, approval = view.task, view.execution, view.approval
    assert execution is not None, "the review is a stage of an execution"
    if execution.messages:
        return Do.DELIVER_MESSAGES
    if execution.plan.decomposes:
        return Do.PROPOSE_PARTS
    if view.planning:
        return Do.PROPOSE_PLAN
    if execution.outcome is None:
        return Do.COMPLETE
    wanted = wants_human(execution.prompt, execution.result)  # an agent asks for more, never for less
    asks = wanted or task.approval_mode in (ApprovalMode.CHANGES, ApprovalMode.BOTH)
    if asks and not is_approved(view.workspace, execution, approval):
        return Do.PROPOSE_CHANGES
    merges = view.workspace is not None and not view.workspace.in_place
    return Do.MERGE if merges else Do.COMPLETE


def is_approved(workspace: Workspace | None, execution: Execution, approval: Approval | None) -> bool:
    """Whether exactly this work was approved: not earlier work, and with nothing added since."""
    if approval is None or approval.kind is not ApprovalKind.CHANGES or not approval.granted:
        return False
    if workspace is not None and workspace.in_place and approval.execution_id not in {None, execution.id}:
        return False  # nothing is committed in place, which would tell earlier work from this
    trees = workspace.worktrees if workspace else ()
    return all(approval.commits.get(tree.repository, tree.head) == tree.head for tree in trees)


def _asked(view: View, now: datetime) -> Step:
    approval = view.approval
    if approval is None:
        return WAIT
    if approval.status is not ApprovalStatus.PENDING:
        return Step(Do.APPLY_DECISION)
    if approval.deadline is not None and now >= approval.deadline:
        return Step(Do.EXPIRE_APPROVAL)
    return Step(Do.NOTHING, approval.deadline)


def _blocked(view: View) -> Step:
    decided = view.conflict is not None and view.conflict.status is not ApprovalStatus.PENDING
    return Step(Do.RESOLVE_CONFLICT) if decided else WAIT


_STAGES: Mapping[ExecutionStatus, Callable[[View, datetime], Step]] = MappingProxyType(
    {
        ExecutionStatus.QUEUED: _queued,
        ExecutionStatus.PREPARE_WORKSPACE: _prepare,
        ExecutionStatus.SETUP: _setup,
        ExecutionStatus.CODING_INITIAL: _code,
        ExecutionStatus.CODING_FOLLOW_UP: _code,
        ExecutionStatus.CLEANUP: _cleanup,
        ExecutionStatus.REVIEW: _review,
    }
)


# --- The end ----------------------------------------------------------------------------------------------------------


def _after_the_end(view: View, execution: Execution, now: datetime) -> Step:
    task = view.task
    if _holds_something(view, execution):
        return Step(Do.RELEASE)
    if view.given_up:
        return Step(Do.CLEAR_WORKSPACE if task.ended and _is_to_be_cleared(view) else Do.REST)
    if task.next_execution_id is not None or execution.status is not ExecutionStatus.FAILED:
        return Step(Do.START_NEXT) if task.next_execution_id is not None else WAIT  # it continues without this one
    if task.status is TaskStatus.AWAITING_APPROVAL:
        return _asked(view, now)  # the agent ended while its proposal waited: the decision starts another execution
    if task.retry_at is None:
        return Step(Do.RECORD_FAILURE)
    return Step(Do.RUN_AGAIN) if task.retry.is_over(task.retry_at, now) else Step(Do.NOTHING, task.retry_at)


def _holds_something(view: View, execution: Execution) -> bool:
    lease, workspace, agent = view.lease, view.workspace, view.agent
    over = view.given_up
    return (
        (lease is not None and lease.status is not LeaseStatus.CLOSED)
        or (workspace is not None and workspace.holder == execution.id)
        or (workspace is not None and over and workspace.status in UNMERGED)
        or (agent is not None and over and agent.has(view.task.id))
        or (view.claim is not None and not (view.task.in_hand or view.task.pooled))
        or (over and view.approval is not None and view.approval.status is ApprovalStatus.PENDING)
        or (over and view.conflict is not None and view.conflict.status is ApprovalStatus.PENDING)
    )


def _is_to_be_cleared(view: View) -> bool:
    """Whether the worktrees of an ended task are no longer needed.

    True for a completed task, whose changes are merged, and for a cancelled task without worktrees. A workspace with
    work in it stays until a human removes it, and a failed task may be retried.
    """
    workspace, execution = view.workspace, view.execution
    if workspace is None or workspace.in_place or workspace.kept or workspace.status is WorkspaceStatus.REMOVED:
        return False
    if workspace.status not in (WorkspaceStatus.READY, WorkspaceStatus.REQUESTED, WorkspaceStatus.FAILED):
        return False
    if view.task.status is TaskStatus.COMPLETED:
        return True
    return view.task.status is not TaskStatus.FAILED and not workspace.worktrees and execution is not None
