"""Decisions about agents.

Source: specification, "Agent", "Agent Coordination", `assignTask`, `submitForApproval`, `executeTask`.

Who may do what: humans and AURA itself manage the pool; an agent acts for itself alone. The table already rules out any
task for a disabled agent.
"""

from typing import get_args

from aura_contracts.actors import ActorKind, actor_kind
from aura_contracts.agent import (
    AGENT,
    Agent,
    AgentCommandRefused,
    AgentDisabled,
    AgentEdited,
    AgentEnabled,
    AgentLimits,
    AgentPaused,
    AgentRegistered,
    AgentReleased,
    AgentResumed,
    DisableAgent,
    EditAgent,
    EnableAgent,
    PauseAgent,
    RecordAgentRefusal,
    RegisterAgent,
    ReleaseAgent,
    ResumeAgent,
    TakeTask,
    TaskInHand,
    TaskOutcome,
    TaskTaken,
)
from aura_contracts.aggregate import Command
from aura_contracts.permission import PermissionRules, known_rule
from aura_contracts.quoting import is_visible
from aura_engine.decisions._decider import (
    Context,
    Decider,
    Events,
    NotAllowed,
    RuleBroken,
    becomes,
    is_agent,
    no_agent,
    only_system,
    require_agent_type,
    require_limits,
)

NAME_LIMIT = 200
"""Characters; a name is a word or two in a list."""

CAPACITY_LIMIT = 1000
"""Tasks that an agent works on at once; more is a typing error."""

AGENT_PROMPT_LIMIT = 262_144
"""Bytes in UTF-8 of an agent's own instructions: as for a template."""


_no_agent = no_agent("agents do not manage the pool")


def _require_self(state: Agent, command: Command[Agent], context: Context) -> None:
    """An agent acts for itself alone; humans and AURA act for any."""
    if actor_kind(context.actor) == "agent" and not is_agent(context, state.id):
        raise NotAllowed("own_agent", "an agent acts for itself alone", f"leave it to {state.name}, or ask a human")


def _require_task(state: Agent, command: PauseAgent | ResumeAgent | ReleaseAgent) -> TaskInHand:
    found = state.task_in_hand(command.task_id)
    if found is None:
        reason = f"the agent works on task {_named(state)}, not on {command.task_id}"
        raise RuleBroken("other_task", reason, "name the task the agent works on")
    return found


def _named(state: Agent) -> str:
    return ", ".join(task.task_id for task in state.tasks)


def agent_name_problem(name: str) -> str | None:
    """Return what is wrong with the name of an agent: people read it, in lines with the names of humans."""
    if not 1 <= len(name.strip()) <= NAME_LIMIT:
        return f"a name has 1 to {NAME_LIMIT} characters, this one has {len(name.strip())}"
    if not is_visible(name):
        return "a name is one line of characters that can be seen"
    kind = name.strip().partition(":")[0]
    return f"a name does not begin with {kind}:, as actors do" if ":" in name and kind in get_args(ActorKind) else None


def _require_valid(command: RegisterAgent | EditAgent) -> None:
    """Require a name and an executor that are not blank, and distinct capabilities."""
    given = command.spec if isinstance(command, RegisterAgent) else command.changes
    name, executor, capabilities = given.name, given.executor, given.capabilities or ()
    if name is not None and (problem := agent_name_problem(name)) is not None:
        raise RuleBroken("name", problem)
    if executor is not None and not executor.strip():
        raise RuleBroken("executor", "the executor that runs the agent has no name")
    require_agent_type(given.type)
    if not all(capability.strip() for capability in capabilities):
        raise RuleBroken("capabilities", "a capability is blank")
    if repeated := sorted({c for c in capabilities if capabilities.count(c) > 1}):
        reason = f"named more than once: {', '.join(repeated)}"
        raise RuleBroken("capabilities", reason, "name each capability once")
    if given.capacity is not None and not 1 <= given.capacity <= CAPACITY_LIMIT:
        raise RuleBroken("capacity", f"an agent works on 1 to {CAPACITY_LIMIT} tasks at once, not {given.capacity}")
    if (size := len((given.prompt or "").encode("utf-8", "surrogatepass"))) > AGENT_PROMPT_LIMIT:
        raise RuleBroken("prompt", f"it takes {size} bytes; the limit is {AGENT_PROMPT_LIMIT}", "shorten it")
    require_limits(given.limits or AgentLimits())
    for rule in (*(given.permissions or PermissionRules()).allow, *(given.permissions or PermissionRules()).deny):
        if known_rule(rule) is None:
            raise RuleBroken("permissions", f"{rule!r} is not a rule, or can match nothing", "see permission rules")


def _take(state: Agent, command: TakeTask, context: Context) -> Events:
    """A second task beyond its capacity is refused in the same words whichever engine was first."""
    if state.has(command.task_id):
        return []
    if not state.room:
        reason = f"the agent has {len(state.tasks)} of {state.capacity} tasks: {_named(state)}"
        raise RuleBroken("capacity", reason, "wait for it, or let it work on more at once: aura agent edit --capacity")
    return [TaskTaken(task_id=command.task_id)]


def _register(_: None, command: RegisterAgent, context: Context) -> Events:
    _require_valid(command)
    return [AgentRegistered(agent_id=command.agent_id, spec=command.spec)]


def _edit(state: Agent, command: EditAgent, context: Context) -> Events:
    _require_valid(command)
    changes = command.changes.differing_from(state)
    return [AgentEdited(changes=changes)] if changes.given() else []


def _pause(state: Agent, command: PauseAgent, context: Context) -> Events:
    _require_task(state, command)
    return [AgentPaused(task_id=command.task_id, approval_id=command.approval_id)]


def _resume(state: Agent, command: ResumeAgent, context: Context) -> Events:
    """An agent cannot resume itself: it would approve its own proposal."""
    waits = _require_task(state, command).approval_id is not None
    return [AgentResumed(task_id=command.task_id)] if waits else []


def _release(state: Agent, command: ReleaseAgent, context: Context) -> Events:
    _require_task(state, command)
    return [AgentReleased(task_id=command.task_id, outcome=command.outcome)]


def _disable(state: Agent, command: DisableAgent, context: Context) -> Events:
    disabled = AgentDisabled(reason=command.reason)
    if state.tasks and not command.drop_task:
        reason = f"the agent is busy with task {_named(state)}"
        raise RuleBroken("busy", reason, "wait for the task, or have the agent drop it")
    dropped = (AgentReleased(task_id=task.task_id, outcome=TaskOutcome.UNASSIGNED) for task in state.tasks)
    return [*dropped, disabled]


AGENT_DECIDER = Decider(
    AGENT,
    {
        RegisterAgent: (_no_agent, _register),
        EditAgent: (_no_agent, _edit),
        TakeTask: (_require_self, _take),
        PauseAgent: (_require_self, _pause),
        ResumeAgent: (_no_agent, _resume),
        ReleaseAgent: (_require_self, _release),
        DisableAgent: (_no_agent, _disable),
        EnableAgent: (_no_agent, becomes(AgentEnabled)),
        RecordAgentRefusal: (only_system("AURA records refusals"), becomes(AgentCommandRefused)),
    },
)
