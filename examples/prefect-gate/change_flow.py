"""A flow that has an agent change a repository, and continues when a human has approved the change in AURA.

``python change_flow.py KEY REPOSITORY REQUEST`` runs it; the same again continues after a crash. Without arguments, it
serves the flow to Prefect, which can then start and cancel it.
"""

import asyncio
import json
import os
import sys
from typing import Any

from prefect import flow, task

from aura_engine import open_engine

STORE = "sqlite:///aura.db"
AGENT: dict[str, Any] = json.loads(os.environ.get("AGENT", '{"executor": "claude"}'))


@task
async def change(key: str, repository: str, request: str) -> str:
    """Have the agent make the change, wait until a human has approved it and it is merged, and return the commit.

    A flow that starts again runs its tasks again. The key makes that the same run: no agent works twice.
    """
    async with open_engine(STORE) as engine:
        run = await engine.run(request, key=key, labels=[key], repositories=[repository], approval="changes", **AGENT)
        done = await run.result()
        (commit,) = done.result["merged"].values()
        return str(commit)


async def withdraw(key: str) -> None:
    """Cancel the run of a flow, unless it has ended, and wait until its agent has ended."""
    async with open_engine(STORE) as engine:
        for found in (await engine.tasks.list(label=key, unfinished=True)).rows:
            if not found.ended:
                await engine.tasks.cancel(found.id, "its flow was cancelled")
            run = await engine.resume(found.id)
            await run.idle()


async def on_cancellation(flow: Any, flow_run: Any, state: Any) -> None:
    """Prefect calls this when it has ended the process of a flow that was cancelled."""
    await withdraw(flow_run.parameters["key"])


@task
async def announce(commit: str) -> None:
    print(f"merged {commit}")


@flow(on_cancellation=[on_cancellation])
async def changed(key: str, repository: str, request: str) -> None:
    await announce(await change(key, repository, request))


if __name__ == "__main__":
    if len(sys.argv) == 1:
        changed.serve("gate")
    try:
        asyncio.run(changed(*sys.argv[1:]))
    except KeyboardInterrupt:
        asyncio.run(withdraw(sys.argv[1]))
        raise
