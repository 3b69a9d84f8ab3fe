"""The commands of agents: see `aura_contracts.agent`."""

from aura_contracts.agent import event_types as events
from aura_contracts.agent.state import Agent
from aura_contracts.agent.values import AgentChanges, AgentSpec, TaskOutcome
from aura_contracts.aggregate import Command
from aura_contracts.events import CommandRefusal
from aura_contracts.ids import AgentId, ApprovalId, TaskId


class RegisterAgent(Command[Agent], frozen=True, kw_only=True):
    """Add an agent to the pool."""

    emits = (events.AgentRegistered,)
    agent_id: AgentId
    spec: AgentSpec


class EditAgent(Command[Agent], frozen=True, kw_only=True):
    """Edit the agent. If it is busy, its next run uses the new values."""

    emits = (events.AgentEdited,)
    changes: AgentChanges


class TakeTask(Command[Agent], frozen=True, kw_only=True):
    """Start the agent on a task."""

    emits = (events.TaskTaken,)
    task_id: TaskId


class PauseAgent(Command[Agent], frozen=True, kw_only=True):
    """Pause the agent until a human decides on its proposal."""

    emits = (events.AgentPaused,)
    task_id: TaskId
    approval_id: ApprovalId


class ResumeAgent(Command[Agent], frozen=True, kw_only=True):
    """Resume the agent's task after the decision."""

    emits = (events.AgentResumed,)
    task_id: TaskId


class ReleaseAgent(Command[Agent], frozen=True, kw_only=True):
    """Free the agent of its task."""

    emits = (events.AgentReleased,)
    task_id: TaskId
    outcome: TaskOutcome


class DisableAgent(Command[Agent], frozen=True, kw_only=True):
    """Take the agent out of the pool. Refused while the agent is busy, unless it should drop its tasks first."""

    emits = (events.AgentReleased, events.AgentDisabled)
    reason: str = ""
    drop_task: bool = False


class EnableAgent(Command[Agent], frozen=True, kw_only=True):
    """Put the agent back into the pool."""

    emits = (events.AgentEnabled,)


class RecordAgentRefusal(Command[Agent], frozen=True, kw_only=True):
    """Record that an actor was not allowed to give a command."""

    emits = (events.AgentCommandRefused,)
    refusal: CommandRefusal
