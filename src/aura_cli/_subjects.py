"""Subjects: looks up what the rows of a list are about, many at once."""

import os.path
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from aura_cli._call import all_rows
from aura_cli.rendering.subject import Subject
from aura_contracts.approval import Approval
from aura_contracts.task import Task, TaskStatus

if TYPE_CHECKING:
    from aura_engine import Engine

_AT_ONCE = 500
"""Tasks to look up at once: a database takes only so many parameters."""


async def subjects_of(engine: "Engine", tasks: Sequence[Task]) -> dict[str, Subject]:
    """Return the subjects of tasks, by their ids."""
    ids = [task.id for task in tasks]
    # A page of all workspaces is read faster than those of as many named tasks.
    filters = {"task": ids} if len(ids) <= _AT_ONCE else {}
    places = {one.task_id: one for one in await all_rows(engine.workspaces.list, **filters)}
    return {task.id: Subject.of(task, places.get(task.id)) for task in tasks}


async def tasks_of(engine: "Engine", ids: Iterable[str]) -> list[Task]:
    """Return tasks, deleted ones too, by their ids."""
    tasks: list[Task] = []
    for some in _in_parts(sorted(set(ids))):
        tasks += await all_rows(engine.tasks.list, id=some, status=tuple(TaskStatus))
    return tasks


async def subjects_of_approvals(engine: "Engine", approvals: Sequence[Approval]) -> dict[str, Subject]:
    """Return the subject of each approval, by its id."""
    tasks = await tasks_of(engine, (one.task_id for one in approvals if one.task_id is not None))
    known = await subjects_of(engine, tasks)
    return {one.id: known.get(one.task_id or "", Subject()) for one in approvals}


def here() -> str:
    """Return the real path of the current folder, which says what is about this repository."""
    return os.path.realpath(".")


def _in_parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))
