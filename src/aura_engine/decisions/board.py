"""Decisions about boards.

Source: specification, "Status Model (Hybrid)": columns are customizable and map to canonical states; rules validate
what people move without weakening what the engine enforces.

Who may do what: humans lay out boards and move cards; AURA itself (``system:``) lays out, places, removes, and has
cards follow their tasks; agents act on tasks only, and their cards follow.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from aura_contracts.aggregate import Command
from aura_contracts.board import (
    BOARD,
    USER_MOVES,
    AddColumn,
    ArchiveBoard,
    Board,
    BoardArchived,
    BoardCommandRefused,
    BoardCreated,
    BoardRenamed,
    CanonicalState,
    CardMoved,
    CardPlaced,
    CardRemoved,
    Column,
    ColumnAdded,
    ColumnDefinition,
    ColumnRemapped,
    ColumnRemoved,
    ColumnRenamed,
    ColumnRulesSet,
    ColumnsReordered,
    CreateBoard,
    FollowTask,
    MoveCard,
    MoveRule,
    PlaceCard,
    RecordBoardRefusal,
    RemapColumn,
    RemoveCard,
    RemoveColumn,
    RenameBoard,
    RenameColumn,
    ReorderColumns,
    SetColumnRules,
    SetWipLimit,
    WipLimitSet,
    column_of_card,
    column_of_state,
)
from aura_contracts.errors import AggregateNotFound
from aura_engine.decisions._decider import (
    Context,
    Decider,
    Events,
    NotAllowed,
    RuleBroken,
    becomes,
    is_human,
    no_agent,
    only_system,
)

NAME_LIMIT = 100
"""Characters of the name of a board or a column, which is a heading."""

COLUMN_LIMIT = 50
"""Columns of one board."""


# --- Rules ------------------------------------------------------------------------------------------------------------


RULE_TEXTS: Mapping[MoveRule, str] = MappingProxyType(
    {
        MoveRule.CLEAN_GIT: "its worktrees hold nothing uncommitted",
        MoveRule.NO_PROCESS: "no agent works on its task",
        MoveRule.APPROVALS_ANSWERED: "no question about its task waits for a human",
    }
)
"""Rule -> what it demands."""

_no_agent = no_agent("agents act on tasks; their cards follow")


def _require_human(state: Board, command: MoveCard, context: Context) -> None:
    if not is_human(context):
        reason = "only humans move cards; AURA has them follow their tasks"
        raise NotAllowed("only_human", reason, "ask a human to move it")


def _require_column(state: Board, column_id: str, command: Command[Board]) -> Column:
    for column in state.columns:
        if column.id == column_id:
            return column
    raise AggregateNotFound(
        aggregate="column",
        aggregate_id=f"{state.id}/{column_id}",
        command=type(command).__name__,
        remedy=f"the columns are {', '.join(column.id for column in state.columns)}",
    )


def _require_card(state: Board, command: MoveCard | RemoveCard) -> Column:
    """Return the column that holds the card."""
    if column := column_of_card(state, command.task_id):
        return column
    raise AggregateNotFound(
        aggregate="card",
        aggregate_id=f"{state.id}/{command.task_id}",
        command=type(command).__name__,
        remedy="place the task on the board first",
    )


def _require_name(name: str) -> None:
    if not name.strip() or len(name) > NAME_LIMIT:
        reason = f"a name has 1 to {NAME_LIMIT} characters, this one has {len(name.strip())}"
        raise RuleBroken("name", reason)


def _require_columns(columns: Sequence[ColumnDefinition]) -> None:
    """Check the columns of a board as they would be after the command."""
    if len(columns) > COLUMN_LIMIT:
        reason = f"a board has at most {COLUMN_LIMIT} columns, this one would have {len(columns)}"
        raise RuleBroken("columns", reason)
    ids: set[str] = set()
    names: set[str] = set()
    for column in columns:
        _require_name(column.name)
        if not column.id.strip() or column.id in ids:
            reason = f"the id {column.id!r} is blank or belongs to another column"
            raise RuleBroken("column_id", reason)
        if (name := column.name.strip().casefold()) in names:
            reason = f"another column is named {column.name.strip()!r}; case does not count"
            raise RuleBroken("duplicate_name", reason, "choose another name")
        _require_limit(column.wip_limit)
        ids.add(column.id)
        names.add(name)
    if homeless := [state for state in CanonicalState if state not in {column.state for column in columns}]:
        reason = f"no column would be left for tasks that are {', '.join(homeless)}"
        remedy = "map a column to each canonical state"
        raise RuleBroken("canonical_state_without_column", reason, remedy)


def _require_limit(limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise RuleBroken("limit", f"a limit is at least 1, not {limit}")


def _require_empty(column: Column) -> None:
    if column.cards:
        reason = f"column {column.name!r} holds {len(column.cards)} cards"
        raise RuleBroken("column_not_empty", reason, "move its cards first")


def _require_room(column: Column) -> None:
    if column.wip_limit is not None and len(column.cards) >= column.wip_limit:
        reason = f"column {column.name!r} holds {len(column.cards)} cards and its limit is {column.wip_limit}"
        remedy = "move a card out of it, or raise the limit"
        raise RuleBroken("wip_limit", reason, remedy)


def _require_allowed_move(target: Column, command: MoveCard) -> None:
    source = command.task_state
    if target.state is not source and target.state not in USER_MOVES[source]:
        reason = f"the task is {source}; column {target.name!r} is for tasks that are {target.state}"
        moves = ", ".join(USER_MOVES[source])
        remedy = f"from {source} a card can move to {moves}" if moves else f"a task that is {source} stays so"
        raise RuleBroken("move", reason, remedy)


def _require_met(target: Column, command: PlaceCard | MoveCard) -> None:
    if unmet := [rule for rule in target.rules if rule not in command.met]:
        reason = f"column {target.name!r} takes a card only if {RULE_TEXTS[unmet[0]]}"
        raise RuleBroken(unmet[0].value, reason, "change that first, or choose another column")


def _rank(column: Column, command: PlaceCard | MoveCard) -> int:
    """Return the actual rank of the card: None, or a rank below the bottom, means the bottom."""
    others = sum(card != command.task_id for card in column.cards)
    return others if command.rank is None else max(0, min(command.rank, others))


# --- Layout -----------------------------------------------------------------------------------------------------------


def _trimmed(column: ColumnDefinition) -> ColumnDefinition:
    rules = tuple(dict.fromkeys(column.rules))
    return ColumnDefinition(
        id=column.id, name=column.name.strip(), state=column.state, wip_limit=column.wip_limit, rules=rules
    )


def _create(_: None, command: CreateBoard, context: Context) -> Events:
    layout = command.layout
    _require_name(layout.name)
    _require_columns(layout.columns)
    columns = tuple(_trimmed(column) for column in layout.columns)
    return [BoardCreated(board_id=command.board_id, layout=replace(layout, name=layout.name.strip(), columns=columns))]


def _rename(state: Board, command: RenameBoard, context: Context) -> Events:
    _require_name(command.name)
    return [BoardRenamed(name=command.name.strip())] if command.name.strip() != state.name else []


def _add_column(state: Board, command: AddColumn, context: Context) -> Events:
    _require_columns((*state.columns, command.column))
    last = len(state.columns)
    index = last if command.index is None else max(0, min(command.index, last))
    return [ColumnAdded(column=_trimmed(command.column), index=index)]


def _changed(board: Board, column: Column, /, **changes: Any) -> list[ColumnDefinition]:
    """Return the board's columns, one of them changed."""
    return [replace(each, **changes) if each is column else each for each in board.columns]


def _rename_column(state: Board, command: RenameColumn, context: Context) -> Events:
    column = _require_column(state, command.column_id, command)
    _require_columns(_changed(state, column, name=command.name))
    name = command.name.strip()
    return [ColumnRenamed(column_id=column.id, name=name)] if name != column.name else []


def _remove_column(state: Board, command: RemoveColumn, context: Context) -> Events:
    column = _require_column(state, command.column_id, command)
    _require_empty(column)
    _require_columns([each for each in state.columns if each is not column])
    return [ColumnRemoved(column_id=column.id)]


def _reorder(state: Board, command: ReorderColumns, context: Context) -> Events:
    order = tuple(column.id for column in state.columns)
    if sorted(command.order) != sorted(order):
        reason = f"the order names {', '.join(command.order) or 'nothing'}"
        remedy = f"name each of {', '.join(order)} once"
        raise RuleBroken("order", reason, remedy)
    return [ColumnsReordered(order=command.order)] if command.order != order else []


def _remap_column(state: Board, command: RemapColumn, context: Context) -> Events:
    column = _require_column(state, command.column_id, command)
    if command.state is column.state:
        return []
    _require_empty(column)
    _require_columns(_changed(state, column, state=command.state))
    return [ColumnRemapped(column_id=column.id, state=command.state)]


def _set_limit(state: Board, command: SetWipLimit, context: Context) -> Events:
    column = _require_column(state, command.column_id, command)
    _require_limit(command.limit)
    return [WipLimitSet(column_id=column.id, limit=command.limit)] if command.limit != column.wip_limit else []


def _set_rules(state: Board, command: SetColumnRules, context: Context) -> Events:
    column, rules = _require_column(state, command.column_id, command), tuple(dict.fromkeys(command.rules))
    return [ColumnRulesSet(column_id=column.id, rules=rules)] if rules != column.rules else []


# --- Cards ------------------------------------------------------------------------------------------------------------


def _place(state: Board, command: PlaceCard, context: Context) -> Events:
    held = column_of_card(state, command.task_id)
    if command.column_id is not None:
        column = _require_column(state, command.column_id, command)
    else:
        column = held if held and held.state is command.task_state else column_of_state(state, command.task_state)
    if held is column:
        return []
    if held is not None:
        reason = f"the card is in column {held.name!r} already"
        raise RuleBroken("card_exists", reason, "move it")
    if column.state is not command.task_state:
        reason = f"the task is {command.task_state}; column {column.name!r} is for tasks that are {column.state}"
        remedy = "place it in a column of its state, then move it"
        raise RuleBroken("task_state", reason, remedy)
    if is_human(context):
        _require_room(column)
        if command.column_id is not None:
            _require_met(column, command)
    return [CardPlaced(task_id=command.task_id, column_id=column.id, rank=_rank(column, command))]


def _move(state: Board, command: MoveCard, context: Context) -> Events:
    source = _require_card(state, command)
    target = _require_column(state, command.to_column, command)
    _require_allowed_move(target, command)
    rank = _rank(target, command)
    if target is source:
        if rank == source.cards.index(command.task_id):
            return []
    else:
        _require_room(target)
        _require_met(target, command)
    return [CardMoved(task_id=command.task_id, from_column=source.id, to_column=target.id, rank=rank)]


def _follow(state: Board, command: FollowTask, context: Context) -> Events:
    source = column_of_card(state, command.task_id)
    if source is None or source.state is command.task_state:
        return []
    target = column_of_state(state, command.task_state)
    rank = len(target.cards)
    return [CardMoved(task_id=command.task_id, from_column=source.id, to_column=target.id, rank=rank)]


def _remove_card(state: Board, command: RemoveCard, context: Context) -> Events:
    _require_card(state, command)
    return [CardRemoved(task_id=command.task_id)]


BOARD_DECIDER = Decider(
    BOARD,
    {
        CreateBoard: (_no_agent, _create),
        RenameBoard: (_no_agent, _rename),
        AddColumn: (_no_agent, _add_column),
        RenameColumn: (_no_agent, _rename_column),
        RemoveColumn: (_no_agent, _remove_column),
        ReorderColumns: (_no_agent, _reorder),
        RemapColumn: (_no_agent, _remap_column),
        SetWipLimit: (_no_agent, _set_limit),
        SetColumnRules: (_no_agent, _set_rules),
        PlaceCard: (_no_agent, _place),
        MoveCard: (_require_human, _move),
        FollowTask: (only_system("only AURA has cards follow their tasks"), _follow),
        RemoveCard: (_no_agent, _remove_card),
        ArchiveBoard: (_no_agent, becomes(BoardArchived)),
        RecordBoardRefusal: (only_system("AURA records refusals"), becomes(BoardCommandRefused)),
    },
)
