"""The values of approvals: see `aura_contracts.approval`."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from aura_contracts.actors import system
from aura_contracts.events import Instant
from aura_contracts.ids import ExecutionId, TaskId, WorkflowId

POLICY = system("policy")
"""The only actor besides humans that may decide: a rule that humans configured."""

REMIND_AFTER = 24 * 3600.0
"""Seconds until the first reminder, and between reminders (specification, "Approval Timeouts")."""

ESCALATE_AFTER = 48 * 3600.0
"""Seconds until the question is escalated (specification, "Approval Timeouts")."""


class ApprovalStatus(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    NEEDS_CHANGES = "needs_changes"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class ApprovalKind(StrEnum):
    """The subject of the question."""

    PLAN = "plan"
    CHANGES = "changes"
    TOOL_CALL = "tool_call"
    """An agent asks for permission to use a tool."""
    DECOMPOSITION = "decomposition"
    MERGE_CONFLICT = "merge_conflict"
    QUESTION = "question"
    """An agent asks something in the middle of its work; the agent decides what to do with the answer."""
    WORKFLOW_STEP = "workflow_step"


class ApprovalDecision(StrEnum):
    """The three answers of the specification, section "Approval"."""

    APPROVED = "approved"
    REJECTED = "rejected"
    NEEDS_CHANGES = "needs_changes"


class OnExpiry(StrEnum):
    """The meaning of no answer."""

    DENY = "deny"
    CONTINUE = "continue"
    """The work continues without approval (specification, "Approval Timeouts": configurable)."""


class Remember(StrEnum):
    """How long the answer to a tool call applies."""

    ONCE = "once"
    SESSION = "session"
    """The same call in the same agent session."""
    TASK = "task"
    """The same call in all runs of the task."""
    PATTERN = "pattern"
    """All calls that match the given pattern."""


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """A tool call that an agent asks permission for. Secrets in `arguments` are already redacted.

    `fingerprint` is a digest that identifies the same call, even in a resumed session. `diff` is the change the call
    would make, as a unified diff, if known in advance.
    """

    tool: str
    fingerprint: str
    arguments: dict[str, Any] = {}
    diff: str | None = None


class Ballot(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One human's answer. `seat` is the seat it counts for: the reviewer's own name, or that of the delegator."""

    reviewer: str
    seat: str
    decision: ApprovalDecision
    feedback: str | None = None
    remember: Remember = Remember.ONCE
    pattern: str | None = None


class Vote(Ballot, frozen=True, kw_only=True, gc=False):
    """A ballot with the time it was cast."""

    time: datetime


class Question(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The question: its subject, the people asked, and what happens without an answer."""

    kind: ApprovalKind
    reviewers: tuple[str, ...]
    """Names of the humans who may decide from the start: the creator and the assigned reviewers."""
    task_id: TaskId | None = None
    execution_id: ExecutionId | None = None
    workflow_id: WorkflowId | None = None
    step_id: str | None = None
    proposed_solution: str = ""
    confidence: float | None = None
    """The agent's confidence, 0 to 1."""
    choices: tuple[str, ...] = ()
    """The possible answers, if the question offers a choice."""
    tool_call: ToolCall | None = None
    commits: dict[str, str] = {}
    """Repository -> the proposed commit. The approval covers this commit and nothing later."""
    quorum: int = 1
    """The number of reviewers who must approve."""
    deadline: Instant | None = None
    on_expiry: OnExpiry = OnExpiry.DENY
    remind_after: float | None = REMIND_AFTER
    """Seconds until the first reminder, and between reminders; None means never."""
    escalate_after: float | None = ESCALATE_AFTER
    """Seconds until the question goes to `escalate_to` as well; None means never."""
    escalate_to: tuple[str, ...] = ()
    """Names of the humans to escalate to."""
