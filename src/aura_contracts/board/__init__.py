"""Board: columns that people name and order, over states that the engine enforces (specification, "Status Model").

    task, execution ──canonical state──► backlog │ ready │ running │ review │ done │ cancelled │ blocked
                                            ▲        ▲        ▲ ▲
    columns of a board, as named by people  Ideas    Next     Coding, Testing ...

Each column maps to one canonical state, and **every canonical state has at least one column**, so a task's card always
has a place. If several columns share a state, cards that AURA moves go to the leftmost; people move cards freely
between them.

A card sits where the state of its task says. People can only make the moves in `USER_MOVES`, each of which stands for a
task command, so a move never does anything that the task's own table forbids. No one can move a card to done (only the
engine completes tasks), and no move approves anything. A column may have rules (`MoveRule`) for what people move into
it. A board holds the ids of tasks, never copies of them.

A board of a project takes the tasks of that project, one without a project takes all. Of cards whose tasks are done or
cancelled, a column keeps the newest `FINISHED_KEPT`.
"""

from aura_contracts.board.commands import AddColumn as AddColumn
from aura_contracts.board.commands import ArchiveBoard as ArchiveBoard
from aura_contracts.board.commands import CreateBoard as CreateBoard
from aura_contracts.board.commands import FollowTask as FollowTask
from aura_contracts.board.commands import MoveCard as MoveCard
from aura_contracts.board.commands import PlaceCard as PlaceCard
from aura_contracts.board.commands import RecordBoardRefusal as RecordBoardRefusal
from aura_contracts.board.commands import RemapColumn as RemapColumn
from aura_contracts.board.commands import RemoveCard as RemoveCard
from aura_contracts.board.commands import RemoveColumn as RemoveColumn
from aura_contracts.board.commands import RenameBoard as RenameBoard
from aura_contracts.board.commands import RenameColumn as RenameColumn
from aura_contracts.board.commands import ReorderColumns as ReorderColumns
from aura_contracts.board.commands import SetColumnRules as SetColumnRules
from aura_contracts.board.commands import SetWipLimit as SetWipLimit
from aura_contracts.board.event_types import BoardArchived as BoardArchived
from aura_contracts.board.event_types import BoardCommandRefused as BoardCommandRefused
from aura_contracts.board.event_types import BoardCreated as BoardCreated
from aura_contracts.board.event_types import BoardRenamed as BoardRenamed
from aura_contracts.board.event_types import CardMoved as CardMoved
from aura_contracts.board.event_types import CardPlaced as CardPlaced
from aura_contracts.board.event_types import CardRemoved as CardRemoved
from aura_contracts.board.event_types import ColumnAdded as ColumnAdded
from aura_contracts.board.event_types import ColumnRemapped as ColumnRemapped
from aura_contracts.board.event_types import ColumnRemoved as ColumnRemoved
from aura_contracts.board.event_types import ColumnRenamed as ColumnRenamed
from aura_contracts.board.event_types import ColumnRulesSet as ColumnRulesSet
from aura_contracts.board.event_types import ColumnsReordered as ColumnsReordered
from aura_contracts.board.event_types import WipLimitSet as WipLimitSet
from aura_contracts.board.state import BOARD as BOARD
from aura_contracts.board.state import Board as Board
from aura_contracts.board.state import column_of_card as column_of_card
from aura_contracts.board.state import column_of_state as column_of_state
from aura_contracts.board.values import DEFAULT_COLUMNS as DEFAULT_COLUMNS
from aura_contracts.board.values import FINISHED_KEPT as FINISHED_KEPT
from aura_contracts.board.values import USER_MOVES as USER_MOVES
from aura_contracts.board.values import BoardChanges as BoardChanges
from aura_contracts.board.values import BoardLayout as BoardLayout
from aura_contracts.board.values import BoardStatus as BoardStatus
from aura_contracts.board.values import CanonicalState as CanonicalState
from aura_contracts.board.values import Column as Column
from aura_contracts.board.values import ColumnDefinition as ColumnDefinition
from aura_contracts.board.values import MoveRule as MoveRule
from aura_contracts.board.values import canonical_of_task as canonical_of_task
