"""``aura task``: creates, shows, changes, assigns and moves tasks."""

import os.path
from argparse import ArgumentParser
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from aura_cli._call import Invocation, engine_of
from aura_cli._shown_tasks import list_executions, list_locks, list_tasks, show_task
from aura_cli.arguments.declarations import add_option, add_options, values_of
from aura_cli.arguments.options import (
    ASSIGN,
    COMPLETE,
    CREATE,
    DECOMPOSE,
    EDIT,
    FOLLOW_EPILOG,
    SUBMIT,
    TASK_ID,
    add_follow_options,
)
from aura_cli.arguments.parser import Subcommands, add_subcommand, add_subcommands
from aura_cli.arguments.values import instant, number
from aura_cli.rendering.formatting import task_text
from aura_contracts.errors import InvalidInput
from aura_contracts.first_use import convert
from aura_contracts.quoting import one_line
from aura_contracts.task import Task, TaskChanges

if TYPE_CHECKING:
    from aura_contracts.approval import Approval
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
_TAKING_PATIENCE = 2.0
"""Seconds in which an agent that takes messages while it works confirms one: it needs some milliseconds."""

_STATES = ("backlog", "ready", "running", "review", "done", "cancelled", "blocked")


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    commands = add_subcommands(parser)
    creating = add_subcommand(commands, "create", "create a task without starting it", _create)
    creating.epilog = "Without --repo it gets its workspace when it is assigned."
    add_options(creating, CREATE)
    listing = add_subcommand(commands, "list", "list the tasks, oldest first", list_tasks)
    listing.add_argument(
        "--status", metavar="STATUS", choices=_STATUSES, action="append", help="only tasks with this status"
    )
    listing.add_argument("--priority", metavar="LEVEL", choices=("low", "medium", "high"), help="only of this priority")
    listing.add_argument("--label", metavar="WORD", help="only tasks with this label")
    listing.add_argument("--project", metavar="NAME", help="only tasks of this project")
    listing.add_argument("--parent", metavar="ID", help="only the parts of this task")
    listing.add_argument("--due-before", metavar="TIME", type=instant, help="only tasks that are due before this time")
    listing.add_argument("--blocked", action="store_true", help="only tasks held up by other tasks or a conflict")
    listing.add_argument("--limit", metavar="N", type=number, help="only the newest N")
    _add_id(add_subcommand(commands, "show", "show a task and everything that belongs to it", show_task))
    add_subcommand(commands, "locks", "list what tasks have for themselves alone, and who waits for it", list_locks)
    _add_id(add_subcommand(commands, "executions", "list the runs of a task's agents, oldest first", list_executions))
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
    telling = add_subcommand(commands, "tell", "write to the agent that works on a task", _tell)
    telling.epilog = (
        "An agent that takes messages while it works gets it at once, any other when its\n"
        "turn ends: the command says which. It answers in its session."
    )
    _add_id(telling)
    telling.add_argument("text", metavar="TEXT", help="the message; - reads it from stdin")
    editing = add_subcommand(commands, "edit", "edit a task's title, description and settings", _edit)
    _add_id(editing)
    add_options(editing, EDIT)
    place = editing.add_mutually_exclusive_group()
    place.add_argument("--parent", metavar="ID", help="task that it is a part of")
    place.add_argument("--no-parent", action="store_true", help="make it a part of no other task")
    editing.add_argument("--no-after", action="store_true", help="wait for no other task")
    editing.add_argument("--no-locks", action="store_true", help="need nothing for itself alone")
    _configure_moves(commands)


def _configure_moves(commands: "Subcommands[ArgumentParser]") -> None:
    deleting = add_subcommand(
        commands, "delete", "delete a task with its parts; their history stays in the log", _delete
    )
    _add_id(deleting)
    deleting.add_argument("--reason", metavar="TEXT", default="", help="why it is deleted")
    cancelling = add_subcommand(commands, "cancel", "cancel a task with its parts; keep their work", _cancel)
    _add_id(cancelling)
    cancelling.add_argument("--reason", metavar="TEXT", default="", help="why it is cancelled")
    retrying = add_subcommand(commands, "retry", "let the agent try a failed task again", _retry, epilog=FOLLOW_EPILOG)
    _add_id(retrying)
    add_follow_options(retrying)
    reverting = add_subcommand(
        commands, "revert", "undo the merged work of a completed task, in a new task", _revert, epilog=FOLLOW_EPILOG
    )
    _add_id(reverting)
    reverting.add_argument("--reason", metavar="TEXT", default="", help="why it is undone")
    add_follow_options(reverting)
    resuming = add_subcommand(
        commands, "resume", "resume a task that was cut off, where it stopped", _resume, epilog=FOLLOW_EPILOG
    )
    _add_id(resuming)
    add_follow_options(resuming)
    submitting = add_subcommand(
        commands, "submit", "submit a proposal of a task's agent for approval", _submit, epilog=FOLLOW_EPILOG
    )
    add_options(submitting, SUBMIT)
    add_follow_options(submitting)
    completing = add_subcommand(
        commands, "complete", "complete the task of an agent outside AURA, and release the agent", _complete
    )
    completing.epilog = "Unless the approval mode is auto, a proposal has to be approved first:\n`aura task submit`."
    add_options(completing, COMPLETE)
    splitting = add_subcommand(commands, "decompose", "propose to split a task into subtasks", _decompose)
    splitting.epilog = (
        "Without --subtask and --plan an agent proposes how to split it.\n"
        "The subtasks are created once the proposal is approved: `aura approval approve`."
    )
    add_options(splitting, DECOMPOSE)
    add_follow_options(splitting)
    moving = add_subcommand(commands, "move", "move a task on the board", _move)
    moving.epilog = f"A move that needs another command is refused, with the name of that command.\n\n{FOLLOW_EPILOG}"
    _add_id(moving)
    moving.add_argument("state", metavar="STATE", choices=_STATES, help="where to")
    moving.add_argument("--reason", metavar="TEXT", default="", help="why it is moved")
    add_follow_options(moving)


def _add_id(parser: ArgumentParser) -> None:
    add_option(parser.add_argument, TASK_ID)


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
    if call.arguments.no_after:
        if "after" in given:
            raise InvalidInput(field="--no-after", reason="--after names tasks", remedy="give one of the two")
        given["after"] = ()
    if call.arguments.no_locks:
        if given.keys() & {"locks", "locked_paths"}:
            raise InvalidInput(field="--no-locks", reason="--lock or --lock-path names some", remedy="give one of them")
        given |= {"locks": (), "locked_paths": ()}
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
        for part in (task, *await engine.tasks.parts(task.id)):
            await _end(engine, part.id)
        _say(await engine.tasks.get(task.id), call)


async def _end(engine: "Engine", task_id: str) -> None:
    """Wait until nothing of a cancelled task runs any more, unless another process drives it."""
    run = await engine.attach(task_id)
    if run.driven:
        await run.idle()


async def _complete(call: Invocation) -> None:
    given = values_of(call.arguments, COMPLETE)
    async with engine_of(call, record_only=True) as engine:
        _say(await engine.tasks.complete(call.arguments.id, given.get("result")), call)


async def _submit(call: Invocation) -> int:
    given = values_of(call.arguments, SUBMIT)
    proposal = given.pop("proposal")
    text = call.terminal.read_all() if proposal == "-" else proposal
    asks = not given.pop("no_approval", False)

    async def submit(engine: "Engine", task_id: str) -> Task | None:
        approval = await engine.tasks.submit(task_id, text, **given, requires_approval=asks)
        return await _proposed(engine, task_id, approval, call)

    return await _work(call, submit)


async def _proposed(engine: "Engine", task_id: str, approval: "Approval", call: Invocation) -> Task | None:
    """Show what became of a proposal, which a policy may have answered; return the task if its agent continues."""
    task = await engine.tasks.get(task_id)
    if approval.status == "pending":
        _say(task, call)
        call.terminal.say(f"approval {approval.id} is pending: aura approval approve {approval.id}{call.hint}")
        return None
    because = "" if approval.feedback is None else f": {one_line(approval.feedback)}"
    call.terminal.say(f"approval {approval.id} is {approval.status} by {approval.reviewed_by}{because}")
    if task.execution_id is not None and task.status in ("in_progress", "approved") and not task.subtask_ids:
        return task
    _say(task, call)
    return None


async def _decompose(call: Invocation) -> int:
    given = values_of(call.arguments, DECOMPOSE)
    titles, plan = given.pop("titles", ()), given.pop("plan", None)
    if plan == "-":
        plan = call.terminal.read_all()

    async def decompose(engine: "Engine", task_id: str) -> Task | None:
        if not titles and plan is None:
            return await engine.tasks.request_decomposition(task_id, **given)
        if given:
            field = f"--{min(given).removeprefix('agent_')}"
            raise InvalidInput(
                field=field, reason="no agent is asked", remedy="leave out --subtask and --plan, or this"
            )
        approval = await engine.tasks.decompose(task_id, titles, plan=plan)
        return await _proposed(engine, task_id, approval, call)

    return await _work(call, decompose)


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


async def _tell(call: Invocation) -> None:
    text = call.terminal.read_all() if call.arguments.text == "-" else call.arguments.text
    async with engine_of(call, record_only=True) as engine:
        since = await engine.events.head()
        task = await engine.tasks.tell(call.arguments.id, text)
        taken = await _is_taken(engine, task.id, text, since)
        when = "has it, in the middle of its turn" if taken else "gets it when its turn ends"
        call.terminal.item(task.as_dict(), f"the agent of task {task.id} {when}")


async def _is_taken(engine: "Engine", task_id: str, text: str, since: int) -> bool:
    """Wait a while until the agent has confirmed what was just written to it, if it works."""
    import anyio

    from aura_contracts.execution import HumanMessageTaken, MessageQueued

    execution = (await engine.tasks.view(task_id)).execution
    if execution is None or not execution.processes:
        return False
    written = set()
    with anyio.move_on_after(_TAKING_PATIENCE):
        async with aclosing((await engine.attach(task_id)).events(after=since)) as records:
            async for record in records:
                match record.event:
                    case MessageQueued(message=message) if message.text == text:
                        written.add(message.id)
                    case HumanMessageTaken(entry=entry) if entry.message_id in written:
                        return True
    return False


async def _retry(call: Invocation) -> int:
    return await _work(call, lambda engine, task_id: engine.tasks.retry(task_id))


async def _revert(call: Invocation) -> int:
    async def revert(engine: "Engine", task_id: str) -> Task | None:
        made = await engine.tasks.revert(task_id, call.arguments.reason)
        _say(made, call)
        return None if call.arguments.no_wait else made

    return await _work(call, revert)


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
