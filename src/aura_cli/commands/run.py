"""``aura run``: one task from prompt to review, streamed while it runs."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from aura_cli._carrying_on import add_follow_options
from aura_cli.arguments.options import RUN, add_options
from aura_cli.arguments.parser import finish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aura_cli._settings import Settings
    from aura_cli.rendering.terminal import Terminal
    from aura_contracts.ids import TaskId
    from aura_engine.engine import Engine
    from aura_engine.requests import RunRequest

_EPILOG = """\
Lines of the agent's output start with [stdout] or [stderr], what it says in its
own protocol with [agent], and what AURA says with [aura].

In a repository the agent works in a worktree on its own branch, and nothing is
merged before you approve it (see `aura approval`), unless you choose --approval
auto. In any other folder it works in place.

Run the same command again to resume a run that was interrupted by a crash.
Ctrl-C lets the agent finish gracefully; press it again to stop at once.

exit code: 0 if it succeeded or waits for your decision; the agent's own if the
agent failed (128 + N if signal N ended it); 1 for any other failure; 130 if
interrupted.
"""


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    add_options(parser, RUN)
    add_follow_options(parser, waits=True)
    parser.add_argument("--fresh", action="store_true", help="do not resume an interrupted run")
    finish(parser, run)


def run(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    """Run the task; return the exit code."""
    import anyio

    from aura_cli.arguments.request import run_request

    prompt = terminal.read_all() if arguments.prompt == "-" else arguments.prompt
    request = run_request(arguments, prompt)
    return anyio.run(_run, arguments, request, settings, terminal)


async def _run(arguments: Namespace, request: "RunRequest", settings: "Settings", terminal: "Terminal") -> int:
    from aura_cli._checking import check
    from aura_cli._engine import engine_of
    from aura_cli.streaming.follower import beginning_of, follow, follow_options
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
            begin, preface = await beginning_of(engine, task_id), f"resuming task {task_id}, which was interrupted"
        options = follow_options(
            settings,
            terminal,
            wait=arguments.wait,
            review=arguments.review,
            asks=not arguments.no_tui,
            preface=preface,
        )
        return await follow(engine, task_id, terminal, options, begin=begin, since=since)


async def _cut_off(engine: "Engine", request: "RunRequest") -> "TaskId | None":
    """Take on the newest task of the same request that was cut off before it could be told how it ended.

    None: there is none, or others are at it. One that failed or was called off is only brought in order.
    """
    from aura_contracts.task import TaskStatus
    from aura_engine.runtime.directory import unfinished_tasks

    over = (TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.DELETED)
    for task_id in reversed(await unfinished_tasks(engine.runtime.desk)):
        view = await engine.view(task_id)
        if view.task.context.get("run", {}).get("digest") != request.context["run"]["digest"]:
            continue
        waits = view.task.status in (TaskStatus.AWAITING_APPROVAL, TaskStatus.BLOCKED)
        if not waits and await engine.drive(task_id) and view.task.status not in over:
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
