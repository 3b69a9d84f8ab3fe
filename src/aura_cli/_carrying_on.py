"""Carrying on: what commands about tasks do once they have recorded something for an agent to act on."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aura_cli._settings import Settings
    from aura_cli.rendering.terminal import Terminal
    from aura_contracts.ids import TaskId
    from aura_engine.engine import Engine

EPILOG = """\
The agent then works here, and its output is shown as `aura run` shows it,
unless another process drives the task already. With --no-wait it is left to
whatever drives the task next, such as `aura doctor --fix`.
"""


def add_follow_options(parser: ArgumentParser, *, waits: bool = False) -> None:
    """Declare how a task is followed; with `waits` the command always follows it."""
    how = parser.add_mutually_exclusive_group()
    if not waits:
        how.add_argument("--no-wait", action="store_true", help="record it only, without driving the task")
    how.add_argument("--wait", action="store_true", help="wait for the decision, then continue")
    parser.add_argument("--review", action="store_true", help="print the changes at the end")
    parser.add_argument("--no-tui", action="store_true", help="print lines only and ask no questions here")


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
    from aura_cli.streaming.follower import beginning_of, follow, follow_options

    if arguments.no_wait:
        return await show_task(engine, task_id, terminal)
    if not await engine.drive(task_id):
        terminal.say("another process drives the task and continues it")
        return await show_task(engine, task_id, terminal)
    options = follow_options(
        settings, terminal, wait=arguments.wait, review=arguments.review, asks=not arguments.no_tui
    )
    begin = await beginning_of(engine, task_id)
    return await follow(engine, task_id, terminal, options, begin=begin, since=since)


async def show_task(engine: "Engine", task_id: "TaskId", terminal: "Terminal") -> int:
    """Print how a task is, in a line."""
    from aura_cli.rendering.formatting import plain
    from aura_cli.rendering.terminal import printable

    task = (await engine.view(task_id)).task
    terminal.item(plain(task), printable(f"task {task.id} is {task.status}: {task.title}"))
    return 0
