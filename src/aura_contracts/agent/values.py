"""The values of agents: see `aura_contracts.agent`."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from aura_contracts.aggregate import Changes
from aura_contracts.ids import ApprovalId, TaskId
from aura_contracts.permission.values import PermissionRules
from aura_contracts.task import AgentType


class AgentStatus(StrEnum):
    IDLE = "idle"
    WORKING = "working"
    WAITING_FOR_APPROVAL = "waiting_for_approval"
    DISABLED = "disabled"


class TaskOutcome(StrEnum):
    """How a task ended for its agent."""

    COMPLETED = "completed"
    FAILED = "failed"
    REJECTED = "rejected"
    """A human rejected the proposal, and it will not be revised."""
    CANCELLED = "cancelled"
    UNASSIGNED = "unassigned"
    """The task continues without this agent."""


class AgentLimits(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The limits of each of an agent's processes, where a run sets none. Times are in seconds; None means no limit."""

    timeout: float | None = None
    idle_timeout: float | None = None
    output_limit: int | None = None
    """Bytes."""


class AgentSpec(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The profile of an agent: who it is, what runs it, and how."""

    name: str
    type: AgentType
    executor: str
    """The name of the adapter that runs the agent (``claude``, ``codex``, ``custom``)."""
    description: str = ""
    """What to use it for, in words."""
    variant: str = ""
    """A named set of executor settings; empty for the default."""
    model: str = ""
    """The model, as the executor names it; empty for the executor's default."""
    options: dict[str, Any] = {}
    """More executor settings, on top of the variant. Never put secrets here: the log keeps them forever."""
    prompt: str = ""
    """Its own instructions, which stand before the task in each first prompt, as they are."""
    capabilities: tuple[str, ...] = ()
    permissions: PermissionRules = PermissionRules()
    """Which tool calls need no human, besides those that a run allows or refuses."""
    limits: AgentLimits = AgentLimits()
    capacity: int = 1
    """How many tasks it works on at once."""
    ad_hoc: bool = False
    """Made for a run that named an executor; it takes no tasks from the queue."""


class AgentChanges(Changes, frozen=True, kw_only=True):
    """An edit of an agent; fields that are None stay unchanged."""

    name: str | None = None
    type: AgentType | None = None
    executor: str | None = None
    description: str | None = None
    variant: str | None = None
    model: str | None = None
    options: dict[str, Any] | None = None
    prompt: str | None = None
    capabilities: tuple[str, ...] | None = None
    permissions: PermissionRules | None = None
    limits: AgentLimits | None = None
    capacity: int | None = None


class TaskInHand(msgspec.Struct, frozen=True, gc=False):
    """A task that an agent has taken. `since` is when; `approval_id` is the approval that the agent waits for in it."""

    task_id: TaskId
    since: datetime
    approval_id: ApprovalId | None = None
