"""``aura task``: tasks and where they stand: create, list, show, assign, follow up, cancel, retry, decompose, move."""

from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aura_cli._carrying_on import EPILOG, add_follow_options
from aura_cli.arguments.options import ASSIGN, CREATE, TASK_ID, add_option, add_options, values_of
from aura_cli.arguments.parser import add_subcommand, add_subcommands

if TYPE_CHECKING:
    from aura_cli._settings import Settings
    from aura_cli.rendering.terminal import Terminal
    from aura_contracts.ids import TaskId
    from aura_contracts.ports import EventLog
    from aura_contracts.task import Task
    from aura_engine.engine import Engine

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
    _add_id(add_subcommand(commands, "show", "show a task and everything that belongs to it", _show))
    assigning = add_subcommand(commands, "assign", "assign a task to an agent and start it", _assign, epilog=EPILOG)
    add_options(assigning, ASSIGN)
    add_follow_options(assigning)
    follow_up = add_subcommand(commands, "follow-up", "send feedback to the agent of a task in review", _follow_up)
    _add_id(follow_up)
    follow_up.add_argument("--feedback", metavar="TEXT", required=True, help="what to change; - reads it from stdin")
    add_follow_options(follow_up)
    follow_up.epilog = f"If an approval of the work is pending, this requests changes.\n\n{EPILOG}"
    cancelling = add_subcommand(commands, "cancel", "cancel a task; keep its work", _cancel)
    _add_id(cancelling)
    cancelling.add_argument("--reason", metavar="TEXT", default="", help="why it is cancelled")
    retrying = add_subcommand(commands, "retry", "let the agent try a failed task again", _retry, epilog=EPILOG)
    _add_id(retrying)
    add_follow_options(retrying)
    splitting = add_subcommand(commands, "decompose", "propose to split a task into subtasks", _decompose)
    splitting.epilog = "The subtasks are created once the proposal is approved: `aura approval approve`."
    _add_id(splitting)
    splitting.add_argument("--subtask", metavar="TITLE", action="append", required=True, help="title of a subtask")
    moving = add_subcommand(commands, "move", "move a task on the board", _move)
    moving.epilog = f"A move that takes another command is refused, and that command is named.\n\n{EPILOG}"
    _add_id(moving)
    moving.add_argument("state", metavar="STATE", choices=_STATES, help="where to")
    moving.add_argument("--reason", metavar="TEXT", default="", help="why it is moved")
    add_follow_options(moving)


def _add_id(parser: ArgumentParser) -> None:
    add_option(parser.add_argument, TASK_ID)


# --- Reading ----------------------------------------------------------------------------------------------------------


def _list(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    import anyio

    anyio.run(_list_all, arguments, settings, terminal)
    return 0


async def _list_all(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> None:
    from aura_cli._reading import all_of, reading
    from aura_cli.rendering.formatting import counted, plain, short, time_text
    from aura_contracts.board import canonical_of_task
    from aura_contracts.task import TASK, TaskStatus

    async with reading(settings, terminal) as log:
        tasks = await all_of(log, TASK)
    wanted = arguments.status or [status for status in _STATUSES if status != TaskStatus.DELETED]
    rows = [
        (
            plain(task, canonical_state=canonical_of_task(task)),
            (task.id, str(task.status), str(task.priority), time_text(task.created_at)[:16], short(task.title)),
        )
        for task in tasks
        if task.status in wanted
    ]
    terminal.table(rows, ("id", "status", "priority", "created (UTC)", "title"))
    terminal.say(counted(len(rows), "task"))


def _show(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    import anyio

    anyio.run(_show_one, arguments, settings, terminal)
    return 0


async def _show_one(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> None:
    from aura_cli._lookup import find_id
    from aura_cli._reading import one_of, reading
    from aura_cli.rendering.formatting import plain, state_lines
    from aura_contracts.board import canonical_of_task
    from aura_contracts.task import TASK

    async with reading(settings, terminal) as log:
        task = await one_of(log, TASK, await find_id(log, arguments.id, "task"))
        parts = await _parts_of(log, task)
    state = canonical_of_task(task)
    data = plain(
        task, canonical_state=state, **{name: None if part is None else plain(part) for name, part in parts.items()}
    )
    lines = [
        f"task {terminal.style(task.id, 'bold')} {terminal.style(task.status, 'cyan')} ({state})",
        *state_lines(task),
    ]
    for name, part in parts.items():
        if part is not None:
            lines += [f"{name} {terminal.style(part.id, 'bold')} {terminal.style(part.status, 'cyan')}"]
            lines += state_lines(part)
    terminal.item(data, "\n".join(lines))
    terminal.say(f"history: aura replay --task {task.id}")


async def _parts_of(log: "EventLog", task: "Task") -> dict[str, Any]:
    """Return what belongs to a task by what it is called; None for what there is not."""
    from aura_contracts.agent import AGENT
    from aura_contracts.approval import APPROVAL
    from aura_contracts.execution import EXECUTION
    from aura_contracts.ids import TaskId
    from aura_contracts.workspace import WORKSPACE
    from aura_engine.runtime.views import workspace_of
    from aura_store.repository import Repository

    load = Repository(log).load
    wanted: dict[str, tuple[Any, Any]] = {
        "agent": (AGENT, task.assigned_agent),
        "execution": (EXECUTION, task.execution_id),
        "workspace": (WORKSPACE, workspace_of(TaskId(task.id))),
        "approval": (APPROVAL, task.approval_id),
    }
    return {
        name: None if ident is None else (await load(aggregate, ident)).state
        for name, (aggregate, ident) in wanted.items()
    }


# --- Starting ---------------------------------------------------------------------------------------------------------


def _create(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    import anyio

    if arguments.description == "-":
        arguments.description = terminal.read_all()
    anyio.run(_create_one, arguments, settings, terminal)
    return 0


async def _create_one(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> None:
    from aura_cli._carrying_on import show_task
    from aura_cli._engine import engine_of
    from aura_cli._lookup import find_id
    from aura_cli.arguments.request import place_of
    from aura_contracts.ids import TaskId
    from aura_contracts.task import AgentType, ApprovalMode, Priority, RetryPolicy

    values = values_of(arguments, CREATE)
    values["retry"] = RetryPolicy(**values["retry"])
    converters = {"priority": Priority, "agent_type": AgentType, "approval_mode": ApprovalMode}
    values |= {name: converters[name](values[name]) for name in converters if name in values}
    async with engine_of(settings, make=True) as engine:
        if "parent_id" in values:
            values["parent_id"] = TaskId(await find_id(engine.log, values["parent_id"], "task"))
        task = await engine.tasks.create(**values | place_of(values))
        await show_task(engine, TaskId(task.id), terminal)


def _assign(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    async def begin(engine: "Engine", task_id: "TaskId") -> None:
        from aura_cli._lookup import find_id
        from aura_cli.arguments.request import place_of, run_plan
        from aura_contracts.ids import AgentId
        from aura_contracts.task import AgentType

        agent = arguments.agent and await find_id(engine.log, arguments.agent, "agent")
        await engine.tasks.assign(
            task_id,
            agent_id=AgentId(agent) if agent else None,
            agent_type=AgentType(arguments.type) if arguments.type else None,
            executor=arguments.executor,
            plan=run_plan(arguments, ASSIGN),
            **place_of({**values_of(arguments, ASSIGN), "repositories": await _paths(engine, task_id, arguments)}),
        )

    return _carry_on(begin, arguments, settings, terminal)


async def _paths(engine: "Engine", task_id: "TaskId", arguments: Namespace) -> list[str]:
    """Return where to work on a task that has no workspace yet: in the current folder unless said otherwise."""
    from aura_contracts.errors import InvalidInput

    if (await engine.view(task_id)).workspace is None:
        if arguments.outside:
            arguments.no_wait = True
            return []
        return arguments.repo or ["."]
    if arguments.outside or arguments.repo:
        field = "--outside" if arguments.outside else "--repo"
        remedy = "leave it out, or create another task"
        raise InvalidInput(field=field, reason="the task already has a workspace", remedy=remedy)
    return []


# --- Changing ---------------------------------------------------------------------------------------------------------


def _follow_up(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    feedback = terminal.read_all() if arguments.feedback == "-" else arguments.feedback

    async def begin(engine: "Engine", task_id: "TaskId") -> None:
        from aura_contracts.approval import ApprovalKind, ApprovalStatus
        from aura_contracts.ids import ApprovalId

        asked = (await engine.view(task_id)).approval
        about_work = asked is not None and asked.kind in (ApprovalKind.PLAN, ApprovalKind.CHANGES)
        if asked is not None and about_work and asked.status is ApprovalStatus.PENDING:
            await engine.approvals.request_changes(ApprovalId(asked.id), feedback)
        else:
            await engine.tasks.follow_up(task_id, feedback)

    return _carry_on(begin, arguments, settings, terminal)


def _retry(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    async def begin(engine: "Engine", task_id: "TaskId") -> None:
        await engine.tasks.retry(task_id)

    return _carry_on(begin, arguments, settings, terminal)


def _carry_on(
    begin: "Callable[[Engine, TaskId], Awaitable[None]]",
    arguments: Namespace,
    settings: "Settings",
    terminal: "Terminal",
) -> int:
    """Record something about a task, then drive and follow it."""

    async def go(engine: "Engine", task_id: "TaskId") -> int:
        from aura_cli._carrying_on import carry_on

        since = await engine.log.head()
        await begin(engine, task_id)
        return await carry_on(engine, task_id, arguments, settings, terminal, since=since)

    return _with_task(go, arguments, settings)


def _with_task(go: "Callable[[Engine, TaskId], Awaitable[int]]", arguments: Namespace, settings: "Settings") -> int:
    """Open an engine and do something about the task that is named."""
    import anyio

    async def opened() -> int:
        from aura_cli._engine import engine_of
        from aura_cli._lookup import find_id
        from aura_contracts.ids import TaskId

        async with engine_of(settings) as engine:
            return await go(engine, TaskId(await find_id(engine.log, arguments.id, "task")))

    return anyio.run(opened)


def _cancel(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    async def go(engine: "Engine", task_id: "TaskId") -> int:
        from aura_cli._moving import cancel

        await cancel(engine, task_id, arguments.reason)
        return await _shown(engine, task_id, terminal)

    return _with_task(go, arguments, settings)


def _decompose(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    async def go(engine: "Engine", task_id: "TaskId") -> int:
        from aura_cli._moving import decompose
        from aura_cli._store import hint_of

        approval = await decompose(engine, task_id, arguments.subtask)
        await _shown(engine, task_id, terminal)
        terminal.say(f"approval {approval.id} is pending: aura approval approve {approval.id}{hint_of(settings)}")
        return 0

    return _with_task(go, arguments, settings)


def _move(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    async def go(engine: "Engine", task_id: "TaskId") -> int:
        from aura_cli._carrying_on import carry_on
        from aura_cli._moving import move
        from aura_contracts.board import CanonicalState

        since = await engine.log.head()
        if await move(engine, task_id, CanonicalState(arguments.state), arguments.reason):
            return await carry_on(engine, task_id, arguments, settings, terminal, since=since)
        return await _shown(engine, task_id, terminal)

    return _with_task(go, arguments, settings)


async def _shown(engine: "Engine", task_id: "TaskId", terminal: "Terminal") -> int:
    from aura_cli._carrying_on import show_task

    return await show_task(engine, task_id, terminal)
