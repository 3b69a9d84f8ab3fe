"""The task of the benchmark `lifecycle` in DBOS: a workflow with a step for each step, `recv` for the answer.

``with_dbos.py FOLDER TASKS AT_ONCE`` prints tasks per second. As its documentation says, with SQLite as the system
database, whose own default is ``synchronous=FULL``. By default it looks for messages once a second, here a hundred
times as often.
"""

import asyncio
import sys
import time
from pathlib import Path
from uuid import uuid4

from dbos import DBOS


@DBOS.step()
async def step(name: str) -> str:
    return name


@DBOS.workflow()
async def life_of(title: str) -> str:
    for name in ("assign", "propose", "ask"):
        await step(name)
    answer = await DBOS.recv_async("answer", timeout_seconds=600)
    for name in ("decide", "approve", "complete"):
        await step(name)
    return str(answer)


async def life() -> None:
    handle = await DBOS.start_workflow_async(life_of, "Do it")
    await DBOS.send_async(handle.get_workflow_id(), "approved", "answer")
    assert await handle.get_result(polling_interval_sec=0.01) == "approved"


async def main(folder: Path, tasks: int, at_once: int) -> None:
    DBOS(
        config={
            "name": "lifecycle",
            "system_database_url": f"sqlite:///{folder / f'dbos-{uuid4()}.db'}",
            "notification_listener_polling_interval_sec": 0.01,
            "log_level": "ERROR",
        }
    )
    DBOS.launch()

    async def lives(number: int) -> None:
        for _ in range(number):
            await life()

    await asyncio.gather(*[lives(1) for _ in range(at_once)])
    began = time.perf_counter()
    await asyncio.gather(*[lives(tasks // at_once) for _ in range(at_once)])
    print(tasks / (time.perf_counter() - began))
    DBOS.destroy()


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
