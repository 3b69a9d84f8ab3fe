"""Board: columns that people name and order, over states that the engine enforces (specification, "Status Model").

    task, execution ──canonical state──► backlog │ ready │ running │ review │ done │ cancelled │ blocked
                                            ▲        ▲        ▲ ▲
    columns of a board, as named by people  Ideas    Next     Coding, Testing ...

Each column is mapped to one canonical state, and **every canonical state has at least one column**: whatever becomes of
a task, its card has a place to be. Of several columns for one state the leftmost takes the cards that arrive by
themselves; people move cards freely between them.

A card is where the state of its task says. People move it only where `USER_MOVES` has a task command for the move, so a
move never does what the task's own table forbids; nobody moves a card to done (only the engine completes) and no move
approves anything. A board holds ids of tasks, never copies of them.
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
    WithdrawProposal,
)


class BoardStatus(StrEnum):
    OPEN = "open"
    ARCHIVED = "archived"


class CanonicalState(StrEnum):
    """Where a piece of work stands, in the only words that the engine reasons with (specification, "Status Model")."""

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
"""By the words of the specification, section "Execution Model"."""


def canonical_of_task(task: Task) -> CanonicalState:
    """Return the canonical state of a task; a pending one is ready when it is queued, else in the backlog."""
    if task.status is TaskStatus.PENDING and task.queued:
        return CanonicalState.READY
    return _OF_TASK[task.status]


def canonical_of_execution(status: str) -> CanonicalState:
    """Return the canonical state of an execution by its status; raises `InvalidInput` for a word that is none."""
    try:
        return _OF_EXECUTION[status]
    except KeyError:
        raise InvalidInput(
            field="status",
            reason=f"{status!r} is no status of an execution",
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
            _C.RUNNING: (RequestTaskChanges, WithdrawProposal),
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
"""From state -> to state -> the task commands that such a move of a card means, of which the first one that the task
accepts is sent. What is not listed is no move for people."""


# --- Columns ----------------------------------------------------------------------------------------------------------


class ColumnDefinition(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A column as somebody laid it out. `id` is chosen with it and stays when the name changes."""

    id: str
    name: str
    state: CanonicalState
    wip_limit: int | None = None
    """Cards that people may put into it (work in progress), at least 1; None is no limit."""


class Column(ColumnDefinition, frozen=True, kw_only=True, gc=False):
    """A column and what is in it."""

    cards: tuple[TaskId, ...] = ()
    """From the top."""


DEFAULT_COLUMNS = tuple(ColumnDefinition(id=state.value, name=state.value.capitalize(), state=state) for state in _C)
"""Backlog, Ready, Running, Review, Done, Cancelled, Blocked: one column per canonical state, without limits."""


class BoardLayout(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A board as somebody laid it out."""

    name: str
    project: str | None = None
    columns: tuple[ColumnDefinition, ...] = DEFAULT_COLUMNS
    """From the left."""


# --- Events -----------------------------------------------------------------------------------------------------------


class BoardCreated(Event, frozen=True, kw_only=True):
    """Somebody laid out a board."""

    topic = "board.created"
    board_id: BoardId
    layout: BoardLayout


class BoardRenamed(Event, frozen=True, kw_only=True):
    """The board was given another name."""

    topic = "board.renamed"
    name: str


class ColumnAdded(Event, frozen=True, kw_only=True):
    """A column was added; `index` counts from the left, from 0."""

    topic = "board.column_added"
    column: ColumnDefinition
    index: int


class ColumnRenamed(Event, frozen=True, kw_only=True):
    """A column was given another name."""

    topic = "board.column_renamed"
    column_id: str
    name: str


class ColumnRemoved(Event, frozen=True, kw_only=True):
    """An empty column was taken off the board."""

    topic = "board.column_removed"
    column_id: str


class ColumnsReordered(Event, frozen=True, kw_only=True):
    """The columns were put into another order, from the left."""

    topic = "board.columns_reordered"
    order: tuple[str, ...]


class ColumnRemapped(Event, frozen=True, kw_only=True):
    """An empty column was mapped to another canonical state."""

    topic = "board.column_remapped"
    column_id: str
    state: CanonicalState


class WipLimitSet(Event, frozen=True, kw_only=True):
    """The number of cards that people may put into a column was limited, or the limit was lifted."""

    topic = "board.wip_limit_set"
    column_id: str
    limit: int | None


class CardPlaced(Event, frozen=True, kw_only=True):
    """A task was put on the board; `rank` counts from the top of the column, from 0."""

    topic = "board.card_placed"
    task_id: TaskId
    column_id: str
    rank: int


class CardMoved(Event, frozen=True, kw_only=True):
    """A card was moved, by a human or because the state of its task changed; `rank` counts from the top, from 0."""

    topic = "board.card_moved"
    task_id: TaskId
    from_column: str
    to_column: str
    rank: int


class CardRemoved(Event, frozen=True, kw_only=True):
    """A task was taken off the board. The task itself stays."""

    topic = "board.card_removed"
    task_id: TaskId


class BoardArchived(Event, frozen=True, kw_only=True):
    """The board was put away for good, as it was; its cards follow their tasks no longer."""

    topic = "board.archived"


# --- State ------------------------------------------------------------------------------------------------------------


class Board(BoardLayout, State, frozen=True, kw_only=True):
    """What a board is at some moment."""

    id: BoardId
    status: BoardStatus
    columns: tuple[Column, ...] = ()
    created_by: Actor
    created_at: datetime


def column_of_card(board: Board, task_id: TaskId) -> Column | None:
    """Return the column that holds the card of a task, or None."""
    return next((column for column in board.columns if task_id in column.cards), None)


def column_of_state(board: Board, state: CanonicalState) -> Column:
    """Return the leftmost column of a canonical state; there is always one."""
    return next(column for column in board.columns if column.state is state)


# --- Commands ---------------------------------------------------------------------------------------------------------


class CreateBoard(Command[Board], frozen=True, kw_only=True):
    """Lay out a board."""

    emits = (BoardCreated,)
    board_id: BoardId
    layout: BoardLayout


class RenameBoard(Command[Board], frozen=True, kw_only=True):
    """Give the board another name."""

    emits = (BoardRenamed,)
    name: str


class AddColumn(Command[Board], frozen=True, kw_only=True):
    """Add a column at `index` from the left, counted from 0; None adds it on the right."""

    emits = (ColumnAdded,)
    column: ColumnDefinition
    index: int | None = None


class RenameColumn(Command[Board], frozen=True, kw_only=True):
    """Give a column another name."""

    emits = (ColumnRenamed,)
    column_id: str
    name: str


class RemoveColumn(Command[Board], frozen=True, kw_only=True):
    """Take an empty column off the board."""

    emits = (ColumnRemoved,)
    column_id: str


class ReorderColumns(Command[Board], frozen=True, kw_only=True):
    """Put the columns into this order, from the left; every column is named once."""

    emits = (ColumnsReordered,)
    order: tuple[str, ...]


class RemapColumn(Command[Board], frozen=True, kw_only=True):
    """Map an empty column to another canonical state."""

    emits = (ColumnRemapped,)
    column_id: str
    state: CanonicalState


class SetWipLimit(Command[Board], frozen=True, kw_only=True):
    """Limit the cards that people may put into a column; None lifts the limit. Cards above it stay."""

    emits = (WipLimitSet,)
    column_id: str
    limit: int | None


class PlaceCard(Command[Board], frozen=True, kw_only=True):
    """Put a task on the board, into the leftmost column of its state or into a column of that state.

    `task_state` is looked up by whoever handles the command. `rank` counts from the top, from 0; None is the bottom.
    """

    emits = (CardPlaced,)
    task_id: TaskId
    task_state: CanonicalState
    column_id: str | None = None
    rank: int | None = None


class MoveCard(Command[Board], frozen=True, kw_only=True):
    """Move a card (by a human), to another column or within its own.

    `task_state` is the state of the task before the move, looked up by whoever handles the command; that one also sends
    the task command that the move means, see `USER_MOVES`, and appends both at once. `rank` is the place in the column
    after the move and counts from the top, from 0; None is the bottom.
    """

    emits = (CardMoved,)
    task_id: TaskId
    to_column: str
    task_state: CanonicalState
    rank: int | None = None


class FollowTask(Command[Board], frozen=True, kw_only=True):
    """Have the card of a task follow the task's state (by AURA), whatever the limits say.

    Does nothing when the card is in a column of that state already, or not on the board.
    """

    emits = (CardMoved,)
    task_id: TaskId
    task_state: CanonicalState


class RemoveCard(Command[Board], frozen=True, kw_only=True):
    """Take a task off the board."""

    emits = (CardRemoved,)
    task_id: TaskId


class ArchiveBoard(Command[Board], frozen=True, kw_only=True):
    """Put the board away for good."""

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
