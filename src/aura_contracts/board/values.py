"""The values of boards: see `aura_contracts.board`."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec

from aura_contracts.aggregate import Command
from aura_contracts.ids import TaskId
from aura_contracts.task import Task, TaskStatus
from aura_contracts.task import commands as task_commands


class BoardStatus(StrEnum):
    OPEN = "open"
    ARCHIVED = "archived"


class CanonicalState(StrEnum):
    """The state of a piece of work, in the terms that the engine uses (specification, "Status Model")."""

    BACKLOG = "backlog"
    READY = "ready"
    RUNNING = "running"
    REVIEW = "review"
    DONE = "done"
    CANCELLED = "cancelled"
    BLOCKED = "blocked"


_C = CanonicalState


# --- Canonical states -------------------------------------------------------------------------------------------------


_OF_TASK: Mapping[TaskStatus, CanonicalState] = MappingProxyType(
    {
        TaskStatus.PENDING: _C.BACKLOG,  # or ready, when it is queued
        TaskStatus.IN_PROGRESS: _C.RUNNING,
        TaskStatus.APPROVED: _C.RUNNING,
        TaskStatus.AWAITING_APPROVAL: _C.REVIEW,
        TaskStatus.COMPLETED: _C.DONE,
        TaskStatus.CANCELLED: _C.CANCELLED,
        TaskStatus.DELETED: _C.CANCELLED,
        TaskStatus.REJECTED: _C.BLOCKED,
        TaskStatus.FAILED: _C.BLOCKED,
        TaskStatus.BLOCKED: _C.BLOCKED,
    }
)


def canonical_of_task(task: Task) -> CanonicalState:
    """Return the canonical state of a task. A pending task is ready if it is queued, otherwise in the backlog."""
    if task.status is TaskStatus.PENDING and task.queued:
        return CanonicalState.READY
    return _OF_TASK[task.status]


USER_MOVES: Mapping[CanonicalState, Mapping[CanonicalState, tuple[type[Command[Task]], ...]]] = MappingProxyType(
    {
        _C.BACKLOG: {
            _C.READY: (task_commands.QueueTask,),
            _C.RUNNING: (task_commands.AssignTask,),
            _C.CANCELLED: (task_commands.CancelTask,),
        },
        _C.READY: {
            _C.BACKLOG: (task_commands.UnqueueTask,),
            _C.RUNNING: (task_commands.AssignTask,),
            _C.CANCELLED: (task_commands.CancelTask,),
        },
        _C.RUNNING: {
            _C.READY: (task_commands.UnassignTask,),
            _C.BLOCKED: (task_commands.BlockTask,),
            _C.CANCELLED: (task_commands.CancelTask,),
        },
        _C.REVIEW: {
            _C.RUNNING: (task_commands.RequestTaskChanges,),
            _C.CANCELLED: (task_commands.CancelTask,),
        },
        _C.BLOCKED: {
            _C.RUNNING: (task_commands.UnblockTask, task_commands.RetryTask, task_commands.AssignTask),
            _C.CANCELLED: (task_commands.CancelTask,),
        },
        _C.DONE: {},
        _C.CANCELLED: {},
    }
)
"""From state -> to state -> task commands for that move; the first one that the task accepts is sent. Moves that are
not listed are not open to people."""


# --- Columns ----------------------------------------------------------------------------------------------------------


class ColumnDefinition(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The definition of a column. `id` is chosen with it and stays when the name changes."""

    id: str
    name: str
    state: CanonicalState
    wip_limit: int | None = None
    """The most cards that people may put into it (work in progress), at least 1; None means unlimited."""


class Column(ColumnDefinition, frozen=True, kw_only=True, gc=False):
    """A column and its cards."""

    cards: tuple[TaskId, ...] = ()
    """Top to bottom."""


DEFAULT_COLUMNS = tuple(ColumnDefinition(id=state.value, name=state.value.capitalize(), state=state) for state in _C)
"""Backlog, Ready, Running, Review, Done, Cancelled, Blocked: one column for each canonical state, without limits."""


class BoardLayout(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The definition of a board."""

    name: str
    project: str | None = None
    columns: tuple[ColumnDefinition, ...] = DEFAULT_COLUMNS
    """Left to right."""
