"""The state of boards, its transition table and its evolvers: see `aura_contracts.board`."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from msgspec.structs import asdict, replace

from aura_contracts.actors import Actor
from aura_contracts.aggregate import Aggregate, Evolve, HappenedFact, State, Table, in_every_status, sets, status_only
from aura_contracts.board import event_types as events
from aura_contracts.board.values import BoardLayout, BoardStatus, CanonicalState, Column
from aura_contracts.events import Event
from aura_contracts.ids import BoardId, TaskId


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


# --- Table ------------------------------------------------------------------------------------------------------------


_S = BoardStatus

_TABLE: Table = MappingProxyType(
    {
        None: {events.BoardCreated: _S.OPEN},
        _S.OPEN: {
            events.BoardRenamed: _S.OPEN,
            events.ColumnAdded: _S.OPEN,
            events.ColumnRenamed: _S.OPEN,
            events.ColumnRemoved: _S.OPEN,
            events.ColumnsReordered: _S.OPEN,
            events.ColumnRemapped: _S.OPEN,
            events.WipLimitSet: _S.OPEN,
            events.ColumnRulesSet: _S.OPEN,
            events.CardPlaced: _S.OPEN,
            events.CardMoved: _S.OPEN,
            events.CardRemoved: _S.OPEN,
            events.BoardArchived: _S.ARCHIVED,
        },
    }
)


# --- Evolve -----------------------------------------------------------------------------------------------------------


def _created(_: None, event: events.BoardCreated, fact: HappenedFact, status: BoardStatus) -> Board:
    return Board(
        id=event.board_id,
        status=status,
        name=event.layout.name,
        project=event.layout.project,
        columns=tuple(Column(**asdict(column)) for column in event.layout.columns),
        created_by=fact.actor,
        created_at=fact.time,
    )


def _column_added(state: Board, event: events.ColumnAdded, fact: HappenedFact, status: BoardStatus) -> Board:
    left, right = state.columns[: event.index], state.columns[event.index :]
    return replace(state, status=status, columns=(*left, Column(**asdict(event.column)), *right))


def _change_column(board: Board, column_id: str, /, **changes: object) -> Board:
    columns = tuple(replace(column, **changes) if column.id == column_id else column for column in board.columns)
    return replace(board, columns=columns)


def _column_renamed(state: Board, event: events.ColumnRenamed, fact: HappenedFact, status: BoardStatus) -> Board:
    return replace(_change_column(state, event.column_id, name=event.name), status=status)


def _column_removed(state: Board, event: events.ColumnRemoved, fact: HappenedFact, status: BoardStatus) -> Board:
    columns = tuple(column for column in state.columns if column.id != event.column_id)
    return replace(state, status=status, columns=columns)


def _columns_reordered(state: Board, event: events.ColumnsReordered, fact: HappenedFact, status: BoardStatus) -> Board:
    columns = tuple(sorted(state.columns, key=lambda column: event.order.index(column.id)))
    return replace(state, status=status, columns=columns)


def _column_remapped(state: Board, event: events.ColumnRemapped, fact: HappenedFact, status: BoardStatus) -> Board:
    return replace(_change_column(state, event.column_id, state=event.state), status=status)


def _wip_limit_set(state: Board, event: events.WipLimitSet, fact: HappenedFact, status: BoardStatus) -> Board:
    return replace(_change_column(state, event.column_id, wip_limit=event.limit), status=status)


def _column_rules_set(state: Board, event: events.ColumnRulesSet, fact: HappenedFact, status: BoardStatus) -> Board:
    return replace(_change_column(state, event.column_id, rules=event.rules), status=status)


def _without_card(board: Board, task_id: TaskId) -> Board:
    column = column_of_card(board, task_id)
    if column is None:
        return board
    return _change_column(board, column.id, cards=tuple(card for card in column.cards if card != task_id))


def _with_card(board: Board, task_id: TaskId, column_id: str, rank: int) -> Board:
    board = _without_card(board, task_id)
    cards = next((column.cards for column in board.columns if column.id == column_id), ())
    return _change_column(board, column_id, cards=(*cards[:rank], task_id, *cards[rank:]))


def _card_placed(state: Board, event: events.CardPlaced, fact: HappenedFact, status: BoardStatus) -> Board:
    return replace(_with_card(state, event.task_id, event.column_id, event.rank), status=status)


def _card_moved(state: Board, event: events.CardMoved, fact: HappenedFact, status: BoardStatus) -> Board:
    return replace(_with_card(state, event.task_id, event.to_column, event.rank), status=status)


def _card_removed(state: Board, event: events.CardRemoved, fact: HappenedFact, status: BoardStatus) -> Board:
    return replace(_without_card(state, event.task_id), status=status)


_EVOLVERS: Mapping[type[Event], Evolve[Board]] = MappingProxyType(
    {
        events.BoardCreated: _created,
        events.BoardRenamed: sets("name"),
        events.ColumnAdded: _column_added,
        events.ColumnRenamed: _column_renamed,
        events.ColumnRemoved: _column_removed,
        events.ColumnsReordered: _columns_reordered,
        events.ColumnRemapped: _column_remapped,
        events.WipLimitSet: _wip_limit_set,
        events.ColumnRulesSet: _column_rules_set,
        events.CardPlaced: _card_placed,
        events.CardMoved: _card_moved,
        events.CardRemoved: _card_removed,
        events.BoardArchived: status_only,
        events.BoardCommandRefused: status_only,
    }
)

BOARD = Aggregate(
    name="board",
    state=Board,
    statuses=BoardStatus,
    table=in_every_status(_TABLE, events.BoardCommandRefused, BoardStatus),
    after_the_end=frozenset({events.BoardCommandRefused}),
    evolvers=_EVOLVERS,
)
