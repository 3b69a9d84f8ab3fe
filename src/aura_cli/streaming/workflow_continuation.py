"""Workflow continuation: carries a workflow on after an answer, as far as it goes without further ones.

Progress goes to stderr, for people. An interrupt stops it: nothing is lost, and another engine continues it.
"""

from collections.abc import Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING

import anyio

from aura_cli._shown_workflows import say_who_continues, workflow_text
from aura_cli.streaming.workflow_progress import step_text
from aura_contracts.quoting import one_line

if TYPE_CHECKING:
    from aura_cli._call import Invocation
    from aura_contracts.approval import Approval
    from aura_engine import Engine, WorkflowRun

LOOK_EVERY = 0.2
"""Seconds between two looks at whether a workflow still has something to do."""

_AT_WORK = ("engine", "task", "workflow")
"""The last links of chains that end by themselves, while an engine is at work."""


async def continue_workflows(
    call: "Invocation", engine: "Engine", answered: "Iterable[Approval]", *, since: int, follow: bool
) -> None:
    """Carry on the workflows that have waited for answers, one after the other, unless another process does.

    `since` is the position in the log before the answers. Without `follow`, only say who will carry them on.
    """
    waiting = [await engine.approvals.workflows(one.id) for one in answered if one.closed_at is not None]
    for workflow_id in dict.fromkeys(ids[-1] for ids in waiting if ids):
        run = await engine.workflows.attach(workflow_id)
        if follow and run.driven:
            await _follow(call, engine, run, since)
        await say_who_continues(call, engine, await run.state())


async def _follow(call: "Invocation", engine: "Engine", run: "WorkflowRun", since: int) -> None:
    """Print the progress of a workflow until it has ended, or waits for something that no engine can do."""
    told = since

    async def wait_until_it_waits() -> None:
        while await _is_at_work(engine, run.id):  # noqa: ASYNC110 - its tasks have streams of their own
            await anyio.sleep(LOOK_EVERY)
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(wait_until_it_waits)
        async with aclosing(run.events(after=since)) as records:
            async for record in records:
                _tell(call, step_text(record))
                told = record.position
        group.cancel_scope.cancel()
    for record in await engine.workflows.history(run.id):
        if record.position > told:
            _tell(call, step_text(record))
    call.terminal.say(workflow_text(await run.state()))
    for chain in await engine.workflows.why(run.id):
        call.terminal.say(one_line(str(chain)))


def _tell(call: "Invocation", text: str) -> None:
    if text:
        call.terminal.say(text)


async def _is_at_work(engine: "Engine", workflow_id: str) -> bool:
    """Whether a workflow has something to do besides waiting for a human, a moment or a signal."""
    ends = [chain.links[-1] for chain in await engine.workflows.why(workflow_id)]
    return any(end.kind in _AT_WORK and end.status != "queued" for end in ends)
