"""A flow that has an agent change a repository, and continues when a human has approved the change in AURA.

``python change_flow.py KEY REPOSITORY REQUEST``; the same again continues after a crash.
"""

import asyncio
import json
import os
import sys
from typing import Any

from prefect import flow, task

from aura_engine import open_engine

AGENT: dict[str, Any] = json.loads(os.environ.get("AGENT", '{"executor": "claude"}'))


@task
async def change(key: str, repository: str, request: str) -> str:
    """Have the agent make the change, wait until a human has approved it and it is merged, and return the commit.

    A flow that starts again runs its tasks again. The key makes that the same run: no agent works twice.
    """
    async with open_engine("sqlite:///aura.db") as engine:
        run = await engine.run(request, key=key, repositories=[repository], approval="changes", **AGENT)
        try:
            done = await run.result()
        except asyncio.CancelledError:
            await run.cancel("its flow was cancelled")
            await run.idle()
            raise
        (commit,) = done.result["merged"].values()
        return str(commit)


@task
async def announce(commit: str) -> None:
    print(f"merged {commit}")


@flow
async def changed(key: str, repository: str, request: str) -> None:
    await announce(await change(key, repository, request))


if __name__ == "__main__":
    asyncio.run(changed(*sys.argv[1:]))
