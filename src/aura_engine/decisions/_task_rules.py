"""Rules about tasks: who may do what, and what a description of a task must hold."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from aura_contracts.actors import Actor, actor_kind, actor_name
from aura_contracts.aggregate import Command
from aura_contracts.errors import ActorNotAllowed, CyclicDependency, CyclicParent, InvalidInput
from aura_contracts.path_patterns import require_pattern
from aura_contracts.quoting import listed
from aura_contracts.task import (
    LABEL_LIMIT,
    LOCK_LENGTH,
    LOCK_LIMIT,
    ApprovalMode,
    ApproveTask,
    CreateTask,
    DecomposeTask,
    ProposeDecomposition,
    RejectTask,
    ReparentTask,
    RequestTaskChanges,
    SubmitProposal,
    Task,
    TaskSpec,
    TaskStatus,
)
from aura_engine.decisions._decider import (
    Context,
    NotAllowed,
    RuleBroken,
    is_agent,
    is_human,
    is_system,
    no_agent,
)
from aura_engine.decisions._question import asking_problem

TITLE_LIMIT = 500
"""Characters; a title is one line in a list."""

CONTEXT_LIMIT = 262_144
"""Bytes of JSON; prompts have the beginning of it."""


def require_own_agent(state: Task, command: Command[Task], context: Context) -> None:
    """Agents act only on tasks assigned to them; humans and AURA may always act."""
    if actor_kind(context.actor) == "agent" and not is_agent(context, state.assigned_agent):
        reason = f"the task is assigned to {state.assigned_agent or 'no agent'}"
        raise NotAllowed("assigned_agent", reason, "ask a human to assign it to you")


def require_concerned(state: Task, command: Command[Task], context: Context) -> None:
    """Agents act on the task assigned to them; humans on one that they created or review; AURA on any."""
    require_own_agent(state, command, context)
    if is_human(context) and not concerns(state, context.actor):
        raise NotAllowed("concerned", "not the creator and not a reviewer", _ask(state))


def _ask(task: Task) -> str:
    """Return what those can do whom a task does not concern."""
    names = dict.fromkeys(one for one in (task.requester, *task.reviewers) if one is not None)
    return f"ask {listed([*names], 3)} to do it, or to name you as a reviewer" if names else "ask a human to do it"


def require_concern(task: Task, actor: Actor, command: str) -> None:
    """The same for what others carry out on behalf of `actor`. Raises `ActorNotAllowed`."""
    kind = actor_kind(actor)
    concerned = kind == "system" or (
        concerns(task, actor) if kind == "human" else actor == f"agent:{task.assigned_agent}"
    )
    if not concerned:
        about = {"aggregate": "task", "aggregate_id": task.id, "command": command}
        raise ActorNotAllowed(
            **about, actor=actor, rule="concerned", reason="the task is not theirs", remedy=_ask(task)
        )


def concerns(task: Task, human: Actor) -> bool:
    """Whether they asked for or review the task; one that no human asked for and none reviews is any human's."""
    anyones = task.requester is None and not task.reviewers
    return anyones or actor_name(human) == task.requester or actor_name(human) in task.reviewers


def require_worker(state: Task, command: Command[Task], context: Context) -> None:
    """Only the assigned agent, or AURA on its behalf, reports on the work; not a human."""
    if not (is_agent(context, state.assigned_agent) or is_system(context)):
        raise NotAllowed("assigned_agent", "only the assigned agent reports on its work", "leave the report to it")


_no_agent = no_agent("only a human or a policy may")


def require_concerned_human(state: Task, command: Command[Task], context: Context) -> None:
    """Humans whom the task concerns, and AURA; no agent."""
    _no_agent(state, command, context)
    require_concerned(state, command, context)


def require_reviewer(state: Task, command: Command[Task], context: Context) -> None:
    """Humans approve only what they created or are assigned to review."""
    may_decide = is_human(context) and (
        context.actor == state.created_by or actor_name(context.actor) in state.reviewers
    )
    if not (may_decide or is_system(context)):
        raise NotAllowed("reviewer", "not the creator and not a reviewer", _ask(state))


def require_current_approval(
    state: Task, command: ApproveTask | RejectTask | RequestTaskChanges | DecomposeTask
) -> None:
    if command.approval_id != state.approval_id:
        reason = f"approval {command.approval_id} is not the one that is pending ({state.approval_id})"
        raise RuleBroken("stale_approval", reason, "decide on the pending approval")


def require_new_approval(state: Task, command: SubmitProposal | ProposeDecomposition) -> None:
    """A decision about the last proposal must not count as one about this proposal."""
    if command.approval_id == state.approval_id:
        reason = f"approval {command.approval_id} was for the proposal before"
        raise RuleBroken("used_approval", reason, "ask for a new approval")


def require_title(title: str) -> None:
    if not title.strip() or len(title) > TITLE_LIMIT:
        reason = f"a title has 1 to {TITLE_LIMIT} characters, this one has {len(title.strip())}"
        raise RuleBroken("title", reason)


def subtask_title_problem(title: str) -> str | None:
    """Return what is wrong with the title of a part: a human approves a list of them, a line each."""
    if len(title) > TITLE_LIMIT:
        return f"it has {len(title)} characters; the limit is {TITLE_LIMIT}"
    return "it has several lines" if len(title.splitlines()) > 1 else None


def require_context(context: Mapping[str, Any]) -> None:
    if (size := len(msgspec.json.encode(context))) > CONTEXT_LIMIT:
        remedy = "put it into a file that the agent can read, and name the file"
        raise RuleBroken("context", f"it takes {size} bytes; the limit is {CONTEXT_LIMIT}", remedy)


def require_feedback(feedback: str) -> None:
    if not feedback.strip():
        raise RuleBroken("feedback_required", "say what should be different")


def require_parent(task_id: str, command: CreateTask | ReparentTask, context: Context) -> None:
    """The parent is the actor's, not over, and neither a part of the task nor something that it waits for."""
    if command.parent_id is None:
        return
    parent = context.parent
    if parent is not None:
        require_concern(parent, context.actor, type(command).__name__)
    if parent is not None and parent.status in (TaskStatus.DELETED, TaskStatus.CANCELLED):
        reason = f"task {command.parent_id} is {parent.status}"
        raise RuleBroken(f"{parent.status}_parent", reason, "name another parent, or none")
    if parent is not None and parent.status is TaskStatus.COMPLETED and parent.rolls_up:
        reason = f"task {command.parent_id} has completed with its parts"
        raise RuleBroken("completed_parent", reason, "name another parent, or none")
    lineage = context.lineage or (command.parent_id,)
    if task_id in lineage:
        path = (*lineage[: lineage.index(task_id) + 1],)
        raise CyclicParent(aggregate="task", aggregate_id=task_id, command=type(command).__name__, path=path)
    require_no_circle(task_id, command, context)


def require_no_circle(task_id: str, command: Command[Task], context: Context) -> None:
    """No task waits for itself, be it through others."""
    if path := context.waiting_circle:
        raise CyclicDependency(aggregate="task", aggregate_id=task_id, command=type(command).__name__, path=path)


def require_labels(labels: tuple[str, ...]) -> None:
    for label in labels:
        if not label.strip() or label != label.strip() or len(label) > LABEL_LIMIT:
            reason = f"{label!r} is not a label of 1 to {LABEL_LIMIT} characters without blanks around it"
            raise RuleBroken("labels", reason)


def require_locks(names: tuple[str, ...], patterns: tuple[str, ...]) -> None:
    """Refuse locks that are too many, or that nothing can be named or matched by."""
    for name in names:
        if not name.strip() or name != name.strip() or not name.isprintable() or len(name) > LOCK_LENGTH:
            reason = f"{name!r} is not a name of 1 to {LOCK_LENGTH} characters without blanks around it"
            raise RuleBroken("locks", reason, "write it like deploy")
    for field, given in (("locks", names), ("locked_paths", patterns)):
        if len(given) > LOCK_LIMIT:
            raise RuleBroken(field, f"there are {len(given)}, and at most {LOCK_LIMIT} are possible", "name fewer")
    try:
        for pattern in patterns:
            require_pattern(pattern, "locked_paths")
    except InvalidInput as error:
        raise RuleBroken("locked_paths", error.reason, error.remedy) from None


def require_deciders(creator: Actor, spec: TaskSpec) -> None:
    """Refuse terms under which no one could approve the work.

    In the mode ``auto`` too: a policy, or the agent, may have a human decide.
    """
    if actor_kind(creator) == "agent" and not spec.reviewers and spec.approval_mode is not ApprovalMode.AUTO:
        reason = "no human could approve a task that an agent created without reviewers"
        raise RuleBroken("reviewers_required", reason, "name its reviewers")
    if spec.quorum == 1 and not spec.levels and not spec.no_self_approval:
        return
    own = [actor_name(creator)] if actor_kind(creator) == "human" else []
    barred = own or [name for name in (spec.on_behalf_of,) if name is not None]
    others = {*(barred if spec.no_self_approval else ()), *(name for level in spec.levels for name in level.reviewers)}
    first = [name for name in dict.fromkeys((*own, *spec.reviewers)) if name not in others]
    levels = [replace(level, reviewers=without(level.reviewers, spec, barred)) for level in spec.levels]
    if problem := asking_problem(first, spec.quorum, levels):
        raise problem


def without(names: Sequence[str], spec: TaskSpec, creator: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in names if not (spec.no_self_approval and name in creator))
