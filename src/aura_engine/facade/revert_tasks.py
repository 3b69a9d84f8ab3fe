"""Reverts: a task that undoes the merged work of another one."""

from uuid import UUID, uuid5

import attrs

from aura_contracts.errors import InvalidInput
from aura_contracts.ids import TaskId
from aura_contracts.task import TASK, ApprovalMode, CreateTask, Task, TaskSpec, TaskStatus
from aura_contracts.workspace import (
    MergeStyle,
    Workspace,
)
from aura_engine import runtime
from aura_engine.decisions import TITLE_LIMIT, require_concern
from aura_engine.facade.core import Core
from aura_engine.runtime.context import reviewers_of
from aura_engine.runtime.views import another_workspace, view_in, workspace_of
from aura_engine.unit_of_work import UnitOfWork

_WITHOUT_EFFECT = frozenset({TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.DELETED})


@attrs.frozen
class Reverts:
    """Creates reverts; see `Tasks.revert`."""

    _core: Core

    async def create(self, task_id: TaskId, reason: str, by: str | None) -> Task:
        """Create the task that reverts another one, with its workspace and its run, in one append; return it."""
        actor = self._core.actor(by)

        async def decide(unit: UnitOfWork) -> Task:
            view = await view_in(unit, task_id)
            require_concern(view.task, actor, "revert")
            commits = _merged(view.task, view.workspace)
            assert view.workspace is not None, "work was merged from it"
            new_id, spec = await _new_id(unit, task_id), _spec(view.task, commits, reason)
            created = await unit.handle(new_id, CreateTask(task_id=new_id, spec=spec))
            await unit.handle(workspace_of(new_id), another_workspace(new_id, spec.title, view.workspace, commits))
            return await runtime.queue_revert(self._core.runtime, unit, created, commits)

        return await self._core.bus.transact(actor, decide)


async def _new_id(unit: UnitOfWork, task_id: TaskId) -> TaskId:
    """Return the id of the next revert of a task. The ids follow from the task's, so that two engines make one revert.

    Raises `InvalidInput` unless the reverts before had no effect or were reverted themselves.
    """
    made = await _reverts(unit, task_id)
    for other in made:
        if await _has_effect(unit, other):
            reason = f"task {other.id} reverts it already, and is {other.status}"
            raise InvalidInput(field="task", reason=reason, remedy=f"see tasks.get({other.id!r})")
    return _revert_id(task_id, len(made) + 1)


async def require_only_revert(unit: UnitOfWork, task: Task) -> None:
    """Refuse to begin a revert again after another one of the same task was made that is at work or has effect.

    Any other task may begin again. Raises `InvalidInput`.
    """
    if task.reverts is None or task.status not in _WITHOUT_EFFECT:
        return
    for other in await _reverts(unit, task.reverts):
        if other.id != task.id and await _has_effect(unit, other):
            reason = f"task {other.id} reverts the same task, and is {other.status}"
            raise InvalidInput(field="task", reason=reason, remedy=f"see tasks.get({other.id!r})")


async def _has_effect(unit: UnitOfWork, revert: Task) -> bool:
    """Whether a revert is at work or merged, and was not reverted itself."""
    if revert.status in _WITHOUT_EFFECT:
        return False
    return all(one.status is not TaskStatus.COMPLETED for one in await _reverts(unit, revert.id))


async def _reverts(unit: UnitOfWork, task_id: TaskId) -> list[Task]:
    """Return the reverts of a task as `unit` sees them, oldest first."""
    made: list[Task] = []
    while (revert := await unit.get(TASK, _revert_id(task_id, len(made) + 1))) is not None:
        made.append(revert)
    return made


def _revert_id(task_id: TaskId, number: int) -> TaskId:
    return TaskId(str(uuid5(UUID(task_id), f"revert:{number}")))


def _merged(task: Task, workspace: Workspace | None) -> dict[str, str]:
    """Return what was merged of a completed task, by repository. Raises `InvalidInput` if nothing can be reverted."""
    if task.status is not TaskStatus.COMPLETED or workspace is None:
        reason = f"it is {task.status}" if workspace is not None else "it has no workspace"
        raise InvalidInput(field="task", reason=reason, remedy="name a completed task whose work was merged")
    commits: dict[str, str] = (task.result or {}).get("merged", {})
    if not commits:
        remedy = "undo in git what it changed where it worked" if workspace.in_place else "there is nothing to undo"
        raise InvalidInput(field="task", reason="no work of it was merged", remedy=remedy)
    if workspace.merge_style is MergeStyle.REBASE:
        reason = "its work was merged commit by commit, and only the last one is known"
        raise InvalidInput(field="task", reason=reason, remedy="undo it with git revert, or by an agent")
    return dict(commits)


def _spec(task: Task, commits: dict[str, str], reason: str) -> TaskSpec:
    what = ", ".join(f"commit {commit} in {repository}" for repository, commit in commits.items())
    lines = [f"Undo what task {task.id} ({task.title}) has changed: revert {what}.", *([reason] if reason else [])]
    return TaskSpec(
        title=f"Revert: {task.title}"[:TITLE_LIMIT],
        description="\n\n".join(lines),
        priority=task.priority,
        project=task.project,
        project_reason="the task that it undoes does" if task.project else "",
        locks=task.locks,
        locked_paths=task.locked_paths,
        on_collision=task.on_collision,
        labels=task.labels,
        approval_mode=ApprovalMode.CHANGES,
        reviewers=reviewers_of(task),
        quorum=task.quorum,
        levels=task.levels,
        no_self_approval=task.no_self_approval,
        retry=task.retry,
        reverts=task.id,
    )
