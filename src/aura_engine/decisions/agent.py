"""Decisions about agents.

Source: specification, "Agent", "Agent Coordination", `assignTask`, `submitForApproval`, `executeTask`.

Who may do what: humans and AURA itself manage the pool; an agent acts for itself alone. The table already rules out a
second task for a busy agent, or any task for a disabled one.
"""

from aura_contracts.actors import actor_kind
from aura_contracts.agent import (
    AGENT,
    Agent,
    AgentDisabled,
    AgentEdited,
    AgentEnabled,
    AgentPaused,
    AgentRegistered,
    AgentReleased,
    AgentResumed,
    DisableAgent,
    EditAgent,
    EnableAgent,
    PauseAgent,
    RegisterAgent,
    ReleaseAgent,
    ResumeAgent,
    TakeTask,
    TaskOutcome,
    TaskTaken,
)
from aura_contracts.aggregate import Command
from aura_engine.decisions._decider import (
    Context,
    Decider,
    Events,
    NotAllowed,
    RuleBroken,
    becomes,
    is_agent,
    no_agent,
    require_agent_type,
)

NAME_LIMIT = 200
"""Characters; a name is a word or two in a list."""


_no_agent = no_agent("agents do not manage the pool")


def _require_self(state: Agent, command: Command[Agent], context: Context) -> None:
    """An agent acts for itself alone; humans and AURA act for any."""
    if actor_kind(context.actor) == "agent" and not is_agent(context, state.id):
        raise NotAllowed("an agent acts for itself alone")


def _require_current_task(state: Agent, command: PauseAgent | ResumeAgent | ReleaseAgent) -> None:
    if command.task_id != state.current_task_id:
        reason = f"the agent works on task {state.current_task_id}, not on {command.task_id}"
        raise RuleBroken("other_task", reason, "name the task the agent works on")


def _require_valid(command: RegisterAgent | EditAgent) -> None:
    """Require a name and an executor that are not blank, and distinct capabilities."""
    given = command.spec if isinstance(command, RegisterAgent) else command.changes
    name, executor, capabilities = given.name, given.executor, given.capabilities or ()
    if name is not None and not 1 <= len(name.strip()) <= NAME_LIMIT:
        reason = f"a name has 1 to {NAME_LIMIT} characters, this one has {len(name.strip())}"
        raise RuleBroken("name", reason)
    if executor is not None and not executor.strip():
        raise RuleBroken("executor", "the executor that runs the agent has no name")
    require_agent_type(given.type)
    if not all(capability.strip() for capability in capabilities):
        raise RuleBroken("capabilities", "a capability is blank")
    if repeated := sorted({c for c in capabilities if capabilities.count(c) > 1}):
        reason = f"named more than once: {', '.join(repeated)}"
        raise RuleBroken("capabilities", reason, "name each capability once")


def _register(_: None, command: RegisterAgent, context: Context) -> Events:
    _require_valid(command)
    return [AgentRegistered(agent_id=command.agent_id, spec=command.spec)]


def _edit(state: Agent, command: EditAgent, context: Context) -> Events:
    _require_valid(command)
    changes = command.changes.differing_from(state)
    return [AgentEdited(changes=changes)] if changes.given() else []


def _pause(state: Agent, command: PauseAgent, context: Context) -> Events:
    _require_current_task(state, command)
    return [AgentPaused(task_id=command.task_id, approval_id=command.approval_id)]


def _resume(state: Agent, command: ResumeAgent, context: Context) -> Events:
    """An agent cannot resume itself: it would approve its own proposal."""
    _require_current_task(state, command)
    return [AgentResumed(task_id=command.task_id)]


def _release(state: Agent, command: ReleaseAgent, context: Context) -> Events:
    _require_current_task(state, command)
    return [AgentReleased(task_id=command.task_id, outcome=command.outcome)]


def _disable(state: Agent, command: DisableAgent, context: Context) -> Events:
    disabled = AgentDisabled(reason=command.reason)
    if state.current_task_id is None:
        return [disabled]
    if not command.drop_task:
        reason = f"the agent is busy with task {state.current_task_id}"
        raise RuleBroken("busy", reason, "wait for the task, or have the agent drop it")
    return [AgentReleased(task_id=state.current_task_id, outcome=TaskOutcome.UNASSIGNED), disabled]


AGENT_DECIDER = Decider(
    AGENT,
    {
        RegisterAgent: (_no_agent, _register),
        EditAgent: (_no_agent, _edit),
        TakeTask: (_require_self, becomes(TaskTaken)),
        PauseAgent: (_require_self, _pause),
        ResumeAgent: (_no_agent, _resume),
        ReleaseAgent: (_require_self, _release),
        DisableAgent: (_no_agent, _disable),
        EnableAgent: (_no_agent, becomes(AgentEnabled)),
    },
)
