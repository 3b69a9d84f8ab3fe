"""Boards: columns that people name, and the cards of tasks in them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Unpack

import attrs
import msgspec
from msgspec.structs import asdict

from aura_contracts.actors import ENGINE
from aura_contracts.aggregate import Command
from aura_contracts.approval import ApprovalStatus
from aura_contracts.board import (
    BOARD,
    DEFAULT_COLUMNS,
    AddColumn,
    ArchiveBoard,
    Board,
    BoardChanges,
    BoardLayout,
    BoardStatus,
    CanonicalState,
    Column,
    ColumnDefinition,
    CreateBoard,
    FollowTask,
    MoveCard,
    MoveRule,
    PlaceCard,
    RemapColumn,
    RemoveCard,
    RemoveColumn,
    RenameBoard,
    RenameColumn,
    ReorderColumns,
    SetColumnRules,
    SetWipLimit,
    canonical_of_task,
    column_of_card,
)
from aura_contracts.errors import AmbiguousId, InvalidId, InvalidInput, RuleViolated
from aura_contracts.ids import BoardId, TaskId
from aura_contracts.plain_data import Plain
from aura_contracts.ports.read_models import BoardQuery
from aura_contracts.ports.rows import Page
from aura_contracts.quoting import listed
from aura_contracts.task import TASK, Task, TaskStatus
from aura_contracts.workspace import WorkspaceStatus
from aura_engine import facade, runtime
from aura_engine.facade.arguments import Kept
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.facade.options import BoardFilters
from aura_engine.runtime.views import View, view_in
from aura_engine.unit_of_work import UnitOfWork, not_found


class BoardCard(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """A card: a task on a board."""

    id: TaskId
    title: str
    status: TaskStatus
    priority: str
    agent_id: str | None = None


class BoardColumn(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """A column with its cards, top to bottom. The other fields are those of its definition."""

    id: str
    name: str
    state: CanonicalState
    wip_limit: int | None = None
    rules: tuple[MoveRule, ...] = ()
    cards: tuple[BoardCard, ...] = ()


class BoardView(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """A board as it is now, its columns from left to right."""

    id: BoardId
    name: str
    status: BoardStatus
    project: str | None = None
    columns: tuple[BoardColumn, ...] = ()


@gated
@attrs.frozen
class Boards:
    """Boards, by name or by id; columns, by name or by id. Who may do what: `aura_engine.decisions.board`."""

    _core: Core

    async def get(self, board: str) -> Board:
        """Return a board as recorded; `view` also shows what follows from tasks. Raises the errors of `view`."""
        return await self._core.stored(BOARD, await self._find(board))

    async def list(self, **filters: Unpack[BoardFilters]) -> Page[Board]:
        """Return a page of boards, newest first unless `sort` and `descending` say otherwise."""
        return await self._core.reads.list(BoardQuery(**filters))

    async def view(self, board: str) -> BoardView:
        """Return a board with its cards, each in a column of its task's present state.

        Raises `AggregateNotFound`, and `AmbiguousId` for a name that several boards have.
        """
        found, tasks = await self._core.follower.cards.arranged(await self._find(board))
        columns = tuple(_column(column, tasks) for column in found.columns)
        return BoardView(id=found.id, name=found.name, status=found.status, project=found.project, columns=columns)

    async def create(
        self,
        name: Kept[str],
        *,
        project: str | None = None,
        columns: Kept[Sequence[ColumnDefinition]] = DEFAULT_COLUMNS,
        by: str | None = None,
    ) -> Board:
        """Create a board with the unfinished tasks of a project, or of all; it takes those that are created later, too.

        Raises `RuleViolated` for columns of which none is for one of the canonical states, and `InvalidInput` for a
        project that does not exist.
        """
        ident, cards = BoardId(self._core.bus.new_id()), self._core.follower.cards
        actor = await self._core.require_member("board", ident, "create", by)
        if project is not None:
            project = (await runtime.project_of(self._core.runtime, project, (), None)).name
        layout = BoardLayout(name=name, project=project, columns=tuple(columns))
        await cards.caught_up()

        async def fill(unit: UnitOfWork) -> Board:
            tasks = {task.id: task for task in await cards.unfinished(project)}
            return await runtime.follow(unit.acting_as(ENGINE), ident, tasks, tuple(tasks))

        async def create(unit: UnitOfWork) -> Board:
            await unit.handle(ident, CreateBoard(board_id=ident, layout=layout))
            return await fill(unit)

        await self._core.bus.transact(actor, create)
        return await self._core.bus.transact(ENGINE, fill)  # with tasks that were created meanwhile

    async def edit(self, board: str, changes: Kept[BoardChanges], *, by: str | None = None) -> Board:
        """Edit a board and its columns, all at once or not at all; what `changes` does not name stays as it is.

        Raises `RuleViolated` for a column that still has cards, or that is the last one for its state.
        """
        ident = await self._find(board)

        async def decide(unit: UnitOfWork) -> Board:
            found = await unit.require(BOARD, ident)
            for make in _steps(changes):
                found = await unit.handle(ident, make(found))
            return found

        return await self._core.bus.transact(self._core.actor(by), decide)

    async def archive(self, board: str, *, by: str | None = None) -> Board:
        """Archive a board for good; its tasks stay."""
        return await self._core.bus.handle(self._core.actor(by), await self._find(board), ArchiveBoard())

    # --- Cards --------------------------------------------------------------------------------------------------------

    async def place(
        self, board: str, task: str, *, column: str | None = None, rank: int | None = None, by: str | None = None
    ) -> Board:
        """Put a task on a board, in a column of its state; `rank` counts from the top, from 0, and None is the bottom.

        That is for tasks that the board does not take by itself, and for cards that were taken off. Without `column`,
        it is where AURA would put it. Where a column that is given has rules, the task has to keep them, as in `move`.

        Raises `RuleViolated`, whose remedy says what to do instead.
        """
        ident, task_id = await self._find(board), TaskId(await self._core.find("task", task))
        await self._core.follower.cards.caught_up()

        async def decide(unit: UnitOfWork) -> Board:
            view = await view_in(unit, task_id)
            state = canonical_of_task(view.task)
            found = await unit.acting_as(ENGINE).handle(ident, FollowTask(task_id=task_id, task_state=state))
            to: Any = {"task_state": state, "rank": rank}
            if column is not None:
                target = _named(found, column)
                possible = target.state is state and column_of_card(found, task_id) is None
                to["column_id"] = target.id
                to["met"] = await self._met(found, target, view, PlaceCard) if possible else ()
            return await unit.handle(ident, PlaceCard(task_id=task_id, **to))

        return await self._core.bus.transact(self._core.actor(by), decide)

    async def remove(self, board: str, task: str, *, by: str | None = None) -> Board:
        """Take a card off a board; the task stays."""
        ident, task_id = await self._find(board), TaskId(await self._core.find("task", task))
        await self._core.follower.cards.caught_up()
        return await self._core.bus.handle(self._core.actor(by), ident, RemoveCard(task_id=task_id))

    async def move(
        self,
        board: str,
        task: str,
        column: str,
        *,
        rank: int | None = None,
        reason: Kept[str] = "",
        by: str | None = None,
    ) -> BoardView:
        """Move a card to a column, and its task to the column's state, in one step; or within its column to `rank`.

        A move stands for a command of the task, as in `Tasks.move`, and never does what that would not do: no one moves
        a card to done, and no move approves anything. Where the column has rules, the task has to keep them.

        Raises `RuleViolated`, whose remedy says what to do instead.
        """
        ident, task_id = await self._find(board), TaskId(await self._core.find("task", task))
        actor = self._core.actor(by)
        moves = facade.BoardMoves(self._core, actor)
        await self._core.follower.cards.caught_up()

        async def decide(unit: UnitOfWork) -> Sequence[Task]:
            view = await view_in(unit, task_id)
            state, engine = canonical_of_task(view.task), unit.acting_as(ENGINE)
            found = await engine.handle(ident, FollowTask(task_id=task_id, task_state=state))
            target = _named(found, column)
            met = () if task_id in target.cards else await self._met(found, target, view, MoveCard)
            to: Any = {"to_column": target.id, "task_state": state, "rank": rank, "met": met}
            await unit.handle(ident, MoveCard(task_id=task_id, **to))
            driven = await moves.add(unit, view, target.state, reason)
            after = canonical_of_task(await unit.require(TASK, task_id))
            await engine.handle(ident, FollowTask(task_id=task_id, task_state=after))
            return driven

        for one in await self._core.bus.transact(actor, decide):
            if one.execution_id is not None or one.pooled or one.decomposed:
                await self._core.drive(one.id)
        return await self.view(ident)

    async def _met(
        self, board: Board, column: Column, view: View, command: type[Command[Board]]
    ) -> tuple[MoveRule, ...]:
        """Return the rules of a column, all of which a task keeps. Raises `RuleViolated`, which says what is amiss."""
        for rule in column.rules:
            reason, remedy = await self._amiss(rule, view) or ("", "")
            if reason:
                raise RuleViolated(
                    aggregate="board",
                    aggregate_id=board.id,
                    command=command.__name__,
                    rule=rule.value,
                    reason=f"column {column.name!r} does not take the card: {reason}",
                    remedy=remedy,
                )
        return column.rules

    async def _amiss(self, rule: MoveRule, view: View) -> tuple[str, str] | None:
        """Return why a task does not keep a rule, and what to do about it; None if it does."""
        task_id = view.task.id
        match rule:
            case MoveRule.NO_PROCESS:
                if view.worked_on or view.leased:
                    return "an agent works on its task", f"wait, or tasks.interrupt({task_id!r})"
            case MoveRule.APPROVALS_ANSWERED:
                held = (view.approval, view.conflict, view.question, view.collision)
                asked = {one.id for one in held if one is not None and one.status is ApprovalStatus.PENDING}
                asked |= {one.id for one in await self._core.pending(task_id)}
                if asked:
                    names = listed(sorted(asked), 3)
                    return f"approval {names} waits for a human", "answer it first"
            case MoveRule.CLEAN_GIT:
                workspace = view.workspace
                there = workspace is not None and workspace.status not in _WITHOUT_FILES
                if there and workspace is not None:
                    found = await runtime.inspect_worktrees(self._core.runtime, workspace)
                    if found.dirty:
                        return f"its worktree {workspace.directory} has changes that are not committed", "commit them"
        return None

    async def _find(self, text: str) -> BoardId:
        """Return the id of the board that has this name, or that this id, or a part of it, means."""
        rows = (await self._core.reads.list(BoardQuery(name=text, status=BoardStatus.OPEN))).rows
        if len(rows) > 1:
            raise AmbiguousId(kind="board", text=text, candidates=tuple(row.id for row in rows))
        if rows:
            return rows[0].id
        try:
            return BoardId(await self._core.find("board", text))
        except InvalidId:
            raise not_found("board", text) from None


_WITHOUT_FILES = (WorkspaceStatus.REQUESTED, WorkspaceStatus.FAILED, WorkspaceStatus.REMOVED)


def _column(column: Column, tasks: Mapping[TaskId, Task]) -> BoardColumn:
    cards = tuple(_card(tasks[task_id]) for task_id in column.cards if task_id in tasks)
    return BoardColumn(**{**asdict(column), "cards": cards})


def _card(task: Task) -> BoardCard:
    return BoardCard(
        id=task.id, title=task.title, status=task.status, priority=str(task.priority), agent_id=task.assigned_agent
    )


def _named(board: Board, text: str) -> Column:
    """Return the column with this id or name; case does not count in a name. Raises `InvalidInput`."""
    for column in board.columns:
        if column.id == text:
            return column
    for column in board.columns:
        if column.name.casefold() == text.strip().casefold():
            return column
    names = listed([column.name for column in board.columns], 20)
    raise InvalidInput(field="column", reason=f"board {board.name!r} has no column {text!r}", remedy=f"name {names}")


def _steps(changes: BoardChanges) -> "Sequence[Any]":
    """Return functions from a board to its next command, in the order of the fields of `BoardChanges`."""

    def of(board: Board, column: str) -> str:
        return _named(board, column).id

    def make(kind: Callable[..., Command[Board]], column: str, /, **given: Any) -> Any:
        return lambda board: kind(column_id=of(board, column), **given)

    steps: list[Any] = []
    if changes.name is not None:
        steps.append(lambda _: RenameBoard(name=changes.name or ""))
    steps += [lambda _, column=column: AddColumn(column=column) for column in changes.add]
    steps += [make(RemapColumn, name, state=state) for name, state in changes.states.items()]
    steps += [make(SetWipLimit, name, limit=limit) for name, limit in changes.limits.items()]
    steps += [make(SetColumnRules, name, rules=rules) for name, rules in changes.rules.items()]
    steps += [make(RemoveColumn, name) for name in changes.remove]
    if changes.order:
        steps.append(lambda board: ReorderColumns(order=tuple(of(board, name) for name in changes.order)))
    steps += [make(RenameColumn, name, name=new) for name, new in changes.names.items()]
    return steps
