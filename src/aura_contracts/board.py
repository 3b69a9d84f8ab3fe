"""Board: columns that people name and order, over states that the engine enforces (specification, "Status Model").

    task, execution ──canonical state──► backlog │ ready │ running │ review │ done │ cancelled │ blocked
                                            ▲        ▲        ▲ ▲
    columns of a board, as named by people  Ideas    Next     Coding, Testing ...

Each column maps to one canonical state, and **every canonical state has at least one column**, so a task's card always
has a place. If several columns share a state, cards that AURA moves go to the leftmost; people move cards freely
between them.

A card sits where the state of its task says. People can only make the moves in `USER_MOVES`, each of which stands for a
task command, so a move never does anything that the task's own table forbids. No one can move a card to done (only the
engine completes tasks), and no move approves anything. A board holds the ids of tasks, never copies of them.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec.structs import asdict, replace

from aura_contracts.actors import Actor
from aura_contracts.aggregate import Aggregate, Command, Evolve, HappenedFact, State, Table, status_only
from aura_contracts.errors import InvalidInput
from aura_contracts.events import Event
from aura_contracts.ids import BoardId, TaskId
from aura_contracts.task import (
    AssignTask,
    BlockTask,
    CancelTask,
    QueueTask,
    RequestTaskChanges,
    RetryTask,
    Task,
    TaskStatus,
    UnassignTask,
    UnblockTask,
    UnqueueTask,
)


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

_OF_EXECUTION: Mapping[str, CanonicalState] = MappingProxyType(
    {
        "Queued": _C.READY,
        "PrepareWorkspace": _C.RUNNING,
        "Setup": _C.RUNNING,
        "CodingInitial": _C.RUNNING,
        "CodingFollowUp": _C.RUNNING,
        "Cleanup": _C.RUNNING,
        "Review": _C.REVIEW,
        "Done": _C.DONE,
        "Failed": _C.BLOCKED,
        "Cancelled": _C.CANCELLED,
    }
)
"""Keyed by the statuses of the specification, section "Execution Model"."""


def canonical_of_task(task: Task) -> CanonicalState:
    """Return the canonical state of a task. A pending task is ready if it is queued, otherwise in the backlog."""
    if task.status is TaskStatus.PENDING and task.queued:
        return CanonicalState.READY
    return _OF_TASK[task.status]


def canonical_of_execution(status: str) -> CanonicalState:
    """Return the canonical state for the status of an execution. Raises `InvalidInput` for an unknown status."""
    try:
        return _OF_EXECUTION[status]
    except KeyError:
        raise InvalidInput(
            field="status",
            reason=f"{status!r} is not a status of an execution",
            remedy=f"use one of {', '.join(_OF_EXECUTION)}",
        ) from None


USER_MOVES: Mapping[CanonicalState, Mapping[CanonicalState, tuple[type[Command[Task]], ...]]] = MappingProxyType(
    {
        _C.BACKLOG: {
            _C.READY: (QueueTask,),
            _C.RUNNING: (AssignTask,),
            _C.CANCELLED: (CancelTask,),
        },
        _C.READY: {
            _C.BACKLOG: (UnqueueTask,),
            _C.RUNNING: (AssignTask,),
            _C.CANCELLED: (CancelTask,),
        },
        _C.RUNNING: {
            _C.READY: (UnassignTask,),
            _C.BLOCKED: (BlockTask,),
            _C.CANCELLED: (CancelTask,),
        },
        _C.REVIEW: {
            _C.RUNNING: (RequestTaskChanges,),
            _C.CANCELLED: (CancelTask,),
        },
        _C.BLOCKED: {
            _C.RUNNING: (UnblockTask, RetryTask, AssignTask),
            _C.CANCELLED: (CancelTask,),
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


# --- Events -----------------------------------------------------------------------------------------------------------


class BoardCreated(Event, frozen=True, kw_only=True):
    """A board was created."""

    topic = "board.created"
    board_id: BoardId
    layout: BoardLayout


class BoardRenamed(Event, frozen=True, kw_only=True):
    """The board was renamed."""

    topic = "board.renamed"
    name: str


class ColumnAdded(Event, frozen=True, kw_only=True):
    """A column was added; `index` counts from the left, starting at 0."""

    topic = "board.column_added"
    column: ColumnDefinition
    index: int


class ColumnRenamed(Event, frozen=True, kw_only=True):
    """A column was renamed."""

    topic = "board.column_renamed"
    column_id: str
    name: str


class ColumnRemoved(Event, frozen=True, kw_only=True):
    """An empty column was removed."""

    topic = "board.column_removed"
    column_id: str


class ColumnsReordered(Event, frozen=True, kw_only=True):
    """The columns were reordered; `order` is from left to right."""

    topic = "board.columns_reordered"
    order: tuple[str, ...]


class ColumnRemapped(Event, frozen=True, kw_only=True):
    """An empty column was mapped to another canonical state."""

    topic = "board.column_remapped"
    column_id: str
    state: CanonicalState


class WipLimitSet(Event, frozen=True, kw_only=True):
    """The limit on cards that people may put into a column was set or lifted."""

    topic = "board.wip_limit_set"
    column_id: str
    limit: int | None


class CardPlaced(Event, frozen=True, kw_only=True):
    """A task was put on the board; `rank` counts from the top of the column, starting at 0."""

    topic = "board.card_placed"
    task_id: TaskId
    column_id: str
    rank: int


class CardMoved(Event, frozen=True, kw_only=True):
    """A card was moved, by a human or because its task changed state; `rank` counts from the top, starting at 0."""

    topic = "board.card_moved"
    task_id: TaskId
    from_column: str
    to_column: str
    rank: int


class CardRemoved(Event, frozen=True, kw_only=True):
    """A card was taken off the board. The task itself stays."""

    topic = "board.card_removed"
    task_id: TaskId


class BoardArchived(Event, frozen=True, kw_only=True):
    """The board was archived for good; its cards no longer follow their tasks."""

    topic = "board.archived"


# --- State ------------------------------------------------------------------------------------------------------------


class Board(BoardLayout, State, frozen=True, kw_only=True):
    """The state of a board."""

    id: BoardId
    status: BoardStatus
    columns: tuple[Column, ...] = ()
    created_by: Actor
    created_at: datetime


def column_of_card(board: Board, task_id: TaskId) -> Column | None:
    """Return the column with the card of a task, or None."""
    return next((column for column in board.columns if task_id in column.cards), None)


def column_of_state(board: Board, state: CanonicalState) -> Column:
    """Return the leftmost column of a canonical state; there is always one."""
    return next(column for column in board.columns if column.state is state)


# --- Commands ---------------------------------------------------------------------------------------------------------


class CreateBoard(Command[Board], frozen=True, kw_only=True):
    """Create a board."""

    emits = (BoardCreated,)
    board_id: BoardId
    layout: BoardLayout


class RenameBoard(Command[Board], frozen=True, kw_only=True):
    """Rename the board."""

    emits = (BoardRenamed,)
    name: str


class AddColumn(Command[Board], frozen=True, kw_only=True):
    """Add a column at `index`, counted from the left and starting at 0; None adds it on the right."""

    emits = (ColumnAdded,)
    column: ColumnDefinition
    index: int | None = None


class RenameColumn(Command[Board], frozen=True, kw_only=True):
    """Rename a column."""

    emits = (ColumnRenamed,)
    column_id: str
    name: str


class RemoveColumn(Command[Board], frozen=True, kw_only=True):
    """Remove an empty column."""

    emits = (ColumnRemoved,)
    column_id: str


class ReorderColumns(Command[Board], frozen=True, kw_only=True):
    """Reorder the columns, from left to right; name each column once."""

    emits = (ColumnsReordered,)
    order: tuple[str, ...]


class RemapColumn(Command[Board], frozen=True, kw_only=True):
    """Map an empty column to another canonical state."""

    emits = (ColumnRemapped,)
    column_id: str
    state: CanonicalState


class SetWipLimit(Command[Board], frozen=True, kw_only=True):
    """Limit the cards that people may put into a column; None lifts the limit. Cards over the limit stay."""

    emits = (WipLimitSet,)
    column_id: str
    limit: int | None


class PlaceCard(Command[Board], frozen=True, kw_only=True):
    """Put a task on the board, in the given column of its state or in the leftmost one.

    The sender of the command looks up `task_state`. `rank` counts from the top, starting at 0; None is the bottom.
    """

    emits = (CardPlaced,)
    task_id: TaskId
    task_state: CanonicalState
    column_id: str | None = None
    rank: int | None = None


class MoveCard(Command[Board], frozen=True, kw_only=True):
    """Move a card (by a human), to another column or within its own.

    `task_state` is the state of the task before the move. The sender looks it up, picks the task command for the move
    from `USER_MOVES`, and appends the events of both at once. `rank` is the place in the column after the move; it
    counts from the top, starting at 0, and None is the bottom.
    """

    emits = (CardMoved,)
    task_id: TaskId
    to_column: str
    task_state: CanonicalState
    rank: int | None = None


class FollowTask(Command[Board], frozen=True, kw_only=True):
    """Move a card to the column for its task's state (by AURA), regardless of limits.

    Does nothing if the card is not on the board, or already in a column for that state.
    """

    emits = (CardMoved,)
    task_id: TaskId
    task_state: CanonicalState


class RemoveCard(Command[Board], frozen=True, kw_only=True):
    """Take a card off the board."""

    emits = (CardRemoved,)
    task_id: TaskId


class ArchiveBoard(Command[Board], frozen=True, kw_only=True):
    """Archive the board for good."""

    emits = (BoardArchived,)


# --- Table ------------------------------------------------------------------------------------------------------------

_S = BoardStatus

_TABLE: Table = MappingProxyType(
    {
        None: {BoardCreated: _S.OPEN},
        _S.OPEN: {
            BoardRenamed: _S.OPEN,
            ColumnAdded: _S.OPEN,
            ColumnRenamed: _S.OPEN,
            ColumnRemoved: _S.OPEN,
            ColumnsReordered: _S.OPEN,
            ColumnRemapped: _S.OPEN,
            WipLimitSet: _S.OPEN,
            CardPlaced: _S.OPEN,
            CardMoved: _S.OPEN,
            CardRemoved: _S.OPEN,
            BoardArchived: _S.ARCHIVED,
        },
    }
)


# --- Evolve -----------------------------------------------------------------------------------------------------------


def _created(_: None, event: BoardCreated, fact: HappenedFact, status: BoardStatus) -> Board:
    return Board(
        id=event.board_id,
        status=status,
        name=event.layout.name,
        project=event.layout.project,
        columns=tuple(Column(**asdict(column)) for column in event.layout.columns),
        created_by=fact.actor,
        created_at=fact.time,
    )


def _renamed(state: Board, event: BoardRenamed, fact: HappenedFact, status: BoardStatus) -> Board:
    return replace(state, status=status, name=event.name)


def _column_added(state: Board, event: ColumnAdded, fact: HappenedFact, status: BoardStatus) -> Board:
    left, right = state.columns[: event.index], state.columns[event.index :]
    return replace(state, status=status, columns=(*left, Column(**asdict(event.column)), *right))


def _change_column(board: Board, column_id: str, /, **changes: Any) -> Board:
    columns = tuple(replace(column, **changes) if column.id == column_id else column for column in board.columns)
    return replace(board, columns=columns)


def _column_renamed(state: Board, event: ColumnRenamed, fact: HappenedFact, status: BoardStatus) -> Board:
    return replace(_change_column(state, event.column_id, name=event.name), status=status)


def _column_removed(state: Board, event: ColumnRemoved, fact: HappenedFact, status: BoardStatus) -> Board:
    columns = tuple(column for column in state.columns if column.id != event.column_id)
    return replace(state, status=status, columns=columns)


def _columns_reordered(state: Board, event: ColumnsReordered, fact: HappenedFact, status: BoardStatus) -> Board:
    columns = tuple(sorted(state.columns, key=lambda column: event.order.index(column.id)))
    return replace(state, status=status, columns=columns)


def _column_remapped(state: Board, event: ColumnRemapped, fact: HappenedFact, status: BoardStatus) -> Board:
    return replace(_change_column(state, event.column_id, state=event.state), status=status)


def _wip_limit_set(state: Board, event: WipLimitSet, fact: HappenedFact, status: BoardStatus) -> Board:
    return replace(_change_column(state, event.column_id, wip_limit=event.limit), status=status)


def _without_card(board: Board, task_id: TaskId) -> Board:
    column = column_of_card(board, task_id)
    if column is None:
        return board
    return _change_column(board, column.id, cards=tuple(card for card in column.cards if card != task_id))


def _with_card(board: Board, task_id: TaskId, column_id: str, rank: int) -> Board:
    board = _without_card(board, task_id)
    cards = next((column.cards for column in board.columns if column.id == column_id), ())
    return _change_column(board, column_id, cards=(*cards[:rank], task_id, *cards[rank:]))


def _card_placed(state: Board, event: CardPlaced, fact: HappenedFact, status: BoardStatus) -> Board:
    return replace(_with_card(state, event.task_id, event.column_id, event.rank), status=status)


def _card_moved(state: Board, event: CardMoved, fact: HappenedFact, status: BoardStatus) -> Board:
    return replace(_with_card(state, event.task_id, event.to_column, event.rank), status=status)


def _card_removed(state: Board, event: CardRemoved, fact: HappenedFact, status: BoardStatus) -> Board:
    return replace(_without_card(state, event.task_id), status=status)


_EVOLVERS: Mapping[type[Event], Evolve[Board]] = MappingProxyType(
    {
        BoardCreated: _created,
        BoardRenamed: _renamed,
        ColumnAdded: _column_added,
        ColumnRenamed: _column_renamed,
        ColumnRemoved: _column_removed,
        ColumnsReordered: _columns_reordered,
        ColumnRemapped: _column_remapped,
        WipLimitSet: _wip_limit_set,
        CardPlaced: _card_placed,
        CardMoved: _card_moved,
        CardRemoved: _card_removed,
        BoardArchived: status_only,
    }
)

BOARD = Aggregate(
    name="board",
    state=Board,
    statuses=BoardStatus,
    table=_TABLE,
    evolvers=_EVOLVERS,
    commands=(
        CreateBoard,
        RenameBoard,
        AddColumn,
        RenameColumn,
        RemoveColumn,
        ReorderColumns,
        RemapColumn,
        SetWipLimit,
        PlaceCard,
        MoveCard,
        FollowTask,
        RemoveCard,
        ArchiveBoard,
    ),
)
