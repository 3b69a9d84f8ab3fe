"""``aura task``: creates, shows, changes, assigns and moves tasks."""

import os.path
from argparse import ArgumentParser
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aura_cli._call import Invocation, all_rows, engine_of
from aura_cli.arguments.options import (
    ASSIGN,
    CREATE,
    EDIT,
    FOLLOW_EPILOG,
    TASK_ID,
    add_follow_options,
    add_option,
    add_options,
    values_of,
)
from aura_cli.arguments.parser import add_subcommand, add_subcommands
from aura_cli.arguments.values import number
from aura_cli.rendering.formatting import counted, minute_text, short, state_heading, state_lines, task_text
from aura_contracts.board import canonical_of_task
from aura_contracts.errors import InvalidInput
from aura_contracts.first_use import convert
from aura_contracts.task import Task, TaskChanges

if TYPE_CHECKING:
    from aura_engine import Engine

_STATUSES = (
    "pending",
    "in_progress",
    "awaiting_approval",
    "approved",
    "rejected",
    "blocked",
    "failed",
    "completed",
    "cancelled",
    "deleted",
)
_STATES = ("backlog", "ready", "running", "review", "done", "cancelled", "blocked")


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    commands = add_subcommands(parser)
    creating = add_subcommand(commands, "create", "create a task without starting it", _create)
    creating.epilog = "Without --repo it gets its workspace when it is assigned."
    add_options(creating, CREATE)
    listing = add_subcommand(commands, "list", "list the tasks, oldest first", _list)
    listing.add_argument(
        "--status", metavar="STATUS", choices=_STATUSES, action="append", help="only tasks with this status"
    )
    listing.add_argument("--limit", metavar="N", type=number, help="only the newest N")
    _add_id(add_subcommand(commands, "show", "show a task and everything that belongs to it", _show))
    _add_id(add_subcommand(commands, "executions", "list the runs of a task's agents, oldest first", _executions))
    assigning = add_subcommand(
        commands, "assign", "assign a task to an agent and start it", _assign, epilog=FOLLOW_EPILOG
    )
    add_options(assigning, ASSIGN)
    add_follow_options(assigning)
    follow_up = add_subcommand(commands, "follow-up", "send feedback to the agent of a task in review", _follow_up)
    _add_id(follow_up)
    follow_up.add_argument("--feedback", metavar="TEXT", required=True, help="what to change; - reads it from stdin")
    add_follow_options(follow_up)
    follow_up.epilog = f"If an approval of the work is pending, this requests changes.\n\n{FOLLOW_EPILOG}"
    editing = add_subcommand(commands, "edit", "edit a task's title, description and settings", _edit)
    _add_id(editing)
    add_options(editing, EDIT)
    place = editing.add_mutually_exclusive_group()
    place.add_argument("--parent", metavar="ID", help="task that it is a part of")
    place.add_argument("--no-parent", action="store_true", help="make it a part of no other task")
    deleting = add_subcommand(commands, "delete", "delete a task; its history stays in the log", _delete)
    _add_id(deleting)
    deleting.add_argument("--reason", metavar="TEXT", default="", help="why it is deleted")
    cancelling = add_subcommand(commands, "cancel", "cancel a task; keep its work", _cancel)
    _add_id(cancelling)
    cancelling.add_argument("--reason", metavar="TEXT", default="", help="why it is cancelled")
    retrying = add_subcommand(commands, "retry", "let the agent try a failed task again", _retry, epilog=FOLLOW_EPILOG)
    _add_id(retrying)
    add_follow_options(retrying)
    resuming = add_subcommand(
        commands, "resume", "resume a task that was cut off, where it stopped", _resume, epilog=FOLLOW_EPILOG
    )
    _add_id(resuming)
    add_follow_options(resuming)
    splitting = add_subcommand(commands, "decompose", "propose to split a task into subtasks", _decompose)
    splitting.epilog = "The subtasks are created once the proposal is approved: `aura approval approve`."
    _add_id(splitting)
    splitting.add_argument("--subtask", metavar="TITLE", action="append", required=True, help="title of a subtask")
    moving = add_subcommand(commands, "move", "move a task on the board", _move)
    moving.epilog = f"A move that needs another command is refused, with the name of that command.\n\n{FOLLOW_EPILOG}"
    _add_id(moving)
    moving.add_argument("state", metavar="STATE", choices=_STATES, help="where to")
    moving.add_argument("--reason", metavar="TEXT", default="", help="why it is moved")
    add_follow_options(moving)


def _add_id(parser: ArgumentParser) -> None:
    add_option(parser.add_argument, TASK_ID)


# --- Reading ----------------------------------------------------------------------------------------------------------


async def _list(call: Invocation) -> None:
    async with engine_of(call, read_only=True) as engine:
        status, limit = call.arguments.status, call.arguments.limit
        if limit is None:
            tasks = [task async for task in all_rows(engine.tasks.list, status=status)]
        else:
            tasks = list(reversed((await engine.tasks.list(status=status, limit=limit)).rows))
    call.terminal.table(
        tasks,
        ("id", "status", "priority", "created (UTC)", "title"),
        lambda task: (task.id, task.status, task.priority, minute_text(task.created_at), short(task.title)),
        lambda task: {**task.as_dict(), "canonical_state": canonical_of_task(task)},
    )
    call.terminal.say(counted(len(tasks), "task"))


async def _show(call: Invocation) -> None:
    async with engine_of(call, read_only=True) as engine:
        view = await engine.tasks.view(call.arguments.id)
    task, state = view.task, canonical_of_task(view.task)
    parts = {
        "agent": view.agent,
        "execution": view.execution,
        "workspace": view.workspace,
        "approval": view.approval,
    }
    lines = [f"{state_heading('task', task, call.terminal)} ({state})", *state_lines(task)]
    for name, part in parts.items():
        if part is not None:
            lines += [state_heading(name, part, call.terminal), *state_lines(part)]
    shown = {name: None if part is None else part.as_dict() for name, part in parts.items()}
    call.terminal.item({**task.as_dict(), "canonical_state": state, **shown}, "\n".join(lines))
    call.terminal.say(f"history: aura replay --task {task.id}")


async def _executions(call: Invocation) -> None:
    async with engine_of(call, read_only=True) as engine:
        task = await engine.tasks.get(call.arguments.id)
        runs = [run async for run in all_rows(engine.executions.list, task=task.id)]
    call.terminal.table(
        runs,
        ("id", "status", "executor", "run at (UTC)", "prompt"),
        lambda run: (run.id, run.status, run.executor, minute_text(run.queued_at), short(run.prompt)),
    )
    call.terminal.say(counted(len(runs), "execution"))


# --- Creating and changing --------------------------------------------------------------------------------------------


async def _create(call: Invocation) -> None:
    from aura_cli.arguments.request import input_of

    given = input_of(call.arguments, CREATE)
    if given.get("description") == "-":
        given["description"] = call.terminal.read_all()
    async with engine_of(call, record_only=True, make=True) as engine:
        _say(await engine.tasks.create(given.pop("title"), **given), call)


async def _edit(call: Invocation) -> None:
    given = values_of(call.arguments, EDIT)
    if given.get("description") == "-":
        given["description"] = call.terminal.read_all()
    changes = convert(given, TaskChanges)
    async with engine_of(call, record_only=True) as engine:
        task_id, parent = call.arguments.id, call.arguments.parent
        moved = parent is not None or call.arguments.no_parent
        task = await engine.tasks.reparent(task_id, parent) if moved else None
        if task is None or given:
            task = await engine.tasks.edit(task_id, changes)
        _say(task, call)


async def _delete(call: Invocation) -> None:
    async with engine_of(call, record_only=True) as engine:
        _say(await engine.tasks.delete(call.arguments.id, call.arguments.reason), call)


async def _cancel(call: Invocation) -> None:
    async with engine_of(call) as engine:
        task = await engine.tasks.cancel(call.arguments.id, call.arguments.reason)
        await _end(engine, task.id)
        _say(await engine.tasks.get(task.id), call)


async def _end(engine: "Engine", task_id: str) -> None:
    """Wait until nothing of a cancelled task runs any more, unless another process drives it."""
    run = await engine.attach(task_id)
    if run.driven:
        await run.idle()


async def _decompose(call: Invocation) -> None:
    async with engine_of(call, record_only=True) as engine:
        approval = await engine.tasks.decompose(call.arguments.id, call.arguments.subtask)
        _say(await engine.tasks.get(call.arguments.id), call)
    call.terminal.say(f"approval {approval.id} is pending: aura approval approve {approval.id}{call.hint}")


def _say(task: Task, call: Invocation) -> None:
    call.terminal.item(task.as_dict(), task_text(task))


# --- Working ----------------------------------------------------------------------------------------------------------


async def _assign(call: Invocation) -> int:
    if call.arguments.outside:
        call.arguments.no_wait = True

    async def assign(engine: "Engine", task_id: str) -> Task:
        from aura_cli.arguments.request import input_of

        given: dict[str, Any] = dict(input_of(call.arguments, ASSIGN))
        given["repositories"] = await _paths(engine, task_id, given)
        return await engine.tasks.assign(task_id, **given)

    async def _paths(engine: "Engine", task_id: str, given: Mapping[str, Any]) -> Sequence[str]:
        """Return the folders for a task without a workspace; by default the current folder."""

        paths: Sequence[str] = given.get("repositories", ())
        if (await engine.tasks.view(task_id)).workspace is None:
            here = os.path.abspath(".")  # noqa: ASYNC240, PTH100 - looks at no file
            return () if call.arguments.outside else paths or (here,)
        if call.arguments.outside or paths:
            field = "--outside" if call.arguments.outside else "--repo"
            remedy = "leave it out, or create another task"
            raise InvalidInput(field=field, reason="the task already has a workspace", remedy=remedy)
        return ()

    return await _work(call, assign)


async def _follow_up(call: Invocation) -> int:
    feedback = call.terminal.read_all() if call.arguments.feedback == "-" else call.arguments.feedback
    return await _work(call, lambda engine, task_id: engine.tasks.follow_up(task_id, feedback))


async def _retry(call: Invocation) -> int:
    return await _work(call, lambda engine, task_id: engine.tasks.retry(task_id))


async def _resume(call: Invocation) -> int:
    return await _work(call, lambda engine, task_id: engine.tasks.get(task_id))


async def _move(call: Invocation) -> int:
    async def move(engine: "Engine", task_id: str) -> Task | None:
        task = await engine.tasks.move(task_id, call.arguments.state, call.arguments.reason)
        if task.ended:
            await _end(engine, task.id)
        elif (await engine.attach(task.id)).driven:
            return task
        _say(task, call)
        return None

    return await _work(call, move)


async def _work(call: Invocation, begin: "Callable[[Engine, str], Awaitable[Task | None]]") -> int:
    """Record a change of a task, then follow the task; if `record` returns None, there is nothing to follow."""
    from aura_cli.streaming.follower import continue_task

    async with engine_of(call, record_only=call.arguments.no_wait) as engine:
        since = await engine.events.head()
        task = await begin(engine, call.arguments.id)
        return 0 if task is None else await continue_task(call, engine, task.id, since=since)
