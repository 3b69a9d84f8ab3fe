"""``aura task``: tasks and where they stand: create, list, show, assign, follow up, cancel, retry, decompose, move."""

from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aura_cli._arguments import add_subcommand, add_subcommands, number
from aura_cli._carrying_on import EPILOG, add_watching
from aura_cli._executor_options import add_executor_options, add_plan

if TYPE_CHECKING:
    from aura_cli._settings import Settings
    from aura_cli._terminal import Terminal
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
    _configure_create(add_subcommand(commands, "create", "ask for a piece of work; nobody starts on it yet", _create))
    listing = add_subcommand(commands, "list", "list the tasks, the oldest first", _list)
    listing.add_argument(
        "--status", metavar="S", choices=_STATUSES, action="append", help="only those with this status; repeatable"
    )
    _add_id(add_subcommand(commands, "show", "show a task and what belongs to it", _show))
    _configure_assign(add_subcommand(commands, "assign", "give a task to an agent and have it start", _assign))
    follow_up = add_subcommand(commands, "follow-up", "have the agent go on with work that is in review", _follow_up)
    _add_id(follow_up)
    follow_up.add_argument("--feedback", metavar="TEXT", required=True, help="with what; - reads it from stdin")
    add_watching(follow_up)
    follow_up.epilog = f"Where a human is asked about the work, this is the answer: it needs changes.\n\n{EPILOG}"
    cancel = add_subcommand(commands, "cancel", "call a task off; its work stays where it is", _cancel)
    _add_id(cancel)
    cancel.add_argument("--reason", metavar="TEXT", default="", help="why")
    retry = add_subcommand(commands, "retry", "have a failed task tried again by its agent", _retry)
    _add_id(retry)
    add_watching(retry)
    _configure_decompose(add_subcommand(commands, "decompose", "propose to split a task; a human is asked", _decompose))
    _configure_move(add_subcommand(commands, "move", "move a task on the board", _move))


def _add_id(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the task, or the beginning of its id")


def _add_place(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("where")
    group.add_argument(
        "--repo", metavar="PATH", action="append", default=[], help="a repository to work on; repeatable"
    )
    group.add_argument("--in-place", action="store_true", help="work on the files where they are, without a worktree")
    group.add_argument(
        "--target-branch",
        metavar="B",
        default="",
        help="what the work is merged into (default: the branch that is checked out)",
    )
    group.add_argument(
        "--copy",
        metavar="GLOB",
        action="append",
        default=[],
        help="untracked files that the worktree needs, such as .env; repeatable",
    )


def _configure_create(parser: ArgumentParser) -> None:
    parser.epilog = "Without --repo it gets its workspace when it is assigned."
    parser.add_argument("title", metavar="TITLE", help="what is to be done, in a line")
    parser.add_argument("--description", metavar="TEXT", default="", help="all about it; - reads it from stdin")
    parser.add_argument("--priority", choices=("low", "medium", "high"), default="medium")
    parser.add_argument("--parent", metavar="ID", help="the task that it is a part of")
    parser.add_argument("--project", metavar="NAME")
    parser.add_argument("--type", metavar="WORD", help="the type of agent to do it: developer, tester, ...")
    parser.add_argument(
        "--approval",
        choices=("plan", "changes", "both", "auto"),
        default="changes",
        help="what a human approves: the plan, the changes (default), both, nothing",
    )
    parser.add_argument(
        "--reviewer", metavar="NAME", action="append", default=[], help="who may decide beside you; repeatable"
    )
    parser.add_argument("--attempts", metavar="N", type=number, default=3, help="at each stage (default: 3)")
    _add_place(parser)


def _configure_assign(parser: ArgumentParser) -> None:
    _add_id(parser)
    whom = parser.add_argument_group("to whom")
    whom.add_argument("--agent", metavar="ID", help="this agent of the pool, see aura agent list")
    whom.add_argument("--type", metavar="WORD", help="an idle agent of this type")
    whom.add_argument("--executor", metavar="NAME", help="an idle agent that it runs; one is added where there is none")
    whom.add_argument("--outside", action="store_true", help="only assign it: whoever works on it is not run by AURA")
    _add_place(parser)
    add_executor_options(parser)
    add_plan(parser)
    add_watching(parser)


def _configure_decompose(parser: ArgumentParser) -> None:
    parser.epilog = "The subtasks are created when a human has approved it: aura approval approve."
    _add_id(parser)
    parser.add_argument("--subtask", metavar="TITLE", action="append", required=True, help="a part of it; repeatable")


def _configure_move(parser: ArgumentParser) -> None:
    parser.epilog = "What is not a matter of the board is refused, with the command that does it."
    _add_id(parser)
    parser.add_argument("state", metavar="STATE", choices=_STATES, help=f"one of {', '.join(_STATES)}")
    parser.add_argument("--reason", metavar="TEXT", default="", help="why")
    add_watching(parser)


# --- Looking ----------------------------------------------------------------------------------------------------------


def _list(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    import anyio

    anyio.run(_list_all, arguments, settings, terminal)
    return 0


async def _list_all(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> None:
    from aura_cli._reading import all_of, reading
    from aura_cli._words import counted, plain, short, time_text
    from aura_contracts.board import canonical_of_task
    from aura_contracts.task import TASK, TaskStatus

    async with reading(settings) as log:
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
    from aura_cli._words import plain, state_lines
    from aura_contracts.board import canonical_of_task
    from aura_contracts.task import TASK

    async with reading(settings) as log:
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
    terminal.say(f"its history: aura replay --task {task.id}")


async def _parts_of(log: "EventLog", task: "Task") -> dict[str, Any]:
    """Return what belongs to a task by what it is called; None for what there is not."""
    from aura_contracts.agent import AGENT
    from aura_contracts.approval import APPROVAL
    from aura_contracts.execution import EXECUTION
    from aura_contracts.workspace import WORKSPACE
    from aura_engine.runtime.views import workspace_of
    from aura_store.repository import Repository

    load = Repository(log).load
    wanted: dict[str, tuple[Any, Any]] = {
        "agent": (AGENT, task.assigned_agent),
        "execution": (EXECUTION, task.execution_id),
        "workspace": (WORKSPACE, workspace_of(task.id)),
        "approval": (APPROVAL, task.approval_id),
    }
    return {
        name: None if ident is None else (await load(aggregate, ident)).state
        for name, (aggregate, ident) in wanted.items()
    }


# --- Beginning --------------------------------------------------------------------------------------------------------


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
    from aura_contracts.ids import TaskId
    from aura_contracts.task import ApprovalMode, Priority, RetryPolicy, parse_agent_type

    async with engine_of(settings, make=True) as engine:
        parent = arguments.parent and await find_id(engine.log, arguments.parent, "task")
        task = await engine.tasks.create(
            arguments.title,
            arguments.description,
            priority=Priority(arguments.priority),
            parent_id=TaskId(parent) if parent else None,
            agent_type=parse_agent_type(arguments.type) if arguments.type else None,
            approval_mode=ApprovalMode(arguments.approval),
            reviewers=arguments.reviewer,
            retry=RetryPolicy(max_attempts=arguments.attempts),
            project=arguments.project,
            **_place(arguments, arguments.repo),
        )
        await show_task(engine, task.id, terminal)


def _place(arguments: Namespace, paths: list[str]) -> dict[str, Any]:
    import os.path

    return {
        "repositories": [os.path.abspath(path) for path in paths],  # noqa: PTH100 - looks at no file
        "in_place": arguments.in_place,
        "target_branch": arguments.target_branch,
        "copy": arguments.copy,
    }


def _assign(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    async def begin(engine: "Engine", task_id: "TaskId") -> None:
        from aura_cli._executor_options import plan_of
        from aura_cli._lookup import find_id
        from aura_contracts.ids import AgentId
        from aura_contracts.task import parse_agent_type

        agent = arguments.agent and await find_id(engine.log, arguments.agent, "agent")
        await engine.tasks.assign(
            task_id,
            agent_id=AgentId(agent) if agent else None,
            agent_type=parse_agent_type(arguments.type) if arguments.type else None,
            executor=arguments.executor,
            plan=plan_of(arguments),
            **_place(arguments, await _paths(engine, task_id, arguments)),
        )

    return _carry_on(begin, arguments, settings, terminal)


async def _paths(engine: "Engine", task_id: "TaskId", arguments: Namespace) -> list[str]:
    """Return what the task is to be worked on, where that is not settled: the current folder where nobody said."""
    from aura_contracts.errors import InvalidInput

    if (await engine.view(task_id)).workspace is None:
        if arguments.outside:
            arguments.no_wait = True
            return []
        return arguments.repo or ["."]
    if arguments.outside or arguments.repo:
        field = "--outside" if arguments.outside else "--repo"
        remedy = "leave it out, or create another task"
        raise InvalidInput(field=field, reason="the task has a workspace already", remedy=remedy)
    return []


# --- Going on ---------------------------------------------------------------------------------------------------------


def _follow_up(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    feedback = terminal.read_all() if arguments.feedback == "-" else arguments.feedback

    async def begin(engine: "Engine", task_id: "TaskId") -> None:
        from aura_contracts.approval import ApprovalKind, ApprovalStatus

        asked = (await engine.view(task_id)).approval
        about_work = asked is not None and asked.kind in (ApprovalKind.PLAN, ApprovalKind.CHANGES)
        if asked is not None and about_work and asked.status is ApprovalStatus.PENDING:
            await engine.approvals.request_changes(asked.id, feedback)
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
        terminal.say(f"approval {approval.id} waits: aura approval approve {approval.id}{hint_of(settings)}")
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
