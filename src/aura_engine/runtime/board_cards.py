"""Board cards: where the cards of boards are, as their tasks say.

    log of tasks ──after the cursor──► the boards that hold, or take, one of these tasks ──► FollowTask, PlaceCard

The boards are found by their index: an event of a task that moves no card reads no board.

Invariants:

- A card is in a column of its task's state, or the log holds an event of the task behind the cursor. Reading takes
  these into account without recording anything (`arranged`), so a card is never shown in the wrong column.
- One engine of a store at a time moves the cursor: see `StoreTurn`. It does so after it has recorded what follows,
  which does nothing the second time; so an engine that is killed in between loses nothing.
- What is recorded is what tasks are when it is recorded: a card that a person moved meanwhile stays where it is.
- A task is placed on a board once: when its creation is passed. A card that was taken off stays off.
- The cursor starts at the head of the log, while there is no board: a board is filled when it is created.
- What goes wrong here ends neither the engine nor a driver: the next event, or the next pause, tries again.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

import anyio
import attrs
from anyio.abc import TaskGroup

from aura_contracts.actors import ENGINE
from aura_contracts.board import (
    BOARD,
    FINISHED_KEPT,
    Board,
    BoardCreated,
    BoardStatus,
    CanonicalState,
    FollowTask,
    PlaceCard,
    RemoveCard,
    canonical_of_task,
    column_of_card,
)
from aura_contracts.errors import AuraError, CommandRefused, StoreUnavailable
from aura_contracts.events import EventRecord
from aura_contracts.ids import BoardId, TaskId
from aura_contracts.ports.event_log import Locks
from aura_contracts.ports.read_models import LIMIT, ReadModels, TaskQuery
from aura_contracts.task import TASK, Task, TaskCreated, TaskStatus
from aura_engine.runtime.board_index import BoardIndex
from aura_engine.runtime.pages import parts_of
from aura_engine.store_turn import StoreTurn
from aura_engine.unit_of_work import CommandBus, UnitOfWork

_LOG = logging.getLogger(__name__)

CURSOR = "aura:boards"
"""The name of the cursor, and of the lock of the engine that moves it."""

_LOCK_PAUSE = 0.05
"""Seconds between two attempts to take the lock."""

_FAILURE_PAUSE = 1.0
"""Seconds before the cards are looked at again after an error."""

PATIENCE = 2.0
"""Seconds that a command waits for another engine that moves the cursor."""

_OVER = frozenset({CanonicalState.DONE, CanonicalState.CANCELLED})


@attrs.define(eq=False)
class BoardCards:
    """Has the cards of all boards follow their tasks; `require_open` returns the group for background work."""

    _bus: CommandBus
    _reads: ReadModels
    _locks: Locks
    _require_open: Callable[[], TaskGroup]
    _turn: StoreTurn = attrs.field(init=False)
    _changed: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    _running: bool = attrs.field(default=False, init=False)
    _boards_exist: bool = attrs.field(default=True, init=False)
    """False once a look found none; a board that is created later is heard of."""
    _index: BoardIndex = attrs.field(init=False)
    _kept: frozenset[BoardId] = attrs.field(default=frozenset(), init=False)
    """The boards whose states are kept in memory."""

    def __attrs_post_init__(self) -> None:
        self._index = BoardIndex(self._bus.log, self._reads)
        self._turn = StoreTurn(self._locks, CURSOR)

    # --- In the background --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Have cards follow from now on, and first those whose tasks changed while no engine looked."""
        self._changed.set()
        if not self._running:
            self._running = True
            self._require_open().start_soon(self._run)

    def on_record(self, record: EventRecord) -> None:
        """Look at the cards if the event may concern one."""
        if isinstance(record.event, BoardCreated):
            self._boards_exist = True
        if self._boards_exist and record.event.topic.startswith(("task.", "board.created")):
            self.start()

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed = anyio.Event()
            try:
                while not await self.catch_up():  # noqa: ASYNC110 - another process has the lock
                    await anyio.sleep(_LOCK_PAUSE)
            except Exception as error:  # noqa: BLE001 - see the module's documentation
                level = logging.WARNING if isinstance(error, AuraError) else logging.ERROR
                _LOG.log(level, "cards do not follow their tasks yet: %s", error, exc_info=level == logging.ERROR)
                await anyio.sleep(_FAILURE_PAUSE)
                self._changed.set()

    # --- Recording ----------------------------------------------------------------------------------------------------

    async def caught_up(self) -> None:
        """Catch up before a command about a board; another engine that does so is waited for, but not for long."""
        until = anyio.current_time() + PATIENCE
        while not await self.catch_up() and anyio.current_time() < until:  # noqa: ASYNC110 - likewise
            await anyio.sleep(_LOCK_PAUSE)

    async def catch_up(self) -> bool:
        """Record what follows from all events of tasks so far. Returns False if another engine does so right now."""
        async with self._turn.brief() as taken:
            while taken and await self._step():
                pass
        return taken

    async def _step(self) -> bool:
        """Pass a page of events. Returns False at the end of the log."""
        log = self._bus.log
        head = await log.head()
        await self._update_index()
        after = await log.load_cursor(CURSOR)
        if after is None or not self._index.boards:
            if after is None or after < head:
                await log.save_cursor(CURSOR, head)
            return False
        records = await log.page(after, limit=LIMIT, topics=("task.*",))
        if not records:
            return False
        tasks = await self.tasks_of({TaskId(record.stream_id) for record in records})
        created = [TaskId(record.stream_id) for record in records if isinstance(record.event, TaskCreated)]
        moving, coming = self._concerned(tasks, created)
        for board_id in {**moving, **coming}:
            new = coming.get(board_id, [])
            await self._follow(board_id, {one.id: one for one in (*moving.get(board_id, ()), *new)}, new)
        await log.save_cursor(CURSOR, records[-1].position)
        return True

    def _concerned(
        self, tasks: Mapping[TaskId, Task], created: Sequence[TaskId]
    ) -> tuple[Mapping[BoardId, Sequence[Task]], Mapping[BoardId, Sequence[Task]]]:
        """Return by board the tasks whose cards are elsewhere, and those that it takes."""
        moving, coming = defaultdict[BoardId, list[Task]](list), defaultdict[BoardId, list[Task]](list)
        for task in tasks.values():
            for board_id in self._index.elsewhere(task):
                moving[board_id].append(task)
        for task_id in created:
            if task_id in tasks:
                for board_id in self._index.takers(tasks[task_id]):
                    coming[board_id].append(tasks[task_id])
        return moving, coming

    async def _follow(self, board_id: BoardId, tasks: Mapping[TaskId, Task], created: Sequence[Task]) -> None:
        async def decide(unit: UnitOfWork) -> None:
            await follow(unit, board_id, tasks, [task.id for task in created])

        try:
            await self._bus.transact(ENGINE, decide)
        except StoreUnavailable:
            raise
        except CommandRefused as refused:  # it was archived meanwhile
            _LOG.info("cards of board %s do not follow: %s", board_id, refused)

    async def _update_index(self) -> None:
        """Learn what has become of boards. In the background, their states are kept in memory, too.

        What other processes record on them is not heard: such a state conflicts, and is read again.
        """
        await self._index.update()
        known, states = frozenset(self._index.boards), self._bus.states
        self._boards_exist = bool(known)
        if self._running:
            states.keep(known - self._kept)
            states.release(self._kept - known)
            self._kept = known

    # --- Reading ------------------------------------------------------------------------------------------------------

    async def tasks_of(self, ids: Collection[TaskId]) -> dict[TaskId, Task]:
        """Return tasks by their ids, deleted ones too."""
        found: dict[TaskId, Task] = {}
        for part in parts_of(ids):
            page = await self._reads.list(TaskQuery(id=part, status=tuple(TaskStatus), limit=LIMIT))
            found |= {task.id: task for task in page.rows}
        return found

    async def unfinished(self, project: str | None) -> Sequence[Task]:
        """Return the tasks with which the board of a project begins, oldest first."""
        going_on = [status for status in TaskStatus if status not in _ENDED]
        query = TaskQuery(project=project, status=going_on, descending=False, limit=LIMIT)
        return [task async for task in self._reads.rows(query)]

    async def arranged(self, board_id: BoardId) -> tuple[Board, Mapping[TaskId, Task]]:
        """Return a board as it is once its cards have followed, with their tasks. Records nothing.

        Raises `AggregateNotFound`.
        """
        created = await self._new_tasks()  # before the board: what is placed meanwhile is in both
        unit = UnitOfWork(self._bus, ENGINE, "", self._bus.states.stored)
        board = await unit.require(BOARD, board_id)
        ids = {task_id for column in board.columns for task_id in column.cards}
        if board.status is BoardStatus.ARCHIVED:
            return board, await self.tasks_of(ids)
        tasks = await self.tasks_of(ids | set(created))
        return await _arrange(unit, board_id, tasks, created), tasks

    async def _new_tasks(self) -> Sequence[TaskId]:
        """Return the tasks that were created after the cursor."""
        after = await self._bus.log.load_cursor(CURSOR)
        found: list[TaskId] = []
        while after is not None:
            page = await self._bus.log.page(after, limit=LIMIT, topics=("task.created",))
            found += [TaskId(record.stream_id) for record in page]
            after = page[-1].position if len(page) == LIMIT else None
        return found


_ENDED = frozenset({TaskStatus.COMPLETED, TaskStatus.CANCELLED, TaskStatus.DELETED})


def takes(board: Board, task: Task) -> bool:
    """Whether a board takes a task when it is created."""
    return task.status is not TaskStatus.DELETED and board.project in (None, task.project)


async def follow(
    unit: UnitOfWork, board_id: BoardId, tasks: Mapping[TaskId, Task], created: Collection[TaskId] = ()
) -> Board:
    """Add to `unit` that the cards of `tasks` follow, that new tasks get one, and that old ones go; return the board.

    `created` are those of the tasks that no board had a chance to take before. `tasks` may be out of date: a card moves
    only if its task's state in `unit` says so, or it would undo what a person moved since they were read.
    """
    board = await unit.require(BOARD, board_id)
    moving = [task for task in tasks.values() if _is_elsewhere(board, task)]
    current = {task.id: await unit.require(TASK, task.id) for task in moving}
    arranged = await _arrange(unit, board_id, {**tasks, **current}, created)
    if arranged is board:  # nothing is recorded that would conflict: a state that lags has its card stay for good
        await unit.require_current()
    return arranged


def _is_elsewhere(board: Board, task: Task) -> bool:
    """Whether the card of a task is in a column of another state."""
    column = column_of_card(board, task.id)
    return column is not None and column.state is not canonical_of_task(task)


async def _arrange(
    unit: UnitOfWork, board_id: BoardId, tasks: Mapping[TaskId, Task], created: Collection[TaskId]
) -> Board:
    """Do what `follow` does, for tasks as they are given."""
    board = await unit.require(BOARD, board_id)
    for task in tasks.values():
        if _is_elsewhere(board, task):
            board = await unit.handle(board_id, FollowTask(task_id=task.id, task_state=canonical_of_task(task)))
    for task_id in created:
        new = tasks.get(task_id)
        if new is not None and takes(board, new) and column_of_card(board, task_id) is None:
            board = await unit.handle(board_id, PlaceCard(task_id=task_id, task_state=canonical_of_task(new)))
    for column in board.columns:
        if column.state in _OVER:
            for task_id in column.cards[:-FINISHED_KEPT]:
                board = await unit.handle(board_id, RemoveCard(task_id=task_id))
    return board
