"""Board index: which open boards hold the card of a task, and where; kept up to date with the log, event by event.

Looking a task up takes as long with 10,000 cards as with one, and a board is read once: what happens to it afterwards
is taken from its events. The index may lag behind the boards, so it says which of them to look at, and what is recorded
is decided on the boards themselves.
"""

from collections.abc import Iterator

import attrs

from aura_contracts.board import (
    Board,
    BoardArchived,
    BoardCreated,
    BoardStatus,
    CanonicalState,
    CardMoved,
    CardPlaced,
    CardRemoved,
    ColumnAdded,
    ColumnRemapped,
    ColumnRemoved,
    canonical_of_task,
)
from aura_contracts.events import EventRecord
from aura_contracts.ids import BoardId, TaskId
from aura_contracts.ports.event_log import EventLog
from aura_contracts.ports.read_models import LIMIT, BoardQuery, ReadModels
from aura_contracts.task import Task, TaskStatus


@attrs.define
class IndexedBoard:
    """An open board: the state that each column is for, and the column of each card, both by id."""

    project: str | None
    states: dict[str, CanonicalState]
    cards: dict[TaskId, str] = attrs.field(factory=dict)

    @classmethod
    def of(cls, board: Board) -> "IndexedBoard":
        """Return the entry of a board."""
        states = {column.id: column.state for column in board.columns}
        return cls(board.project, states, {card: column.id for column in board.columns for card in column.cards})

    def is_elsewhere(self, task: Task) -> bool:
        """Whether the card of a task is in a column of another state."""
        column_id = self.cards.get(task.id)
        return column_id is not None and self.states.get(column_id) is not canonical_of_task(task)

    def takes(self, task: Task) -> bool:
        """Whether the board takes a task that was created, and has not done so yet."""
        wanted = task.status is not TaskStatus.DELETED and self.project in (None, task.project)
        return wanted and task.id not in self.cards

    def apply(self, record: EventRecord) -> None:
        """Take over what an event of the board changes; harmless if that is known."""
        match record.event:
            case CardPlaced(task_id=task_id, column_id=column_id):
                self.cards[task_id] = column_id
            case CardMoved(task_id=task_id, to_column=column_id):
                self.cards[task_id] = column_id
            case CardRemoved(task_id=task_id):
                self.cards.pop(task_id, None)
            case ColumnAdded(column=column):
                self.states[column.id] = column.state
            case ColumnRemapped(column_id=column_id, state=state):
                self.states[column_id] = state
            case ColumnRemoved(column_id=column_id):
                self.states.pop(column_id, None)
            case _:
                pass


@attrs.define(eq=False)
class BoardIndex:
    """The open boards. Belongs to one event loop, and is updated by one task at a time."""

    _log: EventLog
    _reads: ReadModels
    boards: dict[BoardId, IndexedBoard] = attrs.field(factory=dict, init=False)
    _position: int | None = attrs.field(default=None, init=False)
    """How far the log was read; None before the boards were."""

    async def update(self) -> None:
        """Take over what the log has by now. After an error, the next call begins where this one did."""
        head = await self._log.head()
        if self._position is None or self._position > head:
            rows = self._reads.rows(BoardQuery(status=BoardStatus.OPEN, limit=LIMIT))
            self.boards = {board.id: IndexedBoard.of(board) async for board in rows}
            self._position = head  # what the boards had before that, they have; what they have since is applied again
        while records := await self._log.page(self._position, limit=LIMIT, topics=("board.*",)):
            for record in records:
                self._apply(record)
            self._position = records[-1].position
        self._position = max(self._position, head)

    def _apply(self, record: EventRecord) -> None:
        board_id = BoardId(record.stream_id)
        match record.event:
            case BoardCreated(layout=layout):
                states = {column.id: column.state for column in layout.columns}
                self.boards.setdefault(board_id, IndexedBoard(layout.project, states))
            case BoardArchived():
                self.boards.pop(board_id, None)
            case _ if (board := self.boards.get(board_id)) is not None:
                board.apply(record)
            case _:
                pass

    def elsewhere(self, task: Task) -> Iterator[BoardId]:
        """Yield the boards with the card of a task in a column of another state."""
        return (board_id for board_id, board in self.boards.items() if board.is_elsewhere(task))

    def takers(self, task: Task) -> Iterator[BoardId]:
        """Yield the boards that take a task that was created, and have not done so yet."""
        return (board_id for board_id, board in self.boards.items() if board.takes(task))
