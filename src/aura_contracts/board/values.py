"""The values of boards: see `aura_contracts.board`."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec

from aura_contracts.aggregate import Command
from aura_contracts.ids import TaskId
from aura_contracts.plain_data import Plain
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


class MoveRule(StrEnum):
    """What must hold of a task before a person moves its card into a column from another one."""

    CLEAN_GIT = "clean_git"
    """Its worktrees hold nothing uncommitted."""
    NO_PROCESS = "no_process"
    """No agent works on it, and none is about to."""
    APPROVALS_ANSWERED = "approvals_answered"
    """No question about it waits for a human."""


class ColumnDefinition(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The definition of a column. `id` is chosen with it and stays when the name changes."""

    id: str
    name: str
    state: CanonicalState
    wip_limit: int | None = None
    """The most cards that people may put into it (work in progress), at least 1; None means unlimited."""
    rules: tuple[MoveRule, ...] = ()
    """What must hold before people move a card into it. Cards that follow their tasks are not held up."""


class Column(ColumnDefinition, frozen=True, kw_only=True, gc=False):
    """A column and its cards."""

    cards: tuple[TaskId, ...] = ()
    """Top to bottom."""


FINISHED_KEPT = 100
"""Cards that AURA keeps in a column for tasks that are done or cancelled; older ones leave the board."""

DEFAULT_COLUMNS = tuple(ColumnDefinition(id=state.value, name=state.value.capitalize(), state=state) for state in _C)
"""Backlog, Ready, Running, Review, Done, Cancelled, Blocked: one column for each canonical state, without limits."""


class BoardLayout(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The definition of a board."""

    name: str
    project: str | None = None
    columns: tuple[ColumnDefinition, ...] = DEFAULT_COLUMNS
    """Left to right."""


class BoardChanges(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """Changes of a board, made together and in this order. Columns are named by their ids, or by their names."""

    name: str | None = None
    add: tuple[ColumnDefinition, ...] = ()
    """Columns to add on the right."""
    states: dict[str, CanonicalState] = {}
    """Empty columns, each with the state that it is mapped to."""
    limits: dict[str, int | None] = {}
    """At least 1; None lifts the limit."""
    rules: dict[str, tuple[MoveRule, ...]] = {}
    """Each column with all of its rules."""
    remove: tuple[str, ...] = ()
    """Empty columns."""
    order: tuple[str, ...] = ()
    """All columns from left to right; empty leaves the order."""
    names: dict[str, str] = {}
    """Columns with their new names."""
