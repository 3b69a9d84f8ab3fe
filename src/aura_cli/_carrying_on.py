"""Carrying on: what commands about tasks do once they have recorded something that an agent is to act on."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aura_engine.engine import Engine

    from aura_cli._settings import Settings
    from aura_cli._terminal import Terminal
    from aura_contracts.ids import TaskId

EPILOG = """\
What the agent then does is done here and now, and shown as aura run shows it, unless another process drives the task
already. With --no-wait it is left to whoever drives the task next, such as aura doctor --fix.
"""


def add_watching(parser: ArgumentParser) -> None:
    """Declare the arguments that say how the task is followed."""
    parser.epilog = EPILOG
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--no-wait", action="store_true", help="only record it")
    how.add_argument("--wait", action="store_true", help="stay until a human has decided, and go on")
    parser.add_argument("--review", action="store_true", help="print what was changed, at the end")
    parser.add_argument("--no-tui", action="store_true", help="print lines only, and ask nothing here")


async def carry_on(
    engine: "Engine",
    task_id: "TaskId",
    arguments: Namespace,
    settings: "Settings",
    terminal: "Terminal",
    *,
    since: int,
) -> int:
    """Drive a task and print what happens after position `since`; return the exit code."""
    from aura_cli._following import beginning_of, follow, manner_of

    if arguments.no_wait:
        return await show_task(engine, task_id, terminal)
    if not await engine.drive(task_id):
        terminal.say("another process drives the task, and goes on with it")
        return await show_task(engine, task_id, terminal)
    manner = manner_of(settings, terminal, wait=arguments.wait, review=arguments.review, asks=not arguments.no_tui)
    begin = await beginning_of(engine, task_id)
    return await follow(engine, task_id, terminal, manner, begin=begin, since=since)


async def show_task(engine: "Engine", task_id: "TaskId", terminal: "Terminal") -> int:
    """Print how a task is, in a line."""
    from aura_cli._terminal import printable
    from aura_cli._words import plain

    task = (await engine.view(task_id)).task
    terminal.item(plain(task), printable(f"task {task.id} is {task.status}: {task.title}"))
    return 0
