"""Followed tasks: drives the tasks of decided questions, several at once, as far as they can go."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aura_cli.rendering.terminal import Terminal
from aura_contracts.approval import Approval

if TYPE_CHECKING:
    from aura_engine import Engine


async def continue_all(terminal: Terminal, engine: "Engine", approvals: Sequence[Approval]) -> None:
    """Drive the tasks of decided questions until each has ended or asks again, all at the same time."""
    from anyio import create_task_group

    async def drive(task_id: str) -> None:
        run = await engine.resume(task_id)
        task = await run.idle() if run.driven else await run.task()
        terminal.say(f"task {task.id} is {task.status}")

    tasks = {one.task_id for one in approvals if one.closed_at is not None and await is_started(engine, one)}
    async with create_task_group() as group:
        for task_id in sorted(filter(None, tasks)):
            group.start_soon(drive, task_id)


async def is_started(engine: "Engine", approval: Approval) -> bool:
    """Whether the decision is about a task that an engine may work on."""
    return approval.task_id is not None and (await engine.tasks.get(approval.task_id)).execution_id is not None
