"""Overlaps: other unfinished tasks whose recorded changes are of the same files, for the human who reviews a task.

Recorded are the paths of changes that were proposed: from the review of a task on, also while its agent revises them or
its merge waits. It takes a page each of tasks, approvals and workspaces, and nothing of git.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from aura_contracts.approval import Approval, ApprovalKind
from aura_contracts.ids import TaskId
from aura_contracts.plain_data import Plain
from aura_contracts.ports.read_models import LIMIT, ApprovalQuery, TaskQuery, WorkspaceQuery
from aura_contracts.task import Task, TaskStatus
from aura_contracts.workspace import WORKSPACE, Workspace
from aura_engine.facade.core import Core
from aura_engine.runtime.views import workspace_of

FILES_LIMIT = 20
"""The most files that an overlap names."""

_UNFINISHED = (TaskStatus.IN_PROGRESS, TaskStatus.AWAITING_APPROVAL, TaskStatus.APPROVED, TaskStatus.BLOCKED)

_File = tuple[str, str]
"""What identifies a repository, and a path in it."""


class Overlap(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """Another unfinished task that changes some of the files that a question is about."""

    task_id: TaskId
    title: str
    status: TaskStatus
    files: int
    """How many files both change."""
    paths: tuple[str, ...]
    """Those files, in order; the first 20 of many."""


async def overlaps_of(core: Core, asked: Approval) -> Sequence[Overlap]:
    """Return what overlaps with the changes that a question is about, newest task first; see `Approvals.overlaps`."""
    own = None if asked.task_id is None else await core.bus.fetch(WORKSPACE, workspace_of(asked.task_id))
    changed = _changes(asked, own)
    if not changed:
        return ()
    found = list[Overlap]()
    tasks = (await core.reads.list(TaskQuery(status=_UNFINISHED, limit=LIMIT))).rows
    others = await _proposals(core, (task for task in tasks if task.id != asked.task_id), {path for _, path in changed})
    workspaces = await _workspaces(core, (task.id for task, _ in others))
    for task, proposal in others:
        both = sorted({path for _, path in changed & _changes(proposal, workspaces.get(task.id))})
        if both:
            paths = tuple(both[:FILES_LIMIT])
            found.append(Overlap(task_id=task.id, title=task.title, status=task.status, files=len(both), paths=paths))
    return tuple(found)


async def _proposals(core: Core, tasks: Iterable[Task], paths: set[str]) -> Sequence[tuple[Task, Approval]]:
    """Return the tasks whose latest proposal changes one of these paths, in whichever repository."""
    asking = {task.approval_id: task for task in tasks if task.approval_id is not None}
    if not asking:
        return ()
    query = ApprovalQuery(id=tuple(asking), kind=ApprovalKind.CHANGES, limit=LIMIT)
    proposals = {proposal.id: proposal for proposal in (await core.reads.list(query)).rows}
    return [
        (task, proposals[approval_id])
        for approval_id, task in asking.items()
        if approval_id in proposals and not paths.isdisjoint(_paths(proposals[approval_id]))
    ]


async def _workspaces(core: Core, tasks: Iterable[TaskId]) -> Mapping[str, Workspace]:
    named = tuple(tasks)
    query = WorkspaceQuery(task=named, limit=LIMIT)
    return {one.task_id: one for one in (await core.reads.list(query)).rows} if named else {}


def _paths(proposal: Approval) -> Sequence[str]:
    change = proposal.evidence.change
    return () if change is None or change.paths is None else change.paths


def _changes(proposal: Approval, workspace: Workspace | None) -> frozenset[_File]:
    """Return the files that a proposal changes; none if it does not say of which repository they are."""
    change = proposal.evidence.change
    if proposal.kind is not ApprovalKind.CHANGES or change is None or workspace is None:
        return frozenset()
    known = {one.name: one.identity for one in workspace.repositories}
    counts = change.repositories or (dict.fromkeys(known, change.files + change.renames) if len(known) == 1 else {})
    names = [name for name, count in counts.items() for _ in range(count)]
    return frozenset((known[name], path) for name, path in zip(names, _paths(proposal), strict=False) if name in known)
