"""Moving: what a move of a task on the board means, and how a task is split or called off.

A move is the first of the commands in `USER_MOVES` that the task accepts. Where it takes more than a command (somebody
to do the work, a decision with its reason), the move is refused, and the remedy names what does it.
"""

from collections.abc import Sequence

from aura_contracts import board, task
from aura_contracts.actors import agent as agent_actor
from aura_contracts.agent import Outcome, ReleaseAgent
from aura_contracts.approval import Approval, ApprovalKind, ApprovalStatus, RequestApproval
from aura_contracts.board import CanonicalState
from aura_contracts.errors import RuleViolated
from aura_contracts.ids import ApprovalId, TaskId
from aura_contracts.task import TaskStatus
from aura_engine.commands import Unit
from aura_engine.engine import Engine
from aura_engine.runtime.context import ENGINE, reviewers_of
from aura_engine.runtime.views import View, view_in

_C = CanonicalState


async def cancel(engine: Engine, task_id: TaskId, reason: str) -> None:
    """Call a task off. What it left running is ended before this returns, unless another process drives it."""
    await engine.tasks.cancel(task_id, reason)
    if (await engine.view(task_id)).execution is not None and await engine.drive(task_id):
        await engine.settled(task_id)


async def decompose(engine: Engine, task_id: TaskId, titles: Sequence[str]) -> Approval:
    """Propose to split a task, in the name of its agent; return the question. Raises `CommandRefused`."""
    desk = engine.runtime.desk
    approval_id = ApprovalId(desk.ids())
    subtasks = tuple(task.Subtask(TaskId(desk.ids()), title) for title in titles)

    async def decide(unit: Unit) -> Approval:
        view = await _view(unit, task_id)
        if _is_worked_on(view):
            reason = "an agent works on it"
            raise _refusal(task_id, "decompose", reason, "wait for it, or call the task off and split another one")
        if view.task.assigned_agent is None:
            remedy = f"aura task assign {task_id} --outside --agent ID, or --executor NAME"
            raise _refusal(task_id, "decompose", "it has no agent, who could propose to split it", remedy)
        by = unit.acting_as(agent_actor(view.task.assigned_agent))
        await by.handle(task_id, task.ProposeDecomposition(approval_id=approval_id, subtasks=subtasks))
        question = RequestApproval(
            approval_id=approval_id,
            kind=ApprovalKind.DECOMPOSITION,
            reviewers=reviewers_of(view.task),
            task_id=task_id,
            proposed_solution="\n".join(titles),
        )
        asked: Approval = await by.handle(approval_id, question)
        return asked

    return await desk.retrying(engine.user, decide)


async def move(engine: Engine, task_id: TaskId, target: CanonicalState, reason: str) -> bool:
    """Move a task to another state; return whether its agent has something to do then. Raises `CommandRefused`."""
    view = await engine.view(task_id)
    source = board.canonical_of_task(view.task)
    if source is target:
        return False
    if target not in board.USER_MOVES[source]:
        possible = ", ".join(board.USER_MOVES[source]) or "nowhere"
        remedy = f"from {source} it can be moved to {possible}" if possible != "nowhere" else "create another task"
        raise _refusal(task_id, "move", f"a task cannot be moved from {source} to {target}", remedy)
    if target is _C.CANCELLED:
        await cancel(engine, task_id, reason)
        return False
    if source is _C.BLOCKED:
        return await _go_on(engine, view, reason)
    if source is _C.REVIEW or target is _C.RUNNING:
        raise _not_here(view, source)
    desk = engine.runtime.desk
    if target is _C.BLOCKED:
        if not reason:
            raise _refusal(task_id, "move", "a reason is required", "give it with --reason TEXT")
        await desk.handle(engine.user, task_id, task.BlockTask(reason=reason))
    elif source is _C.RUNNING:
        await _give_back(engine, task_id, reason)
    else:
        queue = task.QueueTask() if target is _C.READY else task.UnqueueTask()
        await desk.handle(engine.user, task_id, queue)
    return False


async def _go_on(engine: Engine, view: View, reason: str) -> bool:
    """Have a task go on that failed, or that somebody blocked."""
    task_id = TaskId(view.task.id)
    if view.task.status is TaskStatus.FAILED:
        await engine.tasks.retry(task_id)
        return True
    conflict = view.conflict
    if conflict is not None and conflict.status is ApprovalStatus.PENDING:
        remedy = f"aura approval approve {conflict.id} when it is resolved"
        raise _refusal(task_id, "move", "the approval of a conflict is pending", remedy)
    if view.task.status is not TaskStatus.BLOCKED:
        raise _not_here(view, _C.BLOCKED)
    await engine.runtime.desk.handle(engine.user, task_id, task.UnblockTask(resolution=reason))
    return view.execution is not None


async def _give_back(engine: Engine, task_id: TaskId, reason: str) -> None:
    """Take a task from its agent, who is free then. Refused while it is worked on."""

    async def decide(unit: Unit) -> None:
        view = await _view(unit, task_id)
        if _is_worked_on(view):
            remedy = f"`aura task move {task_id} cancelled` cancels it"
            raise _refusal(task_id, "move", "an agent works on it", remedy)
        await unit.handle(task_id, task.UnassignTask(reason=reason))
        if view.agent is not None and view.agent.current_task_id == task_id:
            release = ReleaseAgent(task_id=task_id, outcome=Outcome.UNASSIGNED)
            await unit.acting_as(ENGINE).handle(view.agent.id, release)

    await engine.runtime.desk.retrying(engine.user, decide)


async def _view(unit: Unit, task_id: TaskId) -> View:
    view = await view_in(unit, task_id)
    assert view is not None, "it was looked up by its id"
    return view


def _is_worked_on(view: View) -> bool:
    """Whether an execution goes on, or another one is to follow."""
    execution = view.execution
    return execution is not None and (execution.ended_at is None or view.task.retry_at is not None)


def _not_here(view: View, source: CanonicalState) -> RuleViolated:
    """Return the refusal of a move to running that takes more than a move."""
    task_id = TaskId(view.task.id)
    if source is _C.REVIEW:
        remedy = f"aura approval reject {view.task.approval_id} --feedback TEXT"
        return _refusal(task_id, "move", "an approval is pending, and rejecting it takes a reason", remedy)
    remedy = f"aura task assign {task_id} --executor NAME, or --agent ID"
    return _refusal(task_id, "move", "it needs an agent", remedy)


def _refusal(task_id: TaskId, command: str, reason: str, remedy: str) -> RuleViolated:
    return RuleViolated(
        aggregate="task", aggregate_id=task_id, command=command, rule=command, reason=reason, remedy=remedy
    )
