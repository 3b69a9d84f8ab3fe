"""The events of boards: see `aura_contracts.board`."""

from aura_contracts.board.values import BoardLayout, CanonicalState, ColumnDefinition, MoveRule
from aura_contracts.events import CommandRefusal, Event
from aura_contracts.ids import BoardId, TaskId


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


class ColumnRulesSet(Event, frozen=True, kw_only=True):
    """The rules for the cards that people move into a column were replaced."""

    topic = "board.column_rules_set"
    column_id: str
    rules: tuple[MoveRule, ...]


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


class BoardCommandRefused(Event, frozen=True, kw_only=True):
    """An actor was not allowed to give a command; nothing else of it was recorded."""

    topic = "board.command_refused"
    refusal: CommandRefusal
