"""``aura run``: one task from prompt to review, followed as it goes on."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from aura_cli._arguments import finish, number, pair, seconds, truth
from aura_cli._executor_options import add_executor_options, add_own_tools, add_permissions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aura_cli._settings import Settings
    from aura_cli._terminal import Terminal
    from aura_contracts.ids import TaskId
    from aura_engine.engine import Engine
    from aura_engine.requests import RunRequest

_EPILOG = """\
Each line of the agent's output is printed under [stdout] or [stderr], what AURA says under [aura].

In a repository the agent works in a worktree on a branch of its own, and nothing is merged before it is approved (see
aura approval), unless with --approval auto. In any other folder it works in place.

A run that was cut off, because it was killed or the machine went down, is gone on with by the same command; --fresh
starts another. Ctrl-C once ends the agent in its own time, twice at once.

exit code: 0 when done, also when a human is to decide; the agent's own when it fails (128 and the signal that ended
it); 1 for any other failure; 130 when interrupted.
"""


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("--executor", metavar="NAME", required=True, help="who does it; see aura executors")
    parser.add_argument("--variant", metavar="NAME", help="a named set of its options, see profiles.toml")
    parser.add_argument("--prompt", metavar="TEXT", required=True, help="what is to be done; - reads it from stdin")
    _add_place(parser)
    _add_agent(parser)
    _add_way(parser)
    finish(parser, run)


def _add_place(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("where")
    group.add_argument("--cwd", metavar="PATH", default=".", help="the folder to work on (default: the current one)")
    group.add_argument(
        "--repo", metavar="PATH", action="append", default=[], help="a repository to work on, instead; repeatable"
    )
    group.add_argument("--in-place", action="store_true", help="work on the files where they are, without a worktree")
    group.add_argument(
        "--target-branch", metavar="B", help="what the work is merged into (default: the branch that is checked out)"
    )
    group.add_argument(
        "--copy",
        metavar="GLOB",
        action="append",
        default=[],
        help="untracked files that the worktree needs, such as .env; repeatable",
    )


def _add_agent(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("the session")
    group.add_argument("--session", metavar="ID", help="the agent's session to go on with")
    group.add_argument("--resume-latest", action="store_true", help="go on with the newest session of this executor")
    group.add_argument("--fork", action="store_true", help="go on with a copy of the session, and leave it as it is")
    add_executor_options(parser)
    add_permissions(parser)
    add_own_tools(parser)


def _add_way(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("how")
    group.add_argument("--title", metavar="TEXT", help="what the task is called (default: the prompt's beginning)")
    group.add_argument(
        "--var",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        type=pair,
        help="a variable for prompt templates; repeatable",
    )
    group.add_argument("--setup", metavar="CMD", help="a script to run before the agent")
    group.add_argument("--cleanup", metavar="CMD", help="a script to run after it, if it changed something")
    group.add_argument("--setup-shell", choices=("bash", "sh", "zsh", "pwsh"), default="bash", help="what runs them")
    group.add_argument(
        "--approval",
        choices=("plan", "changes", "both", "auto"),
        help="what a human approves: the plan, the changes (default), both, nothing",
    )
    group.add_argument("--auto-approve", metavar="true|false", type=truth, help="true: as --approval auto")
    group.add_argument("--wait", action="store_true", help="stay until a human has decided, and go on")
    group.add_argument("--review", action="store_true", help="print what was changed, at the end")
    group.add_argument("--timeout", metavar="SECONDS", type=seconds, help="for each process")
    group.add_argument("--idle-timeout", metavar="SECONDS", type=seconds, help="without output, for each process")
    group.add_argument("--attempts", metavar="N", type=number, default=3, help="at each stage (default: 3)")
    group.add_argument("--fresh", action="store_true", help="never go on with a run that was cut off")
    group.add_argument("--no-tui", action="store_true", help="print lines only, and ask nothing here")


def run(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    """Run the task; return the exit code."""
    import anyio

    from aura_cli._request import request_of

    prompt = terminal.read_all() if arguments.prompt == "-" else arguments.prompt
    request = request_of(arguments, prompt)
    return anyio.run(_run, arguments, request, settings, terminal)


async def _run(arguments: Namespace, request: "RunRequest", settings: "Settings", terminal: "Terminal") -> int:
    from aura_cli._checking import check
    from aura_cli._engine import engine_of
    from aura_cli._following import beginning_of, follow, manner_of
    from aura_contracts.ids import TaskId

    async with engine_of(settings, make=True, place=arguments.cwd) as engine:
        if arguments.resume_latest and request.session_id is None:
            request = await _resuming(engine, request, fork=arguments.fork)
        begin = since = await engine.log.head()
        task_id = None if arguments.fresh else await _cut_off(engine, request)
        preface = ""
        if task_id is None:
            await check(engine, request, settings.environment)
            task_id = TaskId((await engine.start(request)).id)
        else:
            begin, preface = await beginning_of(engine, task_id), f"going on with task {task_id} that was cut off"
        manner = manner_of(
            settings,
            terminal,
            wait=arguments.wait,
            review=arguments.review,
            asks=not arguments.no_tui,
            preface=preface,
        )
        return await follow(engine, task_id, terminal, manner, begin=begin, since=since)


async def _cut_off(engine: "Engine", request: "RunRequest") -> "TaskId | None":
    """Take on the newest task of the same request that was cut off before it could be told how it ended.

    None: there is none, or others are at it. One that failed or was called off is only brought in order.
    """
    from aura_contracts.task import TaskStatus
    from aura_engine.runtime.directory import unfinished_tasks

    for task_id in reversed(await unfinished_tasks(engine.runtime.bus)):
        view = await engine.view(task_id)
        if view.task.context.get("run", {}).get("digest") != request.context["run"]["digest"]:
            continue
        waits = view.task.status in (TaskStatus.AWAITING_APPROVAL, TaskStatus.BLOCKED)
        unsuccessful = view.task.ended and view.task.status is not TaskStatus.COMPLETED
        if not waits and await engine.drive(task_id) and not unsuccessful:
            return task_id
    return None


async def _resuming(engine: "Engine", request: "RunRequest", *, fork: bool) -> "RunRequest":
    """Return the request with the newest session of its executor on the same files. Raises `NoSession`."""
    import attrs

    from aura_cli._errors import NoSession
    from aura_cli._reading import one_of, sessions
    from aura_contracts.workspace import WORKSPACE

    for execution in reversed(await sessions(engine.log)):
        if execution.executor == request.executor and execution.workspace_id is not None:
            workspace = await one_of(engine.log, WORKSPACE, execution.workspace_id)
            places = [
                *(repository.path for repository in workspace.repositories),
                *([workspace.root] * workspace.in_place),
            ]
            if any(_is_in(path, places) for path in request.repositories):
                return attrs.evolve(request, session_id=execution.session_id, fork=fork)
    raise NoSession(executor=request.executor, place=", ".join(request.repositories))


def _is_in(path: str, places: "Sequence[str]") -> bool:
    from pathlib import Path

    real = Path(path).resolve()
    return any(real.is_relative_to(Path(place).resolve()) for place in places)
