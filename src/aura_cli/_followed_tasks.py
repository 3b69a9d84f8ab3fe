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
        await say_parts(terminal, engine, task_id)

    tasks = {one.task_id for one in approvals if one.closed_at is not None and await is_started(engine, one)}
    async with create_task_group() as group:
        for task_id in sorted(filter(None, tasks)):
            group.start_soon(drive, task_id)


async def say_parts(terminal: Terminal, engine: "Engine", task_id: str) -> None:
    """Say how far the parts of a task have come that was split, and what those wait for that no agent has begun."""
    if not (await engine.tasks.get(task_id)).decomposed:
        return
    places = {one.task_id: one.reason for one in await engine.tasks.queue()}
    for part in await engine.tasks.parts(task_id):
        waits = f": {places[part.id]}" if part.id in places else ""
        terminal.say(f"part {part.id} ({part.title}) is {part.status}{waits}")


async def is_started(engine: "Engine", approval: Approval) -> bool:
    """Whether the decision is about a task that an engine may work on."""
    if approval.task_id is None:
        return False
    task = await engine.tasks.get(approval.task_id)
    parts = await engine.tasks.parts(task.id) if task.decomposed else ()
    return task.execution_id is not None or any(part.pooled for part in parts)
