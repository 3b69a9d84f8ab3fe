"""Agent: an AI worker with a speciality, and the tasks it is busy with (specification, "Agent").

    idle ──task taken──► working ──proposal waiting──► waiting_for_approval
     ▲                   │     ▲                         │         │
     │◄────released──────┘     └─────────resumed─────────┘         │
     │◄────────────────────────released────────────────────────────┘
     │
     └──disabled──► disabled ──enabled──► idle

An agent works on as many tasks at once as its capacity says, normally one. While a human reviews its proposal the agent
is paused in that task and keeps it (specification, `submitForApproval`, step 5). It is released from a task when its
part in it ends, for whatever reason.

With several tasks it is ``working`` while it works on any of them, ``waiting_for_approval`` if each waits for a human.

One module, a little longer than others, because the aggregate is small: its values, events, commands and state are read
together.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec.structs import asdict, replace

from aura_contracts.actors import Actor
from aura_contracts.aggregate import (
    TIME,
    Aggregate,
    Changes,
    Command,
    Evolve,
    HappenedFact,
    State,
    Table,
    given,
    in_every_status,
    sets,
    status_only,
)
from aura_contracts.events import CommandRefusal, Event
from aura_contracts.ids import AgentId, ApprovalId, TaskId
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
    """The task ended for the agent, which has room for another."""

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
    tasks: tuple[TaskInHand, ...] = ()
    """The tasks that it has, the longest held first."""
    current_task_id: TaskId | None = None
    """The first of them (specification, "Agent")."""
    approval_id: ApprovalId | None = None
    """The approval that it waits for, in the first of its tasks that waits for one."""
    busy_since: datetime | None = None
    """When it took the first of them; None while it has none."""
    last_outcome: TaskOutcome | None = None
    disabled_reason: str = ""

    @property
    def room(self) -> int:
        """How many more tasks it takes at the moment; none while it is disabled."""
        return 0 if self.status is AgentStatus.DISABLED else max(self.capacity - len(self.tasks), 0)

    def has(self, task_id: TaskId) -> bool:
        """Whether it has the task in hand."""
        return self.task_in_hand(task_id) is not None

    def task_in_hand(self, task_id: TaskId) -> TaskInHand | None:
        """Return what it has of a task, None if it does not have it."""
        return next((task for task in self.tasks if task.task_id == task_id), None)


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
    """Take the agent out of the pool. Refused while the agent is busy, unless it should drop its tasks first."""

    emits = (AgentReleased, AgentDisabled)
    reason: str = ""
    drop_task: bool = False


class EnableAgent(Command[Agent], frozen=True, kw_only=True):
    """Put the agent back into the pool."""

    emits = (AgentEnabled,)


class AgentCommandRefused(Event, frozen=True, kw_only=True):
    """An actor was not allowed to give a command; nothing else of it was recorded."""

    topic = "agent.command_refused"
    refusal: CommandRefusal


class RecordAgentRefusal(Command[Agent], frozen=True, kw_only=True):
    """Record that an actor was not allowed to give a command."""

    emits = (AgentCommandRefused,)
    refusal: CommandRefusal


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
            TaskTaken: _S.WORKING,
            AgentPaused: (_S.WAITING_FOR_APPROVAL, _S.WORKING),
            AgentResumed: _S.WORKING,
            AgentReleased: (_S.IDLE, _S.WORKING, _S.WAITING_FOR_APPROVAL),
        },
        _S.WAITING_FOR_APPROVAL: {
            AgentEdited: _S.WAITING_FOR_APPROVAL,
            TaskTaken: _S.WORKING,
            AgentResumed: _S.WORKING,
            AgentReleased: (_S.IDLE, _S.WAITING_FOR_APPROVAL),
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


def _with(state: Agent, tasks: tuple[TaskInHand, ...], fact: HappenedFact) -> Agent:
    """Return the agent with these tasks; its status and what it says of its first task follow from them."""
    waiting = [task.approval_id for task in tasks if task.approval_id is not None]
    works = len(waiting) < len(tasks)
    idle_or_waiting = AgentStatus.WAITING_FOR_APPROVAL if tasks else AgentStatus.IDLE
    return replace(
        state,
        status=AgentStatus.WORKING if works else idle_or_waiting,
        tasks=tasks,
        current_task_id=tasks[0].task_id if tasks else None,
        approval_id=waiting[0] if waiting else None,
        busy_since=tasks[0].since if tasks else None,
        updated_at=fact.time,
    )


def _taken(state: Agent, event: TaskTaken, fact: HappenedFact, _status: AgentStatus) -> Agent:
    return _with(state, (*state.tasks, TaskInHand(event.task_id, fact.time)), fact)


def _paused_or_resumed(state: Agent, event: AgentPaused | AgentResumed, fact: HappenedFact, _status: object) -> Agent:
    approval_id = event.approval_id if isinstance(event, AgentPaused) else None
    tasks = (replace(task, approval_id=approval_id) if task.task_id == event.task_id else task for task in state.tasks)
    return _with(state, tuple(tasks), fact)


def _released(state: Agent, event: AgentReleased, fact: HappenedFact, _status: object) -> Agent:
    left = tuple(task for task in state.tasks if task.task_id != event.task_id)
    return replace(_with(state, left, fact), last_outcome=event.outcome)


_EVOLVERS: Mapping[type[Event], Evolve[Agent]] = MappingProxyType(
    {
        AgentRegistered: _registered,
        AgentEdited: _edited,
        TaskTaken: _taken,
        AgentPaused: _paused_or_resumed,
        AgentResumed: _paused_or_resumed,
        AgentReleased: _released,
        AgentDisabled: sets(disabled_reason=given("reason"), updated_at=TIME),
        AgentEnabled: sets(disabled_reason="", updated_at=TIME),
        AgentCommandRefused: status_only,
    }
)

AGENT = Aggregate(
    name="agent",
    state=Agent,
    statuses=AgentStatus,
    table=in_every_status(_TABLE, AgentCommandRefused, AgentStatus),
    evolvers=_EVOLVERS,
)
