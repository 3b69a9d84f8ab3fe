"""The task of the benchmark `lifecycle` in AURA, for an agent outside of it, so that there is no work to wait for.

``with_aura.py FOLDER TASKS AT_ONCE`` prints tasks per second. Each call of the facade returns when its events are
durable: eight of the task and its question, and four more of the agent.
"""

import sys
import time
from pathlib import Path
from uuid import uuid4

import anyio

from aura_engine import Engine, TaskStatus, open_engine


async def life(engine: Engine, agent: str) -> None:
    task = await engine.tasks.create("Do it", approval="plan")
    await engine.tasks.assign(task.id, agent=agent)
    question = await engine.tasks.submit(task.id, "I do it this way")
    await engine.approvals.approve(question.id)
    done = await engine.tasks.complete(task.id)
    assert done.status is TaskStatus.COMPLETED


async def main(folder: Path, tasks: int, at_once: int) -> None:
    store = f"sqlite:///{folder / f'aura-{uuid4()}.db'}"
    async with open_engine(store, user="alice", home=folder / "home") as engine:
        agents = [await engine.agents.add(f"agent{number}", executor="custom") for number in range(at_once)]

        async def lives(agent: str, number: int) -> None:
            for _ in range(number):
                await life(engine, agent)

        async def all_lives(number: int) -> None:
            async with anyio.create_task_group() as group:
                for agent in agents:
                    group.start_soon(lives, agent.id, number)

        await all_lives(1)
        began = time.perf_counter()
        await all_lives(tasks // at_once)
        print(tasks / (time.perf_counter() - began))


anyio.run(main, Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
