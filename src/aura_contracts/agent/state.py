"""The state of agents, its transition table and its evolvers: see `aura_contracts.agent`."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from msgspec.structs import asdict, replace

from aura_contracts.actors import Actor
from aura_contracts.agent import event_types as events
from aura_contracts.agent.values import AgentSpec, AgentStatus, TaskInHand, TaskOutcome
from aura_contracts.aggregate import (
    TIME,
    Aggregate,
    Evolve,
    HappenedFact,
    State,
    Table,
    given,
    in_every_status,
    sets,
    status_only,
)
from aura_contracts.events import Event
from aura_contracts.ids import AgentId, ApprovalId, TaskId


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


# --- Table ------------------------------------------------------------------------------------------------------------

_S = AgentStatus

_TABLE: Table = MappingProxyType(
    {
        None: {events.AgentRegistered: _S.IDLE},
        _S.IDLE: {
            events.AgentEdited: _S.IDLE,
            events.TaskTaken: _S.WORKING,
            events.AgentDisabled: _S.DISABLED,
        },
        _S.WORKING: {
            events.AgentEdited: _S.WORKING,
            events.TaskTaken: _S.WORKING,
            events.AgentPaused: (_S.WAITING_FOR_APPROVAL, _S.WORKING),
            events.AgentResumed: _S.WORKING,
            events.AgentReleased: (_S.IDLE, _S.WORKING, _S.WAITING_FOR_APPROVAL),
        },
        _S.WAITING_FOR_APPROVAL: {
            events.AgentEdited: _S.WAITING_FOR_APPROVAL,
            events.TaskTaken: _S.WORKING,
            events.AgentResumed: _S.WORKING,
            events.AgentReleased: (_S.IDLE, _S.WAITING_FOR_APPROVAL),
        },
        _S.DISABLED: {
            events.AgentEdited: _S.DISABLED,
            events.AgentEnabled: _S.IDLE,
        },
    }
)


# --- Evolve -----------------------------------------------------------------------------------------------------------


def _registered(_: None, event: events.AgentRegistered, fact: HappenedFact, status: AgentStatus) -> Agent:
    return Agent(
        id=event.agent_id,
        status=status,
        registered_by=fact.actor,
        created_at=fact.time,
        updated_at=fact.time,
        **asdict(event.spec),
    )


def _edited(state: Agent, event: events.AgentEdited, fact: HappenedFact, status: AgentStatus) -> Agent:
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


def _taken(state: Agent, event: events.TaskTaken, fact: HappenedFact, _status: AgentStatus) -> Agent:
    return _with(state, (*state.tasks, TaskInHand(event.task_id, fact.time)), fact)


def _paused_or_resumed(
    state: Agent, event: events.AgentPaused | events.AgentResumed, fact: HappenedFact, _status: object
) -> Agent:
    approval_id = event.approval_id if isinstance(event, events.AgentPaused) else None
    tasks = (replace(task, approval_id=approval_id) if task.task_id == event.task_id else task for task in state.tasks)
    return _with(state, tuple(tasks), fact)


def _released(state: Agent, event: events.AgentReleased, fact: HappenedFact, _status: object) -> Agent:
    left = tuple(task for task in state.tasks if task.task_id != event.task_id)
    return replace(_with(state, left, fact), last_outcome=event.outcome)


_EVOLVERS: Mapping[type[Event], Evolve[Agent]] = MappingProxyType(
    {
        events.AgentRegistered: _registered,
        events.AgentEdited: _edited,
        events.TaskTaken: _taken,
        events.AgentPaused: _paused_or_resumed,
        events.AgentResumed: _paused_or_resumed,
        events.AgentReleased: _released,
        events.AgentDisabled: sets(disabled_reason=given("reason"), updated_at=TIME),
        events.AgentEnabled: sets(disabled_reason="", updated_at=TIME),
        events.AgentCommandRefused: status_only,
    }
)

AGENT = Aggregate(
    name="agent",
    state=Agent,
    statuses=AgentStatus,
    table=in_every_status(_TABLE, events.AgentCommandRefused, AgentStatus),
    evolvers=_EVOLVERS,
)
