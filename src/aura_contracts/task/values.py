"""The values of tasks: see `aura_contracts.task`."""

import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NewType

import msgspec

from aura_contracts.aggregate import Changes
from aura_contracts.approval.values import Level
from aura_contracts.clocks import is_ahead
from aura_contracts.errors import InvalidInput
from aura_contracts.events import Instant
from aura_contracts.ids import AgentId, ApprovalId, TaskId
from aura_contracts.run_plan import RunPlan


class TaskStatus(StrEnum):
    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    AWAITING_APPROVAL = "awaiting_approval"
    APPROVED = "approved"
    REJECTED = "rejected"
    BLOCKED = "blocked"
    FAILED = "failed"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    DELETED = "deleted"


WAITS_FOR_HUMAN = frozenset({TaskStatus.AWAITING_APPROVAL, TaskStatus.BLOCKED})


class Priority(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class ApprovalMode(StrEnum):
    """What a human approves: the plan, the changes, both, or neither (a policy decides)."""

    PLAN = "plan"
    CHANGES = "changes"
    BOTH = "both"
    AUTO = "auto"


AgentType = NewType("AgentType", str)
"""An agent's speciality: one of `AGENT_TYPES`, or any other word that `parse_agent_type` accepts."""

AGENT_TYPES = tuple(map(AgentType, ("architect", "developer", "database", "tester", "reviewer", "devops")))
"""The types of the specification, section "Agent"."""

AGENT_TYPE_LIMIT = 40
"""The most characters in an agent type; it is a column in lists."""

_AGENT_TYPE = re.compile(rf"[a-z][a-z0-9_-]{{0,{AGENT_TYPE_LIMIT - 1}}}")


def parse_agent_type(text: str, field: str = "type") -> AgentType:
    """Parse an agent type. Raises `InvalidInput` unless `text` is one lower-case word.

    >>> parse_agent_type("data-scientist")
    'data-scientist'
    """
    if not _AGENT_TYPE.fullmatch(text):
        reason = f"{text!r} is not one word of up to {AGENT_TYPE_LIMIT} lower-case letters, digits, '-' and '_'"
        raise InvalidInput(field=field, reason=reason, remedy=f"write it like {', '.join(AGENT_TYPES)}")
    return AgentType(text)


class DependencyPolicy(StrEnum):
    """What happens to a task when one that it waits for fails, or is cancelled or deleted."""

    FAIL = "fail"
    """It fails, too."""
    WAIT = "wait"
    """It waits until the other one is retried and completes, or is no longer waited for."""
    START = "start"
    """It starts without the other one."""


class PartPolicy(StrEnum):
    """What happens to a task that completes with its parts when one of them fails."""

    WAIT = "wait"
    """It waits until the part is retried and completes, or is cancelled."""
    FAIL = "fail"
    """It fails, too, until the part is retried and completes."""
    IGNORE = "ignore"
    """It completes without the part."""


class CollisionPolicy(StrEnum):
    """What happens to a task that needs a lock which another one has, or waits for before it."""

    WAIT = "wait"
    """It waits."""
    ASK = "ask"
    """It is paused, and a human is asked."""


LOCK_LIMIT = 20
"""The most locks of one kind that a task needs."""

LOCK_LENGTH = 100
"""The most characters in the name of a lock."""

LABEL_LIMIT = 50
"""The most characters in a label."""


class RetryPolicy(msgspec.Struct, frozen=True, gc=False):
    """How often and how soon a failed attempt is repeated (specification, "Agent Failures").

    The delay before attempt n + 1 is ``base_delay * 2 ** (n - 1)`` seconds, at most `max_delay`, plus or minus a random
    share of `jitter` (0 to 1).
    """

    max_attempts: int = 3
    base_delay: float = 1.0
    max_delay: float = 60.0
    jitter: float = 0.2

    def is_over(self, retry_at: datetime, now: datetime) -> bool:
        """Whether the pause until `retry_at` is over.

        A pause that is longer than any can be is over as well: the clock was set back since it began.
        """
        longest = timedelta(seconds=self.max_delay * (1 + self.jitter))
        return now >= retry_at or is_ahead(retry_at - longest, now)


class PoolRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a task asks of the pool: which agents may have it, and how the one that gets it is run."""

    agent_type: AgentType | None = None
    """None: an agent of any type."""
    agent_type_reason: str = ""
    """Why an agent of this type, if the task does not say."""
    capabilities: tuple[str, ...] = ()
    """The agent has all of them."""
    plan: RunPlan = RunPlan()
    variant: str | None = None
    """A named set of the executor's settings; None: the agent's own."""


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """An agent that could have had a task, with the figures by which agents are compared at that moment."""

    agent_id: AgentId
    tasks: int
    """The tasks that it had."""
    capacity: int
    registered_at: Instant
    lower_bound: float = 0.05
    """Of the share of such work of it that humans approve, the lower end of the 90 % interval; 0.05: nothing is known.
    """
    executor: str = ""
    model: str = ""
    """As its profile names it: what counts is its work with this executor and model."""
    posterior: tuple[float, float] = (1.0, 1.0)
    """The parameters a and b of the Beta distribution that bound and draw are taken from."""
    draw: float | None = None
    """What was drawn from what is known of that share, where agents are chosen by such draws."""


class Selection(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Why an agent was given a task."""

    reason: str
    candidates: tuple[Candidate, ...] = ()
    """The suitable agents with room, the chosen one first; the first few if there were many."""
    suitable: int = 0
    """How many there were."""
    verdicts_until: int = 0
    """The position of the log up to which answers of humans count."""


class Subtask(msgspec.Struct, frozen=True, gc=False):
    """A part of a proposed decomposition. `task_id` is chosen with the proposal, so that creation is repeatable."""

    task_id: TaskId
    title: str
    description: str = ""
    agent_type: AgentType | None = None
    priority: Priority = Priority.MEDIUM
    after: tuple[TaskId, ...] = ()
    """Those of the same decomposition that must complete first."""


class Proposal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A proposed solution, and the approval that asks about it. `confidence` is between 0 and 1."""

    approval_id: ApprovalId
    proposal: str
    confidence: float | None = None


class Feedback(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a human wants to be different, and the approval in which they said so."""

    approval_id: ApprovalId
    feedback: str


class Conflict(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Why a task cannot continue, and over what."""

    reason: str
    resource: str = ""
    conflicting_task_id: TaskId | None = None


class TaskSpec(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The description of a task, as its creator gave it."""

    title: str
    description: str = ""
    priority: Priority = Priority.MEDIUM
    parent_id: TaskId | None = None
    project: str | None = None
    """The name of the project that it belongs to."""
    project_reason: str = ""
    """Why it belongs to that one, or to none."""
    agent_type: AgentType | None = None
    """The type of agent that the task is for; once assigned, the type of its agent."""
    agent_type_reason: str = ""
    """Why it is for this type."""
    approval_mode: ApprovalMode = ApprovalMode.CHANGES
    reviewers: tuple[str, ...] = ()
    """Names of the humans who may decide besides the creator."""
    quorum: int = 1
    """How many of them must approve the work."""
    levels: tuple[Level, ...] = ()
    """Those who are asked in turn once they have."""
    no_self_approval: bool = False
    """Whether the creator may not decide about the work, nor the human on whose behalf it was created."""
    on_behalf_of: str | None = None
    """The name of the human who asked for the work that it is part of, if it was created for them."""
    retry: RetryPolicy = RetryPolicy()
    context: dict[str, Any] = {}
    after: tuple[TaskId, ...] = ()
    """Tasks that must complete before this one starts."""
    on_dependency_failure: DependencyPolicy = DependencyPolicy.FAIL
    on_part_failure: PartPolicy = PartPolicy.WAIT
    locks: tuple[str, ...] = ()
    """Names that it needs for itself while it is worked on: no other task has one of these meanwhile."""
    locked_paths: tuple[str, ...] = ()
    """Patterns for paths in its repositories that it needs for itself, see `aura_contracts.path_patterns`."""
    on_collision: CollisionPolicy = CollisionPolicy.WAIT
    labels: tuple[str, ...] = ()
    due_at: Instant | None = None
    """When it should be done. AURA enforces nothing."""
    fixes: TaskId | None = None
    """The task whose result this one repairs."""
    reverts: TaskId | None = None
    """The task whose merged work this one undoes."""
    key: str | None = None
    """The caller's own key for the request; a key starts only one task."""
    request_digest: str = ""
    """The digest of the request that started the task, which recognises the same request again."""


class TaskChanges(Changes, frozen=True, kw_only=True):
    """An edit of a task; fields that are None stay unchanged."""

    title: str | None = None
    description: str | None = None
    priority: Priority | None = None
    approval_mode: ApprovalMode | None = None
    reviewers: tuple[str, ...] | None = None
    context: dict[str, Any] | None = None
    labels: tuple[str, ...] | None = None
    due_at: Instant | None = None
    no_due_date: bool | None = None
    """True removes the due date."""
    after: tuple[TaskId, ...] | None = None
    on_dependency_failure: DependencyPolicy | None = None
    on_part_failure: PartPolicy | None = None
    locks: tuple[str, ...] | None = None
    locked_paths: tuple[str, ...] | None = None
    on_collision: CollisionPolicy | None = None
