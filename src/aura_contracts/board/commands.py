"""The commands of boards: see `aura_contracts.board`."""

from aura_contracts.aggregate import Command
from aura_contracts.board import event_types as events
from aura_contracts.board.state import Board
from aura_contracts.board.values import BoardLayout, CanonicalState, ColumnDefinition, MoveRule
from aura_contracts.events import CommandRefusal
from aura_contracts.ids import BoardId, TaskId


class CreateBoard(Command[Board], frozen=True, kw_only=True):
    """Create a board."""

    emits = (events.BoardCreated,)
    board_id: BoardId
    layout: BoardLayout


class RenameBoard(Command[Board], frozen=True, kw_only=True):
    """Rename the board."""

    emits = (events.BoardRenamed,)
    name: str


class AddColumn(Command[Board], frozen=True, kw_only=True):
    """Add a column at `index`, counted from the left and starting at 0; None adds it on the right."""

    emits = (events.ColumnAdded,)
    column: ColumnDefinition
    index: int | None = None


class RenameColumn(Command[Board], frozen=True, kw_only=True):
    """Rename a column."""

    emits = (events.ColumnRenamed,)
    column_id: str
    name: str


class RemoveColumn(Command[Board], frozen=True, kw_only=True):
    """Remove an empty column."""

    emits = (events.ColumnRemoved,)
    column_id: str


class ReorderColumns(Command[Board], frozen=True, kw_only=True):
    """Reorder the columns, from left to right; name each column once."""

    emits = (events.ColumnsReordered,)
    order: tuple[str, ...]


class RemapColumn(Command[Board], frozen=True, kw_only=True):
    """Map an empty column to another canonical state."""

    emits = (events.ColumnRemapped,)
    column_id: str
    state: CanonicalState


class SetWipLimit(Command[Board], frozen=True, kw_only=True):
    """Limit the cards that people may put into a column; None lifts the limit. Cards over the limit stay."""

    emits = (events.WipLimitSet,)
    column_id: str
    limit: int | None


class SetColumnRules(Command[Board], frozen=True, kw_only=True):
    """Replace the rules for the cards that people move into a column."""

    emits = (events.ColumnRulesSet,)
    column_id: str
    rules: tuple[MoveRule, ...]


class PlaceCard(Command[Board], frozen=True, kw_only=True):
    """Put a task on the board, in the given column of its state or in the leftmost one.

    The sender of the command looks up `task_state`. `rank` counts from the top, starting at 0; None is the bottom.
    `met` are the rules that the sender found to hold; a human who gives a column has to keep all of its rules.
    """

    emits = (events.CardPlaced,)
    task_id: TaskId
    task_state: CanonicalState
    column_id: str | None = None
    rank: int | None = None
    met: tuple[MoveRule, ...] = ()


class MoveCard(Command[Board], frozen=True, kw_only=True):
    """Move a card (by a human), to another column or within its own.

    `task_state` is the state of the task before the move. The sender looks it up, picks the task command for the move
    from `USER_MOVES`, and appends the events of both at once. `rank` is the place in the column after the move; it
    counts from the top, starting at 0, and None is the bottom. `met` are the rules that the sender found to hold.
    """

    emits = (events.CardMoved,)
    task_id: TaskId
    to_column: str
    task_state: CanonicalState
    rank: int | None = None
    met: tuple[MoveRule, ...] = ()


class FollowTask(Command[Board], frozen=True, kw_only=True):
    """Move a card to the column for its task's state (by AURA), regardless of limits.

    Does nothing if the card is not on the board, or already in a column for that state.
    """

    emits = (events.CardMoved,)
    task_id: TaskId
    task_state: CanonicalState


class RemoveCard(Command[Board], frozen=True, kw_only=True):
    """Take a card off the board."""

    emits = (events.CardRemoved,)
    task_id: TaskId


class ArchiveBoard(Command[Board], frozen=True, kw_only=True):
    """Archive the board for good."""

    emits = (events.BoardArchived,)


class RecordBoardRefusal(Command[Board], frozen=True, kw_only=True):
    """Record that an actor was not allowed to give a command."""

    emits = (events.BoardCommandRefused,)
    refusal: CommandRefusal
