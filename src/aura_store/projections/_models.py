"""Models: what queries answer with, one frozen struct per table. See `aura_store.projections.tables` for the columns.

Fields with the contracts' own types hold what the aggregate's state holds. Times are aware, in UTC.
"""

from datetime import datetime
from typing import Any

import msgspec

from aura_contracts.agent import AgentStatus, Outcome
from aura_contracts.approval import ApprovalDecision, ApprovalKind, ApprovalStatus, OnExpiry, ToolCall, Vote
from aura_contracts.failures import Failure
from aura_contracts.task import AgentType, ApprovalMode, Priority, TaskStatus
from aura_contracts.workflow import WorkflowStatus, WorkflowStep


class TaskRow(msgspec.Struct, frozen=True, kw_only=True):
    """A task in a list."""

    id: str
    title: str
    description: str
    status: TaskStatus
    assigned_agent: str | None
    created_by: str
    """The kind of who asked for it: human, agent or system; `creator` is the actor."""
    parent_task_id: str | None
    priority: Priority
    metadata: dict[str, Any]
    created_at: datetime
    started_at: datetime | None
    submitted_at: datetime | None
    approved_at: datetime | None
    completed_at: datetime | None
    creator: str
    project: str | None
    agent_type: AgentType | None
    approval_mode: ApprovalMode
    reviewers: tuple[str, ...]
    queued: bool
    approval_id: str | None
    confidence: float | None
    feedback: str | None
    rejections: int
    attempts: int
    """Those that failed since it was assigned or retried."""
    retry_at: datetime | None
    failure: Failure | None
    blocked_by: str | None
    subtask_ids: tuple[str, ...]
    execution_id: str | None
    """The last run that was started for it."""
    executions: int
    result: dict[str, Any] | None
    version: int
    position: int
    updated_at: datetime


class AgentRow(msgspec.Struct, frozen=True, kw_only=True):
    """An agent in a list."""

    id: str
    name: str
    type: AgentType
    status: AgentStatus
    capabilities: tuple[str, ...]
    current_task_id: str | None
    created_at: datetime
    executor: str
    variant: str
    options: dict[str, Any]
    registered_by: str
    approval_id: str | None
    busy_since: datetime | None
    last_outcome: Outcome | None
    disabled_reason: str
    version: int
    position: int
    updated_at: datetime


class ApprovalRow(msgspec.Struct, frozen=True, kw_only=True):
    """An approval in a list."""

    id: str
    task_id: str | None
    proposed_solution: str
    requested_at: datetime
    responded_at: datetime | None
    decision: ApprovalDecision | None
    feedback: str | None
    reviewed_by: str
    """The name of who decided; until then the names of all who are asked, separated by commas."""
    created_at: datetime
    status: ApprovalStatus
    kind: ApprovalKind
    requested_by: str
    execution_id: str | None
    workflow_id: str | None
    step_id: str | None
    confidence: float | None
    tool_call: ToolCall | None
    reviewers: tuple[str, ...]
    """All who were or are asked, by name, delegates among them."""
    awaited: tuple[str, ...]
    """Those whose answer still counts."""
    quorum: int
    votes: tuple[Vote, ...]
    automatic: bool
    deadline: datetime | None
    on_expiry: OnExpiry
    remind_at: datetime | None
    reminders: int
    escalate_at: datetime | None
    escalated_to: tuple[str, ...]
    closed_at: datetime | None
    version: int
    position: int
    updated_at: datetime


class WorkflowRow(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow in a list; `steps_over` of `steps_total` steps are completed or skipped."""

    id: str
    name: str
    description: str
    status: WorkflowStatus
    steps: tuple[WorkflowStep, ...]
    current_step_index: int
    context: dict[str, Any]
    created_at: datetime
    creator: str
    project: str | None
    steps_total: int
    steps_over: int
    paused_because: str | None
    failure: Failure | None
    ended_at: datetime | None
    version: int
    position: int
    updated_at: datetime


class ExecutionLogRow(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the execution log."""

    id: str
    task_id: str
    agent_type: str
    """The type of the agent; its executor's name where it has none; ``human`` for what humans did not do in time."""
    action: str
    """What the agent called it, or the topic of the event."""
    result: dict[str, Any] | None
    success: bool
    error: str | None
    executed_at: datetime
    execution_id: str | None
    stage: str | None
    """The stage of the execution after it."""
    actor: str
    position: int


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """One report of what an agent consumed; see `aura_store.usage` for sums and costs."""

    id: str
    execution_id: str
    task_id: str
    agent_id: str | None
    executor: str
    session_id: str | None
    """The agent's own, as it was by then."""
    model: str
    """Empty where the agent does not say."""
    day: str
    """That of `used_at` in UTC: ``2026-01-04``."""
    used_at: datetime
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reported_nanodollars: int
    """What the agent said that it cost, in billionths of a US dollar."""
    position: int
