"""Agent: an AI worker with a speciality, and the task it is busy with (specification, "Agent").

    idle ──task taken──► working ──proposal waiting──► waiting_for_approval
     ▲                   │     ▲                         │         │
     │◄────released──────┘     └─────────resumed─────────┘         │
     │◄────────────────────────released────────────────────────────┘
     │
     └──disabled──► disabled ──enabled──► idle

An agent works on one task at a time. While a human reviews its proposal the agent is paused and keeps the task
(specification, `submitForApproval`, step 5). It is released when its part in the task ends, for whatever reason.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec.structs import asdict, replace

from aura_contracts.actors import Actor
from aura_contracts.aggregate import TIME, Aggregate, Changes, Command, Evolve, HappenedFact, State, Table, given, sets
from aura_contracts.events import Event
from aura_contracts.ids import AgentId, ApprovalId, TaskId
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


class AgentSpec(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The description of an agent, as it was registered."""

    name: str
    type: AgentType
    executor: str
    """The name of the adapter that runs the agent (``claude``, ``codex``, ``custom``)."""
    variant: str = ""
    """A named set of executor settings; empty for the default."""
    options: dict[str, Any] = {}
    """More executor settings, on top of the variant. Never put secrets here: the log keeps them forever."""
    capabilities: tuple[str, ...] = ()


class AgentChanges(Changes, frozen=True, kw_only=True):
    """An edit of an agent; fields that are None stay unchanged."""

    name: str | None = None
    type: AgentType | None = None
    executor: str | None = None
    variant: str | None = None
    options: dict[str, Any] | None = None
    capabilities: tuple[str, ...] | None = None


# --- Events -----------------------------------------------------------------------------------------------------------


class AgentRegistered(Event, frozen=True, kw_only=True):
    """An agent was added to the pool."""

    topic = "agent.registered"
    agent_id: AgentId
    spec: AgentSpec


class AgentEdited(Event, frozen=True, kw_only=True):
    """The agent was edited."""

    topic = "agent.edited"
    changes: AgentChanges


class TaskTaken(Event, frozen=True, kw_only=True):
    """The agent took a task and started working on it."""

    topic = "agent.task_taken"
    task_id: TaskId


class AgentPaused(Event, frozen=True, kw_only=True):
    """The agent was paused while a human reviews its proposal."""

    topic = "agent.paused"
    task_id: TaskId
    approval_id: ApprovalId


class AgentResumed(Event, frozen=True, kw_only=True):
    """The agent resumed its task after a human decided."""

    topic = "agent.resumed"
    task_id: TaskId


class AgentReleased(Event, frozen=True, kw_only=True):
    """The task ended for the agent, which is free for another."""

    topic = "agent.released"
    task_id: TaskId
    outcome: TaskOutcome


class AgentDisabled(Event, frozen=True, kw_only=True):
    """The agent was taken out of the pool; it gets no tasks until it is enabled."""

    topic = "agent.disabled"
    reason: str = ""


class AgentEnabled(Event, frozen=True, kw_only=True):
    """The agent was put back into the pool."""

    topic = "agent.enabled"


# --- State ------------------------------------------------------------------------------------------------------------


class Agent(AgentSpec, State, frozen=True, kw_only=True):
    """The state of an agent. Times are aware."""

    id: AgentId
    status: AgentStatus
    registered_by: Actor
    created_at: datetime
    updated_at: datetime
    current_task_id: TaskId | None = None
    approval_id: ApprovalId | None = None
    """The approval that the agent waits for."""
    busy_since: datetime | None = None
    """When it took its current task; None while it has none."""
    last_outcome: TaskOutcome | None = None
    disabled_reason: str = ""


# --- Commands ---------------------------------------------------------------------------------------------------------


class RegisterAgent(Command[Agent], frozen=True, kw_only=True):
    """Add an agent to the pool."""

    emits = (AgentRegistered,)
    agent_id: AgentId
    spec: AgentSpec


class EditAgent(Command[Agent], frozen=True, kw_only=True):
    """Edit the agent. If it is busy, its next run uses the new values."""

    emits = (AgentEdited,)
    changes: AgentChanges


class TakeTask(Command[Agent], frozen=True, kw_only=True):
    """Start the agent on a task."""

    emits = (TaskTaken,)
    task_id: TaskId


class PauseAgent(Command[Agent], frozen=True, kw_only=True):
    """Pause the agent until a human decides on its proposal."""

    emits = (AgentPaused,)
    task_id: TaskId
    approval_id: ApprovalId


class ResumeAgent(Command[Agent], frozen=True, kw_only=True):
    """Resume the agent's task after the decision."""

    emits = (AgentResumed,)
    task_id: TaskId


class ReleaseAgent(Command[Agent], frozen=True, kw_only=True):
    """Free the agent of its task."""

    emits = (AgentReleased,)
    task_id: TaskId
    outcome: TaskOutcome


class DisableAgent(Command[Agent], frozen=True, kw_only=True):
    """Take the agent out of the pool. Refused while the agent is busy, unless it should drop its task first."""

    emits = (AgentReleased, AgentDisabled)
    reason: str = ""
    drop_task: bool = False


class EnableAgent(Command[Agent], frozen=True, kw_only=True):
    """Put the agent back into the pool."""

    emits = (AgentEnabled,)


# --- Table ------------------------------------------------------------------------------------------------------------

_S = AgentStatus

_TABLE: Table = MappingProxyType(
    {
        None: {AgentRegistered: _S.IDLE},
        _S.IDLE: {
            AgentEdited: _S.IDLE,
            TaskTaken: _S.WORKING,
            AgentDisabled: _S.DISABLED,
        },
        _S.WORKING: {
            AgentEdited: _S.WORKING,
            AgentPaused: _S.WAITING_FOR_APPROVAL,
            AgentReleased: _S.IDLE,
        },
        _S.WAITING_FOR_APPROVAL: {
            AgentEdited: _S.WAITING_FOR_APPROVAL,
            AgentResumed: _S.WORKING,
            AgentReleased: _S.IDLE,
        },
        _S.DISABLED: {
            AgentEdited: _S.DISABLED,
            AgentEnabled: _S.IDLE,
        },
    }
)


# --- Evolve -----------------------------------------------------------------------------------------------------------


def _registered(_: None, event: AgentRegistered, fact: HappenedFact, status: AgentStatus) -> Agent:
    return Agent(
        id=event.agent_id,
        status=status,
        registered_by=fact.actor,
        created_at=fact.time,
        updated_at=fact.time,
        **asdict(event.spec),
    )


def _edited(state: Agent, event: AgentEdited, fact: HappenedFact, status: AgentStatus) -> Agent:
    return replace(state, status=status, updated_at=fact.time, **event.changes.given())


_EVOLVERS: Mapping[type[Event], Evolve[Agent]] = MappingProxyType(
    {
        AgentRegistered: _registered,
        AgentEdited: _edited,
        TaskTaken: sets(current_task_id=given("task_id"), busy_since=TIME, updated_at=TIME),
        AgentPaused: sets("approval_id", updated_at=TIME),
        AgentResumed: sets(approval_id=None, updated_at=TIME),
        AgentReleased: sets(
            last_outcome=given("outcome"), updated_at=TIME, current_task_id=None, approval_id=None, busy_since=None
        ),
        AgentDisabled: sets(disabled_reason=given("reason"), updated_at=TIME),
        AgentEnabled: sets(disabled_reason="", updated_at=TIME),
    }
)

AGENT = Aggregate(
    name="agent",
    state=Agent,
    statuses=AgentStatus,
    table=_TABLE,
    evolvers=_EVOLVERS,
)
