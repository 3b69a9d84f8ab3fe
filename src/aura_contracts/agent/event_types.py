"""The events of agents: see `aura_contracts.agent`."""

from aura_contracts.agent.values import AgentChanges, AgentSpec, TaskOutcome
from aura_contracts.events import CommandRefusal, Event
from aura_contracts.ids import AgentId, ApprovalId, TaskId


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


class AgentCommandRefused(Event, frozen=True, kw_only=True):
    """An actor was not allowed to give a command; nothing else of it was recorded."""

    topic = "agent.command_refused"
    refusal: CommandRefusal
