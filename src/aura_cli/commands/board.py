"""``aura board``: columns that people name, and the cards of tasks in them."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from aura_cli._call import Invocation, all_rows, engine_of
from aura_cli.arguments.parser import add_subcommand, add_subcommands
from aura_cli.arguments.values import count, number, pair
from aura_cli.rendering.formatting import counted, state_heading
from aura_contracts.board import Board, BoardChanges, BoardStatus, CanonicalState, ColumnDefinition, MoveRule
from aura_contracts.quoting import cut, one_line

if TYPE_CHECKING:
    from aura_engine import BoardColumn

E = TypeVar("E", CanonicalState, MoveRule)

_STATES = ", ".join(CanonicalState)
_RULES = ", ".join(MoveRule)

_CREATE_EPILOG = f"""\
Each column shows the tasks of one state:
{_STATES}.
Without --column a board has one column for each of them.
"""

_EDIT_EPILOG = f"""\
A column is named by its name or id.
States: {_STATES}.
Rules: {_RULES}.
All changes are made together or not at all.
"""

_MOVE_EPILOG = """\
A move does what a command of the task does, and no more. One that needs another
command is refused, with the name of that command.
"""

_TITLE = 60
"""Characters of a title on a card."""


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    commands = add_subcommands(parser)
    listing = add_subcommand(commands, "list", "list the boards, oldest first", _list)
    listing.add_argument("--all", action="store_true", help="include archived boards")
    showing = add_subcommand(commands, "show", "show a board with its cards", _show)
    creating = add_subcommand(commands, "create", "create a board", _create, epilog=_CREATE_EPILOG)
    creating.add_argument("name", metavar="NAME", help="name of the board")
    creating.add_argument("--project", metavar="NAME", help="take the tasks of this project, not all")
    creating.add_argument(
        "--column", metavar="NAME=STATE", type=_column, action="append", default=[], help="column, from left to right"
    )
    moving = add_subcommand(commands, "move", "move a card, and its task with it", _move, epilog=_MOVE_EPILOG)
    placing = add_subcommand(commands, "place", "put a task on a board that does not take it by itself", _place)
    removing = add_subcommand(commands, "remove", "take a card off a board; its task stays", _remove)
    editing = add_subcommand(commands, "edit", "edit a board and its columns", _edit, epilog=_EDIT_EPILOG)
    archiving = add_subcommand(commands, "archive", "archive a board for good; its tasks stay", _archive)
    for command in (showing, moving, placing, removing, editing, archiving):
        command.add_argument("board", metavar="BOARD", help="the board: its name, or its id")
    for command in (moving, placing, removing):
        command.add_argument("task", metavar="ID", help="the task: its id, or a part of it")
    moving.add_argument("column", metavar="COLUMN", help="where to")
    moving.add_argument("--reason", metavar="TEXT", default="", help="why it is moved; needed to block a task")
    placing.add_argument("--column", metavar="COLUMN", help="where to, among the columns of its state")
    for command in (moving, placing):
        command.add_argument("--rank", metavar="NUMBER", type=count, help="place from the top, counted from 0")
    _configure_edit(editing)


def _configure_edit(editing: ArgumentParser) -> None:
    editing.add_argument("--name", metavar="NAME", help="its new name")
    for flag, metavar, convert, help_ in (
        ("--add", "NAME=STATE", _column, "add a column on the right"),
        ("--state", "COLUMN=STATE", _one(CanonicalState), "map an empty column to another state"),
        ("--limit", "COLUMN=NUMBER", _limit, "most cards that people may put there, or none"),
        ("--rules", "COLUMN=RULE,RULE", _several(MoveRule), "what must hold before people move a card there, or none"),
        ("--remove", "COLUMN", str, "remove an empty column"),
        ("--rename", "COLUMN=NAME", pair, "rename a column"),
    ):
        editing.add_argument(flag, metavar=metavar, type=convert, action="append", default=[], help=help_)
    editing.add_argument("--order", metavar="COLUMN,COLUMN", default="", help="all columns from left to right")


# --- Values -----------------------------------------------------------------------------------------------------------


def _member(kind: type[E], text: str) -> E:
    if text not in tuple(kind):
        raise ArgumentTypeError(f"{text!r} is not one of {', '.join(kind)}")
    return kind(text)


def _one(kind: type[E]) -> Callable[[str], tuple[str, E]]:
    def convert(text: str) -> tuple[str, E]:
        name, value = pair(text)
        return name, _member(kind, value)

    return convert


def _several(kind: type[E]) -> Callable[[str], tuple[str, tuple[E, ...]]]:
    def convert(text: str) -> tuple[str, tuple[E, ...]]:
        name, value = pair(text)
        return name, () if value == "none" else tuple(_member(kind, one.strip()) for one in value.split(","))

    return convert


def _limit(text: str) -> tuple[str, int | None]:
    name, value = pair(text)
    return name, None if value == "none" else number(value)


def _column(text: str) -> ColumnDefinition:
    """Convert ``NAME=STATE``; the id is made of the name."""
    name, state = _one(CanonicalState)(text)
    return ColumnDefinition(id="-".join(name.lower().split()), name=name, state=state)


# --- Commands ---------------------------------------------------------------------------------------------------------


async def _list(call: Invocation) -> None:
    status = None if call.arguments.all else BoardStatus.OPEN
    async with engine_of(call, read_only=True) as engine:
        boards = await all_rows(engine.boards.list, status=status)
    call.terminal.table(
        boards,
        ("id", "status", "name", "project", "columns"),
        lambda one: (one.id, one.status, one.name, one.project or "", ", ".join(each.name for each in one.columns)),
    )
    call.terminal.say(counted(len(boards), "board"))


async def _show(call: Invocation) -> None:
    async with engine_of(call, read_only=True) as engine:
        view = await engine.boards.view(call.arguments.board)
    terminal = call.terminal
    project = f" of project {view.project}" if view.project else ""
    heading = f"board {terminal.style(view.id, 'bold')} {terminal.style(view.status, 'cyan')}: {view.name}{project}"
    lines = [one_line(heading), *(line for column in view.columns for line in _column_lines(column))]
    terminal.item(view.as_dict(), "\n".join(lines))


def _column_lines(column: "BoardColumn") -> Sequence[str]:
    limit = "" if column.wip_limit is None else f" of at most {column.wip_limit}"
    rules = f"; {', '.join(column.rules)}" if column.rules else ""
    lines = ["", f"{column.name} ({column.state}): {counted(len(column.cards), 'card')}{limit}{rules}"]
    lines += [f"  {card.id}  {card.status}  {cut(card.title, _TITLE)}" for card in column.cards]
    return [one_line(line) for line in lines]


async def _create(call: Invocation) -> None:
    given = call.arguments
    more: dict[str, Any] = {"columns": given.column} if given.column else {}
    async with engine_of(call, record_only=True, make=True) as engine:
        _say(await engine.boards.create(given.name, project=given.project, **more), call)


async def _move(call: Invocation) -> None:
    given = call.arguments
    async with engine_of(call, record_only=True) as engine:
        view = await engine.boards.move(given.board, given.task, given.column, rank=given.rank, reason=given.reason)
        task = await engine.tasks.get(given.task)
    column = next(one for one in view.columns if task.id in {card.id for card in one.cards})
    text = one_line(f"task {task.id} is in {column.name}: {task.title}")
    call.terminal.item({"id": task.id, "board": view.id, "column": column.id, "status": task.status}, text)
    if not task.ended and task.execution_id is not None:
        call.terminal.say(f"`aura task resume {task.id}` has its agent continue, unless an engine drives it")


async def _place(call: Invocation) -> None:
    given = call.arguments
    async with engine_of(call, record_only=True) as engine:
        _say(await engine.boards.place(given.board, given.task, column=given.column, rank=given.rank), call)


async def _remove(call: Invocation) -> None:
    async with engine_of(call, record_only=True) as engine:
        _say(await engine.boards.remove(call.arguments.board, call.arguments.task), call)


async def _edit(call: Invocation) -> None:
    given = call.arguments
    changes = BoardChanges(
        name=given.name,
        add=tuple(given.add),
        states=dict(given.state),
        limits=dict(given.limit),
        rules=dict(given.rules),
        remove=tuple(given.remove),
        order=tuple(name.strip() for name in given.order.split(",")) if given.order else (),
        names=dict(given.rename),
    )
    async with engine_of(call, record_only=True) as engine:
        board = await engine.boards.edit(given.board, changes)
    columns = ", ".join(one.name for one in board.columns)
    heading = state_heading("board", board, call.terminal)
    call.terminal.item(board.as_dict(), one_line(f"{heading}: {board.name}: {columns}"))


async def _archive(call: Invocation) -> None:
    async with engine_of(call, record_only=True) as engine:
        _say(await engine.boards.archive(call.arguments.board), call)


def _say(board: Board, call: Invocation) -> None:
    call.terminal.item(board.as_dict(), one_line(f"board {board.name} is {board.status}: {board.id}"))
